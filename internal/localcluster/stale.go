package localcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// recordProcess writes who runs, so that a later start recognises what an earlier one left.
func (f folder) recordProcess(name string, pid int) error {
	started, err := startTime(pid)
	if err != nil {
		return err
	}
	return writeFile(f.pidFile(name), []byte(strconv.Itoa(pid)+" "+started+"\n"))
}

// endStale ends the processes that a killed parent left behind. On Linux they die by themselves, and this waits until
// they have; elsewhere it kills them. A process counts as ours when its id and its start time are the recorded ones.
// The caller holds the folder's lock.
func (f folder) endStale() error {
	files, err := filepath.Glob(f.pidFile("*"))
	if err != nil {
		return fmt.Errorf("look for stale processes: %w", err)
	}
	for _, file := range files {
		if err := endRecorded(file); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the record of an ended process: %w", err)
		}
	}
	return nil
}

func endRecorded(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("look for stale processes: %w", err)
	}
	fields := strings.Fields(string(data))
	if len(fields) != 2 {
		return nil // cut off while it was written: the process had no time to do anything
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return fmt.Errorf("%s does not start with a process id: %w", file, err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil //nolint:nilerr // there is none
	}
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(pollInterval) {
		started, err := startTime(pid)
		if err != nil {
			return err
		}
		if started != fields[1] {
			return nil
		}
		_ = process.Kill() // it may end by itself between the two lines
	}
	return fmt.Errorf("process %d, left behind by an earlier run (%s), does not end: kill it", pid, file)
}
