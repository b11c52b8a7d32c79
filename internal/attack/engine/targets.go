package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Targets reads, as the runner itself, the tenants to attack with: one by name, or all when name is empty. Each is aimed at the
// namespaces of the tenant against, or when that is empty at one namespace of the first tenant that shares no owner with it.
func (r *Runner) Targets(ctx context.Context, name, against string) ([]Target, error) {
	platform, err := r.Server.Platform(ctx)
	if err != nil {
		return nil, err
	}
	base := "/apis/" + v1alpha1.GroupVersion.String()
	var tenants v1alpha1.TenantList
	if err := r.Server.Read(ctx, base+"/tenants", &tenants); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("this cluster has no Tenants at all: Bulkhead is not installed there: see `bulkhead install --help`")
		}
		return nil, fmt.Errorf("list the Tenants: %w", err)
	}
	var spaces v1alpha1.SpaceList
	if err := r.Server.Read(ctx, base+"/spaces", &spaces); err != nil {
		return nil, fmt.Errorf("list the Spaces: %w", err)
	}
	slices.SortFunc(tenants.Items, func(a, b v1alpha1.Tenant) int { return strings.Compare(a.Name, b.Name) })
	for _, named := range []string{name, against} {
		if named != "" && tenantNamed(&tenants, named) == nil {
			return nil, fmt.Errorf("there is no Tenant %s: `kubectl get tenants` lists them", named)
		}
	}
	var targets []Target
	for i := range tenants.Items {
		tenant := &tenants.Items[i]
		if (name != "" && tenant.Name != name) || (name == "" && tenant.Name == against) {
			continue
		}
		foreign, err := foreignNamespaces(&tenants, &spaces, tenant, against)
		if err != nil {
			return nil, err
		}
		targets = append(targets, Target{Platform: platform, Tenant: tenant, Spaces: spacesOf(&spaces, tenant.Name), Foreign: foreign})
	}
	return targets, nil
}

func tenantNamed(tenants *v1alpha1.TenantList, name string) *v1alpha1.Tenant {
	i := slices.IndexFunc(tenants.Items, func(t v1alpha1.Tenant) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &tenants.Items[i]
}

// spacesOf a tenant that are enforced, sorted.
func spacesOf(all *v1alpha1.SpaceList, tenant string) []v1alpha1.Space {
	var own []v1alpha1.Space
	for i := range all.Items {
		if s := &all.Items[i]; s.Namespace == v1alpha1.HomeNamespace(tenant) && s.Status.Namespace != "" && s.DeletionTimestamp.IsZero() {
			own = append(own, *s)
		}
	}
	slices.SortFunc(own, func(a, b v1alpha1.Space) int { return strings.Compare(a.Name, b.Name) })
	return own
}

// foreignNamespaces are where the tenant must have no rights. Tenants with a common owner are no strangers.
func foreignNamespaces(tenants *v1alpha1.TenantList, spaces *v1alpha1.SpaceList, tenant *v1alpha1.Tenant, against string) ([]string, error) {
	if against != "" {
		other := tenantNamed(tenants, against)
		if owner := commonOwner(tenant, other); owner != "" {
			return nil, fmt.Errorf("tenants %s and %s are both owned by %s, who may work in both: choose another tenant with --against", tenant.Name, against, owner)
		}
		foreign := []string{v1alpha1.HomeNamespace(against)}
		for _, s := range spacesOf(spaces, against) {
			foreign = append(foreign, s.Status.Namespace)
		}
		return foreign, nil
	}
	fallback := metav1.NamespaceSystem
	for i := range tenants.Items {
		other := &tenants.Items[i]
		if other.Name == tenant.Name || commonOwner(tenant, other) != "" {
			continue
		}
		if own := spacesOf(spaces, other.Name); len(own) > 0 {
			return []string{own[0].Status.Namespace}, nil
		}
		fallback = v1alpha1.HomeNamespace(other.Name)
	}
	return []string{fallback}, nil
}

func commonOwner(a, b *v1alpha1.Tenant) string {
	for _, owner := range a.Spec.Owners {
		if slices.Contains(b.Spec.Owners, owner) {
			return strings.ToLower(owner.Kind) + " " + owner.Name
		}
	}
	return ""
}

// Unguarded makes a namespace as a cluster without Bulkhead would give it to a user: with Kubernetes' ClusterRole admin, and nothing
// else. It bears the mark of the run. The function removes it, and what earlier runs left of the kind.
func (r *Runner) Unguarded(ctx context.Context, platform *v1alpha1.Platform) (*Target, func(context.Context) error, error) {
	remove := func(ctx context.Context) error { return r.removeUnguarded(ctx) }
	if err := remove(ctx); err != nil {
		return nil, remove, err
	}
	name := v1alpha1.AttackPrefix + r.Run
	home, other := v1alpha1.HomeNamespace(name), name+"-other"
	owner := v1alpha1.Owner{Kind: "User", Name: v1alpha1.UserPrefix + "attack:" + r.Run}
	for _, object := range unguardedObjects(r.Run, owner.Name, name, home, other) {
		if err := r.makeOwn(ctx, object.path, object.body); err != nil {
			return nil, remove, err
		}
	}
	target := &Target{Platform: platform, Foreign: []string{other}}
	target.Tenant = &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TenantSpec{Owners: []v1alpha1.Owner{owner},
		Workloads: []v1alpha1.Workload{{Name: "unguarded"}}}}
	space := v1alpha1.Space{ObjectMeta: metav1.ObjectMeta{Name: "unguarded", Namespace: home}, Spec: v1alpha1.SpaceSpec{Workload: "unguarded"}}
	space.Status.Namespace = name
	target.Spaces = []v1alpha1.Space{space}
	return target, remove, nil
}

