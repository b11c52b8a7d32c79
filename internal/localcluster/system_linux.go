package localcluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// attributes of every child: a process group of its own, so that Ctrl-C on a terminal reaches only the parent, which
// ends its children in order; and death with the parent, even when that is killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// startTime identifies a process together with its id, which is reused: the 22nd field of /proc/PID/stat. It is empty
// when there is no such process, or when that has ended and only waits to be collected by its parent.
func startTime(pid int) (string, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for process %d: %w", pid, err)
	}
	// The second field is the program's name in parentheses and may hold spaces and parentheses.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("look for process %d: unexpected form of /proc/%d/stat", pid, pid)
	}
	// A killed process is a zombie from when its first thread has ended; its files and ports are free when the last has.
	if threads := fields[17]; fields[0] == "Z" && (threads == "0" || threads == "1") {
		return "", nil
	}
	return fields[19], nil
}
