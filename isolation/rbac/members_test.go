package rbac_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// A fault measured in a published analyser: a ServiceAccount dropped when its binding lists an ordinary Group before it, and
// all its findings with it.
func TestAServiceAccountIsNotDroppedWhenItsBindingListsAnOrdinaryGroupBeforeIt(t *testing.T) {
	for _, subjects := range [][]string{
		{"Group/people", "ServiceAccount/a1/ci"}, {"ServiceAccount/a1/ci", "Group/people"}, {"User/ann", "Group/people", "ServiceAccount/ops/x", "ServiceAccount/a1/ci"},
		{"Robot/r", "Group/people", "ServiceAccount/a1/ci"}, {"Group/people", "User/system:serviceaccount:a1:ci"},
	} {
		r := cleanRights()
		r.bindCluster("ci", "ClusterRole/root", subjects...)
		r.want(t, "BH1001 a>*")
	}
}

func TestWhoCountsAsATenant(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rights)
		want   []string
	}{
		"a service account that does not exist":          {func(r *rights) { r.bind("b1", "x", "ClusterRole/edit", "ServiceAccount/a1/not-yet") }, []string{"BH1002 a>b"}},
		"all service accounts of a namespace":            {func(r *rights) { r.bind("b1", "x", "ClusterRole/edit", "Group/system:serviceaccounts:a1") }, []string{"BH1002 a>b"}},
		"a service account without a namespace in a CRB": {func(r *rights) { r.bindCluster("x", "ClusterRole/root", "ServiceAccount//ci") }, nil},
		"everyone":             {func(r *rights) { r.bind("b1", "x", "ClusterRole/edit", "Group/system:authenticated") }, []string{"BH1002 *>b"}},
		"the anonymous":        {func(r *rights) { r.bindCluster("x", "ClusterRole/root", "Group/system:unauthenticated") }, []string{"BH1001 *>*"}},
		"all service accounts": {func(r *rights) { r.bind("b1", "x", "ClusterRole/edit", "Group/system:serviceaccounts") }, []string{"BH1002 *>b"}},
		"a declared member of system:masters": {func(r *rights) {
			r.Tenants[0].Owners = append(r.Tenants[0].Owners, rbacv1.Subject{Kind: "Group", Name: "system:masters"})
		}, []string{"BH1001 a>*"}},
		"a subject bound in one tenant's namespace": {func(r *rights) {
			r.bind("a1", "x", "ClusterRole/edit", "User/ann")
			r.bindCluster("x", "ClusterRole/root", "User/ann")
		}, []string{"BH1018 a>a?"}},
		"a subject bound in one tenant's namespace, which declares no owners": {func(r *rights) {
			r.Tenants[0].Owners = nil
			r.bind("a1", "x", "ClusterRole/edit", "User/ann")
			r.bindCluster("x", "ClusterRole/root", "User/ann")
		}, []string{"BH1001 a>*"}},
		"a subject that may more in one tenant's namespace than the tenant": {func(r *rights) {
			r.clusterRole("more", rule("patch", "/services/status"))
			r.bind("a1", "x", "ClusterRole/more", "User/ann")
		}, []string{"BH1014 a>", "BH1018 a>a?"}},
		"a subject that no Tenant declares": {func(r *rights) { r.bind("a1", "x", "ClusterRole/hello", "User/ann") }, []string{"BH1018 a>a?"}},
		"a name like an owner's":            {func(r *rights) { r.bind("a1", "x", "ClusterRole/hello", "Group/A-dev") }, []string{"BH1018 a>a?"}},
		"where no owners are declared": {func(r *rights) {
			r.Tenants[0].Owners = nil
			r.bind("a1", "x", "ClusterRole/hello", "User/ann")
		}, nil},
		"a subject bound in two tenants' namespaces": {func(r *rights) {
			r.bind("a1", "x", "ClusterRole/edit", "User/ann")
			r.bind("b2", "x", "ClusterRole/edit", "User/ann")
		}, []string{"BH1018 a>a?", "BH1018 b>b?"}},
		"an owner bound in another tenant's namespace": {func(r *rights) { r.bind("b2", "x", "ClusterRole/edit", "Group/a-dev") }, []string{"BH1002 a>b"}},
		"the platform's staff": {func(r *rights) {
			r.bindCluster("x", "ClusterRole/root", "User/ann", "Group/sre", "ServiceAccount/ops/x")
		}, nil},
		"the platform's service account at home": {func(r *rights) { r.bind("a1", "x", "ClusterRole/edit", "ServiceAccount/ops/x") }, nil},
		"Kubernetes' own users at home": {func(r *rights) {
			r.bind("a1", "x", "ClusterRole/edit", "User/system:kube-scheduler")
			r.bind("b1", "x", "ClusterRole/edit", "User/system:kube-scheduler")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := cleanRights()
			c.change(r)
			r.want(t, c.want...)
		})
	}
}

