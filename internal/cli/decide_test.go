package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
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

// tenantsFile declares n tenants with three workloads each: about 1 KB a tenant.
func tenantsFile(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata:
  name: team-%[1]d
spec:
  owners:
    - {kind: Group, name: "teams:%[1]d"}
    - {kind: ServiceAccount, namespace: deploy, name: team-%[1]d}
  boundary: Inside
  unit: products
  quota:
    requests.cpu: "8"
    requests.memory: 16Gi
    limits.memory: 32Gi
    pods: "40"
  ingressHosts: [team-%[1]d.example.com]
  workloads:
    - {name: site, code: Audited, environment: Production}
    - {name: jobs, code: ThirdParty, environment: Production, performance: Guaranteed}
    - {name: plugins, code: Arbitrary, environment: Production, lifetime: Ephemeral}
`, i)
	}
	return b.Bytes()
}

// BenchmarkDecideWithoutReading is deciding and printing alone.
func BenchmarkDecideWithoutReading(b *testing.B) {
	files, err := manifest.ReadDeclarations([]string{"-"}, bytes.NewReader(tenantsFile(10_000)))
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
