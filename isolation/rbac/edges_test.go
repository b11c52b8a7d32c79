package rbac_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// rights are a cluster with tenants a and b, a platform, and nothing that is wrong yet.
type rights struct{ snapshot.Snapshot }

func cleanRights() *rights {
	r := &rights{snapshot.Snapshot{
		Revision: "1", Time: time.Unix(1_000, 0),
		Tenants: []snapshot.Tenant{
			{Name: "a", Namespaces: []string{"a1"}, Owners: []rbacv1.Subject{{Kind: "Group", Name: "a-dev"}}},
			{Name: "b", Namespaces: []string{"b1", "b2"}, Owners: []rbacv1.Subject{{Kind: "Group", Name: "b-dev"}}}},
		Namespaces: []*snapshot.Namespace{{Name: "a1"}, {Name: "b1"}, {Name: "b2"}, {Name: "ops"}},
		Pods: []*snapshot.Pod{{Namespace: "b1", Name: "web", Phase: corev1.PodRunning, Spec: &corev1.PodSpec{ServiceAccountName: "boss"}},
			{Namespace: "ops", Name: "agent", Phase: corev1.PodRunning, Spec: &corev1.PodSpec{ServiceAccountName: "admin"}}},
	}}
	r.clusterRole("root", rule("*", "*/*"))
	r.clusterRole("edit", rule("get,list,watch,create,update,patch,delete", "/pods,/secrets,/services,/configmaps,apps/deployments"),
		rule("impersonate", "/serviceaccounts"), rule("create", "/pods/exec,/serviceaccounts/token"), rule("create,get,update", "rbac.authorization.k8s.io/roles,rbac.authorization.k8s.io/rolebindings"))
	r.clusterRole("hello", rule("create", "authorization.k8s.io/selfsubjectaccessreviews"))
	r.bindCluster("hello", "ClusterRole/hello", "Group/system:authenticated")
	r.bind("a1", "owners", "ClusterRole/edit", "Group/a-dev")
	r.bind("b1", "owners", "ClusterRole/edit", "Group/b-dev")
	r.bindCluster("ops", "ClusterRole/root", "ServiceAccount/ops/admin")
	r.bind("b2", "boss", "ClusterRole/edit", "ServiceAccount/b1/boss")
	return r
}

// rule is written as verbs and group/resource pairs, with commas.
func rule(verbs, resources string, names ...string) rbacv1.PolicyRule {
	r := rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), ResourceNames: names}
	for _, resource := range strings.Split(resources, ",") {
		group, name, _ := strings.Cut(resource, "/")
		if strings.HasPrefix(resource, "url:") {
			r.NonResourceURLs = append(r.NonResourceURLs, strings.TrimPrefix(resource, "url:"))
			continue
		}
		if !slices.Contains(r.APIGroups, group) {
			r.APIGroups = append(r.APIGroups, group)
		}
		r.Resources = append(r.Resources, name)
	}
	return r
}

func (r *rights) clusterRole(name string, rules ...rbacv1.PolicyRule) {
	r.ClusterRoles = append(r.ClusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules})
}

func (r *rights) role(namespace, name string, rules ...rbacv1.PolicyRule) {
	r.Roles = append(r.Roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules})
}

func ref(role string) rbacv1.RoleRef {
	kind, name, _ := strings.Cut(role, "/")
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

// subjectsOf reads Group/NAME, User/NAME and ServiceAccount/NAMESPACE/NAME.
func subjectsOf(names []string) []rbacv1.Subject {
	var subjects []rbacv1.Subject
	for _, name := range names {
		kind, rest, _ := strings.Cut(name, "/")
		s := rbacv1.Subject{Kind: kind, Name: rest}
		if kind == "ServiceAccount" {
			s.Namespace, s.Name, _ = strings.Cut(rest, "/")
		}
		subjects = append(subjects, s)
	}
	return subjects
}

func (r *rights) bind(namespace, name, role string, subjects ...string) {
	r.RoleBindings = append(r.RoleBindings, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: ref(role), Subjects: subjectsOf(subjects)})
}

func (r *rights) bindCluster(name, role string, subjects ...string) {
	r.ClusterRoleBindings = append(r.ClusterRoleBindings, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref(role), Subjects: subjectsOf(subjects)})
}

