package rbac_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	evaluate "github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// enforced is what Bulkhead makes of the example platform, changed.
func enforced(t *testing.T, change func(*snapshot.Snapshot)) *snapshot.Snapshot {
	t.Helper()
	w, err := manifest.Read([]string{"../../examples/magazine"}, nil, manifest.Options{Now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)})
	must(t, err)
	contents := *w.Snapshot
	// The workloads' files leave their namespace to kubectl -n; a reader has to put their Roles somewhere.
	contents.RoleBindings = slices.DeleteFunc(slices.Clone(contents.RoleBindings), func(b *rbacv1.RoleBinding) bool { return b.Namespace == "default" })
	if change != nil {
		change(&contents)
	}
	return snapshotOf(t, contents)
}

func aboutRights(t *testing.T, s *snapshot.Snapshot, evaluated bool) []finding.Finding {
	t.Helper()
	var options finding.Options
	if evaluated {
		evaluator, err := evaluate.New(s, rbac.New(s), nil)
		must(t, err)
		options.Admission = evaluator
	}
	in := finding.NewInput(s, options)
	findings, _ := rbac.Find(in, rbac.NewReach(in))
	return findings
}

// What Bulkhead makes is isolated; which of its owners' rights admission closes is Unknown where it is not evaluated.
func TestWhatBulkheadMakesIsIsolated(t *testing.T) {
	for _, f := range aboutRights(t, enforced(t, nil), true) {
		t.Errorf("%s %s %s->%s: %s, blame %v", f.Verdict, f.Code, f.From, f.To, f.What, f.Blame)
	}
	open := aboutRights(t, enforced(t, nil), false)
	if len(open) == 0 || slices.ContainsFunc(open, func(f finding.Finding) bool { return f.Verdict != finding.Unknown || f.Code != "BH1012" }) {
		t.Errorf("without admission: %+v", open)
	}
}

const ownerRole = "bulkhead:space-owner"

// widened gives every owner another right at home.
func widened(rules ...rbacv1.PolicyRule) func(*snapshot.Snapshot) {
	return func(s *snapshot.Snapshot) {
		s.ClusterRoles = slices.Clone(s.ClusterRoles)
		for i, r := range s.ClusterRoles {
			if r.Name == ownerRole {
				r = r.DeepCopy()
				r.Rules = append(r.Rules, rules...)
				s.ClusterRoles[i] = r
			}
		}
	}
}

// bound binds a subject to a role in a namespace, or everywhere.
func bound(namespace, role string, subjects ...string) func(*snapshot.Snapshot) {
	return func(s *snapshot.Snapshot) {
		r := rights{*s}
		if namespace == "" {
			r.bindCluster("loose", role, subjects...)
		} else {
			r.bind(namespace, "loose", role, subjects...)
		}
		*s = r.Snapshot
	}
}

// Every object of the platform that is loosened is found and named.
func TestWhatIsLoosenedIsFoundAndNamed(t *testing.T) {
	role, loose := snapshot.Ref{Kind: "ClusterRole", Name: ownerRole}, func(kind, namespace string) snapshot.Ref {
		return snapshot.Ref{Kind: kind, Namespace: namespace, Name: "loose"}
	}
	const site, drafts = "newsroom--site", "newsroom--drafts"
	for i, m := range []struct {
		change func(*snapshot.Snapshot)
		blame  snapshot.Ref
	}{
		{widened(rule("patch", "/pods/status")), role},
		{widened(rule("create", "/pods/binding")), role},
		{widened(rule("update", "discovery.k8s.io/endpointslices")), role},
		{widened(rule("patch", "/services/status")), role},
		{widened(rule("bind", rbacGroup+"clusterroles"), rule("change", "bulkhead.dev/guardrails")), role},
		{widened(rule("change", "bulkhead.dev/guardrails")), role},
		{widened(rule("escalate", rbacGroup+"roles")), role},
		{widened(rule("update", "/namespaces/finalize")), role},
		{bound("", "ClusterRole/view", "Group/magazine:newsroom"), loose("ClusterRoleBinding", "")},
		{bound("", "ClusterRole/system:node-proxier", "ServiceAccount/"+site+"/default"), loose("ClusterRoleBinding", "")},
		{bound("", "ClusterRole/cluster-admin", "User/system:serviceaccount:"+site+":default"), loose("ClusterRoleBinding", "")},
		{bound("cms--editor", "ClusterRole/view", "Group/magazine:newsroom"), loose("RoleBinding", "cms--editor")},
		{bound("cms--editor", "ClusterRole/edit", "Group/system:serviceaccounts:"+drafts), loose("RoleBinding", "cms--editor")},
		{bound(site, "ClusterRole/view", "Group/system:authenticated"), loose("RoleBinding", site)},
		{bound(site, "ClusterRole/view", "User/system:anonymous"), loose("RoleBinding", site)},
		{bound("kube-system", "ClusterRole/edit", "ServiceAccount/"+site+"/default"), loose("RoleBinding", "kube-system")},
		{func(s *snapshot.Snapshot) {
			s.ValidatingBindings = nil
		}, role},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			findings := aboutRights(t, enforced(t, m.change), true)
			if !slices.ContainsFunc(findings, func(f finding.Finding) bool {
				return f.Verdict == finding.Exposed && slices.Contains(f.Blame, m.blame)
			}) {
				t.Errorf("%v is not blamed: %+v", m.blame, findings)
			}
			for _, f := range findings {
				if f.Verdict == finding.Exposed && strings.Contains(f.What, "%!") {
					t.Errorf("says %q", f.What)
				}
			}
		})
	}
}
