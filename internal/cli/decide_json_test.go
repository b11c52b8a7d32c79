package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
)

// Promise: the answer in JSON is byte for byte what the encoder makes of it as a whole.
func TestDecideJSONIsTheEncoders(t *testing.T) {
	examples, err := observe.ReadFiles([]string{"../../examples/magazine"}, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	some, err := observe.ReadFiles([]string{"-"}, bytes.NewReader(tenantsFile(3)))
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]*observe.Files{"examples": &examples, "some": &some} {
		answer, err := decideAll(files, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		odd := *answer
		odd.Tenants = append([]tenantAnswer{{Tenant: `<"workloads": []>`, Source: observe.Source{File: `"tenants": []&`}}}, answer.Tenants...)
		odd.Notes = append(odd.Notes, `"tenants": []`)
		for kind, a := range map[string]*decideAnswer{"": answer, "odd": &odd, "none": {}} {
			var want, got bytes.Buffer
			if err := writeJSON(&want, a); err != nil {
				t.Fatal(err)
			}
			if err := a.json(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Errorf("%s %s: -want +got\n%s", name, kind, diff)
			}
		}
	}
}
