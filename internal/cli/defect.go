package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bulkhead-dev/bulkhead/parallel"
)

const (
	modulePath = "github.com/bulkhead-dev/bulkhead"
	issuesPage = "https://" + modulePath + "/issues"
)

// writeDefect reports a panic: the command, what it was reading, the value, and where it arose; with -v the whole stack.
func (s IOStreams) writeDefect(value any, stack []byte, args []string) {
	if err, is := value.(error); is {
		var inGoroutine *parallel.PanicError
		if errors.As(err, &inGoroutine) {
			stack = inGoroutine.Stack
		}
	}
	command := strings.Join(append([]string{"bulkhead"}, args...), " ")
	reading, verbose := "", false
	if s.flags != nil {
		reading, verbose = s.flags.reading, s.flags.verbose
	}
	if reading != "" {
		reading = ", reading " + reading
	}
	lines := []string{
		fmt.Sprintf("bulkhead: defect: `%s` panicked%s: %v", command, reading, value),
		"  at " + firstOwnFrame(string(stack)),
		"This is a fault of Bulkhead. What was printed before it is no answer.",
	}
	if verbose {
		lines = append(lines, strings.Split(strings.TrimSpace(string(stack)), "\n")...)
		lines = append(lines, "Please report it with all of this output: "+issuesPage)
	} else {
		lines = append(lines, "Please report it with the output of the same command and -v: "+issuesPage)
	}
	for _, line := range lines {
		_, _ = fmt.Fprintln(s.ErrOut, line) // there is nowhere else to report that the report cannot be written
	}
}

// firstOwnFrame is the innermost function of ours that panicked, with its file and line. In a stack, the frames after the
// last call of panic are those that led to it.
func firstOwnFrame(stack string) string {
	lines := strings.Split(stack, "\n")
	own := "a place unknown"
	for i := 0; i+1 < len(lines); i++ {
		function := lines[i]
		switch {
		case strings.HasPrefix(function, "panic("):
			own = ""
		case own == "" && strings.HasPrefix(function, modulePath+"/"):
			function = strings.TrimPrefix(function[:strings.LastIndex(function, "(")], modulePath+"/")
			place, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
			own = function + " (" + place[strings.LastIndex(place, "/")+1:] + ")"
		}
	}
	return own
}
