package localcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrNotRunning reports that no cluster runs in the folder.
var ErrNotRunning = errors.New("not running")

// Down asks the process that runs the cluster in dir to end it, and waits until it has. The state stays. It returns
// ErrNotRunning when there is nothing to end; what a killed process may have left behind is ended then too.
func Down(ctx context.Context, dir string) error {
	f := folder(dir)
	if _, err := os.Stat(f.path("lock")); errors.Is(err, os.ErrNotExist) {
		return ErrNotRunning
	}
	asked := 0
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		lock, err := f.lock()
		var running *RunningError
		switch {
		case err == nil:
			defer lock.Close()
			if err := f.endStale(); err != nil {
				return err
			}
			if asked == 0 {
				return ErrNotRunning
			}
			return nil
		case !errors.As(err, &running):
			return err
		case running.PID != 0 && running.PID != asked:
			if err := terminate(running.PID); err != nil {
				return err
			}
			asked = running.PID
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d still runs the cluster in %s: %w", asked, dir, ctx.Err())
		case <-ticker.C:
		}
	}
}

func terminate(pid int) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("find process %d: %w", pid, err)
	}
	if err := process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ask process %d to end: %w", pid, err)
	}
	return nil
}