func snapshotOf(t *testing.T, c snapshot.Snapshot) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// found are the findings about rights as "CODE FROM>TO", those that are Unknown with a question mark.
func (r *rights) found(t *testing.T, options finding.Options) ([]string, []finding.Finding) {
	t.Helper()
	var names []string
	var findings []finding.Finding
	for _, f := range isolation.Verify(snapshotOf(t, r.Snapshot), options).Findings {
		if !strings.HasPrefix(f.Code, "BH1") {
			continue
		}
		name := fmt.Sprintf("%s %s>%s", f.Code, f.From, f.To)
		if f.Verdict == finding.Unknown {
			name += "?"
		}
		names, findings = append(names, name), append(findings, f)
	}
	return names, findings
}

func (r *rights) want(t *testing.T, want ...string) []finding.Finding {
	t.Helper()
	got, findings := r.found(t, finding.Options{})
	slices.Sort(want)
	sorted := slices.Clone(got)
	slices.Sort(sorted)
	if !slices.Equal(sorted, want) {
		t.Errorf("found %q, want %q", sorted, want)
		for _, f := range findings {
			t.Logf("%s %s: %s\n\tblame %v\n\tfix %s\n\twitness %v", f.Code, f.Verdict, f.What, f.Blame, f.Fix, f.Witness)
		}
	}
	for _, f := range findings {
		if len(f.Blame) == 0 || f.Fix == "" || len(f.Witness) == 0 && f.Verdict == finding.Exposed {
			t.Errorf("%s has no blame, fix or witness: %+v", f.Code, f)
		}
	}
	return findings
}

// What an ordinary owner may do at home, with Kubernetes' own edit role or one like it, is no finding.
func TestOrdinaryOwnersAreNoFinding(t *testing.T) {
	cleanRights().want(t)
	r := cleanRights()
	r.Offline = true
	r.ClusterRoles = slices.Delete(r.ClusterRoles, 1, 2) // edit is Kubernetes' own then
	r.bind("a1", "admins", "ClusterRole/admin", "Group/a-dev", "ServiceAccount/a1/ci")
	r.want(t)
}

const rbacGroup = "rbac.authorization.k8s.io/"

