package kustomization_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest/kustomization"
)

// write makes a folder of files, by their paths in it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Promise: objects are rendered with the namespace that the kustomization sets, and each names the file that declares it.
func TestObjectsNameTheFileThatDeclaresThem(t *testing.T) {
	dir := write(t, map[string]string{
		"base/kustomization.yaml":  "resources: [role.yaml]\n",
		"base/role.yaml":           "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r}}\n",
		"shop/kustomization.yaml":  "namespace: shop\nresources: [../base, pod.yaml]\nconfigMapGenerator: [{name: c, literals: [a=b]}]\nbuildMetadata: [managedByLabel]\n",
		"shop/pod.yaml":            "{apiVersion: v1, kind: Pod, metadata: {name: p}}\n",
		"flow/kustomization.yaml":  "{namespace: flow, resources: [pod.yaml]}\n",
		"flow/pod.yaml":            "{apiVersion: v1, kind: Pod, metadata: {name: p, annotations: {a: b}}}\n",
		"empty/kustomization.yaml": "",
	})
	for folder, want := range map[string]map[string]string{
		"shop": {"kind: Role": "base/role.yaml", "kind: Pod": "shop/pod.yaml", "kind: ConfigMap": "shop/kustomization.yaml"},
		"flow": {"kind: Pod": "flow/pod.yaml"},
	} {
		objects, err := kustomization.Render(filepath.Join(dir, folder))
		if err != nil || len(objects) != len(want) {
			t.Fatalf("%s: %v, %v", folder, objects, err)
		}
		for kind, file := range want {
			found := false
			for _, o := range objects {
				text := string(o.YAML)
				if strings.Contains(text, kind) {
					found = o.File == filepath.Join(dir, file) && strings.Contains(text, "namespace: "+folder) && !strings.Contains(text, "origin")
				}
			}
			if !found {
				t.Errorf("%s: %s of %s is not among %v", folder, kind, file, objects)
			}
		}
	}
	if _, err := kustomization.Render(filepath.Join(dir, "empty")); err == nil {
		t.Error("an empty kustomization is rendered")
	}
}

// Promise: a hostile kustomization reads nothing remote and nothing outside, and runs no program.
func TestNothingRemoteOrOutsideIsRead(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		_, _ = w.Write([]byte("{apiVersion: v1, kind: Pod, metadata: {name: remote}}\n"))
	}))
	defer server.Close()
	bin := write(t, map[string]string{"git": "#!/bin/sh\ntouch " + filepath.Join(t.TempDir(), "ran") + "\n"})
	ran := strings.Fields(read(t, filepath.Join(bin, "git")))[2]
	if err := os.Chmod(filepath.Join(bin, "git"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	secret := filepath.Join(write(t, map[string]string{"secret": "key=value\n"}), "secret")
	generator := "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: c}\n"
	for name, text := range map[string]string{
		"file by URL":         "resources: [" + server.URL + "/pod.yaml]\n",
		"repository":          "resources: [\"https://github.com/example/repo//base?ref=main\"]\n",
		"local repository":    "resources: [\"file:///tmp/repo\"]\n",
		"component":           "components: [\"git@github.com:example/repo\"]\n",
		"patch by URL":        "resources: [pod.yaml]\npatches: [{path: " + server.URL + "/patch.yaml, target: {kind: Pod}}]\n",
		"schema by URL":       "resources: [pod.yaml]\nopenapi: {path: " + server.URL + "/schema.json}\n",
		"generator by URL":    "generators: [" + server.URL + "/generator.yaml]\n",
		"file of a generator": "generators: [generator.yaml]\n",
		"file outside":        "configMapGenerator: [{name: c, files: [" + secret + "]}]\n",
		"linked file":         "configMapGenerator: [{name: c, files: [link]}]\n",
		"chart":               "helmCharts: [{name: c, repo: " + server.URL + "}]\n",
		"plugin":              "transformers: [plugin.yaml]\n",
	} {
		dir := write(t, map[string]string{
			"kustomization.yaml": text,
			"pod.yaml":           "{apiVersion: v1, kind: Pod, metadata: {name: p}}\n",
			"generator.yaml":     generator + "files: [" + server.URL + "/file]\n",
			"plugin.yaml":        "apiVersion: example.com/v1\nkind: Plugin\nmetadata: {name: p, annotations: {config.kubernetes.io/function: \"exec: {path: git}\"}}\n",
		})
		if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		objects, err := kustomization.Render(dir)
		if err == nil {
			t.Errorf("%s: rendered %s", name, objects)
		}
		t.Logf("%s: %v", name, err)
	}
	if _, err := os.Stat(ran); asked || err == nil {
		t.Errorf("something remote was read: by HTTP %v, by git %v", asked, err == nil)
	}
	if response, err := http.Get(server.URL); err != nil {
		t.Errorf("afterwards the network is cut off: %v", err)
	} else {
		_ = response.Body.Close()
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
