//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package localcluster

import (
	"errors"
	"os"
	"syscall"
)

var (
	errLocked      = errors.New("locked by another process")
	errUnsupported = errors.New("a local cluster needs Linux, macOS or a BSD")
)

func lockFile(*os.File) error { return errUnsupported }

func attributes() *syscall.SysProcAttr { return nil }

func startTime(int) (string, error) { return "", errUnsupported }
