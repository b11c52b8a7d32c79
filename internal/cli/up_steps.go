package cli

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"
)

// steps tells on standard error what is being done, one line for each step. On a terminal the line is there while the
// step goes on, with a note of how far it is; elsewhere it is written once, when the step is done.
type steps struct {
	streams  IOStreams
	paint    paint
	terminal bool
	current  string
}

func newSteps(streams IOStreams) *steps {
	file, isFile := underneath(streams.Err).(*os.File)
	return &steps{
		streams:  streams,
		paint:    newPaint(streams.Err),
		terminal: isFile && term.IsTerminal(int(file.Fd())),
	}
}

// do one step.
func (s *steps) do(what string, work func() error) error {
	s.current = what
	s.note("")
	began := time.Now()
	err := work()
	mark := markOK
	if err != nil {
		mark = markProblem
	}
	s.clear()
	s.streams.Progressf("%s %s %s", s.paint.mark(mark), what, s.paint.faint(fmt.Sprintf("%.1f s", time.Since(began).Seconds())))
	return err
}

// note how far the current step is.
func (s *steps) note(text string) {
	if s.terminal && !s.streams.Quiet() {
		s.clear()
		_, _ = fmt.Fprintf(s.streams.Err, "… %s %s", s.current, s.paint.faint(text)) // as for Progressf
	}
}

// noticef writes a line that does not belong to the step that goes on.
func (s *steps) noticef(format string, args ...any) {
	s.clear()
	_, _ = fmt.Fprintf(s.streams.Err, s.paint.open("!")+" "+format+"\n", args...) // told even with -q
}

// clear the line of the step that goes on: carriage return, erase to the end of the line.
func (s *steps) clear() {
	if s.terminal && !s.streams.Quiet() {
		_, _ = fmt.Fprint(underneath(s.streams.Err), "\r\x1b[K") // as for Progressf
	}
}
