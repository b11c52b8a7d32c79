package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// Every format of every command goes through it: names, messages of policies and errors about files.
func TestNoControlCharacterOfAManifestIsPrinted(t *testing.T) {
	dir := t.TempDir()
	const evil = `"\e[2J\e]0;x\a\u202e\u009b\r"`
	manifest := strings.ReplaceAll(`
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {team: shop}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: EVIL, namespace: a, labels: {EVIL: EVIL}}, spec: {containers: [{name: EVIL, image: EVIL, securityContext: {privileged: true}}], EVIL: 1}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: EVIL}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, subjects: [{kind: ServiceAccount, name: EVIL, namespace: a}]}
`, "EVIL", evil)
	broken := filepath.Join(dir, "broken.yaml")
	for file, text := range map[string]string{filepath.Join(dir, "all", "a.yaml"): manifest, broken: "{kind: " + evil + ", apiVersion: " + evil + ", : ["} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := filepath.Join(dir, "all")
	runs := [][]string{{"prove", "-f", broken}, {"decide", "-f", broken}, {"decide", "-f", all}, {"prove", "-f", all, "--connections", "--tenant-label", "team"}}
	for _, format := range []string{"table", "json", "sarif", "junit", "markdown"} {
		runs = append(runs, []string{"prove", "-f", all, "--tenant-label", "team", "-v", "-o", format})
	}
	for _, args := range runs {
		var out, errOut bytes.Buffer
		Main(args, strings.NewReader(""), &out, &errOut)
		if out.Len()+errOut.Len() == 0 {
			t.Errorf("%v printed nothing", args)
		}
		for _, printed := range []string{out.String(), errOut.String()} {
			if i := strings.IndexFunc(printed, func(r rune) bool { return r != '\n' && r != '\t' && unicode.Is(unicode.C, r) }); i >= 0 {
				t.Errorf("%v printed %q", args, printed[max(0, i-20):min(len(printed), i+20)])
			}
		}
	}
}

// A name of a hundred thousand characters is not printed whole, wherever it comes from: neither in findings nor in errors.
func TestEndlessNamesAreCut(t *testing.T) {
	const mostOfWord = 301
	endless := strings.Repeat("x", 100_000)
	const namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {team: shop}}}\n---\n"
	for what, manifest := range map[string]string{
		"a tenant":           "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    team: " + endless,
		"a pod":              namespace + "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + endless + "\n  namespace: a\nspec: {hostPID: true, containers: [{name: c, image: c}]}",
		"a field's value":    namespace + "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: a\nspec:\n  hostPID: " + endless,
		"a declared tenant":  "apiVersion: bulkhead.dev/v1alpha1\nkind: Tenant\nmetadata:\n  name: " + endless + "\nspec:\n  boundary: " + endless,
		"a kind":             "apiVersion: v1\nkind: " + endless,
		"no YAML at its end": "a: " + endless + "\n: [",
	} {
		file := filepath.Join(t.TempDir(), "a.yaml")
		if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"prove", "-f", file, "--tenant-label", "team"}, {"prove", "-f", file, "--tenant-label", "team", "-o", "markdown"}, {"prove", "-f", file}, {"decide", "-f", file}} {
			var out, errOut bytes.Buffer
			Main(args, strings.NewReader(""), &out, &errOut)
			for _, printed := range []string{out.String(), errOut.String()} {
				if i := strings.Index(printed, endless[:mostOfWord]); i >= 0 {
					t.Errorf("%s: %v printed it whole after %q", what, args, printed[max(0, i-40):i])
				}
			}
			if out.Len()+errOut.Len() == 0 {
				t.Errorf("%s: %v printed nothing", what, args)
			}
		}
	}
}
