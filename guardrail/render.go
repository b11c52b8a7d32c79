// Package guardrail renders what must exist on a cluster for a Platform, a Tenant and a Space. It is pure: it reads
// values and returns values, and every object it returns is complete, with all that the API server would default
// written out, so that a live object is right exactly when it equals the rendered one (labels and annotations that
// others added aside).
package guardrail

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// Object is a rendered object with its TypeMeta set. It is the same set of methods as controller-runtime's
// client.Object, which this package does not import.
type Object interface {
	metav1.Object
	runtime.Object
}

// SpaceInput is everything that the objects of one Space depend on.
type SpaceInput struct {
	Platform *v1alpha1.Platform
	Tenant   *v1alpha1.Tenant
	Space    *v1alpha1.Space
	// Decision for the Space's workload; Soft or SoftAffinity.
	Decision tenancy.Outcome
	// Quota granted by the tenant's ledger: a Grant's Hard. Its keys are those of TenantQuota.
	Quota corev1.ResourceList
	// Peers are the Spaces, of this tenant and of others, that this Space's flows name or that name it, to see what
	// both sides declare. Spaces that are concerned in neither way do no harm.
	Peers []*v1alpha1.Space
	// Waivers in force for the Space's workload.
	Waivers []ActiveWaiver
}

// ActiveWaiver is a Waiver that is in force.
type ActiveWaiver struct {
	// Control that is suspended, by its id.
	Control string
	// Name of the Waiver.
	Name string
	// Expires is when it ends.
	Expires metav1.Time
}

// ClosedFlow is a flow that a Space declares and that is not opened, or only in part, with the reason in words.
type ClosedFlow struct {
	// Field is its path in the Space, such as spec.to[1].
	Field string
	// Why it stays closed, and what would open it.
	Why string
}

// Cluster renders the objects that exist once for the cluster, whatever tenants there are, in the order in which they
// must be written: the admission policies first, since they are what keeps the rest in place. Without a Platform (nil)
// nothing is on any allow-list.
func Cluster(p *v1alpha1.Platform) []Object {
	return append(append(Policies(p), tenantLevels()...),
		systemFlowSchema(),
		clusterRole(v1alpha1.RoleOwner, append(slices.Clone(ownerRules()), tenantResourceRules(p)...)),
		clusterRole(v1alpha1.RoleHome, homeRules()),
		clusterRole(RolePlatformAdmin, platformAdminRules()),
		clusterRole(RoleSecurity, securityRules()),
		clusterRole(RoleViewer, viewerRules()),
		clusterRole(RoleOffboarding, offboardingRules()),
	)
}

// Tenant renders the objects that exist once for a tenant, in the order in which they must be written: its home
// namespace with what bounds it, its share of the API server, and last the owners' rights in the home namespace.
// The namespaces of all its Spaces are given so that what runs there counts as the tenant when it calls the API server.
func Tenant(t *v1alpha1.Tenant, spaceNamespaces []string) []Object {
	home := v1alpha1.HomeNamespace(t.Name)
	owners := tenantMeta(home, v1alpha1.OwnersName, t.Name)
	list := append([]Object{homeNamespace(t), homeQuota(t), homeNetwork(t)},
		tenantFlowSchemas(t, append([]string{home}, slices.Sorted(slices.Values(spaceNamespaces))...))...)
	return append(list, roleBinding(&owners, v1alpha1.RoleHome, t.Spec.Owners))
}

func homeNamespace(t *v1alpha1.Tenant) *corev1.Namespace {
	labels := map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		v1alpha1.LabelTenant:    t.Name,
		v1alpha1.LabelRole:      v1alpha1.RoleHomeNamespace,
	}
	podSecurity(labels, restricted)
	annotations := map[string]string{v1alpha1.AnnotationProtected: strconv.FormatBool(t.Spec.Protected)}
	return namespace(v1alpha1.HomeNamespace(t.Name), labels, annotations)
}

// Space renders the objects of one Space in the order in which they must be written, and returns which of its flows stay
// closed. The RoleBinding is last: before it is written, the caller must see ResourceQuota.status.hard equal to
// spec.hard, because until then the quota does not bind, and an owner must never have rights without it.
//
// A decision other than Soft or SoftAffinity has no place in a shared cluster, and nothing is rendered for it.
func Space(input SpaceInput) ([]Object, []ClosedFlow) {
	in := &input
	if p := in.Decision.Pattern; p != tenancy.PatternSoft && p != tenancy.PatternSoftAffinity {
		return nil, nil
	}
	owners := spaceMeta(in, v1alpha1.OwnersName)
	policies, closed := networkPolicies(in)
	objects := append(make([]Object, 0, 8), spaceNamespace(in), resourceQuota(in), limitRange(in))
	objects = append(objects, policies...)
	return append(objects, roleBinding(&owners, v1alpha1.RoleOwner, in.Tenant.Spec.Owners)), closed
}

