package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest/kustomization"
)

// stdinPath is the path that means standard input, and stdinName how places in it are named.
const (
	stdinPath = "-"
	stdinName = "<stdin>"
)

// input is one file's content.
type input struct {
	name string
	data []byte
}

// Rendered is a document that a tool made. Places in it are reported under its name.
type Rendered struct {
	Name string
	Data []byte
}

// readInputs reads every file once, however often it is named, and adds what was rendered.
func readInputs(paths []string, stdin io.Reader, rendered []Rendered) ([]input, error) {
	var unread []string
	seen := map[string]bool{}
	var faults []error
	for _, path := range paths {
		names, err := filesUnder(path)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, name := range names {
			if seen[filepath.Clean(name)] {
				continue
			}
			seen[filepath.Clean(name)] = true
			unread = append(unread, name)
		}
	}
	type outcome struct {
		input
		err error
	}
	inputs := make([]input, 0, len(unread))
	for _, read := range inParallel(unread, func(name *string) outcome {
		in, err := readInput(*name, stdin)
		return outcome{in, err}
	}) {
		inputs, faults = append(inputs, read.input), append(faults, read.err)
	}
	for _, r := range rendered {
		inputs = append(inputs, input{r.Name, r.Data})
	}
	return inputs, errors.Join(faults...)
}

// UnrenderedError is returned for a folder that holds a kustomization: what kustomize changes in the files of the folder, and
// in those that it takes from elsewhere, is not in them.
type UnrenderedError struct{ File string }

// Error names the command that renders.
func (e *UnrenderedError) Error() string {
	dir := filepath.Dir(e.File)
	return fmt.Sprintf("%s: the files of this folder are not what kustomize renders from them: give -k %s, or -f - with what `kubectl kustomize` prints",
		e.File, dir)
}

// filesUnder lists a folder's files in the order of their names; a file is itself.
func filesUnder(path string) ([]string, error) {
	if path == stdinPath {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file or folder %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is declared: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var names []string
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != path && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case kustomization.Is(name):
			return &UnrenderedError{name}
		case isLinkedFolder(name, entry):
			return fmt.Errorf("%s is a link to a folder, and links are not followed: what is in it would go unread; name the folder itself with -f too, or replace the link by it", name)
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name))):
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		if unrendered := (*UnrenderedError)(nil); errors.As(err, &unrendered) {
			return nil, err
		}
		return nil, fmt.Errorf("read folder %s: %w", path, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("folder %s has no *.yaml, *.yml or *.json file", path)
	}
	return names, nil
}

// isLinkedFolder reports whether an entry is a symbolic link to a folder, which a walk passes without a word. A loop of links
// leads to no folder.
func isLinkedFolder(name string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return false
	}
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// readInput reads one file, or stdin, up to the limit.
func readInput(name string, stdin io.Reader) (input, error) {
	if name == stdinPath {
		data, err := readLimited(stdinName, stdin, 0)
		return input{stdinName, data}, err
	}
	file, err := os.Open(name)
	if err != nil {
		return input{}, fmt.Errorf("read what is declared: %w", err)
	}
	size := 0
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		size = int(min(info.Size(), maxFileBytes)) // a hint only
	}
	data, err := readLimited(name, file, size)
	return input{name, data}, errors.Join(err, file.Close())
}

func readLimited(name string, from io.Reader, size int) ([]byte, error) {
	var data bytes.Buffer
	data.Grow(size + bytes.MinRead) // the rest lets the reader find the end without growing
	n, err := io.Copy(&data, io.LimitReader(from, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if n > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d MiB: split it into several files", name, maxFileBytes>>20)
	}
	return data.Bytes(), nil
}
