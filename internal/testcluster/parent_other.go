//go:build !linux

package testcluster

import "os/exec"

// Tie does nothing: only Linux ties a process to its parent.
func Tie(*exec.Cmd) {}
