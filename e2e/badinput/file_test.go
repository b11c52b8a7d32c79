package badinput

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Promise: what only a reader of files meets is refused as well, with its place, and nothing is decided. In "says",
// FILE stands for the file's name.
func TestBadFilesAreRefused(t *testing.T) {
	tenant, space := base["Tenant"], base["Space"]
	for _, c := range []struct{ name, content, says string }{
		{"empty", "", "FILE:1:1: the file declares nothing"},
		{"comments only", "# to do\n---\n# later\n", "FILE:1:1: the file declares nothing"},
		{"binary", "\x7fELF\x02\x01\x01\x00\x00", "FILE:1:8: not a text file: it has a zero byte; YAML and JSON are text in UTF-8"},
		{"not UTF-8", "kind: Tenant\nname: caf\xe9\n", "FILE:2:10: not a text file: it has bytes that are not UTF-8"},
		{"free text", "Dear platform team,\nplease add us.\n", "FILE:1:1: not an object: want a map with apiVersion, kind, metadata and spec"},
		{"a list of objects", "- kind: Tenant\n", "FILE:1:1: not an object"},
		{"one bad document among good ones", tenant + "---\n" + strings.Replace(tenant, "Inside", "inside", 1), `FILE:28:13: Tenant news: spec.boundary: Unsupported value: "inside"`},
		{"a good document behind a broken one", "a: [\n---\n" + tenant, "FILE:1:1: not valid YAML: did not find expected node content"},
		{"a fault behind a broken document", "a: {\n---\n" + strings.Replace(tenant, "Inside", "inside", 1), `FILE:11:13: Tenant news: spec.boundary: Unsupported value: "inside"`},
		{"declared twice", tenant + "---\n" + tenant, "FILE:20:1: Tenant news: already declared at FILE:1:1"},
		{"a bad item of a List", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: bulkhead.dev/v1alpha1\n  kind: Waiver\n  metadata: {name: x}\n", "FILE:4:3: Waiver x: spec: Required value"},
		{"unknown kind", "apiVersion: bulkhead.dev/v1alpha1\nkind: Tennant\nmetadata: {name: x}\n", "FILE:1:1: no such kind: Tennant of bulkhead.dev/v1alpha1; want Platform, Tenant, Space or Waiver"},
		{"nothing of ours", "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n", "the files declare no Tenant: there is nothing to decide"},
		{"a tenant in a namespace", strings.Replace(tenant, "  name: news\n", "  name: news\n  namespace: default\n", 1), "FILE:5:14: Tenant default/news: metadata.namespace: Forbidden: not allowed on this type"},
		{"a Space outside of a home", strings.Replace(space, "tenant-news", "default", 1), "FILE:5:14: Space default/site: metadata.namespace: Invalid value: \"default\": a Space stands in its tenant's home namespace, tenant-NAME"},
		{"a Space nowhere", strings.Replace(space, "  namespace: tenant-news\n", "", 1), "FILE:3:1: Space site: metadata.namespace: Required value"},
		{"JSON with a comma too many", `{"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",, "metadata": {}}`, "FILE:1:1: not valid YAML"},
		{"JSON with a duplicate key", `{"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "kind": "Space"}`, `FILE:1:59: key "kind" is given twice, first in line 1`},
		{"nested without end", tenant + "  x: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested deeper than 64 levels"},
		{"a document larger than etcd's", tenant + "  x: " + strings.Repeat("y", 1600<<10) + "\n", "FILE:1:1: Tenant: larger than 1536 KiB: no API server takes an object of this size"},
		{"a binary value", tenant + "  x: !!binary aGVsbG8=\n", "FILE:19:6: tag !!binary is not supported"},
		{"UTF-16", "\xff\xfek\x00i\x00n\x00d\x00", "FILE:1:4: not a text file: it has a zero byte"},
		{"a byte order mark in the middle", strings.Replace(tenant, "boundary: Inside", "boundary: \ufeffInside", 1), `FILE:9:13: Tenant news: spec.boundary: Unsupported value: "\ufeffInside"`},
		{"an invisible space in a value", strings.Replace(tenant, "boundary: Inside", "boundary: Inside\u200b", 1), `FILE:9:13: Tenant news: spec.boundary: Unsupported value: "Inside\u200b"`},
		{"letters that run backwards in a key", strings.Replace(tenant, "boundary: Inside", "\u202eboundary: Inside", 1), `FILE:9:14: Tenant news: unknown field "spec.\u202eboundary": did you mean "boundary"?`},
		{"a number without end", strings.Replace(tenant, "pods: 40", "pods: "+strings.Repeat("9", 400), 1), "FILE:11:3: Tenant news: spec.quota: Invalid value: an amount has at most 16 characters"},
		{"a name without end", strings.Replace(tenant, "  name: news\n", "  name: "+strings.Repeat("n", 100_000)+"\n", 1), "FILE:4:9: Tenant "},
		{"a key without end", tenant + "  " + strings.Repeat("k", 100_000) + ": x\n", "FILE:19:"},
		{"a Go tag", tenant + "  x: !!python/object:os.system [ls]\n", "unknown field \"spec.x\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, "bad.yaml", c.content)
			exit, out, problems := decided("", file)
			if exit != exitBad || out != "" {
				t.Errorf("decide: exit %d, printed %q: want %d and no decision", exit, out, exitBad)
			}
			if want := strings.ReplaceAll(c.says, "FILE", file); !strings.Contains(problems, want) {
				t.Errorf("decide said:\n%.2000s\nand not:\n%s", problems, want)
			}
		})
	}
}

