package testcluster

import (
	"fmt"
	"os"
	"testing"
)

// Progress logs where a long test or benchmark stands. A benchmark's log appears when it has ended, so for one it goes to
// standard error, at once.
func Progress(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if _, is := tb.(*testing.B); !is {
		tb.Logf(format, args...)
		return
	}
	fmt.Fprintf(os.Stderr, "\n%s: %s", tb.Name(), fmt.Sprintf(format, args...))
}
