//go:build unix

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bulkhead-dev/bulkhead/internal/testdecision"
)

// BenchmarkDecide is the whole command as a user runs it, from the start of its process to its end, on 10,000 tenants
// with 30,000 workloads: reading, checking as an API server does, deciding and printing; as one file, and as a folder of
// 10,000 files. It reports the processor time of the process, and how many times that is of what the YAML library takes
// only to parse the same bytes.
func BenchmarkDecide(b *testing.B) {
	const tenants = 10_000
	data := testdecision.Tenants(tenants)
	folder, file := b.TempDir(), filepath.Join(b.TempDir(), "tenants.yaml")
	for i, document := range bytes.Split(data, []byte("---\n"))[1:] {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("team-%d.yaml", i)), document, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	bulkhead := filepath.Join(b.TempDir(), "bulkhead") // by this name the test's own binary is the command
	if err := os.Symlink(self, bulkhead); err != nil {
		b.Fatal(err)
	}
	parsing := timeToParse(b, data)
	for _, c := range []struct{ name, path string }{{"file", file}, {"folder", folder}} {
		for _, format := range []string{formatTable, formatJSON} {
			b.Run(c.name+"/"+format, func(b *testing.B) {
				var used time.Duration
				for b.Loop() {
					command := exec.Command(bulkhead, "decide", "-f", c.path, "-o", format)
					var problems bytes.Buffer
					command.Stderr = &problems
					if err := command.Run(); err != nil {
						b.Fatalf("%v: %s", err, &problems)
					}
					used += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
				}
				used /= time.Duration(b.N)
				b.ReportMetric(float64(used.Milliseconds()), "cpu-ms/op")
				b.ReportMetric(used.Seconds()/parsing.Seconds(), "x-yaml-parse")
			})
		}
	}
}

// timeToParse is the processor time that the YAML library takes for the documents in data.
func timeToParse(b *testing.B, data []byte) time.Duration {
	b.Helper()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := used()
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		err := decoder.Decode(&yaml.Node{})
		if errors.Is(err, io.EOF) {
			return used() - before
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
