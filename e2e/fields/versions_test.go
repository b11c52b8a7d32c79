package fields_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/kube-openapi/pkg/spec3"

	"github.com/bulkhead-dev/bulkhead/guardrail/fields"
)

// older are the releases of Kubernetes that Bulkhead supports next to the one that kube/ builds.
var older = []string{"v1.36.0"}

// Promise: what an owner can send to an older API server that Bulkhead supports is classified too. Each release of Kubernetes publishes
// the OpenAPI of its API server, with the fields of all feature gates, in its own module.
func TestOlderReleasesAreClassified(t *testing.T) {
	for _, version := range older {
		t.Run(version, func(t *testing.T) {
			got := fields.Classify(fields.Ledger(), published(t, version), rules)
			for _, field := range got.Unclassified {
				t.Errorf("%s is not classified: add it to its section in guardrail/fields", field)
			}
			total := 0
			for _, n := range got.Fields {
				total += n
			}
			if total < 1000 {
				t.Errorf("only %d fields were found: %v", total, got.Fields)
			}
		})
	}
}

func published(t *testing.T, version string) *fields.API {
	t.Helper()
	download := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@"+version)
	download.Dir = t.TempDir()                        // no module of ours: its go.sum does not know the version
	download.Env = append(os.Environ(), "GOWORK=off") // nor a workspace
	out, err := download.Output()
	if err != nil {
		t.Fatalf("download k8s.io/kubernetes %s: %v\n%s", version, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(module.Dir, "api", "openapi-spec", "v3", "*_openapi.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the OpenAPI of %s: %v, %v", version, files, err)
	}
	var documents []*spec3.OpenAPI
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		document := &spec3.OpenAPI{}
		if err := json.Unmarshal(data, document); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		documents = append(documents, document)
	}
	return fields.Read(documents...)
}
