package controller_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
	live "github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Promise: what the Follower knows by watching is what one would read now, after creations, changes and deletions; also of
// kinds that policies came to refer to.
func TestFollowerKnowsWhatListsSay(t *testing.T) {
	f := follow(t, clock.RealClock{})
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "followed"}}
	create(t, namespace)
	agrees := func(what string) {
		t.Helper()
		eventually(t, patience, what, func() string { return difference(t, f) })
	}
	agrees("at first")
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "followed", Name: "reader"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}},
	}}
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "followed", Name: "closed"}}
	create(t, role, policy)
	agrees("after creations")
	role.Rules[0].Verbs = []string{"get", "list"}
	if err := admin.Update(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	agrees("after a change")
	// A kind that is followed for itself, too.
	refers := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "followed"}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		ParamKind: &admissionv1.ParamKind{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"podtemplates"}},
		}}}},
		Validations: []admissionv1.Validation{{Expression: "true"}},
	}}
	create(t, refers)
	agrees("after a policy that refers to a kind")
	if w, err := f.World(t.Context()); err != nil || len(w.Snapshot.Parameters) == 0 {
		t.Errorf("no parameters of the policy are known: %v", err)
	}
	for _, o := range []client.Object{refers, role, policy, namespace} {
		if err := admin.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	agrees("after deletions")
}

// difference between what is followed and what is read; empty when there is none.
func difference(t *testing.T, f *live.Follower) string {
	t.Helper()
	followed, err := f.World(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	read, err := live.Read(t.Context(), bulkhead, live.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	a, b := *followed.Snapshot, *read.Snapshot
	for _, s := range []*snapshot.Snapshot{&a, &b} {
		s.Time, s.Revision = time.Time{}, ""
		for i := range s.Missing { // the words differ, not what is missing
			s.Missing[i].Why = strings.SplitN(s.Missing[i].Why, ":", 2)[0]
		}
	}
	return cmp.Diff(fmt.Sprintf("%d kinds", len(followed.Expected)), fmt.Sprintf("%d kinds", len(read.Expected))) + cmp.Diff(&a, &b, cmp.AllowUnexported(snapshot.Snapshot{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
}

// Promise: of kinds in which nothing happens, too, it becomes known that nothing did: the World's time goes on.
func TestFollowerKnowsHowCurrentItIs(t *testing.T) {
	t.Parallel()
	f := follow(t, clock.RealClock{})
	world := func() *observe.World {
		w, err := f.World(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	first := world().Snapshot
	if age := time.Since(first.Time); age > patience {
		t.Errorf("what was just read is %s old", age)
	}
	const bookmarks = 3 * time.Minute // one comes each minute
	eventually(t, bookmarks, "the time of what is known", func() string {
		if now := world().Snapshot; now.Time.After(first.Time) {
			return ""
		}
		return "it stays"
	})
}

// Promise: a kind that may not be watched is missing by its name, and nothing else is.
func TestFollowerNamesWhatItMayNotRead(t *testing.T) {
	nobody, err := cluster.User("reads-namespaces", "system:nobody")
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Name: "reads-namespaces"}
	create(t, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"list", "watch"}},
	}}, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "reads-namespaces"}}})
	f, err := live.Follow(t.Context(), nobody, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := f.World(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, m := range w.Snapshot.Missing {
		missing[m.Kind] = true
		if !strings.Contains(m.Why, "forbidden") {
			t.Errorf("%s is missing, and not for the reason: %s", m.Kind, m.Why)
		}
	}
	if missing["Namespace"] || !missing["Role"] || !missing["Pod"] || len(w.Snapshot.Namespaces) == 0 {
		t.Errorf("missing: %v; %d namespaces", missing, len(w.Snapshot.Namespaces))
	}
}
