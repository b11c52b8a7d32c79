package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/testdecision"
)

// examplePlatform is what tests decide against.
var examplePlatform = &v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{Environment: "Production", SandboxRuntimes: []string{"gvisor"}}}

// Promise: what is read from a file is what the API server would hand out for it: the same values, with the defaults.
func TestReadFilesReadsWhatTheFileSays(t *testing.T) {
	const tenant = `# A comment.
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata:
  name: news
  labels: {team: "1"}
spec:
  owners: &owners
    - {kind: Group, name: "teams:news"}
  boundary: Inside
  quota: {requests.cpu: 1500m, pods: 40, limits.memory: "1.5Gi"}
  workloads:
    - {name: site, code: Audited, environment: Production, clusterScoped: false}
status: {patterns: Hard}
`
	files, err := ReadDeclarations([]string{"-"}, strings.NewReader("apiVersion: v1\nkind: Namespace\n---\n"+tenant))
	if err != nil {
		t.Fatal(err)
	}
	if len(files.Tenants) != 1 || files.Tenants[0].Source != (observe.Source{File: "<stdin>", Line: 5, Column: 1}) || files.Others["Namespace v1"] != 1 {
		t.Fatalf("%d tenants, the first at %v, others %v", len(files.Tenants), files.Tenants[0].Source, files.Others)
	}
	want := &v1alpha1.Tenant{}
	if err := yaml.UnmarshalStrict([]byte(tenant), want); err != nil {
		t.Fatal(err)
	}
	w := &want.Spec.Workloads[0]
	w.HostAccess, w.APIAccess, w.Performance, w.Upgrades, w.Lifetime = "None", "None", "Shared", "Platform", "Permanent"
	want.Status = v1alpha1.TenantStatus{} // a client cannot write it
	if diff := cmp.Diff(asJSON(t, want), asJSON(t, files.Tenants[0].Object)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// Promise: no folder goes unread without a word: a link to one is refused by name, a link to a file is read.
func TestLinkedFolderIsRefused(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	file := filepath.Join(elsewhere, "tenants.yaml")
	if err := os.WriteFile(file, testdecision.Tenants(2), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(file, "linked.yaml")
	if files, err := ReadDeclarations([]string{dir}, nil); err != nil || len(files.Tenants) != 2 {
		t.Fatalf("a link to a file: %d tenants, %v", len(files.Tenants), err)
	}
	link(elsewhere, "more")
	if _, err := ReadDeclarations([]string{dir}, nil); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "more")+" is a link to a folder") {
		t.Errorf("a link to a folder: %v", err)
	}
}

// Promise: a file says the same in YAML, in JSON, in a List and in a list of its kind.
func TestReadFilesReadsEveryForm(t *testing.T) {
	read := func(content string) string {
		files, err := ReadDeclarations([]string{"-"}, strings.NewReader(content))
		if err != nil || len(files.Tenants) != 2 {
			t.Fatalf("%d tenants, %v, in:\n%s", len(files.Tenants), err, content)
		}
		return asJSON(t, []any{files.Tenants[0].Object, files.Tenants[1].Object})
	}
	stream := string(testdecision.Tenants(2))
	want := read(stream)
	var items []map[string]any
	for _, document := range strings.Split(stream, "---\n")[1:] {
		item := map[string]any{}
		if err := yaml.Unmarshal([]byte(document), &item); err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	for _, list := range []metav1.TypeMeta{{APIVersion: "v1", Kind: "List"}, {APIVersion: "bulkhead.dev/v1alpha1", Kind: "TenantList"}} {
		object := map[string]any{"apiVersion": list.APIVersion, "kind": list.Kind, "metadata": map[string]any{}, "items": items}
		indented, err := json.MarshalIndent(object, "", "\t") // tabs, as JSON allows
		if err != nil {
			t.Fatal(err)
		}
		asYAML, err := yaml.JSONToYAML(indented)
		if err != nil {
			t.Fatal(err)
		}
		for form, content := range map[string]string{"JSON": string(indented), "YAML": string(asYAML), "CRLF": strings.ReplaceAll(string(asYAML), "\n", "\r\n")} {
			if got := read(content); got != want {
				t.Errorf("%s in %s:\n%s", list.Kind, form, cmp.Diff(want, got))
			}
		}
	}
}

// Promise: the order of what is read is that of the files and of the documents, however many processors decode.
func TestReadFilesKeepsTheOrder(t *testing.T) {
	folder := t.TempDir()
	for i, name := range []string{"a.yaml", "b.json", "c/d.yml"} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		content := strings.ReplaceAll(string(testdecision.Tenants(100)), "team-", fmt.Sprintf("team-%d-", i))
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := ReadDeclarations([]string{folder}, nil)
	if err != nil || len(files.Tenants) != 300 {
		t.Fatalf("%d tenants, %v", len(files.Tenants), err)
	}
	for i, d := range files.Tenants {
		if want := fmt.Sprintf("team-%d-%d", i/100, i%100); d.Object.Name != want {
			t.Fatalf("tenant %d is %s, want %s", i, d.Object.Name, want)
		}
	}
}

// Promise: a field's path leads to where a reader looks: the value, or for a map or list its key, or for what is
// missing what it is missing from.
func TestPlace(t *testing.T) {
	d := document{data: []byte("spec:\n  quota:\n    requests.cpu: 1\n  list:\n  - {a: 1}\n  - a: &x {b: 2}\n  - *x\n")}
	nodes, fault := d.parse()
	if fault != nil {
		t.Fatal(fault)
	}
	for path, want := range map[string]string{
		"spec.quota.requests.cpu": "3:19", "spec.quota[requests.cpu]": "3:19", "spec.quota": "2:3", "spec.list": "4:3",
		"spec.list[0].a": "5:9", "spec.list[1]": "6:5", "spec.list[1].a.b": "6:15", "spec.list[2].b": "6:15",
		"spec.list[0].missing": "5:5", "spec.list[9]": "4:3", "": "1:1", "other": "1:1", "spec.list[x": "4:3", "spec..": "1:1",
	} {
		node := place(nodes[0], path)
		if got := fmt.Sprintf("%d:%d", node.Line, node.Column); got != want {
			t.Errorf("%q is at %s, want %s", path, got, want)
		}
	}
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// BenchmarkReadFiles reads 10,000 Tenants with three workloads each, with all that an API server checks.
func BenchmarkReadFiles(b *testing.B) {
	data := testdecision.Tenants(10_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		files, err := ReadDeclarations([]string{"-"}, bytes.NewReader(data))
		if err != nil || len(files.Tenants) != 10_000 {
			b.Fatalf("%d tenants, %v", len(files.Tenants), err)
		}
	}
}
