package observe

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/placement"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// TenantSource names who the tenants are. The zero value means Bulkhead's own Tenants.
type TenantSource struct {
	// Key is the namespace label that holds the tenant's name.
	Key string
	// Declared are the tenants, whatever labels and objects say.
	Declared []snapshot.Tenant
}

// bulkheads reports whether Bulkhead's own objects name the tenants.
func (t TenantSource) bulkheads() bool { return t.Key == "" && len(t.Declared) == 0 }

// tenantsFile is the form of a file that names tenants: each with its namespaces and, if known, its owners.
type tenantsFile map[string]struct {
	Namespaces []string         `json:"namespaces"`
	Owners     []rbacv1.Subject `json:"owners,omitempty"`
}

var errNoTenants = errors.New("it names no tenant: want NAME: {namespaces: [...]} for each")

// ReadTenants reads a file that says which namespaces, and which owners, each tenant has.
func ReadTenants(path string) ([]snapshot.Tenant, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the tenants: %w", err)
	}
	var file tenantsFile
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		return nil, fmt.Errorf("read the tenants in %s: want NAME: {namespaces: [...], owners: [{kind, name}]} for each: %w", path, err)
	}
	if len(file) == 0 {
		return nil, fmt.Errorf("read the tenants in %s: %w", path, errNoTenants)
	}
	var tenants []snapshot.Tenant
	for _, name := range slices.Sorted(maps.Keys(file)) {
		owners := file[name].Owners
		for i := range owners {
			if owners[i].Kind != rbacv1.ServiceAccountKind {
				owners[i].APIGroup = cmp.Or(owners[i].APIGroup, rbacv1.GroupName)
			}
		}
		tenants = append(tenants, snapshot.Tenant{Name: name, Namespaces: file[name].Namespaces, Owners: owners})
	}
	return tenants, nil
}

// nameTenants names which namespaces belong to whom.
func (c *Contents) nameTenants(source TenantSource) {
	switch {
	case len(source.Declared) > 0:
		c.Tenants = source.Declared
		c.missDeclared()
	case source.Key != "":
		c.Tenants = c.labelled(source.Key, nil)
	default:
		c.Tenants = c.bulkheadTenants()
	}
}

// missDeclared notes the namespaces of tenants that were not found: nothing can be said of them.
func (c *Contents) missDeclared() {
	known := make(map[string]bool, len(c.Namespaces))
	for _, ns := range c.Namespaces {
		known[ns.Name] = true
	}
	for _, t := range c.Tenants {
		for _, ns := range t.Namespaces {
			if !known[ns] {
				c.Missing = append(c.Missing, snapshot.Missing{Kind: "Namespace", Why: fmt.Sprintf("tenant %s is said to have namespace %s, which was not found", t.Name, ns)})
			}
		}
	}
}

// labelled are the tenants that a namespace label names, in addition to those that are known already.
func (c *Contents) labelled(key string, known map[string]*snapshot.Tenant) []snapshot.Tenant {
	tenants := known
	if tenants == nil {
		tenants = map[string]*snapshot.Tenant{}
	}
	for _, ns := range c.Namespaces {
		name, has := ns.Labels.Get(key)
		if key == corev1.LabelMetadataName { // the API server sets it, and files leave it out
			name, has = ns.Name, true
		}
		if owner := ownerByName(ns.Name, known); owner != "" {
			name, has = owner, true
		}
		if !has || name == "" {
			continue
		}
		if tenants[name] == nil {
			tenants[name] = &snapshot.Tenant{Name: name}
		}
		tenants[name].Namespaces = append(tenants[name].Namespaces, ns.Name)
	}
	list := make([]snapshot.Tenant, 0, len(tenants))
	for _, name := range slices.Sorted(maps.Keys(tenants)) {
		list = append(list, *tenants[name])
	}
	return list
}

// ownerByName is the tenant of Bulkhead's to whom a namespace belongs by its name, whatever its labels say: the names of
// home namespaces and of Spaces' namespaces are the tenant's alone.
func ownerByName(namespace string, tenants map[string]*snapshot.Tenant) string {
	name, isHome := v1alpha1.TenantOfHome(namespace)
	if !isHome {
		name, _, _ = strings.Cut(namespace, "--")
	}
	if name != namespace && tenants[name] != nil {
		return name
	}
	return ""
}

// bulkheadTenants are Bulkhead's Tenants with their namespaces. A namespace that bears the label of a Tenant that is gone
// still is a tenant's.
func (c *Contents) bulkheadTenants() []snapshot.Tenant {
	tenants := make(map[string]*snapshot.Tenant, len(c.tenants))
	for _, t := range c.tenants {
		tenant := &snapshot.Tenant{Name: t.Name, Quota: guardrail.TenantQuota(c.platform, t), Owners: []rbacv1.Subject{}}
		for _, o := range t.Spec.Owners {
			subject := rbacv1.Subject{Kind: o.Kind, Name: o.Name, Namespace: o.Namespace}
			if o.Kind != rbacv1.ServiceAccountKind {
				subject.APIGroup = rbacv1.GroupName
			}
			tenant.Owners = append(tenant.Owners, subject)
		}
		if c.hasOwnNodes(t) {
			tenant.Nodes = snapshot.Label{Key: v1alpha1.LabelNodeTenant, Value: t.Name}
		}
		tenants[t.Name] = tenant
	}
	return c.labelled(v1alpha1.LabelTenant, tenants)
}

// hasOwnNodes reports whether a workload of the tenant is to run on nodes of its own. On a cluster one that still waits for them
// has no namespace, and so nothing that could run elsewhere.
func (c *Contents) hasOwnNodes(t *v1alpha1.Tenant) bool {
	if t.Status.NodeGroup != "" || c.platform == nil {
		return t.Status.NodeGroup != ""
	}
	for i := range t.Spec.Workloads {
		w := &t.Spec.Workloads[i]
		placed, err := placement.Of(c.platform, t, w)
		if err != nil || placed.Decision.Outcome.Pattern != tenancy.PatternSoftAffinity {
			continue
		}
		if c.Offline || slices.ContainsFunc(c.spaces, func(s *v1alpha1.Space) bool {
			return s.Namespace == v1alpha1.HomeNamespace(t.Name) && s.Spec.Workload == w.Name && s.Status.Namespace != ""
		}) {
			return true
		}
	}
	return false
}
