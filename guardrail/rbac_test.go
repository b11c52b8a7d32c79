package guardrail

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func rolesOf(t *testing.T, p *v1alpha1.Platform) map[string][]rbacv1.PolicyRule {
	t.Helper()
	roles := map[string][]rbacv1.PolicyRule{}
	for _, o := range Cluster(p) {
		if r, is := o.(*rbacv1.ClusterRole); is {
			if r.AggregationRule != nil {
				t.Errorf("%s aggregates what others write", r.Name)
			}
			for key := range r.Labels {
				if strings.HasPrefix(key, "rbac.authorization.k8s.io/aggregate-to-") {
					t.Errorf("%s adds to a role of Kubernetes by %s", r.Name, key)
				}
			}
			roles[r.Name] = r.Rules
		}
	}
	return roles
}

func allows(rules []rbacv1.PolicyRule, verb, group, resource string) bool {
	has := func(list []string, s string) bool { return slices.Contains(list, s) || slices.Contains(list, "*") }
	return slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
		return has(r.Verbs, verb) && has(r.APIGroups, group) && has(r.Resources, resource) && len(r.ResourceNames) == 0
	})
}

// forbidden resources, in whatever group of Kubernetes.
var forbidden = []string{
	"*", "nodes", "nodes/proxy", "persistentvolumes", "clusterroles", "clusterrolebindings", "pods/binding", "bindings",
	"pods/proxy", "services/proxy", "namespaces/status", "namespaces/finalize", "users", "groups", "uids",
	"userextras", "certificatesigningrequests", "signers", "mutatingwebhookconfigurations",
	"validatingwebhookconfigurations", "validatingadmissionpolicies", "mutatingadmissionpolicies", "apiservices",
	"customresourcedefinitions", "storageclasses", "priorityclasses", "runtimeclasses", "flowschemas",
	"prioritylevelconfigurations", "tokenreviews", "subjectaccessreviews", "guardrails", "platforms", "tenants", "waivers",
	"ingressclasses", "volumeattachments", "csidrivers", "resourceclaims", "networks", "componentstatuses",
}

// onlyRead are resources that owners see and do not write.
var onlyRead = []string{
	"endpoints", "endpointslices", "resourcequotas", "limitranges", "namespaces", "controllerrevisions", "pods/log",
	"spaces/status",
}

// Promise: owners' roles have nothing of what would let them out, however the Platform is written.
func TestOwnersHaveNoForbiddenRights(t *testing.T) {
	p := testPlatform()
	for _, group := range []string{"", "apps", "rbac.authorization.k8s.io", "k8s.io", "kubernetes.io", "bulkhead.dev", "x.bulkhead.dev", "*",
		"*.example.com", "example.com", "batch"} {
		p.Spec.TenantResources = append(p.Spec.TenantResources, v1alpha1.TenantResource{
			Group:     group,
			Resources: []string{"nodes", "*", "widgets/status", "clusterroles", "*/scale", "", "guardrails", "escalators"},
		})
	}
	roles := rolesOf(t, p)
	for _, role := range []string{v1alpha1.RoleOwner, v1alpha1.RoleHome} {
		rules := roles[role]
		if len(rules) == 0 {
			t.Fatalf("no role %s", role)
		}
		for _, r := range rules {
			if len(r.NonResourceURLs) > 0 || slices.Contains(r.APIGroups, "*") || slices.Contains(r.APIGroups, "") &&
				slices.Contains(r.Resources, "events") && slices.Contains(r.Verbs, "create") {
				t.Errorf("%s: %+v", role, r)
			}
			for _, verb := range r.Verbs {
				if slices.Contains([]string{"*", "escalate", "bind", "impersonate", "approve", "sign", "attest", "change", "use"}, verb) {
					t.Errorf("%s has the verb %s on %v", role, verb, r.Resources)
				}
			}
			for _, resource := range r.Resources {
				custom := r.APIGroups[0] == "example.com"
				if slices.Contains(forbidden, resource) && !custom {
					t.Errorf("%s has %v on %s", role, r.Verbs, resource)
				}
				if strings.HasSuffix(resource, "/status") && resource != "spaces/status" || strings.HasSuffix(resource, "/finalizers") {
					t.Errorf("%s has %v on %s", role, r.Verbs, resource)
				}
				if slices.Contains(onlyRead, resource) && !custom {
					for _, verb := range r.Verbs {
						if !slices.Contains(read(), verb) {
							t.Errorf("%s may %s %s", role, verb, resource)
						}
					}
				}
			}
		}
		if allows(rules, "list", "", "namespaces") || allows(rules, "watch", "", "namespaces") {
			t.Errorf("%s may list namespaces", role)
		}
	}
	for _, r := range roles[v1alpha1.RoleHome] {
		for _, resource := range r.Resources {
			if !slices.Contains([]string{"spaces", "spaces/status", "events"}, resource) {
				t.Errorf("the home namespace is for Spaces, not for %s", resource)
			}
		}
	}
	if refused := RefusedTenantResources(p); len(refused) != 10*8+4 {
		t.Errorf("%d resources are refused, want all of ten groups and four of example.com", len(refused))
	}
}

