package clustergen

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

const (
	accountsPerTenant = 10
	clusterRoles      = 100
)

// RightsOptions of a cluster of which only rights matter.
type RightsOptions struct {
	Tenants int
	// Mistakes is the share of tenants with a deliberate mistake, from 0 to 1.
	Mistakes float64
	Seed     uint64
}

// Rights are a cluster's rights with the mistakes that were made in them.
type Rights struct {
	Snapshot *snapshot.Snapshot
	Mistakes []WrongRight
}

// WrongRight is a right that was granted by mistake.
type WrongRight struct {
	Tenant, What string
	// Kind, Namespace and Name of the object that does it.
	Kind, Namespace, Name string
}

// GenerateRights makes the rights of a cluster: tenants of one to three namespaces with a declared owner group, three Roles,
// five bindings and ten service accounts of their own, and a platform with cluster-wide roles and service accounts.
func GenerateRights(o RightsOptions) (*Rights, error) {
	g := &rightsGenerator{RightsOptions: o, Rand: rand.New(rand.NewPCG(o.Seed, 2))} //nolint:gosec // the same seed gives the same cluster
	g.contents.Revision, g.contents.Time = fmt.Sprintf("generated-rights-%d-%d", o.Tenants, o.Seed), time.Unix(1_700_000_000, 0)
	g.platform()
	for t := range o.Tenants {
		g.tenant(fmt.Sprintf("tenant-%05d", t))
	}
	s, err := snapshot.New(g.contents)
	if err != nil {
		return nil, err
	}
	return &Rights{Snapshot: s, Mistakes: g.mistakes}, nil
}

type rightsGenerator struct {
	RightsOptions
	*rand.Rand
	contents snapshot.Snapshot
	mistakes []WrongRight
}

// rights is a rule of the core group unless resources say otherwise, as group/resource.
func rights(verbs string, resources ...string) rbacv1.PolicyRule {
	r := rbacv1.PolicyRule{Verbs: strings.Split(verbs, ",")}
	group := ""
	for _, resource := range resources {
		if before, after, found := strings.Cut(resource, ":"); found {
			group, resource = before, after
		}
		r.Resources = append(r.Resources, resource)
	}
	r.APIGroups = []string{group}
	return r
}

const readVerbs, allVerbs = "get,list,watch", "get,list,watch,create,update,patch,delete"

// developer is what a tenant's people may do at home.
func developer() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rights(allVerbs, "pods", "services", "configmaps", "secrets", "serviceaccounts", "persistentvolumeclaims"),
		rights(allVerbs, "apps:deployments", "statefulsets"), rights(allVerbs, "batch:jobs", "cronjobs"),
		rights("create", "pods/exec", "pods/portforward", "serviceaccounts/token"), rights("get", "pods/log"),
		rights(allVerbs, "networking.k8s.io:ingresses"), rights(allVerbs, "rbac.authorization.k8s.io:roles", "rolebindings"),
	}
}

func (g *rightsGenerator) clusterRole(name string, rules ...rbacv1.PolicyRule) {
	g.contents.ClusterRoles = append(g.contents.ClusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules})
}

func (g *rightsGenerator) role(namespace, name string, rules ...rbacv1.PolicyRule) {
	g.contents.Roles = append(g.contents.Roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules})
}

func (g *rightsGenerator) bind(namespace, name, kind, role string, subjects ...rbacv1.Subject) {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}
	if namespace == "" {
		g.contents.ClusterRoleBindings = append(g.contents.ClusterRoleBindings,
			&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref, Subjects: subjects})
		return
	}
	g.contents.RoleBindings = append(g.contents.RoleBindings,
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: ref, Subjects: subjects})
}

func account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}
}

