package observe

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// spoil changes example files a little, mostly into what is refused, or read otherwise than it looks.
var spoil = [][2]string{
	{"Inside", "inside"}, {"8080", "0"}, {"Audited", "3"}, {"16Gi", "-16Gi"}, {"Group", "ServiceAccount"}, {"magazine", "system:"}, {"10.244", "10.96"},
	{"name: ", "name: -"}, {"name:", "name :"}, {"}", ", a: b}"}, {"]", ",]"}, {"\"", "'"}, {"\"", ""}, {": ", ":"}, {": ", ":  "}, {": ", ": # "}, {" #", "#"}, {"#", ":"},
	{"  ", "\t"}, {"  ", "   "}, {"    ", "  "}, {"- ", "-"}, {"- ", "-   "}, {"- ", "- - "}, {"\n", "\r\n"}, {"\n", "\n\n"}, {"\n", " # x\n"}, {"\n", " \n"}, {"\n", "\n..."},
	{"spec", "\u00e4"}, {"e", "\u2028"}, {"e", "\u0085"}, {"e", "\u00a0"}, {"e", "\u00fc"}, {"n", "no"}, {"\"8\"", "08"}, {"\"8\"", "0x8"}, {"\"8\"", "8e1"}, {"\"8\"", "1_0"}, {"\"8\"", "~"},
	{"true", "True"}, {"true", "on"}, {"false", "null"}, {"kind: Tenant", "kind: Tenant\nkind: Tenant"}, {"labels:", "labels: {}\n  x:"}, {"[", "[[]"}, {"{", "{? "}, {"{", "{<<: 1, "},
	{"name: ", "generateName: x\n  name: "}, {"name: ", "namespace: x\n  name: "}, {"name: ", "labels: {a/b: c, d.e/f: \"\"}\n  name: "}, {"name: ", "labels: {A: -}\n  name: "},
	{"workloads", "workloads: []\n  x"}, {"boundary", "unknown"}, {"requests.cpu", "services.nodeports"}, {"requests.cpu", "requests.cpus"}, {"Gi", "Mi"}, {"Gi", "m"}, {"quota", "demand"},
}

