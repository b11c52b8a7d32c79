package observe

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	adminv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/internal/kubedefaults"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Kind is how to read the objects of a kind that proofs need.
type Kind struct {
	// Versions that are spelt alike, as far as proofs read them.
	Versions   []string
	Namespaced bool
	// Missing is the kind that proofs lack when one of these is not understood: a workload's is Pod.
	Missing string
	// Decode returns the object also where it has unknown fields, with an *UnknownFieldsError.
	Decode func(value map[string]any) (metav1.Object, error)
	// Put adds an object to the contents.
	Put func(c *Contents, object any)
	// Within: an object acts in its own namespace alone, whatever is in it.
	Within bool
	// SideBySide: API servers serve all of these versions, not the newest alone.
	SideBySide bool
	// FilesOnly: a cluster shows the same in another kind.
	FilesOnly bool
}

// Understands reports whether objects of a version can be read.
func (k *Kind) Understands(version string) bool { return slices.Contains(k.Versions, version) }

// Served reports whether every API server serves a version that is understood. Of a kind that has come to v1, older versions are
// removed in time, and those before v1 are off by default.
func (k *Kind) Served(version string) bool {
	return version == "v1" || k.SideBySide || !slices.Contains(k.Versions, "v1")
}

// pointer is *T with an API object's methods.
type pointer[T any] interface {
	*T
	metav1.Object
}

// kindOf is a kind whose objects go into a list of the snapshot as they are.
func kindOf[T any, P pointer[T]](name string, namespaced bool, list func(s *snapshot.Snapshot) *[]P, versions ...string) Kind {
	return Kind{Versions: versions, Namespaced: namespaced, Missing: name, Decode: decodeAs[T, P],
		Put: func(c *Contents, object any) {
			if typed, is := object.(P); is {
				to := list(&c.Snapshot)
				*to = append(*to, typed)
			}
		}}
}

// Kinds is every kind that proofs read, Bulkhead's own aside.
func Kinds() map[schema.GroupKind]Kind {
	table := map[schema.GroupKind]Kind{}
	add := func(group, name string, k Kind) { table[schema.GroupKind{Group: group, Kind: name}] = k }
	addNetworkKinds(add)
	addEndpointKinds(add)
	addGatewayKinds(add)
	addRightsKinds(add)
	addAdmissionKinds(add)
	addClusterKinds(add)
	addWorkloadKinds(add)
	for _, gk := range []schema.GroupKind{{Group: networkingv1.GroupName, Kind: "NetworkPolicy"}, {Group: rbacv1.GroupName, Kind: "Role"},
		{Group: rbacv1.GroupName, Kind: "RoleBinding"}, {Kind: "ServiceAccount"}} {
		k := table[gk]
		k.Within = true
		table[gk] = k
	}
	return table
}

// MissingOf is what is missing where one object of the kind is not understood.
func (k *Kind) MissingOf(namespace, why string) snapshot.Missing {
	if !k.Within {
		namespace = ""
	}
	return snapshot.Missing{Kind: k.Missing, Why: why, Namespace: namespace}
}

func addNetworkKinds(add func(group, name string, k Kind)) {
	const admin = "policy.networking.k8s.io"
	add(networkingv1.GroupName, "NetworkPolicy", kindOf("NetworkPolicy", true,
		func(s *snapshot.Snapshot) *[]*networkingv1.NetworkPolicy { return &s.NetworkPolicies }, "v1"))
	add(networkingv1.GroupName, "Ingress", kindOf("Ingress", true,
		func(s *snapshot.Snapshot) *[]*networkingv1.Ingress { return &s.Ingresses }, "v1"))
	add("", "Service", kindOf("Service", true,
		func(s *snapshot.Snapshot) *[]*corev1.Service { return &s.Services }, "v1"))
	add(admin, "AdminNetworkPolicy", kindOf("AdminNetworkPolicy", false,
		func(s *snapshot.Snapshot) *[]*adminv1alpha1.AdminNetworkPolicy { return &s.AdminNetworkPolicies }, "v1alpha1"))
	add(admin, "BaselineAdminNetworkPolicy", kindOf("BaselineAdminNetworkPolicy", false,
		func(s *snapshot.Snapshot) *[]*adminv1alpha1.BaselineAdminNetworkPolicy {
			return &s.BaselineAdminNetworkPolicies
		}, "v1alpha1"))
	add(admin, "ClusterNetworkPolicy", kindOf("ClusterNetworkPolicy", false,
		func(s *snapshot.Snapshot) *[]*adminv1alpha2.ClusterNetworkPolicy { return &s.ClusterNetworkPolicies }, "v1alpha2", "v1beta1"))
}

