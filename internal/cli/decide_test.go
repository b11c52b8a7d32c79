package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/internal/testdecision"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"bulkhead": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// Promise: decide's whole conversation, what it prints and with which exit code, is what testdata/decide*.txtar says.
// Rewrite the expected output with: UPDATE=1 go test ./internal/cli -run TestDecide
func TestDecide(t *testing.T) {
	scripts, err := filepath.Glob("testdata/decide*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testscript.Run(t, testscript.Params{Files: scripts, UpdateScripts: os.Getenv("UPDATE") != "", RequireExplicitExec: true})
}

// BenchmarkDecideWithoutReading is deciding and printing alone.
func BenchmarkDecideWithoutReading(b *testing.B) {
	files, err := manifest.ReadDeclarations([]string{"-"}, bytes.NewReader(testdecision.Tenants(10_000)))
	if err != nil {
		b.Fatal(err)
	}
	files.Platforms = append(files.Platforms, manifest.Declared[v1alpha1.Platform]{Object: &v1alpha1.Platform{
		Spec: v1alpha1.PlatformSpec{Environment: "Production", SandboxRuntimes: []string{"gvisor"}},
	}})
	for b.Loop() {
		answer, err := decideAll(&files, time.Unix(0, 0))
		if err != nil {
			b.Fatal(err)
		}
		if err := answer.table(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
