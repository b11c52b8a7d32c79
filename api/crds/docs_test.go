package crds_test

import (
	"flag"
	"os"
	"testing"

	"github.com/bulkhead-dev/bulkhead/api/crds"
	"github.com/bulkhead-dev/bulkhead/internal/docgen"
)

var update = flag.Bool("update", false, "rewrite the generated page")

const page = "../../docs/api.md"

// Promise: docs/api.md is what the definitions say.
// Rewrite it with: go test ./api/crds -run TestDocs -update
func TestDocs(t *testing.T) {
	definitions, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	want := docgen.API(definitions)
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not current: run go test ./api/crds -run TestDocs -update", page)
	}
}