// wholeKind is a kind that is kept as it is, in versions that API servers serve side by side.
func wholeKind(name string, namespaced bool, list func(s *snapshot.Snapshot) *[]*unstructured.Unstructured, versions ...string) Kind {
	return Kind{Versions: versions, Namespaced: namespaced, SideBySide: true, Missing: name,
		Decode: func(value map[string]any) (metav1.Object, error) {
			return &unstructured.Unstructured{Object: value}, nil
		},
		Put: func(c *Contents, object any) {
			if o, is := object.(*unstructured.Unstructured); is {
				to := list(&c.Snapshot)
				*to = append(*to, o)
			}
		}}
}

// addGatewayKinds adds those of the Gateway API that lead requests for host names to Services. Whether one is valid is not looked at: what the
// API server refuses takes no host.
func addGatewayKinds(add func(group, name string, k Kind)) {
	routes := func(s *snapshot.Snapshot) *[]*unstructured.Unstructured { return &s.Routes }
	const group = "gateway.networking.k8s.io"
	add(group, "Gateway", wholeKind("Gateway", true, func(s *snapshot.Snapshot) *[]*unstructured.Unstructured { return &s.Gateways }, "v1", "v1beta1"))
	add(group, "HTTPRoute", wholeKind("HTTPRoute", true, routes, "v1", "v1beta1"))
	add(group, "GRPCRoute", wholeKind("GRPCRoute", true, routes, "v1", "v1alpha2"))
	add(group, "TLSRoute", wholeKind("TLSRoute", true, routes, "v1", "v1alpha3", "v1alpha2"))
}

func addRightsKinds(add func(group, name string, k Kind)) {
	add(rbacv1.GroupName, "Role", kindOf("Role", true,
		func(s *snapshot.Snapshot) *[]*rbacv1.Role { return &s.Roles }, "v1"))
	add(rbacv1.GroupName, "RoleBinding", kindOf("RoleBinding", true,
		func(s *snapshot.Snapshot) *[]*rbacv1.RoleBinding { return &s.RoleBindings }, "v1"))
	add(rbacv1.GroupName, "ClusterRole", kindOf("ClusterRole", false,
		func(s *snapshot.Snapshot) *[]*rbacv1.ClusterRole { return &s.ClusterRoles }, "v1"))
	add(rbacv1.GroupName, "ClusterRoleBinding", kindOf("ClusterRoleBinding", false,
		func(s *snapshot.Snapshot) *[]*rbacv1.ClusterRoleBinding { return &s.ClusterRoleBindings }, "v1"))
	add("apiregistration.k8s.io", "APIService", wholeKind("APIService", false,
		func(s *snapshot.Snapshot) *[]*unstructured.Unstructured { return &s.APIServices }, "v1"))
	add("", "ServiceAccount", kindOf("ServiceAccount", true,
		func(s *snapshot.Snapshot) *[]*corev1.ServiceAccount { return &s.ServiceAccounts }, "v1"))
}

func addAdmissionKinds(add func(group, name string, k Kind)) {
	const group = admissionv1.GroupName
	versions := []string{"v1", "v1beta1", "v1alpha1"}
	add(group, "ValidatingAdmissionPolicy", kindOf("ValidatingAdmissionPolicy", false,
		func(s *snapshot.Snapshot) *[]*admissionv1.ValidatingAdmissionPolicy { return &s.ValidatingPolicies }, versions...))
	add(group, "ValidatingAdmissionPolicyBinding", kindOf("ValidatingAdmissionPolicyBinding", false,
		func(s *snapshot.Snapshot) *[]*admissionv1.ValidatingAdmissionPolicyBinding {
			return &s.ValidatingBindings
		}, versions...))
	add(group, "MutatingAdmissionPolicy", kindOf("MutatingAdmissionPolicy", false,
		func(s *snapshot.Snapshot) *[]*admissionv1.MutatingAdmissionPolicy { return &s.MutatingPolicies }, versions...))
	add(group, "MutatingAdmissionPolicyBinding", kindOf("MutatingAdmissionPolicyBinding", false,
		func(s *snapshot.Snapshot) *[]*admissionv1.MutatingAdmissionPolicyBinding { return &s.MutatingBindings }, versions...))
	add(group, "ValidatingWebhookConfiguration", kindOf("ValidatingWebhookConfiguration", false,
		func(s *snapshot.Snapshot) *[]*admissionv1.ValidatingWebhookConfiguration {
			return &s.ValidatingWebhooks
		}, "v1"))
	add(group, "MutatingWebhookConfiguration", kindOf("MutatingWebhookConfiguration", false,
		func(s *snapshot.Snapshot) *[]*admissionv1.MutatingWebhookConfiguration { return &s.MutatingWebhooks }, "v1"))
}

