// Package snapshot holds what the world looks like at one revision: an immutable value without a client. Proofs are
// functions of a Snapshot; two Snapshots of the same contents are equal, whatever order they were read in.
package snapshot

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	adminv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// Snapshot is one state of a cluster, or of a folder of manifests. Make it with New, which leaves
// every slice sorted and free of duplicates. Nothing in it, nor in what it points to, is ever changed.
type Snapshot struct {
	// Revision that was read: a resourceVersion, or a hash of the files.
	Revision string
	// Time at which it was read.
	Time time.Time

	// Offline is true for what was read from files. A folder of manifests leaves out what every API server makes for
	// itself, and what controllers fill in: proofs then add Kubernetes' own ClusterRoles and bindings where the files have
	// none of their names, and aggregate ClusterRoles themselves. Of a running cluster, what was read is all there is.
	Offline bool

	// Tenants by name.
	Tenants []Tenant
	// Namespaces by name. One that an object lies in although it was not listed is here too, as Implied.
	Namespaces []*Namespace
	// Pods by namespace and name, completed ones too.
	Pods []*Pod
	// NetworkPolicies by namespace and name.
	NetworkPolicies []*networkingv1.NetworkPolicy
	// The network policies of administrators, before and behind NetworkPolicies, by name. ClusterNetworkPolicies are of any
	// version that is spelt like v1alpha2, as v1beta1 is.
	AdminNetworkPolicies         []*adminv1alpha1.AdminNetworkPolicy
	BaselineAdminNetworkPolicies []*adminv1alpha1.BaselineAdminNetworkPolicy
	ClusterNetworkPolicies       []*adminv1alpha2.ClusterNetworkPolicy

	// Rights, by namespace and name.
	Roles               []*rbacv1.Role
	RoleBindings        []*rbacv1.RoleBinding
	ClusterRoles        []*rbacv1.ClusterRole
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
	ServiceAccounts     []*corev1.ServiceAccount
	// APIServices say who answers for a group of the API, by name.
	APIServices []*unstructured.Unstructured

	// Nodes by name.
	Nodes []*corev1.Node

	// Shares and limits, by namespace and name.
	ResourceQuotas []*corev1.ResourceQuota
	LimitRanges    []*corev1.LimitRange

	// Admission, by name.
	ValidatingPolicies []*admissionv1.ValidatingAdmissionPolicy
	ValidatingBindings []*admissionv1.ValidatingAdmissionPolicyBinding
	MutatingPolicies   []*admissionv1.MutatingAdmissionPolicy
	MutatingBindings   []*admissionv1.MutatingAdmissionPolicyBinding
	ValidatingWebhooks []*admissionv1.ValidatingWebhookConfiguration
	MutatingWebhooks   []*admissionv1.MutatingWebhookConfiguration
	// Parameters are the objects that admission policies' bindings refer to, by kind, namespace and name.
	Parameters []*unstructured.Unstructured

	// API Priority and Fairness, by name.
	FlowSchemas    []*flowcontrolv1.FlowSchema
	PriorityLevels []*flowcontrolv1.PriorityLevelConfiguration

	// What pods and claims may name, by name.
	StorageClasses    []*storagev1.StorageClass
	PersistentVolumes []*corev1.PersistentVolume
	PriorityClasses   []*schedulingv1.PriorityClass
	RuntimeClasses    []*nodev1.RuntimeClass

	// What is exposed, by namespace and name.
	Services  []*corev1.Service
	Ingresses []*networkingv1.Ingress
	// Gateways of the Gateway API, and Routes that take host names there: HTTPRoutes, GRPCRoutes and TLSRoutes, of any version.
	Gateways, Routes []*unstructured.Unstructured
	// Endpoints are where traffic of Services is sent to, by namespace, kind and name.
	Endpoints []*Endpoints

	// Flows between tenants that were declared by both and approved.
	Flows []Flow
	// Waivers in force or expired, by name.
	Waivers []Waiver

	// Missing names the kinds that could not be listed or not be understood, by kind. A proof that needs one of them is
	// Unknown.
	Missing []Missing
}

// Tenant is a tenant with the namespaces that it owns.
type Tenant struct {
	Name string
	// Namespaces, sorted. A namespace belongs to one tenant at most. The home namespace, in which a tenant of Bulkhead
	// declares its Spaces, is one of them.
	Namespaces []string
	// Owners are the users, groups and service accounts that have the tenant's rights. Nil means that none are declared,
	// as where tenants come from a namespace label.
	Owners []rbacv1.Subject
	// Quota is what the tenant may have as a whole; nil means that none is declared.
	Quota corev1.ResourceList
	// Nodes is the label that every node dedicated to the tenant bears, and only those; zero means that it has none.
	Nodes Label
}

