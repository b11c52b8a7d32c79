package localcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Program is a child process of a cluster.
type Program struct {
	// Name of the program, of its log and of its pid file.
	Name string
	Path string
	Args []string
	// Ready reports whether it does its work; nil when being started is enough.
	Ready func(context.Context) error
	// Grace is how long it may take to end when asked to, before it is killed.
	Grace time.Duration
}

const (
	// pollInterval is how often readiness is asked for.
	pollInterval = 50 * time.Millisecond
	// readyTimeout is for one program on a busy machine; seconds are usual.
	readyTimeout = 90 * time.Second
	// A program that ends more than maxCrashes times within crashWindow has a cause that a restart does not cure.
	maxCrashes  = 3
	crashWindow = time.Minute
	// logLimit is the size at which a log is put aside at the next start.
	logLimit = 10 << 20
	// tailLines of a log stand in the error about a program that ended.
	tailLines = 12
)

// process is a running Program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	// err of Wait; to be read when done is closed.
	err error
}

// spawner starts processes from one operating system thread that lives as long as it does: on Linux a child that is
// to die with its parent dies with the parent's *thread* that started it.
type spawner struct {
	requests chan func()
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for request := range s.requests {
			request()
		}
	}()
	return s
}

func (s *spawner) close() { close(s.requests) }

func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error)
	s.requests <- func() { result <- cmd.Start() }
	return <-result
}

// launch starts the program with its output appended to its log, and records its id.
func (s *spawner) launch(f folder, program *Program) (*process, error) {
	logFile, err := os.OpenFile(f.log(program.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", program.Name, err)
	}
	defer logFile.Close()
	cmd := exec.Command(program.Path, program.Args...) //nolint:noctx // it outlives the caller's context, and is ended in order
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = attributes()
	if err := s.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", program.Name, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := f.recordProcess(program.Name, cmd.Process.Pid); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// end asks the process to end, and kills it when it has not ended within grace.
func (p *process) end(grace time.Duration) {
	if grace > 0 {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
		select {
		case <-p.done:
		case <-time.After(grace):
		}
	}
	p.kill()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that it has ended
	<-p.done
}

// supervised is a program that is kept running until it is stopped.
type supervised struct {
	program *Program

	mu sync.Mutex
	// current is replaced by every restart.
	current *process
	// stopping distinguishes the requested end from a crash.
	stopping bool
	crashes  []time.Time
}

// stop ends the program for good; a second call does nothing.
func (s *supervised) stop(grace time.Duration) {
	s.mu.Lock()
	s.stopping = true
	current := s.current
	s.mu.Unlock()
	current.end(grace)
}

// replace puts a new process in the place of the one that ended; false when the program was stopped meanwhile.
func (s *supervised) replace(start func() (*process, error)) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false, nil
	}
	next, err := start()
	if err != nil {
		return false, err
	}
	s.current = next
	return true, nil
}

// crashed records that the program ended unasked; ok is false when it was asked to, hopeless is true when it did so
// too often.
func (s *supervised) crashed(now time.Time) (ok, hopeless bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false, false
	}
	recent := s.crashes[:0]
	for _, at := range s.crashes {
		if now.Sub(at) < crashWindow {
			recent = append(recent, at)
		}
	}
	recent = append(recent, now)
	s.crashes = recent
	return true, len(s.crashes) > maxCrashes
}

// waitReady polls until the program does its work. An error has the last lines of its log.
func waitReady(ctx context.Context, f folder, program *Program, p *process) error {
	if program.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := program.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return endedError(f, program, p)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s is not ready after %v: %w\n%s", program.Name, readyTimeout, err, tail(f.log(program.Name)))
			}
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func endedError(f folder, program *Program, p *process) error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended (%s); the last lines of %s:\n%s", program.Name, how, f.log(program.Name), tail(f.log(program.Name)))
}

// tail is the end of a log for an error message; what keeps it from being read is as good an answer there.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "  " + err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	lines = lines[max(0, len(lines)-tailLines):]
	return "  " + strings.ToValidUTF8(string(bytes.Join(lines, []byte("\n  "))), "?")
}

// rotate puts a large log aside, so that a folder that is used for months does not fill the disk.
func rotate(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() < logLimit {
		return nil //nolint:nilerr // there is no log yet
	}
	if err := os.Rename(path, path+".old"); err != nil {
		return fmt.Errorf("put the log aside: %w", err)
	}
	return nil
}
