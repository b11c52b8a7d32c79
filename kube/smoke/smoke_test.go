// Package smoke tries the built binary from outside. It is a package of its own
// so that testing does not compile and link Kubernetes a second time.
package smoke

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const simulatedNode = `
apiVersion: v1
kind: Node
metadata:
  name: simulated
  annotations: {kwok.x-k8s.io/node: fake}
`

// builtBinary skips the test where nobody built the binary, except in CI,
// where a skipped test would pass for a successful one.
func builtBinary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/kube")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("run kube/build.sh first: %v", err)
		}
		t.Skip("bin/kube is missing: run kube/build.sh to build it (minutes, the first time)")
	}
	return path
}

// pinnedVersion is the Kubernetes version that go.mod asks for.
func pinnedVersion(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "k8s.io/kubernetes" {
			return fields[1]
		}
	}
	t.Fatal("go.mod does not require k8s.io/kubernetes")
	return ""
}

func TestCommandLine(t *testing.T) {
	binary := builtBinary(t)
	version := pinnedVersion(t)
	kubectl := filepath.Join(t.TempDir(), "kubectl")
	if err := os.Symlink(binary, kubectl); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no command", []string{binary}, 2, "kube-controller-manager"},
		{"unknown command", []string{binary, "kubelet"}, 2, `unknown command "kubelet"`},
		{"version", []string{binary, "version"}, 0, "kubernetes " + version + " (reports " + version + ")"},
		{"version flag", []string{binary, "--version"}, 0, "kubernetes " + version},
		{"kubectl", []string{binary, "kubectl", "version", "--client"}, 0, "Client Version: " + version},
		{"symlink", []string{kubectl, "version", "--client"}, 0, "Client Version: " + version},
		{"kwok without flags", []string{binary, "kwok"}, 2, "--kubeconfig is required"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.Command(test.args[0], test.args[1:]...)
			out, err := cmd.CombinedOutput()
			if err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.want) {
				t.Errorf("exit %d, want %d; output wants %q:\n%s", code, test.code, test.want, out)
			}
		})
	}
}

func TestCluster(t *testing.T) {
	c := newCluster(t, builtBinary(t))
	c.startEtcd()
	apiServer := c.startAPIServer()
	c.eventually("API server ready", c.ready)
	checkVersion(t, c)

	c.startControllerManager()
	c.startScheduler()
	kwok := c.startKwok()
	mustKubectl(t, c, simulatedNode, "create", "-f", "-")
	checkPod(t, c, "before")
	checkJob(t, c)
	startPod(c, "old")

	apiServer.crash()
	c.startAPIServer()
	c.eventually("API server ready again", c.ready)
	checkPod(t, c, "after")

	if took := kwok.stop(); took > 2*time.Second {
		t.Errorf("kwok took %v to end", took)
	}
	// A node that was given up must recover, with its addresses.
	mustKubectl(t, c, "", "patch", "node", "simulated", "--subresource=status",
		"-p", `{"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}}`)
	c.startKwok()
	mustKubectl(t, c, "", "wait", "node/simulated", "--for=condition=Ready", "--timeout=60s")
	checkPod(t, c, "restarted")
	startPod(c, "new")
	checkAddresses(t, c)
}

// checkAddresses wants no address twice, also across a restart of kwok.
func checkAddresses(t *testing.T, c *cluster) {
	t.Helper()
	out := mustKubectl(t, c, "", "get", "pods", "-o", `jsonpath={range .items[*]}{.status.podIP}{"\n"}{end}`)
	seen := map[string]bool{}
	for _, ip := range strings.Fields(out) {
		if seen[ip] {
			t.Errorf("two pods have the address %s:\n%s", ip, out)
		}
		seen[ip] = true
	}
	if len(seen) < 2 {
		t.Errorf("too few addresses to compare:\n%s", out)
	}
}

func (c *cluster) ready() error {
	_, err := c.get("/readyz")
	return err
}

func checkVersion(t *testing.T, c *cluster) {
	t.Helper()
	body, err := c.get("/version")
	if err != nil {
		t.Fatal(err)
	}
	var version struct{ GitVersion, Major, Minor string }
	if err := json.Unmarshal([]byte(body), &version); err != nil {
		t.Fatal(err)
	}
	want := pinnedVersion(t)
	if version.GitVersion != want || !strings.HasPrefix(want, "v"+version.Major+"."+version.Minor+".") {
		t.Errorf("/version says %+v, want %s", version, want)
	}
}

// checkPod follows a pod from creation over its log to its end.
func checkPod(t *testing.T, c *cluster, name string) {
	t.Helper()
	startPod(c, name)
	logs := mustKubectl(t, c, "", "logs", name)
	if want := "simulated pod: no process runs here"; logs != want {
		t.Errorf("logs are %q, want %q", logs, want)
	}
	mustKubectl(t, c, "", "delete", "pod", name, "--wait=false")
	c.eventually("pod gone", c.pod(name, ""))
}

func startPod(c *cluster, name string) {
	c.t.Helper()
	// The first pod waits for its namespace's service account, hence the retry.
	c.eventually("pod created", func() error {
		return fail(c.kubectl("", "run", name, "--image=simulated"))
	})
	c.eventually("pod running", c.pod(name, "Running"))
}

func checkJob(t *testing.T, c *cluster) {
	t.Helper()
	mustKubectl(t, c, "", "create", "job", "short", "--image=simulated")
	c.eventually("job complete", func() error {
		out, err := c.kubectl("", "get", "job", "short", "-o", "jsonpath={.status.succeeded}")
		if err == nil && out != "1" {
			err = fmt.Errorf("succeeded: %q", out)
		}
		return err
	})
}

// pod is satisfied when the pod is in the phase, or with no phase when it is gone.
func (c *cluster) pod(name, phase string) func() error {
	return func() error {
		out, err := c.kubectl("", "get", "pod", name, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
		if err == nil && out != phase {
			err = fmt.Errorf("phase %q, want %q", out, phase)
		}
		return err
	}
}

func mustKubectl(t *testing.T, c *cluster, stdin string, args ...string) string {
	t.Helper()
	out, err := c.kubectl(stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func fail(out string, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