// spaceNamespace carries in its labels and annotations every fact that admission policies read about the Space.
func spaceNamespace(in *SpaceInput) *corev1.Namespace {
	labels := map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		v1alpha1.LabelTenant:    in.Tenant.Name,
		v1alpha1.LabelSpace:     in.Space.Name,
		v1alpha1.LabelPattern:   string(in.Decision.Pattern),
	}
	if in.Decision.Sandboxed && in.Decision.RuntimeClass != "" {
		labels[v1alpha1.LabelRuntimeClass] = in.Decision.RuntimeClass
	}
	if in.apiAccess() == tenancy.APIAccessOwnNamespaces {
		labels[v1alpha1.LabelToken] = v1alpha1.TokenAllowed
	}
	annotations := map[string]string{
		v1alpha1.AnnotationIngressHosts: strings.Join(slices.Sorted(slices.Values(in.Tenant.Spec.IngressHosts)), ","),
		v1alpha1.AnnotationResources:    strings.Join(slices.Sorted(slices.Values(namedResources(in.Tenant.Spec.Quota))), ","),
	}
	level := restricted
	for _, w := range in.waivers() {
		labels[v1alpha1.WaiverPrefix+w.Control] = labelValue(w.Name)
		annotations[v1alpha1.WaiverPrefix+w.Control] = w.Expires.UTC().Format(time.RFC3339) // policies compare it with the clock
		if w.Control == "pod-security" {
			level = baseline
		}
	}
	podSecurity(labels, level)
	return namespace(in.namespace(), labels, annotations)
}

// Allows is what objects in a Space's namespace may name, sorted by what it is, its values in the Platform's order. What nothing is allowed of is left
// out.
func Allows(p *v1alpha1.Platform, t *v1alpha1.Tenant, workload string, decided tenancy.Outcome) []v1alpha1.Allowance {
	in := &SpaceInput{Platform: p, Tenant: t, Space: &v1alpha1.Space{Spec: v1alpha1.SpaceSpec{Workload: workload}}, Decision: decided}
	var token, runtimes, resources []string
	if in.apiAccess() == tenancy.APIAccessOwnNamespaces {
		token = []string{string(tenancy.APIAccessOwnNamespaces)}
	}
	if decided.Sandboxed && decided.RuntimeClass != "" {
		runtimes = []string{decided.RuntimeClass}
	}
	for i := range p.Spec.TenantResources {
		r := &p.Spec.TenantResources[i]
		for _, name := range usable(r) {
			resources = append(resources, name+"."+r.Group)
		}
	}
	list := []v1alpha1.Allowance{
		{What: "annotations", Values: p.Spec.Annotations}, {What: "apiAccess", Values: token}, {What: "externalNames", Values: p.Spec.ExternalNames},
		{What: "finalizers", Values: p.Spec.Finalizers}, {What: "ingressClasses", Values: p.Spec.IngressClasses}, {What: "ingressHosts", Values: t.Spec.IngressHosts},
		{What: "labels", Values: p.Spec.Labels}, {What: "loadBalancerClasses", Values: p.Spec.LoadBalancerClasses}, {What: "priorityClasses", Values: p.Spec.PriorityClasses},
		{What: "registries", Values: p.Spec.Registries}, {What: "runtimeClass", Values: runtimes}, {What: "schedulerNames", Values: p.Spec.SchedulerNames},
		{What: "storageClasses", Values: p.Spec.StorageClasses}, {What: "tenantResources", Values: resources}, {What: "tolerations", Values: tolerationNames(p.Spec.Tolerations)},
		{What: "volumeAttributesClasses", Values: p.Spec.VolumeAttributesClasses},
	}
	return slices.DeleteFunc(list, func(a v1alpha1.Allowance) bool { return len(a.Values) == 0 })
}

// namespace is complete: the API server adds this finalizer to every namespace.
func namespace(name string, labels, annotations map[string]string) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
	}
}

// namespace that the Space becomes.
func (in *SpaceInput) namespace() string {
	return v1alpha1.SpaceNamespace(in.Tenant.Name, in.Space.Name)
}

// apiAccess of the Space's workload; empty when the tenant does not declare the workload.
func (in *SpaceInput) apiAccess() v1alpha1.APIAccess {
	for i := range in.Tenant.Spec.Workloads {
		if w := &in.Tenant.Spec.Workloads[i]; w.Name == in.Space.Spec.Workload {
			return w.APIAccess
		}
	}
	return ""
}

// waivers that count: of controls that may be waived, and of each control the one that lasts longest.
func (in *SpaceInput) waivers() []ActiveWaiver {
	list := slices.Clone(in.Waivers)
	slices.SortFunc(list, func(a, b ActiveWaiver) int {
		if c := strings.Compare(a.Control, b.Control); c != 0 {
			return c
		}
		if c := b.Expires.Compare(a.Expires.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	list = slices.CompactFunc(list, func(a, b ActiveWaiver) bool { return a.Control == b.Control })
	return slices.DeleteFunc(list, func(w ActiveWaiver) bool { return !waivable(w.Control) })
}

// clusterMeta is the metadata of an object that exists once for the whole cluster.
func clusterMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}}
}

// tenantMeta is the metadata of an object that exists for one tenant; namespace is empty for a cluster-scoped one.
func tenantMeta(namespace, name, tenant string) metav1.ObjectMeta {
	m := clusterMeta(name)
	m.Namespace = namespace
	m.Labels[v1alpha1.LabelTenant] = tenant
	return m
}

// spaceMeta is the metadata of a namespaced object that exists for one Space.
func spaceMeta(in *SpaceInput, name string) metav1.ObjectMeta {
	m := tenantMeta(in.namespace(), name, in.Tenant.Name)
	m.Labels[v1alpha1.LabelSpace] = in.Space.Name
	return m
}

// labelValue is the name itself where it can be a label's value, and else its start and a hash of the whole.
func labelValue(name string) string {
	const longest = 63 // of a label's value, as the API server validates it
	if len(name) <= longest {
		return name
	}
	return name[:longest-17] + "-" + shortHash(name, 16)
}

// shortHash is the first n hexadecimal digits of the SHA-256 of s. It distinguishes names and protects nothing.
func shortHash(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:n]
}
