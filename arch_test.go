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
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/bulkhead-dev/bulkhead"

// layers is the order of the house, the lowest first. A package belongs to the longest entry that is its path or a folder
// above it, and imports only from that entry or from layers before it; so entries of one layer never import each other.
// An entry that ends in /* makes each package below it a room of its own: none of them imports another.
var layers = [][]string{
	{"parallel"},
	{"decision"},
	{"decision/*"},
	{"api"},
	{"snapshot"},
	{"hostile"},
	{"guardrail"},
	{"placement"},
	{"isolation/finding"},
	{"isolation/clustergen", "isolation/rbac"},
	{"isolation/capacity", "isolation/guardrails", "isolation/network", "isolation/pods"},
	{"isolation"},
	{"examples", "internal/docgen", "internal/kubedefaults", "internal/kubevalidation", "internal/localcluster", "internal/spelling"},
	{"internal/apply", "internal/kubeadmission"},
	{"internal/observe"},
	{"internal/observe/*"},
	{"internal/proof", "internal/removal", "internal/status"},
	{"internal/attack"},
	{"internal/controller/*"},
	{"internal/run"},
	{"internal/install"},
	{"internal/check", "internal/demo"},
	{"internal/cli"},
	{"cmd"},
	{"internal/provertest", "internal/testcluster", "internal/testdecision"},
	{"internal/testbulkhead"},
	{"e2e/*"},
}

// pure packages and those below them may import the standard library except impure, other pure packages, and what allowed
// names by prefix.
var pure = []struct {
	path    string
	allowed []string
	because string
}{
	{"parallel", []string{"golang.org/x/sync/errgroup"}, "pure packages spread their work with it"},
	{"decision", nil, "a decision is a function of declared facts; anyone may import it without Kubernetes"},
	{"api/v1alpha1", []string{"k8s.io/api", "k8s.io/apimachinery"}, "users import the types and want no client"},
	{"snapshot", []string{"k8s.io/api", "k8s.io/apimachinery", "sigs.k8s.io/network-policy-api/apis"}, "a snapshot is a value"},
	{"hostile", []string{"k8s.io/api", "k8s.io/apimachinery"}, "a hostile request is data: describing one sends nothing"},
	{"guardrail", []string{"k8s.io/api", "k8s.io/apimachinery", "k8s.io/kube-openapi/pkg/spec3", "k8s.io/kube-openapi/pkg/validation/spec"},
		"what must exist is a function of what was declared and decided"},
	{"internal/kubedefaults", []string{"k8s.io/api", "k8s.io/apimachinery", "github.com/distribution/reference"},
		"a default depends on nothing but the object"},
	{"placement", []string{"k8s.io/apimachinery"}, "where a workload belongs is a function of what was declared and assigned"},
	{"isolation", []string{"k8s.io/api", "k8s.io/apimachinery", "k8s.io/pod-security-admission/policy", "k8s.io/pod-security-admission/api", "k8s.io/component-helpers/auth/rbac", "k8s.io/component-helpers/scheduling/corev1", "github.com/go-logr/logr", "k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap", "sigs.k8s.io/network-policy-api/apis"},
		"a proof is a function of a snapshot; upstream's own pure rules are part of the semantics that it proves (those of taints take a logger: none)"},
}

// impure parts of the standard library: time and randomness are parameters, files and networks belong to adapters.
var impure = []string{"os", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "os/exec", "syscall"}

// seeded packages below a pure one generate inputs of tests from a seed that they are given.
var seeded = []string{"isolation/clustergen"}

// banned imports that the order of the layers does not exclude, by folder prefix.
var banned = []struct{ from, to, because string }{
	{"internal/controller", "internal/attack", "controllers are given the prover: internal/run wires them"},
	{"internal/attack", "internal/apply", "the attacker writes with the tenant's identity only"},
	{"internal/cli", "internal/controller", "the command line reaches controllers only through internal/run"},
}

// outside are packages of other modules that this module never imports.
var outside = []struct{ path, because string }{
	{"k8s.io/kubernetes", "it needs replace lines, which break go install: only kube/ has it"},
	{module + "/kube", "kube/ is a module of its own"},
}

type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// path of the package inside the module; empty for the module's own folder.
func (p *goPackage) path() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func TestImportsPointDownward(t *testing.T) {
	packages := listPackages(t)
	for i, layer := range layers {
		for _, entry := range layer {
			if !exists(packages, strings.TrimSuffix(entry, "/*")) {
				t.Errorf("layer %d: there is no package %s: remove the entry", i, entry)
			}
		}
	}
	for _, p := range packages {
		if p.path() == "" {
			continue
		}
		from, room := place(p.path())
		if from < 0 {
			t.Errorf("%s is in no layer: add it to layers in arch_test.go, below everything that imports it", p.path())
			continue
		}
		for _, imported := range p.Imports {
			target, own := strings.CutPrefix(imported, module+"/")
			if !own {
				continue
			}
			if to, its := place(target); to >= from && its != room {
				t.Errorf("%s imports %s: imports point downward (layers in arch_test.go)", p.path(), target)
			}
		}
	}
}

