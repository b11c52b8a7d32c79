package smoke

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	adminToken = "smoke-test"
	// deadline is for one step on a busy two-core machine, not the usual time.
	deadline = 90 * time.Second
	interval = 100 * time.Millisecond
)

// cluster is a control plane in a temporary folder, made of the built binary.
type cluster struct {
	t          *testing.T
	binary     string
	dir        string
	server     string
	etcd       string
	kubelet    string
	kubeconfig string
	// parent is the process that its processes must not outlive.
	parent int
}

func newCluster(t *testing.T, binary string) *cluster {
	dir := t.TempDir()
	c := &cluster{
		t:          t,
		binary:     binary,
		dir:        dir,
		server:     freeAddress(t),
		etcd:       "http://" + freeAddress(t),
		kubelet:    freeAddress(t),
		kubeconfig: filepath.Join(dir, "kubeconfig"),
		parent:     os.Getpid(),
	}
	c.write("tokens.csv", adminToken+",admin,admin,system:masters\n")
	c.write("kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: smoke, cluster: {server: "https://%s", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: smoke, context: {cluster: smoke, user: admin}}]
current-context: smoke
`, c.server, adminToken))
	c.write("sa.key", string(privateKey(t)))
	return c
}

func (c *cluster) startEtcd() *process {
	peer := "http://" + freeAddress(c.t)
	return c.start("etcd",
		"--data-dir="+filepath.Join(c.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+c.etcd, "--advertise-client-urls="+c.etcd,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer,
		"--initial-cluster=default="+peer)
}

func (c *cluster) startAPIServer() *process {
	host, port, _ := net.SplitHostPort(c.server)
	key := filepath.Join(c.dir, "sa.key")
	return c.start("kube-apiserver",
		"--etcd-servers="+c.etcd, "--bind-address="+host, "--secure-port="+port,
		"--cert-dir="+filepath.Join(c.dir, "certs"), "--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://smoke.test", "--service-account-key-file="+key,
		"--service-account-signing-key-file="+key,
		"--token-auth-file="+filepath.Join(c.dir, "tokens.csv"), "--authorization-mode=RBAC")
}

func (c *cluster) startControllerManager() *process {
	return c.start("kube-controller-manager",
		"--kubeconfig="+c.kubeconfig, "--secure-port=0", "--leader-elect=false",
		"--service-account-private-key-file="+filepath.Join(c.dir, "sa.key"))
}

func (c *cluster) startScheduler() *process {
	return c.start("kube-scheduler", "--kubeconfig="+c.kubeconfig, "--secure-port=0", "--leader-elect=false")
}

func (c *cluster) startKwok() *process {
	return c.start("kwok", "--kubeconfig="+c.kubeconfig, "--server-address="+c.kubelet)
}

// process is a running part of the cluster.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{}
}

func (c *cluster) start(name string, args ...string) *process {
	c.t.Helper()
	logPath := filepath.Join(c.dir, name+".log")
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer logFile.Close()
	cmd := exec.Command(c.binary, append([]string{name}, args...)...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = append(os.Environ(), "TMPDIR="+c.dir, "KUBE_PARENT="+strconv.Itoa(c.parent))
	if err := cmd.Start(); err != nil {
		c.t.Fatalf("start %s: %v", name, err)
	}
	p := &process{t: c.t, name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait()
	}()
	c.t.Cleanup(func() {
		p.crash()
		if c.t.Failed() {
			c.t.Logf("%s, last lines:\n%s", name, tail(logPath))
		}
	})
	return p
}

// crash ends the process at once: nothing of a test's cluster is worth saving, and
// an API server that is asked nicely waits a minute for the watches of others.
func (p *process) crash() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop asks the process to end and returns how long that took.
func (p *process) stop() time.Duration {
	began := time.Now()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(deadline):
		p.t.Errorf("%s did not end on SIGTERM", p.name)
		p.crash()
	}
	return time.Since(began)
}

func (c *cluster) write(name, content string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// kubectl runs the binary's own kubectl and returns its output.
func (c *cluster) kubectl(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.binary, append([]string{"kubectl", "--kubeconfig=" + c.kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// get reads a path of the API server as the administrator.
func (c *cluster) get(path string) (string, error) {
	client := http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "https://"+c.server+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return string(body), err
}

// eventually polls until condition gives no error, and reports how long that took.
func (c *cluster) eventually(what string, condition func() error) {
	c.t.Helper()
	began := time.Now()
	var err error
	for ticker := time.NewTicker(interval); time.Since(began) < deadline; <-ticker.C {
		if err = condition(); err == nil {
			c.t.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond))
			return
		}
	}
	c.t.Fatalf("not within %v: %s: %v", deadline, what, err)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func privateKey(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}
