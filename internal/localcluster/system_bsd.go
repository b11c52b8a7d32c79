//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package localcluster

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// attributes of every child: a process group of its own, so that Ctrl-C on a terminal reaches only the parent, which
// ends its children in order. These systems cannot tie a child's life to its parent's; see endStale.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// startTime identifies a process together with its id, which is reused. It is empty when there is no such process.
func startTime(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx // ps answers at once
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", nil // ps found none
	}
	if err != nil {
		return "", fmt.Errorf("look for process %d: %w", pid, err)
	}
	return strings.Join(strings.Fields(string(out)), "_"), nil
}
