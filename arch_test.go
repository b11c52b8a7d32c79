// Package bulkhead_test holds the architecture's rules as tests: who may import what, and how large things may grow.
package bulkhead_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/bulkhead-dev/bulkhead"

// pure packages may import the standard library except impure, and what allowed names by prefix.
var pure = map[string]struct {
	allowed []string
	because string
}{
	"decision":     {nil, "a decision is a function of declared facts; anyone may import it without Kubernetes"},
	"packing":      {nil, "packing is arithmetic"},
	"api/v1alpha1": {[]string{"k8s.io/api", "k8s.io/apimachinery"}, "users import the types and want no client"},
	"snapshot":     {[]string{"k8s.io/api", "k8s.io/apimachinery", "sigs.k8s.io/network-policy-api/apis"}, "a snapshot is a value"},
	"isolation": {[]string{"k8s.io/api", "k8s.io/apimachinery", "k8s.io/pod-security-admission/policy", "k8s.io/pod-security-admission/api", "k8s.io/component-helpers/auth/rbac", "k8s.io/component-helpers/scheduling/corev1", "github.com/go-logr/logr", "k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap", "sigs.k8s.io/network-policy-api/apis", module + "/snapshot"},
		"a proof is a function of a snapshot; upstream's own pure rules are part of the semantics that it proves (those of taints take a logger: none)"},
	"guardrail": {[]string{"k8s.io/api", "k8s.io/apimachinery", module + "/api/v1alpha1", module + "/decision"},
		"what must exist is a function of what was declared and decided"},
}

// impure parts of the standard library: time and randomness are parameters, files and networks belong to adapters.
var impure = []string{"os", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "os/exec", "syscall"}

// banned imports of adapters, by folder prefix.
var banned = []struct{ from, to, because string }{
	{"internal/controller", module + "/internal/attack", "controllers get the prover handed in: internal/run wires"},
	{"internal/controller", module + "/internal/cli", "nothing depends on the command line"},
	{"internal/attack", module + "/internal/controller", "the attacker must not know how enforcement is done"},
	{"internal/attack", module + "/internal/cli", "nothing depends on the command line"},
	{"internal/attack", module + "/internal/apply", "the attacker writes with the tenant's identity only"},
	{"internal/cli", module + "/internal/controller", "the command line reaches controllers only through internal/run"},
	{"internal/apply", module + "/internal/controller", "adapters do not know their users"},
	{"internal/observe", module + "/internal/controller", "adapters do not know their users"},
	{"", "k8s.io/kubernetes", "it needs replace lines, which break go install: only kube/ has it"},
	{"", module + "/kube", "kube/ is a module of its own"},
}

type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Standard   bool
}

func TestImportsFollowTheArchitecture(t *testing.T) {
	for _, p := range listPackages(t) {
		rel := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imported := range p.Imports {
			if rule, isPure := pure[rel]; isPure {
				if isStandard(imported) && oneOf(imported, impure) {
					t.Errorf("%s imports %s: it must stay pure, as %s", rel, imported, rule.because)
				}
				if !isStandard(imported) && !underOneOf(imported, rule.allowed) {
					t.Errorf("%s imports %s: not on its list, as %s", rel, imported, rule.because)
				}
			}
			for _, ban := range banned {
				if under(rel, ban.from) && under(imported, ban.to) {
					t.Errorf("%s imports %s: %s", rel, imported, ban.because)
				}
			}
		}
		if name := path.Base(rel); oneOf(name, []string{"util", "utils", "common", "helpers", "types", "constants", "misc"}) {
			t.Errorf("%s: a package is named for what it does, not %q", rel, name)
		}
	}
}

// controllers never import one another: each is one concern, wired in internal/run.
func TestControllersStandApart(t *testing.T) {
	for _, p := range listPackages(t) {
		rel := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imported := range p.Imports {
			to := strings.TrimPrefix(imported, module+"/")
			if path.Dir(rel) == "internal/controller" && path.Dir(to) == "internal/controller" {
				t.Errorf("%s imports %s: a controller never imports another", rel, to)
			}
		}
	}
}

func TestPurePackagesTakeTimeAsAParameter(t *testing.T) {
	for _, p := range listPackages(t) {
		if _, isPure := pure[strings.TrimPrefix(p.ImportPath, module+"/")]; !isPure {
			continue
		}
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			fset := token.NewFileSet()
			tree, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && oneOf(sel.Sel.Name, []string{"Now", "Since", "Until", "Sleep", "After"}) {
					t.Errorf("%s: time.%s in a pure package: pass the time in", fset.Position(n.Pos()), sel.Sel.Name)
				}
				return true
			})
		}
	}
}

// The measures that keep it small: a file holds one idea, a function fits on a screen, a reconciler is a list of steps.
func TestFilesAndFunctionsStaySmall(t *testing.T) {
	const maxFile, maxFunction, maxReconcile, maxMain = 600, 60, 40, 15
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && file != "." || entry.Name() == "testdata" || file == "bin") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.HasPrefix(entry.Name(), "zz_generated") {
			return nil
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if n := fset.Position(tree.End()).Line; n > maxFile {
			t.Errorf("%s has %d lines; the limit is %d", file, n, maxFile)
		}
		for _, decl := range tree.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			limit := maxFunction
			switch f.Name.Name {
			case "Reconcile":
				limit = maxReconcile
			case "main":
				limit = maxMain
			}
			if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; n > limit {
				t.Errorf("%s: %s has %d lines; the limit is %d", fset.Position(f.Pos()), f.Name.Name, n, limit)
			}
			if f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: no init functions: state is wired where it is used", fset.Position(f.Pos()))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRootModuleCanBeInstalledByVersion(t *testing.T) {
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod:%d: %q: a replace line breaks `go install %s/cmd/bulkhead@version`", i+1, line, module)
		}
	}
}

func TestTheMakefileStaysShort(t *testing.T) {
	const maxTargets = 12
	data, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, line := range strings.Split(string(data), "\n") {
		name, _, isRule := strings.Cut(line, ":")
		if isRule && name != "" && !strings.ContainsAny(name, " \t=.$#/") {
			targets = append(targets, name)
		}
	}
	if len(targets) > maxTargets {
		t.Errorf("the Makefile has %d targets %v; the limit is %d", len(targets), targets, maxTargets)
	}
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 5 {
		t.Fatalf("go list found %d packages: too few to judge anything", len(packages))
	}
	return packages
}

func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func under(p, prefix string) bool {
	return prefix == "" || p == prefix || strings.HasPrefix(p, prefix+"/")
}

func underOneOf(p string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if under(p, prefix) {
			return true
		}
	}
	return false
}

func oneOf(s string, list []string) bool {
	for _, l := range list {
		if s == l {
			return true
		}
	}
	return false
}
