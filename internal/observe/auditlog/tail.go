package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/go-logr/logr"
)

const (
	// lookBack is how much of an existing log is read at the start: what was done while no process followed is reported too, and
	// no position need be kept anywhere.
	lookBack = 16 << 20
	// maxLine bounds a line. Longer ones, which hold whole objects, are skipped.
	maxLine    = 4 << 20
	chunkSize  = 64 << 10
	pollPeriod = 100 * time.Millisecond
)

// Tail follows the file that the API server writes its audit log to (--audit-log-path, in the format json) into a
// Writes: through rotation, truncation, and times when there is no file. It only reads, and nothing waits for it.
type Tail struct {
	Path   string
	Writes *Writes
	Log    logr.Logger

	file   *os.File
	offset int64
	// line is the part of a line that was read so far; skipping is true where its beginning was too long to keep.
	line     []byte
	skipping bool
	started  bool
	// reported is the last complaint, and skipped counts the lines that were not usable.
	reported string
	skipped  int
}

// NeedLeaderElection is false: a process that stands by knows the writes when it takes over.
func (*Tail) NeedLeaderElection() bool { return false }

// Start follows until ctx ends.
func (a *Tail) Start(ctx context.Context) error {
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for {
		a.Poll()
		select {
		case <-ctx.Done():
			return a.close()
		case <-ticker.C:
		}
	}
}

// Poll reads what the log has by now, and answers the questions that can be.
func (a *Tail) Poll() {
	complaint := ""
	if err := a.poll(); err != nil {
		complaint = err.Error()
	}
	if complaint != a.reported {
		if a.reported = complaint; complaint != "" {
			a.Log.Info("the audit log cannot be followed: who tampers is not known until it can", "problem", complaint)
		} else {
			a.Log.Info("following the audit log", "file", a.Path)
		}
	}
	a.Writes.Answer()
}

func (a *Tail) poll() error {
	now, err := os.Stat(a.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at the audit log: %w", err)
	}
	if a.file != nil {
		if err := a.read(); err != nil {
			return errors.Join(err, a.close())
		}
		open, statErr := a.file.Stat()
		if statErr != nil {
			return errors.Join(fmt.Errorf("look at the audit log: %w", statErr), a.close())
		}
		if err == nil && os.SameFile(now, open) {
			return nil
		}
		if err := a.close(); err != nil { // rotated away, and read to its end
			return err
		}
	}
	if err != nil {
		a.started = true // what is there later is new, and read from its beginning
		return fmt.Errorf("no audit log: %w", err)
	}
	return a.open()
}

// open starts with a file: with the last part of one that was there before us, and with all of a new one.
func (a *Tail) open() error {
	file, err := os.Open(a.Path)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	a.file, a.offset, a.line, a.skipping = file, 0, a.line[:0], false
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		return errors.Join(fmt.Errorf("%s is no file that can be followed", a.Path), err, a.close())
	}
	if !a.started && info.Size() > lookBack {
		a.offset, a.skipping = info.Size()-lookBack, true
	}
	a.started = true
	return a.read()
}

func (a *Tail) close() error {
	if a.file == nil {
		return nil
	}
	file := a.file
	a.file, a.line, a.skipping = nil, nil, false
	if err := file.Close(); err != nil {
		return fmt.Errorf("close the audit log: %w", err)
	}
	return nil
}

// read takes in what the open file has beyond what was read. A file that became shorter was emptied, and starts anew.
func (a *Tail) read() error {
	info, err := a.file.Stat()
	if err != nil {
		return fmt.Errorf("look at the audit log: %w", err)
	}
	if info.Size() < a.offset {
		a.offset, a.line, a.skipping = 0, a.line[:0], false
	}
	chunk := make([]byte, chunkSize)
	for {
		n, err := a.file.ReadAt(chunk, a.offset)
		a.offset += int64(n)
		a.take(chunk[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
	}
}

// take cuts what was read into lines.
func (a *Tail) take(data []byte) {
	for {
		part, rest, complete := bytes.Cut(data, []byte("\n"))
		switch {
		case a.skipping:
		case len(a.line)+len(part) > maxLine:
			a.skipping = true
			a.skip(fmt.Errorf("a line of more than %d MiB", maxLine>>20))
		default:
			a.line = append(a.line, part...)
		}
		if !complete {
			return
		}
		if !a.skipping && len(bytes.TrimSpace(a.line)) > 0 {
			if err := a.Writes.Note(a.line); err != nil {
				a.skip(err)
			}
		}
		a.line, a.skipping, data = a.line[:0], false, rest
		if cap(a.line) > chunkSize {
			a.line = nil // one long line must not hold its memory
		}
	}
}

// skip logs lines that are not usable: the first, the second, the fourth, and so on.
func (a *Tail) skip(err error) {
	a.skipped++
	if a.skipped&(a.skipped-1) == 0 {
		a.Log.Info("the audit log has a line that cannot be used; it is skipped", "problem", err.Error(), "so far", a.skipped)
	}
}