// edges has every line of the table of rights, given to tenant a: in another's namespace (b1), in its own (a1), or
// everywhere (*); next to it, what it is with its precondition missing.
func edges() []struct {
	where string
	rules []rbacv1.PolicyRule
	want  string
} {
	type edge = struct {
		where string
		rules []rbacv1.PolicyRule
		want  string
	}
	one := func(where, verbs, resources, want string, names ...string) edge {
		return edge{where, []rbacv1.PolicyRule{rule(verbs, resources, names...)}, want}
	}
	two := func(where, want string, rules ...rbacv1.PolicyRule) edge { return edge{where, rules, want} }
	const certs, authn, admission = "certificates.k8s.io/", "authentication.k8s.io/", "admissionregistration.k8s.io/"
	return []edge{
		// Secrets: each verb shows them; create alone does not.
		one("b1", "get", "/secrets", "BH1003 a>b"), one("b1", "list", "/secrets", "BH1003 a>b"), one("b1", "watch", "/secrets", "BH1003 a>b"),
		one("*", "get", "/secrets", "BH1003 a>*"), one("b1", "get", "/secrets", "BH1003 a>b", "tls"), one("a1", "get", "/secrets", ""),
		one("b1", "create", "/secrets", "BH1004 a>b"), one("b1", "get", "/secret", "BH1005 a>b"), one("b1", "use", "/secrets", ""),
		two("b1", "BH1002 a>b", rule("create,get", "/secrets")),
		// Pods and workloads: those who run them act as any service account there; everywhere, that is the cluster.
		one("b1", "create", "/pods", "BH1002 a>b"), one("b1", "create", "apps/deployments", "BH1002 a>b"), one("b1", "patch", "apps/statefulsets", "BH1002 a>b"),
		one("b1", "update", "apps/daemonsets", "BH1002 a>b"), one("b1", "create", "apps/replicasets", "BH1002 a>b"), one("b1", "create", "batch/jobs", "BH1002 a>b"),
		one("b1", "create", "batch/cronjobs", "BH1002 a>b"), one("b1", "create", "/replicationcontrollers", "BH1002 a>b"), one("b1", "patch", "/pods", "BH1002 a>b"),
		one("*", "create", "/pods", "BH1001 a>*"), one("*", "create", "batch/jobs", "BH1001 a>*"), one("a1", "create", "/pods,batch/jobs", ""),
		one("b1", "update", "apps/deployments/scale", "BH1004 a>b"), one("b1", "create", "apps/pods", "BH1004 a>b"),
		one("b1", "create", "/pods", "BH1002 a>b?", "x"), one("b1", "create,patch", "/pods", "BH1002 a>b", "x"),
		one("b1", "get", "apps/deployments", "BH1005 a>b"),
		// Entering pods, and getting tokens.
		one("b1", "create", "/pods/exec", "BH1002 a>b"), one("b1", "create", "/pods/attach", "BH1002 a>b"), one("b1", "get", "/pods/exec", "BH1002 a>b?|BH1005 a>b"),
		one("b1", "patch", "/pods/ephemeralcontainers", "BH1002 a>b"), one("b1", "create", "/serviceaccounts/token", "BH1002 a>b"),
		one("b1", "create", "/serviceaccounts/token", "BH1002 a>b", "boss"), one("b1", "impersonate", "/serviceaccounts", "BH1002 a>b"),
		one("*", "create", "/serviceaccounts/token", "BH1001 a>*"), one("*", "create", "/pods/exec", "BH1001 a>*"),
		one("a1", "create", "/pods/exec,/serviceaccounts/token,/pods/attach", ""), one("b1", "create", "/serviceaccounts", "BH1004 a>b"),
		one("b1", "create", "/pods/portforward", "BH1021 a>b"), one("b1", "get", "/services/proxy", "BH1021 a>b|BH1005 a>b"), one("a1", "create", "/pods/portforward", ""),
		// Others' objects.
		one("b1", "get", "/configmaps", "BH1005 a>b"), one("*", "list", "/pods", "BH1005 a>*"), one("b1", "update", "/configmaps", "BH1004 a>b"),
		one("b1", "get", "example.com/widgets", "BH1005 a>b"), one("*", "get", "example.com/widgets", "BH1019 a>*?"), one("ops", "get", "/configmaps", "BH1005 a>"),
		one("b1", "get", "/configmaps", "", "kube-root-ca.crt"), one("kube-public", "get", "/configmaps", ""),
		// Stopping others.
		one("b1", "create", "/pods/eviction", "BH1006 a>b"), one("b1", "delete", "/pods", "BH1006 a>b"), one("b1", "deletecollection", "/pods", "BH1006 a>b"),
		one("ops", "update", "coordination.k8s.io/leases", "BH1006 a>"), one("b1", "create", "/events", "BH1006 a>b"), one("b1", "delete", "/namespaces", "BH1006 a>b"),
		one("*", "delete", "/namespaces", "BH1006 a>*"), one("a1", "create,delete", "/pods/eviction,/pods,/events", ""), one("a1", "delete", "/namespaces", ""),
		one("b1", "create", "lifecycle.k8s.io/evictionrequests", "BH1006 a>b"), one("a1", "create", "lifecycle.k8s.io/evictionrequests", ""),
		one("a1", "patch", "resource.k8s.io/resourceclaims/status", "BH1006 a>"), one("a1", "create,patch", "resource.k8s.io/resourceclaims", ""),
		// Newer kinds: requests in a pod's name, trust anchors of everyone, groups of pods that are scheduled together.
		one("b1", "create", certs+"podcertificaterequests", "BH1004 a>b"), one("a1", "create", certs+"podcertificaterequests", ""),
		one("b1", "patch", certs+"podcertificaterequests/status", "BH1004 a>b"), one("*", "create", certs+"clustertrustbundles", "BH1016 a>"), one("*", "get,list", certs+"clustertrustbundles", ""),
		one("b1", "delete", "scheduling.k8s.io/workloads,scheduling.k8s.io/podgroups,scheduling.k8s.io/compositepodgroups", "BH1004 a>b"), one("a1", "create", "scheduling.k8s.io/workloads", ""),
		// Binding and escalating.
		two("b1", "BH1007 a>b", rule("create", rbacGroup+"rolebindings"), rule("bind", rbacGroup+"clusterroles")),
		two("a1", "BH1007 a>", rule("create", rbacGroup+"rolebindings"), rule("bind", rbacGroup+"clusterroles")),
		two("*", "BH1001 a>*", rule("create", rbacGroup+"rolebindings"), rule("bind", rbacGroup+"clusterroles")),
		two("*", "BH1001 a>*", rule("create", rbacGroup+"clusterrolebindings"), rule("bind", rbacGroup+"clusterroles", "root")),
		two("a1", "", rule("create,update", rbacGroup+"rolebindings")), two("a1", "", rule("bind", rbacGroup+"roles", "none")),
		one("*", "create", rbacGroup+"clusterrolebindings", "BH1016 a>"), one("*", "bind", rbacGroup+"clusterroles", ""),
		two("a1", "BH1007 a>", rule("escalate,patch", rbacGroup+"roles")), two("a1", "", rule("escalate", rbacGroup+"roles", "other")),
		two("a1", "BH1007 a>", rule("create", rbacGroup+"rolebindings"), rule("escalate,update,create", rbacGroup+"roles")),
		two("*", "BH1001 a>*", rule("escalate,patch", rbacGroup+"clusterroles")), two("*", "BH1001 a>*", rule("escalate,patch", rbacGroup+"clusterroles", "hello")),
		one("*", "escalate", rbacGroup+"clusterroles", ""), one("*", "patch", rbacGroup+"clusterroles", "BH1016 a>"),
		// Impersonation.
		one("*", "impersonate", "/users", "BH1008 a>*"), one("*", "impersonate", "/users", "BH1008 a>", "root"), one("a1", "impersonate", "/users", ""),
		two("*", "BH1008 a>*", rule("impersonate", "/groups")), one("*", "impersonate", "/groups", "BH1008 a>b", "b-dev"),
		one("*", "impersonate", authn+"userextras/scopes,"+authn+"uids", "BH1008 a>?"),
		two("*", "BH1008 a>*", rule("impersonate:user-info", authn+"users"), rule("impersonate-on:user-info:list", "/pods")),
		one("*", "impersonate:user-info", authn+"users", ""), one("a1", "impersonate:serviceaccount", authn+"serviceaccounts", ""),
		two("b1", "BH1002 a>b", rule("impersonate:serviceaccount", authn+"serviceaccounts"), rule("impersonate-on:serviceaccount:get", "/pods")),
		two("*", "BH1011 a>*", rule("impersonate:arbitrary-node", authn+"nodes"), rule("impersonate-on:arbitrary-node:get", "/pods")),
		// Certificates.
		two("*", "BH1009 a>*", rule("create", certs+"certificatesigningrequests"), rule("update", certs+"certificatesigningrequests/approval"), rule("approve", certs+"signers")),
		two("*", "BH1009 a>*?|BH1016 a>", rule("create", certs+"certificatesigningrequests"), rule("update", certs+"certificatesigningrequests/approval"), rule("approve", certs+"signers", "example.com/own")),
		two("*", "BH1009 a>*", rule("create", certs+"certificatesigningrequests,"+certs+"certificatesigningrequests/nodeclient")),
		one("*", "update", certs+"certificatesigningrequests/approval", "BH1016 a>"), one("*", "approve", certs+"signers", ""),
		// What the API server runs.
		one("*", "patch", admission+"mutatingwebhookconfigurations", "BH1010 a>*"), one("*", "create", admission+"validatingwebhookconfigurations", "BH1010 a>*"),
		one("*", "delete", admission+"validatingadmissionpolicybindings", "BH1010 a>*"), one("*", "update", admission+"validatingadmissionpolicies", "BH1010 a>*"),
		one("*", "create", admission+"mutatingadmissionpolicies", "BH1010 a>*"), one("*", "create", admission+"mutatingadmissionpolicybindings", "BH1010 a>*"),
		one("*", "update", "apiregistration.k8s.io/apiservices", "BH1010 a>*"), one("*", "patch", "apiextensions.k8s.io/customresourcedefinitions", "BH1010 a>*"),
		one("*", "list", admission+"validatingadmissionpolicies", ""), one("a1", "patch", admission+"mutatingwebhookconfigurations", ""),
		// Nodes.
		one("*", "get", "/nodes/proxy", "BH1011 a>*"), one("*", "create", "/nodes/proxy", "BH1011 a>*"), one("*", "patch", "/nodes/status", "BH1011 a>*"), one("*", "patch", "/nodes", "BH1011 a>*"),
		one("a1", "get", "/nodes/proxy", ""), one("*", "get", "/nodes/metrics", "BH1015 a>"), one("a1", "create", "/pods/binding", "BH1011 a>"), one("b1", "create", "/bindings", "BH1011 a>b"),
		// Guardrails.
		one("a1", "patch", "/namespaces", "BH1012 a>"), one("b1", "patch", "/namespaces", "BH1012 a>b"), one("*", "patch", "/namespaces", "BH1012 a>", "a1"), one("*", "update", "/namespaces", "BH1012 a>*"),
		one("a1", "patch", "/namespaces", "", "b1"), one("a1", "get", "/namespaces", ""), one("a1", "update", "/namespaces/finalize", "BH1012 a>"), one("*", "create", "/namespaces", "BH1012 a>"),
		one("a1", "update,delete", "/resourcequotas,/limitranges", ""), // there are none
		one("*", "update", "flowcontrol.apiserver.k8s.io/flowschemas", "BH1012 a>"), one("*", "change", "bulkhead.dev/guardrails", "BH1012 a>*"),
		// Traffic.
		one("a1", "patch", "/services/status", "BH1014 a>"), one("a1", "update", "discovery.k8s.io/endpointslices", "BH1014 a>"), one("a1", "update", "/endpoints", "BH1014 a>"),
		one("a1", "patch", "/pods/status", "BH1014 a>"), one("b1", "patch", "/pods/status", "BH1014 a>b"), one("a1", "get", "/services/status,/endpoints", ""),
		// Storage, lists, shared kinds, paths.
		one("*", "create", "/persistentvolumes", "BH1013 a>"), one("*", "patch", "storage.k8s.io/storageclasses", "BH1013 a>"), one("a1", "create", "/persistentvolumes", ""),
		one("*", "list", "/namespaces", "BH1015 a>"), one("*", "watch", "/nodes", "BH1015 a>"), one("*", "get", "/persistentvolumes", "BH1015 a>"), one("a1", "list", "/namespaces", ""),
		one("*", "get", "/namespaces", "", "a1"), one("*", "create", "authorization.k8s.io/subjectaccessreviews", "BH1015 a>"), one("*", "get,list,watch", "storage.k8s.io/storageclasses", ""),
		one("*", "create", "authorization.k8s.io/selfsubjectaccessreviews", ""), one("*", "create", "node.k8s.io/runtimeclasses", "BH1016 a>"),
		one("*", "get", "url:/metrics", "BH1017 a>"), one("*", "get", "url:*", "BH1017 a>"), one("*", "get", "url:/healthz,url:/api/*", ""), one("a1", "get", "url:/metrics", ""),
		// Everything.
		one("*", "*", "*/*", "BH1001 a>*"), one("b1", "*", "*/*", "BH1002 a>b"), one("a1", "*", "*/*", "BH1012 a>"),
	}
}