type made struct {
	path string
	body map[string]any
}

// unguardedObjects are two namespaces of tenants, one of them with a home, and the rights of a common administrator in his own.
func unguardedObjects(run, user string, name, home, other string) []made {
	metadata := func(name string) map[string]any {
		return map[string]any{"name": name, "labels": map[string]any{v1alpha1.LabelAttack: run}}
	}
	subjects := []any{map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}}
	binding := func(namespace, kind, role string) made {
		return made{"/apis/rbac.authorization.k8s.io/v1/namespaces/" + namespace + "/rolebindings", map[string]any{"metadata": metadata("unguarded"), "subjects": subjects,
			"roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}}}
	}
	var all []made
	for _, namespace := range []string{name, home, other} {
		all = append(all, made{"/api/v1/namespaces", map[string]any{"metadata": metadata(namespace)}})
	}
	// Enough to show that the user is known in his home, and no more.
	list := made{"/apis/rbac.authorization.k8s.io/v1/namespaces/" + home + "/roles", map[string]any{"metadata": metadata("unguarded"),
		"rules": []any{map[string]any{"apiGroups": []string{v1alpha1.GroupVersion.Group}, "resources": []string{"spaces"}, "verbs": []string{"list"}}}}}
	return append(all, binding(name, "ClusterRole", "admin"), list, binding(home, "Role", "unguarded"))
}

// makeOwn makes an object as the runner itself.
func (r *Runner) makeOwn(ctx context.Context, path string, body map[string]any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode an object for %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	if err := r.Server.Rest.Post().AbsPath(path).Param("fieldManager", v1alpha1.AttackName).Body(raw).Do(ctx).Error(); err != nil {
		return fmt.Errorf("make the unguarded namespace to compare with: %w", err)
	}
	return nil
}

// removeUnguarded removes every namespace that Unguarded made, in this run or an earlier one.
func (r *Runner) removeUnguarded(ctx context.Context) error {
	var list struct{ Items []map[string]any }
	if err := r.Server.Read(ctx, "/api/v1/namespaces", nil); err != nil {
		return fmt.Errorf("look for namespaces that a comparing run left: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	raw, err := RawOf(r.Server.Rest.Get().AbsPath("/api/v1/namespaces").Param("labelSelector", v1alpha1.LabelAttack).Do(ctx))
	if err != nil {
		return fmt.Errorf("look for namespaces that a comparing run left: %w", err)
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("decode the namespaces that a comparing run left: %w", err)
	}
	for _, namespace := range list.Items {
		m := MetadataOf(namespace)
		ours := strings.HasPrefix(m.GetName(), v1alpha1.AttackPrefix) || strings.HasPrefix(m.GetName(), v1alpha1.HomeNamespace(v1alpha1.AttackPrefix))
		if !ours || m.GetLabels()[v1alpha1.LabelManagedBy] != "" || m.GetDeletionTimestamp() != nil ||
			!slices.ContainsFunc(m.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool { return f.Manager == v1alpha1.AttackName }) {
			continue
		}
		body, err := json.Marshal(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: new(m.GetUID())}})
		if err != nil {
			return fmt.Errorf("encode the removal of %s: %w", m.GetName(), err)
		}
		if err := r.Server.Rest.Delete().AbsPath("/api/v1/namespaces/" + m.GetName()).Body(body).Do(ctx).Error(); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove the unguarded namespace %s: %w: delete it by hand", m.GetName(), err)
		}
	}
	return nil
}
