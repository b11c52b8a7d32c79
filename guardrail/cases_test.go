package guardrail

import (
	"path"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// lists reports whether the control lists a case as one that it must refuse.
func (c *Control) lists(t *testing.T, id string) bool {
	t.Helper()
	return slices.ContainsFunc(c.cases, func(pattern string) bool {
		matches, err := path.Match(c.ID+"/"+pattern, id)
		if err != nil {
			t.Fatalf("%s: %q: %v", c.ID, pattern, err)
		}
		return matches
	})
}

// Promise: every hostile request is listed by the control that must refuse it, and by no other.
func TestEveryCaseIsListedByItsControl(t *testing.T) {
	for _, h := range hostile.All() {
		var by []string
		for _, c := range Controls() {
			if c.lists(t, h.ID) {
				by = append(by, c.ID)
			}
		}
		if !slices.Equal(by, []string{h.Control}) {
			t.Errorf("%s must be refused by control %s, and is listed by %q: list it in the file of its control", h.ID, h.Control, by)
		}
	}
}

// Promise: every control lists requests that it must refuse, each of which exists, or names why it refuses none.
func TestControlsListCases(t *testing.T) {
	var unrefused []string
	for _, c := range Controls() {
		if (len(c.cases) == 0) != (c.unrefused != "") {
			t.Errorf("%s must either list cases or name why no request is refused: %q, %q", c.ID, c.cases, c.unrefused)
		}
		if c.unrefused != "" {
			unrefused = append(unrefused, c.ID)
		}
		for i, pattern := range c.cases {
			alone := Control{ID: c.ID, cases: c.cases[i : i+1]}
			if !slices.ContainsFunc(hostile.All(), func(h hostile.Case) bool { return alone.lists(t, h.ID) }) {
				t.Errorf("%s lists %q, and package hostile has no such case", c.ID, pattern)
			}
			if strings.Trim(pattern, "*") == "" {
				t.Errorf("%s lists %q, which names no request", c.ID, pattern)
			}
		}
	}
	if want := []string{"dns-enumerate"}; !slices.Equal(unrefused, want) {
		t.Errorf("%q refuse no request, want %q", unrefused, want)
	}
}

// Promise: every policy that refuses has a hostile request that it must refuse, or names what refuses tenants before it.
func TestEveryPolicyHasACase(t *testing.T) {
	met, second := map[string]bool{}, map[string]bool{}
	for _, h := range hostile.All() {
		if h.Refusal.By == hostile.Policy {
			met[h.Refusal.Name] = true
		}
		second[h.Behind.Name] = true
	}
	var behind []string
	for _, c := range registry {
		if c.validations == nil {
			continue
		}
		for _, v := range c.validations(&v1alpha1.PlatformSpec{}) {
			name := v1alpha1.PolicyPrefix + v.name
			if v.behind != "" {
				behind = append(behind, v.name)
			}
			if refuses := len(v.checks) > 0; refuses != (met[name] || v.behind != "") {
				t.Errorf("policy %s refuses something: %v; a case reaches it: %v; behind: %q", name, refuses, met[name], v.behind)
			}
			if met[name] && v.behind != "" {
				t.Errorf("policy %s has a case: it does not stand behind %q", name, v.behind)
			}
			if v.behind != "" && !second[name] {
				t.Errorf("policy %s stands behind %q, and no case names it as such", name, v.behind)
			}
			delete(met, name)
		}
	}
	if want := []string{"namespaces", "waivers", "definitions", "pod-security", "endpoints"}; !slices.Equal(behind, want) {
		t.Errorf("no case reaches %q, want %q", behind, want)
	}
	for name := range met {
		t.Errorf("cases expect to be refused by policy %s, which is not rendered", name)
	}
}

// Promise: a case that a policy must refuse is refused by a policy of its own control. (What a NetworkPolicy of a tenant could
// open of the metadata address is refused with all that it could open.)
func TestCasesAreRefusedByTheirControl(t *testing.T) {
	controls := map[string]string{}
	for _, o := range Policies(nil) {
		if _, refuses := o.(*admissionv1.ValidatingAdmissionPolicy); refuses {
			controls[o.GetName()] = o.GetLabels()[v1alpha1.LabelControl]
		}
	}
	for _, h := range hostile.All() {
		if h.Refusal.By != hostile.Policy || h.Control == "network-metadata" && controls[h.Refusal.Name] == "network-default" {
			continue
		}
		if got := controls[h.Refusal.Name]; got != h.Control {
			t.Errorf("%s is refused by policy %s of control %q", h.ID, h.Refusal.Name, got)
		}
	}
}