func (g *rightsGenerator) serviceAccount(namespace, name string) {
	g.contents.ServiceAccounts = append(g.contents.ServiceAccounts, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
}

// platform has cluster-wide roles for its operators, of which tenants may have some in their namespaces.
func (g *rightsGenerator) platform() {
	g.contents.Namespaces = append(g.contents.Namespaces, &snapshot.Namespace{Name: "kube-system"}, &snapshot.Namespace{Name: "operators"})
	g.clusterRole("cluster-admin", rights("*", "*:*"))
	g.clusterRole("developer", developer()...)
	g.clusterRole("viewer", rights(readVerbs, "pods", "services", "configmaps"), rights(readVerbs, "apps:deployments"))
	g.clusterRole("about-oneself", rights("create", "authorization.k8s.io:selfsubjectaccessreviews"))
	g.bind("", "about-oneself", "ClusterRole", "about-oneself", group("system:authenticated"))
	g.bind("", "admins", "ClusterRole", "cluster-admin", group("platform-admins"))
	for i := range clusterRoles - 4 {
		name := fmt.Sprintf("operator-%02d", i)
		g.clusterRole(name, rights(readVerbs, "pods", "nodes", "namespaces"), rights(allVerbs, "configmaps", "secrets"), rights("*", fmt.Sprintf("group-%d.example.com:*", i)))
		g.serviceAccount("operators", name)
		g.bind("", name, "ClusterRole", name, account("operators", name))
	}
}

func (g *rightsGenerator) tenant(name string) {
	t := snapshot.Tenant{Name: name, Owners: []rbacv1.Subject{group(name)}}
	for i := range 1 + g.IntN(3) {
		ns := fmt.Sprintf("%s-%s", name, []string{"web", "data", "jobs"}[i]) //nolint:gosec // three at most
		t.Namespaces = append(t.Namespaces, ns)
		g.contents.Namespaces = append(g.contents.Namespaces, &snapshot.Namespace{Name: ns, Labels: snapshot.LabelsOf(map[string]string{TenantLabel: name})})
	}
	g.contents.Tenants = append(g.contents.Tenants, t)
	for i := range accountsPerTenant {
		g.serviceAccount(t.Namespaces[i%len(t.Namespaces)], fmt.Sprintf("app-%d", i))
	}
	home := t.Namespaces[0]
	g.role(home, "deployer", rights(allVerbs, "apps:deployments"), rights(readVerbs, "pods"))
	g.role(home, "config-reader", rights("get,watch", "configmaps"))
	g.role(home, "leader", rights(allVerbs, "coordination.k8s.io:leases"), rights("create,patch", "events"))
	g.bind(home, "deployer", "Role", "deployer", account(home, "app-0"))
	g.bind(home, "config-reader", "Role", "config-reader", group("system:serviceaccounts:"+home))
	g.bind(home, "leader", "Role", "leader", account(home, "app-0"), account(home, "later"))
	last := t.Namespaces[len(t.Namespaces)-1]
	for _, role := range []string{"developer", "viewer"} {
		g.bind(last, role, "ClusterRole", role, group(name), account(home, "app-0"))
	}
	if g.Float64() < g.Mistakes && len(g.contents.Tenants) > 1 {
		g.mistake(&t)
	}
}

// mistake grants a tenant too much, in one of the ways that are found in the wild.
func (g *rightsGenerator) mistake(t *snapshot.Tenant) {
	home := t.Namespaces[0]
	other := g.contents.Tenants[g.IntN(len(g.contents.Tenants)-1)].Namespaces[0]
	everywhere, there, here := [2]string{"", "ClusterRoleBinding"}, [2]string{other, "RoleBinding"}, [2]string{home, "Role"}
	mistakes := []struct {
		what string
		at   [2]string
		role []rbacv1.PolicyRule
		to   rbacv1.Subject
	}{
		{"cluster-admin for a service account", everywhere, []rbacv1.PolicyRule{rights("*", "*:*")}, account(home, "app-0")},
		{"secrets everywhere", everywhere, []rbacv1.PolicyRule{rights("list", "secrets")}, account(home, "app-1")},
		{"list of namespaces", everywhere, []rbacv1.PolicyRule{rights("list,watch", "namespaces")}, account(home, "app-0")},
		{"another tenant's namespace", there, developer(), group(t.Name)},
		{"a group of service accounts in another's namespace", there, []rbacv1.PolicyRule{rights("get", "secrets")}, group("system:serviceaccounts:" + home)},
		{"impersonation", everywhere, []rbacv1.PolicyRule{rights("impersonate", "users", "groups")}, group(t.Name)},
		{"bind at home", here, []rbacv1.PolicyRule{rights("bind", "rbac.authorization.k8s.io:clusterroles"), rights("create", "rbac.authorization.k8s.io:rolebindings")}, group(t.Name)},
		{"pod status at home", here, []rbacv1.PolicyRule{rights("patch", "pods/status")}, account(home, "app-0")},
		{"webhooks", everywhere, []rbacv1.PolicyRule{rights("create,patch", "admissionregistration.k8s.io:mutatingwebhookconfigurations")}, account(home, "app-0")},
		{"kubelets", everywhere, []rbacv1.PolicyRule{rights("get", "nodes/proxy")}, account(home, "app-2")},
	}
	m := mistakes[g.IntN(len(mistakes))]
	name := "mistake-" + t.Name
	wrong := WrongRight{Tenant: t.Name, What: m.what, Kind: m.at[1], Namespace: m.at[0], Name: name}
	if m.at == everywhere {
		g.clusterRole(name, m.role...)
		g.bind("", name, "ClusterRole", name, m.to)
	} else {
		g.role(m.at[0], name, m.role...)
		g.bind(m.at[0], name, "Role", name, m.to)
	}
	g.mistakes = append(g.mistakes, wrong)
}
