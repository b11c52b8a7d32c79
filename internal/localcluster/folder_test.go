package localcluster

import (
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func newFolder(t *testing.T) folder {
	t.Helper()
	f := folder(filepath.Join(t.TempDir(), "data"))
	if err := f.create(); err != nil {
		t.Fatal(err)
	}
	return f
}

// Promise: what a killed parent left behind is ended, and a process that only has the same id is not.
func TestOnlyOwnStaleProcessesAreEnded(t *testing.T) {
	f := newFolder(t)
	ours, foreign := sleeper(t), sleeper(t)
	if err := f.recordProcess("ours", ours.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	record := strconv.Itoa(foreign.cmd.Process.Pid) + " another-start-time\n"
	if err := os.WriteFile(f.pidFile("foreign"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.pidFile("cut"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.endStale(); err != nil {
		t.Fatal(err)
	}
	if !ours.ended() {
		t.Error("the recorded process still runs")
	}
	if started, err := startTime(foreign.cmd.Process.Pid); err != nil || started == "" {
		t.Errorf("the process with the recorded id and another start time was ended (%v)", err)
	}
	if left, _ := filepath.Glob(f.pidFile("*")); len(left) > 0 {
		t.Errorf("records are left: %v", left)
	}
}

// sleeper is a process that does nothing and is ended with the test.
func sleeper(t *testing.T) *process {
	t.Helper()
	p := &process{cmd: exec.Command("sleep", "600"), done: make(chan struct{})}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// Promise: ports stay the same for the life of a folder, and a taken one is named instead of moved.
func TestPortsStay(t *testing.T) {
	f := newFolder(t)
	first, err := f.loadPorts()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := f.loadPorts(); err != nil || second != first {
		t.Errorf("second start: want %+v, got %+v, %v", first, second, err)
	}
	listener, err := net.Listen("tcp", address(first.Kubelet))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, err = f.loadPorts()
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(first.Kubelet)+" on 127.0.0.1") || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("a taken port: want an error with the port and what to do, got %v", err)
	}
}

// Promise: a kubeconfig that is good is left as it is; one for other groups, or that ends soon, is made anew.
func TestKubeconfigsAreKeptWhileGood(t *testing.T) {
	f, now := newFolder(t), time.Now()
	ca, err := f.authority("ca", now)
	if err != nil {
		t.Fatal(err)
	}
	path := f.path("owners", "a.kubeconfig")
	write := func(at time.Time, groups ...string) string {
		t.Helper()
		again, err := f.authority("ca", at)
		if err != nil {
			t.Fatal(err)
		}
		id := Identity{User: "a", Groups: groups}
		if err := writeKubeconfig(path, "https://127.0.0.1:1", "home", again, id, at); err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := parseCertificate(config.AuthInfos["a"].ClientCertificateData)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(ca.cert)
		usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: at, KeyUsages: usages}); err != nil {
			t.Errorf("certificate: %v", err)
		}
		return cert.SerialNumber.String()
	}
	first := write(now, "x", "y")
	if second := write(now.Add(time.Hour), "y", "x"); second != first {
		t.Error("a good kubeconfig was replaced")
	}
	if third := write(now, "x"); third == first {
		t.Error("other groups: the kubeconfig was not replaced")
	}
	fourth := write(now, "x", "y")
	if fifth := write(now.Add(certLifetime-renewBefore+time.Hour), "x", "y"); fifth == fourth {
		t.Error("a certificate that ends soon was not replaced")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig must be readable for its owner only: %v, %v", info.Mode(), err)
	}
}

// Promise: without Kubernetes to run, the error names where it was looked for and how to get it.
func TestFindKubeSaysWhatToDo(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("KUBE", "")
	if _, err := FindKube(""); err == nil || !strings.Contains(err.Error(), "make kube") || !strings.Contains(err.Error(), "bin/kube") {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := FindKube("missing"); err == nil || !strings.Contains(err.Error(), "missing is not an executable file") {
		t.Errorf("a wrong path: %v", err)
	}
	t.Setenv("KUBE", "/elsewhere")
	if _, err := FindKube(""); err == nil || !strings.Contains(err.Error(), "/elsewhere is not an executable file") {
		t.Errorf("a wrong variable: %v", err)
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