// Flow is a connection between namespaces of two tenants that was declared and approved. What is reached beyond the
// flows exceeds.
type Flow struct {
	// From and To are namespaces.
	From, To string
	// FromPods and ToPods select pods by labels; nil means all.
	FromPods, ToPods map[string]string
	// Ports of the destination, with the meaning that they have in a NetworkPolicy. None means every port.
	Ports []networkingv1.NetworkPolicyPort
}

// Waiver is an exception to one control, in the namespaces of one workload, until it expires.
type Waiver struct {
	Name, Control, Tenant, Workload string
	// Namespaces in which the control is suspended.
	Namespaces       []string
	Reason, Approver string
	Expires          time.Time
}

// Namespace is a namespace with its labels.
type Namespace struct {
	Name string
	// Labels always hold kubernetes.io/metadata.name, as the API server sees to.
	Labels Labels
	// Annotations that admission policies may read.
	Annotations Labels
	// Implied is true where an object names the namespace but it was not listed: then its labels are not known.
	Implied bool
}

// Pod is what a proof needs of a pod, or of the pods that a workload would create.
type Pod struct {
	Namespace, Name string
	// Owner is the workload that stands for the pod in reports; zero is the pod itself.
	Owner  Owner
	Labels Labels
	// Node that it runs on; empty is not known (yet).
	Node string
	// IPs are its addresses, sorted; none is not known (yet).
	IPs         []netip.Addr
	HostNetwork bool
	Phase       corev1.PodPhase
	// Idle is true where it stands for a workload of a running cluster that has no pods: nothing of it runs, and what would
	// run has still to pass admission; but the workload is there to be changed.
	Idle bool
	// Ports are its named container ports, sorted, of containers and init containers (sidecars).
	Ports []NamedPort
	// Spec is the whole of it; nil is not known. Readers share one among pods whose specs are equal, as a cluster has few
	// that differ.
	Spec *corev1.PodSpec
	// Annotations that security checks read, such as those of AppArmor; others may be left out.
	Annotations Labels
}

// Owner is a workload in the pod's namespace.
type Owner struct {
	Kind, Name string
}

// NamedPort is a container port that has a name.
type NamedPort struct {
	Name     string
	Protocol corev1.Protocol
	Port     uint16
}

// Endpoints are the addresses of an EndpointSlice, or of Endpoints as they were before. A subject that may write them decides
// where the traffic of a Service goes.
type Endpoints struct {
	Kind, Namespace, Name string
	// Service whose traffic is sent there; empty if there is none.
	Service string
	// IPs, sorted; Hosts are names that stand for addresses.
	IPs   []netip.Addr
	Hosts []string
}

// Missing is a kind of object that a proof would need and does not have.
type Missing struct {
	// Kind, such as NetworkPolicy.
	Kind string
	// Why, such as "forbidden".
	Why string
	// Namespace of the one object that is missing, where it concerns no other; empty where it may concern all.
	Namespace string
}

// Workload returns the owner, or the pod as the owner of itself.
func (p *Pod) Workload() Owner {
	if p.Owner == (Owner{}) {
		return Owner{Kind: "Pod", Name: p.Name}
	}
	return p.Owner
}

// Completed reports whether the pod has run to its end, or has not begun: it holds no address and opens no connection.
func (p *Pod) Completed() bool {
	return p.Idle || p.Phase == corev1.PodSucceeded || p.Phase == corev1.PodFailed
}

// PodsIn returns the pods of a namespace.
func (s *Snapshot) PodsIn(namespace string) []*Pod {
	first, _ := slices.BinarySearchFunc(s.Pods, namespace, func(p *Pod, namespace string) int { return cmp.Compare(p.Namespace, namespace) })
	last := first
	for last < len(s.Pods) && s.Pods[last].Namespace == namespace {
		last++
	}
	return s.Pods[first:last:last]
}

// Namespace returns the namespace of a name; nil if it is not there.
func (s *Snapshot) Namespace(name string) *Namespace {
	i, found := slices.BinarySearchFunc(s.Namespaces, name, func(n *Namespace, name string) int { return cmp.Compare(n.Name, name) })
	if !found {
		return nil
	}
	return s.Namespaces[i]
}
