// Package up_test runs the built program as its users do.
package up_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

const (
	// deadline is for one step on a busy machine with the race detector on, not the usual time.
	deadline = 8 * time.Minute
	interval = 50 * time.Millisecond
)

// bulkhead is the program under test, and kube the binary that it runs.
var bulkhead, kube string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bulkhead-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bulkhead = filepath.Join(dir, "bulkhead")
	if kube, err = filepath.Abs(filepath.Join("..", "..", "bin", "kube")); err == nil {
		_, err = os.Stat(kube)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need Kubernetes: run `make kube` first:", err)
		return 1
	}
	build := exec.Command("go", "build", "-o", bulkhead, "../../cmd/bulkhead")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build bulkhead:", err)
		return 1
	}
	return m.Run()
}

// output is what a running process has written so far.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(data)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// process is a running `bulkhead`.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err output
	done     chan struct{}
}

// start bulkhead with these arguments; it is killed with the test.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(bulkhead, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "KUBE="+kube)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	testcluster.Tie(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is read from ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // has ended already, as a rule
		<-p.done
		if t.Failed() {
			t.Logf("bulkhead %s\n%s\n%s", strings.Join(args, " "), p.out.String(), p.err.String())
		}
	})
	return p
}

// waitFor a text on standard output.
func (p *process) waitFor(text string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("bulkhead says %q", text), func() error {
		select {
		case <-p.done:
			return fmt.Errorf("it has ended: %v\n%s", p.cmd.ProcessState, p.err.String())
		default:
		}
		if !strings.Contains(p.out.String(), text) {
			return fmt.Errorf("so far:\n%s", p.out.String())
		}
		return nil
	})
}

// end sends a signal and waits for the process to end.
func (p *process) end(signal syscall.Signal) time.Duration {
	p.t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	p.wait()
	return time.Since(began)
}

// wait for the end and return the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(deadline):
		p.t.Fatalf("bulkhead %v has not ended after %v", p.cmd.Args[1:], deadline)
	}
	return p.cmd.ProcessState.ExitCode()
}

// eventually polls until check succeeds, and fails the test when it does not.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	end := time.Now().Add(deadline)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s: %v", deadline, what, err)
		}
		<-ticker.C
	}
}

// processesNaming returns the command lines of all processes that name the folder, as every part of a cluster does.
func processesNaming(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Skip("this system has no /proc to look for processes in")
	}
	var found []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		if line := string(bytes.ReplaceAll(data, []byte{0}, []byte{' '})); strings.Contains(line, folder) {
			found = append(found, line)
		}
	}
	return found
}
