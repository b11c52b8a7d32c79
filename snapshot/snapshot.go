// Package snapshot holds what the world looks like at one revision: an immutable value without a client. Proofs are
// functions of a Snapshot; two Snapshots of the same contents are equal, whatever order they were read in.
package snapshot

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Snapshot is one state of a cluster, or of a folder of manifests. Make it with New, or from another with With; both
// leave every slice sorted and free of duplicates. Nothing in it, nor in what it points to, is ever changed: a changed
// object is another pointer, and that is how a proof finds what changed.
type Snapshot struct {
	// Revision that was read: a resourceVersion, or a hash of the files.
	Revision string
	// Time at which it was read.
	Time time.Time

	// Tenants by name.
	Tenants []Tenant
	// Namespaces by name. One that an object lies in although nobody listed it is here too, as Implied.
	Namespaces []*Namespace
	// Pods by namespace and name, completed ones too.
	Pods []*Pod
	// NetworkPolicies by namespace and name.
	NetworkPolicies []*networkingv1.NetworkPolicy
	// AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy come here. Until a proof evaluates them,
	// a cluster that has some must list the kind in Missing: what nobody reads is not known.

	// Missing names the kinds that could not be listed or not be understood, by kind. A proof that needs one of them is
	// Unknown.
	Missing []Missing
}

// Tenant is a tenant with the namespaces that it owns.
type Tenant struct {
	Name string
	// Namespaces, sorted. A namespace belongs to one tenant at most.
	Namespaces []string
}

// Namespace is a namespace with its labels.
type Namespace struct {
	Name string
	// Labels always hold kubernetes.io/metadata.name, as the API server sees to.
	Labels Labels
	// Implied is true where an object names the namespace but nobody listed it: then its labels are not known.
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
	// Ports are its named container ports, sorted, of containers and init containers (sidecars).
	Ports []NamedPort
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

// Missing is a kind of object that a proof would need and does not have.
type Missing struct {
	// Kind, such as NetworkPolicy.
	Kind string
	// Why, such as "forbidden".
	Why string
}

// Workload returns the owner, or the pod as the owner of itself.
func (p *Pod) Workload() Owner {
	if p.Owner == (Owner{}) {
		return Owner{Kind: "Pod", Name: p.Name}
	}
	return p.Owner
}

// Completed says whether the pod has run to its end: it holds no address and opens no connection any more.
func (p *Pod) Completed() bool {
	return p.Phase == corev1.PodSucceeded || p.Phase == corev1.PodFailed
}
