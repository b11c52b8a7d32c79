package fields

import (
	"encoding/json"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/kube-openapi/pkg/spec3"
)

// small is an API server's OpenAPI of one kind.
const small = `{"openapi": "3.0.0", "info": {"title": "test", "version": "v1"}, "paths": {
"/apis/example.com/v1/namespaces/{namespace}/things": {"post": {"x-kubernetes-action": "post",
  "parameters": [{"name": "dryRun", "in": "query"}, {"name": "namespace", "in": "path"}],
  "requestBody": {"content": {"*/*": {"schema": {"$ref": "#/components/schemas/io.k8s.api.example.v1.Thing"}}}}}},
"/apis/example.com/v1/namespaces/{namespace}/others": {"post": {"x-kubernetes-action": "post",
  "requestBody": {"content": {"*/*": {"schema": {"$ref": "#/components/schemas/io.k8s.api.example.v1.Other"}}}}}}},
"components": {"schemas": {
"io.k8s.api.example.v1.Thing": {"type": "object", "x-kubernetes-group-version-kind": [{"kind": "Thing"}], "properties": {
  "kind": {"type": "string"}, "status": {"type": "object", "properties": {"deep": {"type": "string"}}},
  "spec": {"type": "object", "properties": {"known": {"type": "string"}, "new": {"type": "string"},
    "parts": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.example.v1.Part"}]}}}}}},
"io.k8s.api.example.v1.Part": {"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer"}}},
"io.k8s.api.example.v1.Other": {"type": "object", "properties": {"unseen": {"type": "string"}}}}}}`

func smallAPI(t *testing.T) *API {
	t.Helper()
	document := &spec3.OpenAPI{}
	if err := json.Unmarshal([]byte(small), document); err != nil {
		t.Fatal(err)
	}
	return Read(document)
}

// Promise: what no row classifies is named, with the number of elements of lists; what no right reaches is not; a row that
// classifies nothing is named.
func TestWhatIsNotClassifiedIsNamed(t *testing.T) {
	ledger := []Section{
		{TypeMeta, []Row{{"kind", Checked, "It is.", ""}}},
		{Query, []Row{{"dryRun", Harmless, "It is.", ""}}},
		{"example.v1.Thing", []Row{{"status", Server, "It is.", ""}, {"spec.known", Harmless, "It is.", ""}, {"spec.gone", Harmless, "It is.", ""}}},
		{"example.v1.Part", []Row{{"name", Harmless, "It is.", ""}}},
	}
	rules := []rbacv1.PolicyRule{{APIGroups: []string{"example.com"}, Resources: []string{"things"}, Verbs: []string{"create"}}}
	got := Classify(ledger, smallAPI(t), rules)
	want := []string{"example.v1.Part.size (create things)", "example.v1.Thing.spec.new (create things)", "example.v1.Thing.spec.parts# (create things)"}
	if !slices.Equal(got.Unclassified, want) {
		t.Errorf("not classified: %q, want %q", got.Unclassified, want)
	}
	if stale := []string{"example.v1.Thing: spec.gone"}; !slices.Equal(got.Stale, stale) {
		t.Errorf("stale: %q, want %q", got.Stale, stale)
	}
	if got.Fields[Server] != 1 || got.Fields[Harmless] != 3 || got.Fields[Checked] != 1 {
		t.Errorf("classified: %v", got.Fields)
	}
	if got := Classify(ledger, smallAPI(t), nil); len(got.Unclassified) > 0 {
		t.Errorf("without a right there is %q", got.Unclassified)
	}
}

// Promise: the longest row that is the field or above it classifies it; a row of a name that begins alike does not.
func TestRowsOfARequest(t *testing.T) {
	ledger := []Section{
		{"example.v1.Thing", []Row{{"spec", Harmless, "It is.", ""}, {"spec.parts", Open, "It is.", ""}, {"spec.parts.name", Checked, "It is.", ""},
			{"spec.parts#", Server, "It is.", ""}, {"sp", Refused, "x", ""}}},
	}
	for body, want := range map[string][]string{
		`{"spec": {"known": "x"}}`:                                                 {"spec"},
		`{"spec": {"parts": [{"name": "x"}]}}`:                                     {"spec.parts.name"},
		`{"spec": {"parts": [{"size": 1}]}}`:                                       {"spec.parts"},
		`{"spec": {"parts": [{"size": 1}, {"size": 2}]}, "status": {"deep": "x"}}`: {"spec.parts", "spec.parts#"},
	} {
		var decoded any
		if err := json.Unmarshal([]byte(body), &decoded); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range smallAPI(t).Rows(ledger, "example.com", "things", decoded) {
			got = append(got, r.Path)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s sets %q, want %q", body, got, want)
		}
	}
}