func addClusterKinds(add func(group, name string, k Kind)) {
	add("", "Namespace", Kind{Versions: []string{"v1"}, Missing: "Namespace",
		Decode: decodeAs[corev1.Namespace], Put: func(c *Contents, object any) {
			if ns, is := object.(*corev1.Namespace); is {
				c.Namespaces = append(c.Namespaces, snapshot.NamespaceOf(ns))
			}
		}})
	add("", "Node", kindOf("Node", false, func(s *snapshot.Snapshot) *[]*corev1.Node { return &s.Nodes }, "v1"))
	add("", "ResourceQuota", kindOf("ResourceQuota", true,
		func(s *snapshot.Snapshot) *[]*corev1.ResourceQuota { return &s.ResourceQuotas }, "v1"))
	add("", "LimitRange", kindOf("LimitRange", true,
		func(s *snapshot.Snapshot) *[]*corev1.LimitRange { return &s.LimitRanges }, "v1"))
	add("", "PersistentVolume", kindOf("PersistentVolume", false,
		func(s *snapshot.Snapshot) *[]*corev1.PersistentVolume { return &s.PersistentVolumes }, "v1"))
	add(flowcontrolv1.GroupName, "FlowSchema", kindOf("FlowSchema", false,
		func(s *snapshot.Snapshot) *[]*flowcontrolv1.FlowSchema { return &s.FlowSchemas }, "v1", "v1beta3"))
	add(flowcontrolv1.GroupName, "PriorityLevelConfiguration", kindOf("PriorityLevelConfiguration", false,
		func(s *snapshot.Snapshot) *[]*flowcontrolv1.PriorityLevelConfiguration { return &s.PriorityLevels }, "v1", "v1beta3"))
	add(storagev1.GroupName, "StorageClass", kindOf("StorageClass", false,
		func(s *snapshot.Snapshot) *[]*storagev1.StorageClass { return &s.StorageClasses }, "v1"))
	add(schedulingv1.GroupName, "PriorityClass", kindOf("PriorityClass", false,
		func(s *snapshot.Snapshot) *[]*schedulingv1.PriorityClass { return &s.PriorityClasses }, "v1"))
	add(nodev1.GroupName, "RuntimeClass", kindOf("RuntimeClass", false,
		func(s *snapshot.Snapshot) *[]*nodev1.RuntimeClass { return &s.RuntimeClasses }, "v1"))
}

// Reduce returns of a built-in object in its Go type what Decode returns of its JSON. It changes the object.
func Reduce(object metav1.Object) (metav1.Object, error) {
	switch o := object.(type) {
	case *corev1.Pod:
		o.Status = corev1.PodStatus{Phase: o.Status.Phase, PodIP: o.Status.PodIP, PodIPs: o.Status.PodIPs}
		complete(o)
	case *discoveryv1.EndpointSlice:
		keepAddresses(o)
	case *appsv1.Deployment:
		return workloadOf("Deployment", &o.ObjectMeta, &o.Spec.Template)
	case *appsv1.StatefulSet:
		return workloadOf("StatefulSet", &o.ObjectMeta, &o.Spec.Template)
	case *appsv1.DaemonSet:
		return workloadOf("DaemonSet", &o.ObjectMeta, &o.Spec.Template)
	case *appsv1.ReplicaSet:
		return workloadOf("ReplicaSet", &o.ObjectMeta, &o.Spec.Template)
	case *corev1.ReplicationController:
		return workloadOf("ReplicationController", &o.ObjectMeta, o.Spec.Template)
	case *batchv1.Job:
		return workloadOf("Job", &o.ObjectMeta, &o.Spec.Template)
	case *batchv1.CronJob:
		return workloadOf("CronJob", &o.ObjectMeta, &o.Spec.JobTemplate.Spec.Template)
	default:
		kubedefaults.Set(object)
	}
	return object, nil
}

// decodeAs decodes strictly, with what the API server defaults.
func decodeAs[T any, P pointer[T]](value map[string]any) (metav1.Object, error) {
	object := P(new(T))
	err := strict(value, object)
	kubedefaults.Set(object)
	return object, err
}

// UnknownFieldsError names the unknown fields of an object.
type UnknownFieldsError struct{ Paths []string }

// Error names the fields.
func (e *UnknownFieldsError) Error() string { return "unknown fields " + strings.Join(e.Paths, ", ") }

// strict decodes value into typed. Unknown fields in metadata and status are no error: no way between tenants hides there.
func strict(value map[string]any, typed any) error {
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(value, typed, true)
	faults, isStrict := runtime.AsStrictDecodingError(err)
	if !isStrict {
		return err
	}
	var paths []string
	for _, fault := range faults.Errors() {
		path := strings.TrimSuffix(strings.TrimPrefix(fault.Error(), `unknown field "`), `"`)
		if !strings.HasPrefix(path, "metadata.") && path != "status" && !strings.HasPrefix(path, "status.") {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return &UnknownFieldsError{paths}
}
