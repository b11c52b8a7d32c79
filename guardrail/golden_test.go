package guardrail

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// Promise: what is rendered changes only where somebody looked at the change.
// Rewrite with: go test ./guardrail -run TestGolden -update
func TestGolden(t *testing.T) {
	cases := map[string]func() ([]Object, []ClosedFlow){
		"tenant": func() ([]Object, []ClosedFlow) {
			return Tenant(testTenant("payments"), []string{"payments--web", "payments--api"}), nil
		},
		"space-full":   func() ([]Object, []ClosedFlow) { return Space(fullSpace()) },
		"space-plain":  func() ([]Object, []ClosedFlow) { return Space(plainSpace()) },
		"space-closed": func() ([]Object, []ClosedFlow) { return Space(closedSpace()) },
		"cluster": func() ([]Object, []ClosedFlow) {
			p := testPlatform()
			return Cluster(p)[len(Policies(p)):], nil // the policies have tests of their own
		},
	}
	for name, render := range cases {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			objects, closed := render()
			for _, c := range closed {
				fmt.Fprintf(&b, "# closed: %s: %s\n", c.Field, c.Why)
			}
			for _, o := range objects {
				raw, err := yaml.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				b.WriteString("---\n")
				b.Write(raw)
			}
			path := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
				t.Errorf("(-golden +rendered)\n%s", diff)
			}
		})
	}
}
