package crds_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// Promise: the values that the API server accepts of a declared fact are those that the decision knows, no more and no less.
func TestEnumsAreTheDecisions(t *testing.T) {
	raw, err := os.ReadFile("bulkhead.dev_tenants.yaml")
	if err != nil {
		t.Fatal(err)
	}
	definition := apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(raw, &definition); err != nil {
		t.Fatal(err)
	}
	spec := definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	table := tenancy.Table()
	for i := range table.Facts {
		fact := &table.Facts[i]
		fields := spec.Properties
		of, name, _ := strings.Cut(fact.Name, ".")
		if of == "workload" {
			fields = fields["workloads"].Items.Schema.Properties
		}
		field, known := fields[name]
		if !known {
			t.Errorf("fact %s has no field", fact.Name)
		}
		if field.Type == "boolean" {
			continue
		}
		var enum []string
		for _, value := range field.Enum {
			var text string
			if err := json.Unmarshal(value.Raw, &text); err != nil {
				t.Fatal(err)
			}
			enum = append(enum, text)
		}
		allowed := fact.Allowed()
		slices.Sort(enum)
		slices.Sort(allowed)
		if !slices.Equal(enum, allowed) {
			t.Errorf("%s: the API server accepts %v, the decision %v", fact.Name, enum, allowed)
		}
	}
}
