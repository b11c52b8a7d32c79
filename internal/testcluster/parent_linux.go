package testcluster

import (
	"os/exec"
	"syscall"
)

// Tie has the kernel kill the command when this process ends, even when that is killed.
func Tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