// place returns the layer of a package and the room in it; -1 when it is in none.
func place(p string) (layer int, room string) {
	layer, longest := -1, 0
	for i, entries := range layers {
		for _, entry := range entries {
			folder, each := strings.CutSuffix(entry, "/*")
			if len(folder) < longest || !under(p, folder) || each && p == folder {
				continue
			}
			layer, longest, room = i, len(folder), folder
			if each {
				first, _, _ := strings.Cut(strings.TrimPrefix(p, folder+"/"), "/")
				room = folder + "/" + first
			}
		}
	}
	return layer, room
}

func TestBannedImports(t *testing.T) {
	packages := listPackages(t)
	for _, ban := range banned {
		for _, folder := range []string{ban.from, ban.to} {
			if !exists(packages, folder) {
				t.Errorf("there is no package %s: remove its rule", folder)
			}
		}
	}
	for _, p := range packages {
		for _, imported := range p.Imports {
			for _, ban := range banned {
				if under(p.path(), ban.from) && under(imported, module+"/"+ban.to) {
					t.Errorf("%s imports %s: %s", p.path(), imported, ban.because)
				}
			}
			for _, ban := range outside {
				if under(imported, ban.path) {
					t.Errorf("%s imports %s: %s", p.path(), imported, ban.because)
				}
			}
		}
		if name := path.Base(p.path()); oneOf(name, []string{"util", "utils", "common", "helpers", "types", "constants", "misc"}) {
			t.Errorf("%s: a package is named for what it does, not %q", p.path(), name)
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	packages := listPackages(t)
	for _, rule := range pure {
		if !exists(packages, rule.path) {
			t.Errorf("there is no package %s: remove its rule", rule.path)
		}
		for _, p := range packages {
			if !under(p.path(), rule.path) || underOneOf(p.path(), seeded) {
				continue
			}
			for _, imported := range p.Imports {
				target, own := strings.CutPrefix(imported, module+"/")
				switch {
				case own && !isPure(target):
					t.Errorf("%s imports %s: not pure, as %s", p.path(), target, rule.because)
				case isStandard(imported) && oneOf(imported, impure):
					t.Errorf("%s imports %s: it must stay pure, as %s", p.path(), imported, rule.because)
				case !own && !isStandard(imported) && !underOneOf(imported, rule.allowed):
					t.Errorf("%s imports %s: not on its list, as %s", p.path(), imported, rule.because)
				}
			}
			takesTime(t, &p)
		}
	}
}

func isPure(p string) bool {
	for _, rule := range pure {
		if under(p, rule.path) {
			return true
		}
	}
	return false
}

// takesTime complains of a package that asks for the time instead of being given it.
func takesTime(t *testing.T, p *goPackage) {
	t.Helper()
	for _, name := range p.GoFiles {
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
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

// The measures that keep it small: a file is one noun with its verbs, a function fits on a screen, a reconciler is a list
// of steps, and a package can be read in one sitting.
const (
	maxFile, maxFunction, maxReconcile, maxMain = 600, 60, 40, 15
	maxFiles, maxExported                       = 25, 30
	// maxFamily is how many files of a package may share their first word: more are one idea in many files.
	maxFamily = 2
)

// exceptions are measures that a package exceeds and why that is right. The figure is the most that it may have.
var exceptions = []struct {
	path    string
	measure measure
	most    int
	because string
}{
	{"api/v1alpha1", exportedNames, 159, "every kind of the API with its lists and constants, which users import from one package"},
}

type measure string

const (
	files         measure = "files"
	exportedNames measure = "exported names"
	family        measure = "files that share their first word"
)

// named is a text that is a name, label, annotation, role or user that Bulkhead makes, and nothing else: prose has spaces.
var named = regexp.MustCompile(`^(bulkhead[-:]|([a-z-]+\.)*bulkhead\.dev)\S*$|/bulkhead-\S*$`)

// Names that Bulkhead makes stand in api and guardrail; everything else reads the constants.
func TestNamesStandInOnePlace(t *testing.T) {
	for _, file := range sources(t) {
		if underOneOf(file.path, []string{"api", "guardrail", "kube"}) {
			continue
		}
		ast.Inspect(file.tree, func(n ast.Node) bool {
			if _, imports := n.(*ast.ImportSpec); imports {
				return false
			}
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if named.MatchString(text) && !strings.Contains(text, module) {
				t.Errorf("%s: %q: use the constant of api/v1alpha1/names.go", file.set.Position(literal.Pos()), text)
			}
			return true
		})
	}
}

// notPlain are words that the project's files avoid, each with what it uses instead. Names with a hyphen, such as ids, are
// no such words.
var notPlain = map[string]string{
	"says that": "reports that", "says whether": "reports whether", "tells": "reports", "mend": "fix", "mended": "fixed", "beside": "next to",
	"outside of": "outside", "whoever": "a subject that", "nobody": "no user, no tenant", "fence": "guardrail", "fenced": "guarded",
	"loot": "credentials", "victim": "exposed tenant", "naked": "unguarded", "deed": "write", "passed over": "ignored, skipped",
}

// Plain technical English in comments, messages and documentation.
func TestPlainWords(t *testing.T) {
	words := regexp.MustCompile(`(?i)(?:^|[^-\w"])(` + strings.Join(slices.Sorted(maps.Keys(notPlain)), "|") + `)(?:$|[^-\w"])`)
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("pages of docs/: %v, %v", pages, err)
	}
	files := slices.Concat(pages, []string{"README.md", "CONTRIBUTING.md", "SCOPE.md"})
	for _, file := range sources(t) {
		if !under(file.path, "kube") { // a change in kube/ builds Kubernetes again
			files = append(files, file.path)
		}
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(data), "\n") {
			if m := words.FindStringSubmatch(line); m != nil {
				t.Errorf("%s:%d: %q: write %q, or what fits", file, i+1, m[1], notPlain[strings.ToLower(m[1])])
			}
		}
	}
}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	for _, file := range sources(t) {
		if n := file.lines(); n > maxFile {
			t.Errorf("%s has %d lines without its tables; the limit is %d", file.path, n, maxFile)
		}
		for _, decl := range file.tree.Decls {
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
			if n := file.span(f); n > limit {
				t.Errorf("%s: %s has %d lines; the limit is %d", file.set.Position(f.Pos()), f.Name.Name, n, limit)
			}
			if f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: no init functions: state is wired where it is used", file.set.Position(f.Pos()))
			}
		}
	}
}