// One step leads to the next: the way is shown in full, what it begins with is blamed, and where one cut does not do, the
// fix says so.
func TestTheWayIsToldAndTheFirstStepBlamed(t *testing.T) {
	r := cleanRights()
	r.bind("ops", "debug", "ClusterRole/edit", "Group/a-dev")
	findings := r.want(t, "BH1001 a>*")
	if len(findings) == 0 {
		t.FailNow()
	}
	cluster := findings[0]
	if cluster.Blame[0] != (snapshot.Ref{Kind: "RoleBinding", Namespace: "ops", Name: "debug"}) || !strings.Contains(cluster.What, "ops/admin") || len(cluster.Witness) < 5 {
		t.Errorf("%+v", cluster)
	}
	r.bind("ops", "second", "ClusterRole/edit", "ServiceAccount/a1/default")
	for _, f := range r.want(t, "BH1001 a>*", "BH1002 a>") {
		if f.Code == "BH1001" && !strings.Contains(f.Fix, "leads there too") {
			t.Errorf("one cut is said to do: %s", f.Fix)
		}
	}
}

// One fault of a role that all tenants share is one finding.
func TestAFaultThatAllTenantsShareIsOneFinding(t *testing.T) {
	r := cleanRights()
	r.ClusterRoles[1].Rules = append(r.ClusterRoles[1].Rules, rule("patch", "/services/status"))
	findings := r.want(t, "BH1014 *>")
	if len(findings) == 1 && findings[0].Blame[0].Name != "edit" {
		t.Errorf("blames %v", findings[0].Blame)
	}
}

// A token from a pod of a compromised node gives that service account's rights: in its own tenant's namespaces too.
func TestTokensOfAFallenNodeLeadOn(t *testing.T) {
	s := snapshotOf(t, cleanRights().Snapshot)
	reach := rbac.NewReach(finding.NewInput(s, finding.Options{}))
	found := reach.FromAccounts("a", subjectsOf([]string{"ServiceAccount/ops/admin"}))
	if len(found) != 1 || found[0].Code != "BH1001" || found[0].From != "a" {
		t.Errorf("from the platform's agent: %+v", found)
	}
	if found = reach.FromAccounts("a", subjectsOf([]string{"ServiceAccount/b1/boss"})); len(found) != 1 || found[0].To != "b" {
		t.Errorf("from the neighbour's: %+v", found)
	}
	if found = reach.FromAccounts("a", subjectsOf([]string{"ServiceAccount/ops/other"})); len(found) != 0 {
		t.Errorf("from one that may nothing: %+v", found)
	}
}

// Promise: who gives rights in its own namespaces is exposed by that, and not who gets them: it can neither refuse nor take them away.
func TestTheGiverOfRightsIsExposed(t *testing.T) {
	for name, c := range map[string]struct {
		namespace string
		given     bool
	}{"in the other tenant's namespace": {"b1", true}, "in the platform's": {"ops", false}} {
		t.Run(name, func(t *testing.T) {
			r := cleanRights()
			r.bind(c.namespace, "x", "ClusterRole/edit", "Group/a-dev")
			s := snapshotOf(t, r.Snapshot)
			in := finding.NewInput(s, finding.Options{})
			findings, _ := rbac.Find(in, rbac.NewReach(in))
			if len(findings) == 0 {
				t.Fatal("nothing is found")
			}
			for _, f := range findings {
				if f.Given != c.given || f.Concerns("a") == c.given || c.given && !f.Concerns("b") {
					t.Errorf("%s %s>%s: given %t, concerns a %t and b %t", f.Code, f.From, f.To, f.Given, f.Concerns("a"), f.Concerns("b"))
				}
			}
		})
	}
}
