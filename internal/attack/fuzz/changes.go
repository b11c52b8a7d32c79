package fuzz

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/catalogue"
)

// selfChange is the rule of an exclusion: fields of a kind, or the kind as a whole when there are none.
type selfChange struct {
	group, resource string
	fields          [][]string
	why             string
}

// byItself is all that the comparison passes over. Everything else that changes is reported.
var byItself = []selfChange{
	{"", "events", nil, "controllers and kubelets write events all the time, and tenants may write none"},
	{"events.k8s.io", "events", nil, "as events"},
	{"metrics.k8s.io", "nodes", nil, "measurements, which are not written by users"},
	{"metrics.k8s.io", "pods", nil, "measurements, which are not written by users"},
	{"", "componentstatuses", nil, "asked for each time, and stored nowhere"},
	{"coordination.k8s.io", "leases", [][]string{{"spec", "renewTime"}, {"spec", "acquireTime"}, {"spec", "holderIdentity"}, {"spec", "leaseTransitions"}},
		"the holder of a lease renews it every few seconds"},
	{"", "nodes", [][]string{{"status"}}, "kubelets report the state of their nodes"},
	{"", "resourcequotas", [][]string{{"status"}}, "a quota counts what there is"},
	{v1alpha1.GroupVersion.Group, "tenants", [][]string{{"status", "proof"}, {"status", "conditions"}}, "Bulkhead writes when it last proved what"},
	{v1alpha1.GroupVersion.Group, "spaces", [][]string{{"status", "conditions"}}, "Bulkhead writes when it last proved what"},
	// A report may be of a time when another run's objects were there. That the attacks write one is reported: the writer is known.
	{v1alpha1.GroupVersion.Group, "isolationreports", [][]string{{"metadata", "generation"}, {"time"}, {"revision"}, {"checks"}, {"verdict"}, {"findings"}, {"exposed"}, {"unknown"}, {"waived"}},
		"Bulkhead writes what it last proved; the run proves the whole platform itself, before and after"},
	{"openreports.io", "clusterreports", [][]string{{"metadata", "generation"}, {"results"}, {"summary"}}, "as isolationreports, in another form"},
}

func (r *selfChange) is(s *hostile.Served) bool {
	return r.group == s.Group && r.resource == s.Resource
}

// wholly reports whether nothing of a kind is compared.
func wholly(s *hostile.Served) bool {
	return slices.ContainsFunc(byItself, func(r selfChange) bool { return r.is(s) && r.fields == nil })
}

func (r *selfChange) leaveOut(object map[string]any) {
	for _, path := range r.fields {
		at := object
		for _, key := range path[:len(path)-1] {
			at, _ = at[key].(map[string]any)
		}
		delete(at, path[len(path)-1]) // of nothing, nothing
	}
}

func (r *selfChange) String() string {
	kind := r.resource
	if r.group != "" {
		kind += "." + r.group
	}
	if r.fields == nil {
		return kind
	}
	fields := make([]string, len(r.fields))
	for i, f := range r.fields {
		fields[i] = strings.Join(f, ".")
	}
	return kind + ": " + strings.Join(fields, ", ")
}

// changes between two inventories, and what was ignored.
func changes(before, after *Inventory, since time.Time) ([]catalogue.Change, []catalogue.Exclusion) {
	var found []catalogue.Change
	passed := map[string]int{}
	for _, key := range after.sorted() {
		now, was := after.objects[key], before.objects[key]
		what := ""
		writers, ours := writersOf(&now.metadata, since)
		switch {
		case was.uid == "":
			what = "was made"
		case was.uid != now.uid:
			what = "was replaced by another of its name"
		case was.revision == now.revision:
		case was.contents != now.contents:
			what = "was changed"
		default:
			rule := ruleOf(key)
			if rule == "" || ours {
				what = "was written, and reads as before in all that is compared"
			}
			passed[rule]++
		}
		if what != "" {
			found = append(found, catalogue.Change{Object: key.String(), What: what, Writers: writers, Trace: now.trace || ours})
		}
	}
	for _, key := range before.sorted() {
		if _, there := after.objects[key]; !there {
			found = append(found, catalogue.Change{Object: key.String(), What: "is gone"})
		}
	}
	exclusions := Exclusions()
	for i := range exclusions {
		exclusions[i].Objects = passed[exclusions[i].What]
	}
	return found, exclusions
}

// Exclusions are all rules by which the comparison passes something over.
func Exclusions() []catalogue.Exclusion {
	rules := []catalogue.Exclusion{{What: "ipaddresses.networking.k8s.io of the tenant's own Services", Why: "the API server makes one for each address of a Service"}}
	for i := range byItself {
		rules = append(rules, catalogue.Exclusion{What: byItself[i].String(), Why: byItself[i].why})
	}
	return rules
}

// ruleOf names the rule by which objects of a kind may change; empty when there is none.
func ruleOf(key objectKey) string {
	for i := range byItself {
		if byItself[i].is(&hostile.Served{Group: key.group, Resource: key.resource}) {
			return byItself[i].String()
		}
	}
	return ""
}

// writersOf an object since a time, and whether the attacks are among them.
func writersOf(m *metav1.ObjectMeta, since time.Time) (writers []string, ours bool) {
	for _, f := range m.ManagedFields {
		if f.Time == nil || f.Time.Time.Before(since.Truncate(time.Second)) {
			continue
		}
		name := f.Manager
		if f.Subresource != "" {
			name = fmt.Sprintf("%s (%s)", name, f.Subresource)
		}
		if !slices.Contains(writers, name) {
			writers = append(writers, name)
		}
		ours = ours || f.Manager == v1alpha1.AttackName
	}
	return writers, ours
}