// Promise: all faults are told, not only the first; thousands are counted.
func TestEveryFaultIsTold(t *testing.T) {
	two := write(t, "bad.yaml", strings.NewReplacer("boundary: Inside", "boundary: inside", "code: Audited", "code: Reviewed").Replace(base["Tenant"]))
	_, _, problems := decided("", two)
	for _, want := range []string{two + `:9:13: Tenant news: spec.boundary: Unsupported value: "inside"`, two + `:17:26: Tenant news: spec.workloads[0].code: Unsupported value: "Reviewed"`, "\nbulkhead: 2 faults: nothing was decided\n"} {
		if !strings.Contains(problems, want) {
			t.Errorf("decide said:\n%s\nand not:\n%s", problems, want)
		}
	}
	var many strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&many, "---\napiVersion: bulkhead.dev/v1alpha1\nkind: Tenant\nmetadata: {name: t%d}\nspec: {}\n", i)
	}
	_, _, problems = decided("", write(t, "many.yaml", many.String()))
	if lines := strings.Count(problems, "\n"); lines != 22 || !strings.Contains(problems, "more\nbulkhead: ") {
		t.Errorf("3000 bad tenants give %d lines:\n%s", lines, problems)
	}
}

// Promise: folders are read whole, and an object that two files declare is a fault that names both.
func TestNamesAreUniqueAcrossFiles(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"a.yaml", "sub/b.yml", ".hidden.yaml", "readme.txt"} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(base["Tenant"]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, _, problems := decided("", folder)
	want := folder + "/sub/b.yml:1:1: Tenant news: already declared at " + folder + "/a.yaml:1:1\nbulkhead: 1 fault: nothing was decided\n"
	if problems != want {
		t.Errorf("decide said:\n%s\nand not:\n%s", problems, want)
	}
	if exit, _, problems := decided("", folder+"/a.yaml", folder+"/./a.yaml"); exit != 0 {
		t.Errorf("one file named twice: exit %d: %s", exit, problems)
	}
	if exit, _, problems := decided("", folder+"/missing.yaml"); exit != exitBad || !strings.Contains(problems, "there is no file or folder "+folder+"/missing.yaml") {
		t.Errorf("a missing file: exit %d: %s", exit, problems)
	}
}

// Promise: what must not change does not, and the answer says what to do instead.
func TestImmutableFieldsStay(t *testing.T) {
	needsHome(t)
	for _, c := range []struct{ kind, name, old, new, says string }{
		{"Space", "site", "workload: site", "workload: jobs", "spec.workload: Invalid value: \"jobs\": a Space's workload cannot be changed: create another Space and move"},
		{"Waiver", "ocr-image", "2030-06-30", "2040-06-30", "spec: Invalid value: a Waiver cannot be changed: delete it, or write another one"},
		{"Waiver", "ocr-image", "control: images", "control: storage", "a Waiver cannot be changed: delete it, or write another one"},
	} {
		t.Run(c.kind+"/"+c.new, func(t *testing.T) {
			path := collections[c.kind] + "/" + c.name
			if code, answer := server.create(t.Context(), c.kind, base[c.kind], nil); code != http.StatusCreated {
				t.Fatalf("create: %d %s", code, answer)
			}
			before := server.world(t)
			code, answer := server.send(t.Context(), http.MethodPatch, path, strings.Replace(base[c.kind], c.old, c.new, 1),
				map[string]string{"fieldManager": "test", "force": "true", "fieldValidation": "Strict"})
			if code != http.StatusUnprocessableEntity || !strings.Contains(answer, c.says) {
				t.Errorf("the API server answered %d:\n%s\nand not:\n%s", code, answer, c.says)
			}
			if after := server.world(t); after != before {
				t.Errorf("refused, and yet something changed:\n%s\nwas:\n%s", after, before)
			}
			if code, answer := server.send(t.Context(), http.MethodDelete, path, "", nil); code != http.StatusOK {
				t.Fatalf("delete: %d %s", code, answer)
			}
		})
	}
}

