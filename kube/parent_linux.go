package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// endWithParent ends this process when the one with the id in parentVariable ends, however that ends. It follows the process
// itself instead of asking for a parent-death signal, which comes when the *thread* ends that started this process, and only
// to children: kubectl run by a shell of a test must end with the test too.
func endWithParent() error {
	value := os.Getenv(parentVariable)
	if value == "" {
		return nil
	}
	pid, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("%s=%q is not the id of a process", parentVariable, value)
	}
	parent, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		// Without such a process it ended before this one looked.
		return fmt.Errorf("follow process %d (%s): %w", pid, parentVariable, err)
	}
	go func() {
		// A process that ended makes its descriptor readable, also while nobody collects its exit status.
		ended := []unix.PollFd{{Fd: int32(parent), Events: unix.POLLIN}}
		for {
			_, err := unix.Poll(ended, -1)
			if !errors.Is(err, unix.EINTR) {
				os.Exit(1)
			}
		}
	}()
	return nil
}
