package testcluster

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// runVariable turns a process of this test into the test run that is killed.
	runVariable = "BULKHEAD_TEST_RUN_TO_KILL"
	// deadline is for what takes seconds on an idle machine.
	deadline = 2 * time.Minute
)

// Promise: a test run that is killed (-9) leaves no process of Kubernetes behind, not even one that a shell started for it;
// while the run lives, so do they.
func TestKilledRunLeavesNothingBehind(t *testing.T) {
	if os.Getenv(runVariable) != "" {
		runUntilKilled(t)
	}
	run := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	// What a killed run leaves of files goes with this test's folder.
	run.Env = append(os.Environ(), runVariable+"=1", "TMPDIR="+t.TempDir())
	var said bytes.Buffer
	run.Stderr = &said
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := run.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	Tie(run)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ready := make([]byte, len(serving))
	if err := out.(*os.File).SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(ready); err != nil || string(ready) != serving {
		_ = run.Process.Kill()
		_ = run.Wait() // it says why it ended on standard error
		t.Fatalf("the run said %q instead of %q: %v\n%s", ready, serving, err, &said)
	}

	var started []process
	await(t, "the run's five processes live", func() error {
		started = descendants(t, run.Process.Pid)
		var names []string
		for _, p := range started {
			names = append(names, p.name)
		}
		slices.Sort(names)
		if want := []string{"etcd", "kube-apiserver", "kube-controller", "kubectl", "sh"}; !slices.Equal(names, want) {
			return fmt.Errorf("%v instead of %v", names, want)
		}
		return nil
	})
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait() // killed is what we asked for
	await(t, "nothing of the killed run lives", func() error {
		var left []string
		for _, p := range started {
			if now, err := look(p.pid); err == nil && now.began == p.began {
				left = append(left, fmt.Sprintf("%s (%d)", p.name, p.pid))
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
}

const serving = "serving\n"

// runUntilKilled is a test run: a control plane, and a shell that watches something on it with kubectl.
func runUntilKilled(t *testing.T) {
	c, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Stop() }() // reached only when it was not killed
	if err := c.StartControllerManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	// With a second command, the shell stays kubectl's parent.
	shell := exec.Command("sh", "-c", `"$0" --kubeconfig="$1" get namespaces --watch; exit`,
		filepath.Join(c.env.BinaryAssetsDirectory, "kubectl"), c.Kubeconfig)
	Tie(shell)
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Print(serving)
	// Standard input ends with the test that started this run, which then has failed.
	_, _ = os.Stdin.Read(make([]byte, 1))
	t.Fatal("the run was not killed")
}

// process is one of the machine's, told from a later one with the same id by when it began.
type process struct {
	pid, parent int
	name, began string
}

// look returns the process, and fs.ErrNotExist when it has ended, also while its exit status waits to be collected.
func look(pid int) (process, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, err
	}
	// The second field is the program's name in parentheses and may hold spaces and parentheses.
	start, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	fields := strings.Fields(string(data[end+1:]))
	if fields[0] == "Z" || fields[0] == "X" {
		return process{}, fs.ErrNotExist
	}
	parent, err := strconv.Atoi(fields[1])
	return process{pid: pid, parent: parent, name: string(data[start+1 : end]), began: fields[19]}, err
}

// descendants are the processes that live of those that the one with the id started, and of those that these started.
func descendants(t *testing.T, pid int) []process {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all, found []process
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // no process
		}
		if p, err := look(id); err == nil {
			all = append(all, p)
		}
	}
	above := []int{pid}
	for len(above) > 0 {
		var below []int
		for _, p := range all {
			if slices.Contains(above, p.parent) {
				found, below = append(found, p), append(below, p.pid)
			}
		}
		above = below
	}
	return found
}

// await polls until check succeeds.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(deadline); ; <-ticker.C {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s: %v", deadline, what, err)
		}
	}
}
