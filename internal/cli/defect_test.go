package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/bulkhead-dev/bulkhead/parallel"
)

// Promise: a panic of a command, in a goroutine of its own too, ends with exit code 3 and a report on standard error: the
// command, what it was reading, the value and where it arose; the stack only with -v. It is never taken for an answer.
func TestAPanicIsReportedAsADefect(t *testing.T) {
	for name, fail := range map[string]func(){
		"alone":          burst,
		"in a goroutine": func() { parallel.Each(2, 10, 1, func(int) { burst() }) },
	} {
		for _, args := range [][]string{{"burst", "-q"}, {"burst", "-v"}} {
			var out, errOut bytes.Buffer
			streams := IOStreams{genericiooptions.IOStreams{Out: &out, ErrOut: &errOut}, &globalFlags{}}
			root := newRootCommand(streams)
			root.AddCommand(&cobra.Command{Use: "burst", RunE: func(*cobra.Command, []string) error {
				streams.Reading("some.yaml")
				fail()
				return nil
			}})
			if code := execute(t.Context(), root, args, streams); code != exitUsage {
				t.Errorf("%s: exit code %d instead of %d", name, code, exitUsage)
			}
			got := errOut.String()
			want := "bulkhead: defect: `bulkhead " + strings.Join(args, " ") + "` panicked, reading some.yaml: runtime error: index out of range [3] with length 0\n" +
				"  at internal/cli.burst (defect_test.go:"
			if !strings.HasPrefix(got, want) || !strings.Contains(got, "Please report it") || out.Len() > 0 {
				t.Errorf("%s: want\n%s\ngot\n%s\nand on standard output: %s", name, want, got, out.String())
			}
			if has := strings.Contains(got, "goroutine "); has != (args[1] == "-v") {
				t.Errorf("%s: %v: the stack is shown: %v:\n%s", name, args, has, got)
			}
		}
	}
}

//go:noinline
func burst() {
	var none []int
	_ = none[len(none)+3]
}
