package smoke

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Promise: a process ends with the one that KUBE_PARENT names, although that did not start it; one whose parent lives goes on.
func TestEndsWithParent(t *testing.T) {
	binary := builtBinary(t)
	parent := exec.Command("cat") // until its input ends
	in, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	twin, orphan := newCluster(t, binary), newCluster(t, binary)
	orphan.parent = parent.Process.Pid
	twin.startEtcd()
	process := orphan.startEtcd()
	for _, c := range []*cluster{twin, orphan} {
		c.eventually("etcd healthy", c.etcdHealthy)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// While nobody collects its exit status the parent is still there as a zombie.
	select {
	case <-process.done:
	case <-time.After(deadline):
		t.Fatalf("etcd lives %v after its parent was killed", deadline)
	}
	_ = parent.Wait() // killed is what we asked for
	if err := twin.etcdHealthy(); err != nil {
		t.Errorf("the etcd whose parent lives: %v", err)
	}

	for _, test := range []struct{ parent, want string }{
		{strconv.Itoa(parent.Process.Pid), "follow process"}, // it has ended
		{"nobody", `KUBE_PARENT="nobody" is not the id of a process`},
	} {
		cmd := exec.Command(binary, "version")
		cmd.Env = append(os.Environ(), "KUBE_PARENT="+test.parent)
		out, err := cmd.CombinedOutput()
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), test.want) {
			t.Errorf("KUBE_PARENT=%s: exit %d, want 1; output wants %q:\n%s", test.parent, code, test.want, out)
		}
	}
}

func (c *cluster) etcdHealthy() error {
	resp, err := (&http.Client{Timeout: 2 * time.Second}).Get(c.etcd + "/health")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