func TestEveryEdgeAndItsMissingPrecondition(t *testing.T) {
	for i, e := range edges() {
		t.Run(fmt.Sprintf("%d %s %v", i, e.where, e.rules), func(t *testing.T) {
			r := cleanRights()
			// Without what owners have at home, as that is a precondition itself; and without service accounts that lead on.
			r.ClusterRoles[1].Rules = []rbacv1.PolicyRule{rule("get", "/configmaps"), rule("impersonate", "/serviceaccounts")}
			r.clusterRole("given", e.rules...)
			if e.where == "*" {
				r.bindCluster("given", "ClusterRole/given", "Group/a-dev")
			} else {
				r.role(e.where, "given", e.rules...)
				r.bind(e.where, "given", "Role/given", "Group/a-dev")
			}
			var want []string
			if e.want != "" {
				want = strings.Split(e.want, "|")
			}
			for _, f := range r.want(t, want...) {
				if !slices.ContainsFunc(f.Blame, func(o snapshot.Ref) bool { return o.Name == "given" }) {
					t.Errorf("blames %v", f.Blame)
				}
			}
		})
	}
}

// Promise: what RBAC does not know as a pattern gives nothing, and what is cluster-scoped no Role gives.
func TestWhatNoResourceIsCalledGivesNothing(t *testing.T) {
	for _, resources := range []string{"/pods/*", "/pod*", "/secrets*", "/*/*", "extensions/deployments"} {
		r := cleanRights()
		r.clusterRole("glob", rule("*", resources))
		r.bindCluster("glob", "ClusterRole/glob", "ServiceAccount/a1/glob")
		r.want(t)
	}
	r := cleanRights()
	r.clusterRole("glob", rule("*", "/*/exec"))
	r.bindCluster("glob", "ClusterRole/glob", "ServiceAccount/a1/glob")
	r.want(t, "BH1001 a>*")
	r = cleanRights()
	r.clusterRole("nodes", rule("get,list", "*/nodes,*/clusterroles,*/persistentvolumes"))
	r.bind("b1", "nodes", "ClusterRole/nodes", "ServiceAccount/a1/ci")
	r.want(t)
	r.bindCluster("nodes", "ClusterRole/nodes", "ServiceAccount/a1/ci")
	r.want(t, "BH1015 a>")
}