// Promise: owners have what their daily work needs, and the platform's own people what theirs does and no more.
func TestRolesAreOfUse(t *testing.T) {
	roles := rolesOf(t, testPlatform())
	for _, c := range []struct {
		role, verb, group, resource string
		want                        bool
	}{
		{v1alpha1.RoleOwner, "create", "apps", "deployments", true},
		{v1alpha1.RoleOwner, "patch", "apps", "deployments/scale", true},
		{v1alpha1.RoleOwner, "create", "", "pods/exec", true},
		{v1alpha1.RoleOwner, "get", "", "pods/exec", true},
		{v1alpha1.RoleOwner, "create", "", "pods/eviction", true},
		{v1alpha1.RoleOwner, "patch", "", "pods/resize", true},
		{v1alpha1.RoleOwner, "get", "", "pods/log", true},
		{v1alpha1.RoleOwner, "create", "", "serviceaccounts/token", true},
		{v1alpha1.RoleOwner, "create", "rbac.authorization.k8s.io", "rolebindings", true},
		{v1alpha1.RoleOwner, "deletecollection", "", "secrets", true},
		{v1alpha1.RoleOwner, "create", "acid.zalan.do", "postgresqls", true},
		{v1alpha1.RoleOwner, "get", "", "namespaces", true},
		{v1alpha1.RoleOwner, "create", "bulkhead.dev", "spaces", false},
		{v1alpha1.RoleHome, "create", "bulkhead.dev", "spaces", true},
		{v1alpha1.RoleHome, "get", "", "secrets", false},
		{RolePlatformAdmin, "create", "bulkhead.dev", "tenants", true},
		{RolePlatformAdmin, "change", "bulkhead.dev", "guardrails", true},
		{RolePlatformAdmin, "create", "bulkhead.dev", "waivers", false},
		{RolePlatformAdmin, "update", "bulkhead.dev", "tenants/status", false},
		{RoleSecurity, "create", "bulkhead.dev", "waivers", true},
		{RoleSecurity, "list", "bulkhead.dev", "tenants", true},
		{RoleSecurity, "update", "bulkhead.dev", "tenants", false},
		{RoleSecurity, "change", "bulkhead.dev", "guardrails", false},
		{RoleViewer, "watch", "bulkhead.dev", "spaces", true},
		{RoleViewer, "create", "bulkhead.dev", "spaces", false},
	} {
		if got := allows(roles[c.role], c.verb, c.group, c.resource); got != c.want {
			t.Errorf("%s: %s %s.%s is %v, want %v", c.role, c.verb, c.resource, c.group, got, c.want)
		}
	}
}

// Promise: a node group is dedicated from both sides with what kubelets cannot write themselves.
func TestNodeDedication(t *testing.T) {
	labels, taint := NodeDedication("shop")
	if labels["node-restriction.kubernetes.io/bulkhead-tenant"] != "shop" || len(labels) != 1 ||
		taint.ToString() != "bulkhead.dev/tenant=shop:NoSchedule" {
		t.Errorf("%v %v", labels, taint)
	}
}

// Promise: the table of kinds knows exactly what owners may create: in their Spaces' namespaces and in the home namespace.
func TestOwnersCreateWhatTheTableOfKindsSays(t *testing.T) {
	var got, want []string
	for _, r := range append(ownerRules(), homeRules()...) {
		for _, name := range r.Resources {
			if slices.Contains(r.Verbs, "create") && !strings.Contains(name, "/") {
				got = append(got, r.APIGroups[0]+"/"+name)
			}
		}
	}
	for _, k := range snapshot.Kinds() {
		if k.OwnersCreate {
			want = append(want, k.Group+"/"+k.Resource)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("owners may create\n%v, the table of kinds says\n%v", got, want)
	}
}
