package manifest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/placement"
)

// FuzzReadFiles: whatever a file holds, reading it ends with objects or with faults that have a place in the file;
// never with a panic, and never with both.
func FuzzReadFiles(f *testing.F) {
	seeds, err := filepath.Glob("../../../examples/magazine/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(seeds, "../../../examples/magazine/platform.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, hostile := range []string{
		"", "---", "--- ---\n...\n---", "a: &a [*a]", "&a : *a", "? [a]\n: b", "%YAML 1.2\n---\na", "<<: *x", "\ufeffkind: x",
		"{\"kind\": \"Tenant\", \"apiVersion\": \"bulkhead.dev/v1alpha1\", \"metadata\": 3, \"spec\": [null]}",
		"apiVersion: bulkhead.dev/v1alpha1\nkind: List\nitems: &i\n- *i\n", "apiVersion: v1\nkind: List\nitems: [1, null, {}]\n",
		"apiVersion: bulkhead.dev/v1alpha1\nkind: Tenant\nmetadata: {name: [x], labels: {a: 1}, finalizers: x}\nspec:\n  quota: {pods: 1e400, x: 0x7fffffffffffffffffff}\n  workloads: {}\n",
		"apiVersion: bulkhead.dev/v1alpha1\nkind: Waiver\nmetadata: {name: x}\nspec: {expires: 2030-01-01}\nstatus: 7\n",
	} {
		f.Add([]byte(hostile))
	}
	definitions := newDefinitions() // compiled once: the fuzzer is after inputs
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			t.Skip("size is bounded elsewhere")
		}
		in := input{"fuzz.yaml", data}
		lines := 1
		for _, lineBreak := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} { // all of YAML's
			lines += bytes.Count(data, []byte(lineBreak))
		}
		for _, document := range split(&in) {
			r := definitions.decode(&document)
			for _, fault := range r.faults {
				if fault.Source.Line < 1 || fault.Source.Line > lines || fault.Source.Column < 1 || strings.TrimSpace(fault.Message) == "" {
					t.Errorf("fault without a place or a message in a file of %d lines: %+v", lines, fault)
				}
			}
			for _, tenant := range r.tenants {
				if _, _, err := placement.All(examplePlatform, tenant.Object); err != nil {
					t.Errorf("accepted, and cannot be decided: %v", err)
				}
			}
		}
	})
}

// Promise: a file that cannot be read at all is an error of its own, not a fault in it.
func TestReadFilesTellsFilesThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	_, err := ReadDeclarations([]string{filepath.Join(folder, "none.yaml"), folder}, nil)
	var faults *FaultsError
	if err == nil || errors.As(err, &faults) {
		t.Fatalf("got %v, want an error in reading", err)
	}
	for _, want := range []string{"there is no file or folder", "has no *.yaml, *.yml or *.json file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not tell %q", err, want)
		}
	}
	_, err = ReadDeclarations([]string{"-"}, endless{})
	if err == nil || err.Error() != "<stdin> is larger than 64 MiB: split it into several files" {
		t.Errorf("endless input: %v", err)
	}
}

// endless is a reader that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