// Promise: a second Platform of the right name is refused because there is one.
func TestOnePlatform(t *testing.T) {
	if code, answer := server.create(t.Context(), "Platform", base["Platform"], nil); code != http.StatusCreated {
		t.Fatalf("create: %d %s", code, answer)
	}
	before := server.world(t)
	code, answer := server.create(t.Context(), "Platform", strings.Replace(base["Platform"], "10m", "20m", 1), nil)
	if code != http.StatusConflict || !strings.Contains(answer, `platforms.bulkhead.dev "platform" already exists`) {
		t.Errorf("the API server answered %d: %s", code, answer)
	}
	if after := server.world(t); after != before {
		t.Errorf("refused, and yet something changed:\n%s\nwas:\n%s", after, before)
	}
	if code, answer := server.send(t.Context(), http.MethodDelete, collections["Platform"]+"/platform", "", nil); code != http.StatusOK {
		t.Fatalf("delete: %d %s", code, answer)
	}
}

// Promise: the largest objects that the schema allows are within the API server's limits of cost: no rule makes a
// correct object impossible.
func TestLargestObjectsAreAccepted(t *testing.T) {
	needsHome(t)
	labels := list(8, func(i int) string {
		return fmt.Sprintf("%s.example.com/k%d: %s", strings.Repeat("a", 60), i, strings.Repeat("v", 63))
	})
	quota := "{" + list(64, func(i int) string {
		return fmt.Sprintf("count/%s%d.example.com: \"9999999999\"", strings.Repeat("r", 40), i)
	}) + "}"
	ports := "[" + list(32, func(i int) string { return fmt.Sprintf("{port: %d, endPort: %d}", i+1, 60000+i) }) + "]"
	flows := "[" + list(64, func(i int) string {
		return fmt.Sprintf("{tenant: t%d, space: s%d, ports: %s, pods: {%s}}", i, i, ports, labels)
	}) + "]"
	for kind, object := range map[string]string{
		"Tenant": "apiVersion: bulkhead.dev/v1alpha1\nkind: Tenant\nmetadata: {name: largest}\nspec:\n  boundary: Inside\n  quota: " + quota +
			"\n  owners: [" + list(32, func(i int) string { return fmt.Sprintf("{kind: Group, name: \"%s%d\"}", strings.Repeat("g", 250), i) }) +
			"]\n  ingressHosts: [" + list(64, func(i int) string { return fmt.Sprintf("h%d.%sexample.com", i, strings.Repeat("a.", 110)) }) +
			"]\n  workloads: [" + list(64, func(i int) string {
			return fmt.Sprintf("{name: w%d, code: Audited, environment: Production, demand: %s}", i, quota)
		}) + "]\n",
		"Space": "apiVersion: bulkhead.dev/v1alpha1\nkind: Space\nmetadata: {name: largest, namespace: tenant-news}\nspec:\n  workload: site\n  quota: " + quota +
			"\n  to: " + flows + "\n  from: " + flows + "\n",
		"Platform": "apiVersion: bulkhead.dev/v1alpha1\nkind: Platform\nmetadata: {name: platform}\nspec:\n  environment: Production\n  registries: [" +
			list(64, func(i int) string { return fmt.Sprintf("r%d.example.com/%s", i, strings.Repeat("p", 200)) }) +
			"]\n  network:\n    podCIDRs: [" + list(16, func(i int) string { return fmt.Sprintf("10.%d.0.0/16", i) }) +
			"]\n    serviceCIDRs: [" + list(16, func(i int) string { return fmt.Sprintf("10.%d.0.0/16", 100+i) }) +
			"]\n    externalCIDRs: [" + list(64, func(i int) string { return fmt.Sprintf("203.0.%d.0/24", i) }) +
			"]\n  services: [" + list(64, func(i int) string { return fmt.Sprintf("{name: s%d, namespace: offers, podLabels: {%s}}", i, labels) }) +
			"]\n  flows: [" + list(1024, func(i int) string { return fmt.Sprintf("{from: from-%d, to: to}", i) }) +
			"]\n  nodeGroups: [" + list(256, func(i int) string { return fmt.Sprintf("{name: g%d, nodeLabels: {%s}}", i, labels) }) +
			"]\n  tenantResources: [" + list(64, func(i int) string {
			return fmt.Sprintf("{group: g%d.example.com, resources: [%s]}", i, list(32, func(i int) string { return fmt.Sprintf("r%d", i) }))
		}) + "]\n",
	} {
		code, answer := server.create(t.Context(), kind, object, map[string]string{"dryRun": "All"})
		if code != http.StatusCreated {
			t.Errorf("%s of %d KiB: %d %.2000s", kind, len(object)>>10, code, answer)
		}
		if kind != "Tenant" {
			object += "---\n" + base["Tenant"]
		}
		if exit, _, problems := decided(object, "-"); exit != 0 {
			t.Errorf("decide %s: exit %d: %.2000s", kind, exit, problems)
		}
	}
}

// list writes n items for a YAML list or map in one line.
func list(n int, item func(i int) string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = item(i)
	}
	return strings.Join(items, ", ")
}