func TestPackagesStaySmall(t *testing.T) {
	type size struct {
		files, exported int
		families        map[string]int
	}
	sizes := map[string]*size{}
	for _, file := range sources(t) {
		dir := filepath.ToSlash(filepath.Dir(file.path))
		if sizes[dir] == nil {
			sizes[dir] = &size{families: map[string]int{}}
		}
		s := sizes[dir]
		s.files++
		s.exported += file.exported()
		if word, rest, is := strings.Cut(strings.TrimSuffix(filepath.Base(file.path), ".go"), "_"); is && !oneOf(rest, systems) {
			s.families[word]++
		}
	}
	for dir, s := range sizes {
		check(t, dir, files, s.files, maxFiles)
		check(t, dir, exportedNames, s.exported, maxExported)
		for word, n := range s.families {
			check(t, dir+"/"+word+"_*", family, n, maxFamily)
		}
	}
}

// systems are suffixes that the compiler reads.
var systems = []string{"linux", "bsd", "unix", "other", "windows", "darwin"}

// check complains of a measure of a package that is over its limit.
func check(t *testing.T, what string, m measure, n, limit int) {
	t.Helper()
	dir := what
	if m == family {
		dir = path.Dir(what)
	}
	for _, e := range exceptions {
		if e.path == dir && e.measure == m {
			limit = e.most
		}
	}
	if n > limit {
		t.Errorf("%s has %d %s; the limit is %d", what, n, m, limit)
	}
}

// source is a file of the program: no test, and not generated.
type source struct {
	path string
	set  *token.FileSet
	tree *ast.File
}

func sources(t *testing.T) []*source {
	t.Helper()
	var list []*source
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
		list = append(list, &source{file, fset, tree})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (s *source) span(n ast.Node) int {
	return s.set.Position(n.End()).Line - s.set.Position(n.Pos()).Line + 1
}

// lines of the file without tables: a table of data is a package variable, and counts for nothing.
func (s *source) lines() int {
	n := s.set.Position(s.tree.End()).Line
	for _, decl := range s.tree.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
			n -= s.span(d)
		}
	}
	return n
}

// exported counts the names that the file adds to what its package exports. Methods, fields and the constants of a type belong
// to their type.
func (s *source) exported() int {
	n := 0
	for _, decl := range s.tree.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.IsExported() {
				n++
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						n++
					}
				case *ast.ValueSpec:
					if d.Tok == token.CONST && spec.Type != nil {
						continue
					}
					for _, name := range spec.Names {
						if name.IsExported() {
							n++
						}
					}
				}
			}
		}
	}
	return n
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

// exists reports whether there is a package at the path or below it.
func exists(packages []goPackage, p string) bool {
	return slices.ContainsFunc(packages, func(q goPackage) bool { return under(q.path(), p) })
}

func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func under(p, prefix string) bool {
	return p == prefix || strings.HasPrefix(p, prefix+"/")
}

func underOneOf(p string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return under(p, prefix) })
}

func oneOf(s string, list []string) bool { return slices.Contains(list, s) }