// seeds adds the examples, and each with each change.
func seeds(f *testing.F) {
	names, err := filepath.Glob("../../examples/magazine/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	contents := [][]byte{manyTenants(2)}
	for _, name := range append(names, "../../examples/magazine/platform.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		contents = append(contents, data)
	}
	for _, data := range contents {
		f.Add(data)
		for _, change := range spoil {
			f.Add(bytes.Replace(data, []byte(change[0]), []byte(change[1]), 1))
			f.Add(bytes.ReplaceAll(data, []byte(change[0]), []byte(change[1])))
		}
	}
}

// FuzzQuickYAML: what is read quickly is what the full parser reads: one object, of the same values, at the same place.
func FuzzQuickYAML(f *testing.F) {
	seeds(f)
	for _, word := range []string{"a", "1", "01", "0", "-1", "1.5", "1Gi", "2030-01-01", "12:30", "10.0.0.0/8", "no", "a #b", "a#b", "a: b", "a:b", "a:", "true", "~", ".5", "/x", "é", "{a: b}", "{a: b}x", "[a, b] # c", "[a b, c:d]", "'a'", "\"a\" b", "''''", "\"\\n\"", "|", "{\"a\": 1}", "{\"a\":1}", "[a", "?", "*a", "&a b", "!!str a", "0b1", "0o7", "1e3", "=", "<<", "@", "`", "%", ",", "a, b", "[a,, b]", "[,]", "{a}", "{a: }", "{: a}", "[-]", "[- a]", "[a: b]", "{a: b: c}"} {
		f.Add([]byte("---\n# c\na: " + word + "\nb:\n- " + word + "\n-  c: " + word + "\n   d: x\n"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if notText("x", data) != nil || bytes.HasPrefix(data, []byte("\ufeff")) {
			return
		}
		in := input{"fuzz.yaml", data}
		for _, doc := range split(&in) {
			quick, line, ok := readQuickly(string(doc.data))
			if !ok {
				continue
			}
			nodes, fault := doc.parse()
			if fault != nil || len(nodes) != 1 {
				t.Fatalf("read quickly, and the parser reads %d documents and finds %v:\n%s", len(nodes), fault, doc.data)
			}
			v := values{document: &doc, left: maxValues}
			full, err := v.convert(nodes[0], 0)
			if err != nil || len(v.faults) > 0 || !cmp.Equal(any(quick), full) {
				t.Fatalf("%v %v\nquick -, full +:\n%s\nof\n%s", err, v.faults, cmp.Diff(any(quick), full), doc.data)
			}
			if got, want := (Source{doc.file, doc.before + line, 1}), doc.source(nodes[0]); got != want {
				t.Fatalf("starts at %s, want %s:\n%s", got, want, doc.data)
			}
		}
	})
}

// FuzzShortCuts: the quick answers are never kinder than the API server's own validators. Whatever an object holds, what
// is taken quickly is refused for nothing by the long way, which gives it the same defaults; what the conformer passes
// the schema's validators pass; and the rule book finds exactly what the rules find.
func FuzzShortCuts(f *testing.F) {
	seeds(f)
	all := newDefinitions()
	rules := map[string]*cel.Validator{}
	for _, kind := range []string{"Platform", "Tenant", "Space", "Waiver"} {
		d, err := all.of(kind)
		if err != nil {
			f.Fatal(err)
		}
		rules[kind] = cel.NewValidator(d.structural, true, celconfig.PerCallLimit)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := input{"fuzz.yaml", data}
		for _, document := range split(&in) {
			nodes, _ := document.parse()
			for _, node := range nodes {
				v := values{document: &document, left: 1 << 12}
				value, err := v.convert(node, 0)
				object, isMap := value.(map[string]any)
				if err != nil || !isMap || rules[text(object["kind"])] == nil {
					continue
				}
				shortCuts(t, all, rules, object)
			}
		}
	})
}

func shortCuts(t *testing.T, all *definitions, rules map[string]*cel.Validator, object map[string]any) {
	kind := text(object["kind"])
	d, err := all.of(kind)
	if err != nil {
		t.Fatal(err)
	}
	quick, long := runtime.DeepCopyJSON(object), runtime.DeepCopyJSON(object)
	if d.takes(quick) {
		if refusals := withoutQuickAnswers(d).check(long); len(refusals) > 0 || !cmp.Equal(quick, long) {
			t.Errorf("taken quickly, and refused for %v\nquick -, long +:\n%s", refusals, cmp.Diff(quick, long))
		}
	}
	pruning.PruneWithOptions(object, d.structural, true, schema.UnknownFieldPathOptions{})
	defaulting.PruneNonNullableNullsWithoutDefaults(object, d.structural)
	defaulting.Default(object, d.structural)
	openAPI, err := d.openAPI()
	if err != nil {
		t.Fatal(err)
	}
	faults := validation.ValidateCustomResource(nil, object, openAPI)
	distinct := listtype.ValidateListSetsAndMaps(nil, d.structural, object)
	if d.conformer.conforms(runtime.DeepCopyJSON(object)) && len(faults)+len(distinct) > 0 {
		t.Errorf("the conformer passes what the schema refuses: %v\n%v", append(faults, distinct...), object)
	}
	if blocks(faults) {
		return
	}
	want, _ := rules[kind].Validate(t.Context(), nil, d.structural, object, nil, celconfig.RuntimeCELCostBudget)
	if a, b := sortedLines(want), sortedLines(d.rules.check(object)); !slices.Equal(a, b) {
		t.Errorf("the rules find\n%v\nand the rule book\n%v", a, b)
	}
}

// withoutQuickAnswers is a definition that always asks the API server's own functions.
func withoutQuickAnswers(d *definition) *definition {
	slow := *d
	slow.conformer = &conformer{doubt: true}
	slow.rules = &ruleBook{certain: &certainty{doubt: true}, cel: d.rules.cel}
	return &slow
}

func sortedLines(faults field.ErrorList) []string {
	lines := make([]string, len(faults))
	for i, fault := range faults {
		lines[i] = fault.Error()
	}
	slices.Sort(lines)
	return lines
}

// Promise: what people write for tenants is read, checked and taken quickly, so that 10,000 tenants take no longer than
// they must; a change of a rule or a default that makes them take the long way is noticed.
func TestTenantsAreTakenQuickly(t *testing.T) {
	contents := map[string]string{"a benchmark's tenants": string(manyTenants(3))}
	names, err := filepath.Glob("../../examples/magazine/tenants/*.yaml")
	if err != nil || len(names) < 8 {
		t.Fatalf("%d examples, %v", len(names), err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		contents[name] = string(data)
	}
	definitions := newDefinitions()
	for name, content := range contents {
		in := input{name, []byte(content)}
		for _, doc := range split(&in) {
			if strings.TrimSpace(string(doc.data)) == "" {
				continue
			}
			if _, quick := definitions.decodeQuickly(&doc); !quick {
				t.Errorf("%s: takes the long way:\n%s", name, doc.data)
			}
		}
	}
}

// Promise: every quick answer belongs to a rule that a definition has: an answer to a rule of old would only look as if
// something were held.
func TestQuickAnswersHaveRules(t *testing.T) {
	all := newDefinitions()
	rules := map[string]bool{}
	var walk func(s *schema.Structural)
	walk = func(s *schema.Structural) {
		if s == nil {
			return
		}
		for _, rule := range s.XValidations {
			rules[rule.Rule] = true
		}
		walk(s.Items)
		for name := range s.Properties {
			property := s.Properties[name]
			walk(&property)
		}
		if s.AdditionalProperties != nil {
			walk(s.AdditionalProperties.Structural)
		}
	}
	for _, kind := range []string{"Platform", "Tenant", "Space", "Waiver"} {
		d, err := all.of(kind)
		if err != nil {
			t.Fatal(err)
		}
		walk(d.structural)
	}
	for rule := range certainties() {
		if !rules[rule] {
			t.Errorf("no definition has the rule %s", rule)
		}
	}
}
