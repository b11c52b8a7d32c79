package guardrail

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// Names of the objects in every Space's namespace.
const (
	// QuotaName is the ResourceQuota and LimitsName the LimitRange of a namespace that Bulkhead renders.
	QuotaName  = v1alpha1.QuotaName
	LimitsName = v1alpha1.LimitsName
	// OwnersName is the RoleBinding that gives the tenant's owners their rights.
	OwnersName = v1alpha1.OwnersName
	// NetworkDefaultName is the NetworkPolicy that denies by default.
	NetworkDefaultName = v1alpha1.NetworkDefaultName
	// NetworkFlowsName is the NetworkPolicy of the open flows of all pods. Flows of some pods only are in policies
	// whose names start with it.
	NetworkFlowsName = "bulkhead-flows"
)

// Space renders the objects of one Space in the order in which they must be written, and tells which of its flows stay
// closed. The RoleBinding is last: before it is written, the caller must see ResourceQuota.status.hard equal to
// spec.hard, because until then the quota does not bind, and an owner must never have rights without it.
//
// A decision other than Soft or SoftAffinity has no place in a shared cluster, and nothing is rendered for it.
func Space(input SpaceInput) ([]Object, []ClosedFlow) {
	in := &input
	if p := in.Decision.Pattern; p != tenancy.PatternSoft && p != tenancy.PatternSoftAffinity {
		return nil, nil
	}
	owners := spaceMeta(in, OwnersName)
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
	}
	level := restricted
	for _, w := range in.waivers() {
		labels[v1alpha1.WaiverPrefix+w.Control] = labelValue(w.Name)
		annotations[v1alpha1.WaiverPrefix+w.Control] = w.Expires.UTC().Format(time.RFC3339) // policies compare it with the clock
		if w.Control == ControlPodSecurity {
			level = baseline
		}
	}
	podSecurity(labels, level)
	return namespace(in.namespace(), labels, annotations)
}

// namespace is complete: the API server adds this finalizer to every namespace.
func namespace(name string, labels, annotations map[string]string) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
	}
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

// labelValue is the name itself where it can be a label's value, and else its start and a hash of the whole.
func labelValue(name string) string {
	const longest = 63 // of a label's value, as the API server validates it
	if len(name) <= longest {
		return name
	}
	return name[:longest-17] + "-" + shortHash(name, 16)
}

// shortHash is the first n hexadecimal digits of the SHA-256 of s. It tells names apart and protects nothing.
func shortHash(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:n]
}
