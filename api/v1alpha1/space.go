package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Space is a tenant's wish for a namespace. Its owner writes it into the tenant's home namespace, alone.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=sp,categories=bulkhead
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.status.namespace`
// +kubebuilder:printcolumn:name="Workload",type=string,JSONPath=`.spec.workload`
// +kubebuilder:printcolumn:name="Pattern",type=string,JSONPath=`.status.pattern`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]+(-[a-z0-9]+)*$') && size(self.metadata.name) <= 32",message="a space's name has at most 32 lower-case letters, digits and single hyphens, and neither starts nor ends with a hyphen"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.to) || self.spec.to.all(f, !has(f.space) || has(f.tenant) || f.space != self.metadata.name)",message="spec.to names the Space itself: what its own pods may do among themselves is spec.internal"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.from) || self.spec.from.all(f, !has(f.space) || has(f.tenant) || f.space != self.metadata.name)",message="spec.from names the Space itself: what its own pods may do among themselves is spec.internal"
type Space struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec SpaceSpec `json:"spec"`
	// +kubebuilder:default={conditions: {{type: "Ready", status: "Unknown", reason: "Pending", message: "waiting for Bulkhead's controller", lastTransitionTime: "1970-01-01T00:00:00Z"}}}
	Status SpaceStatus `json:"status,omitempty"`
}

// SpaceSpec is what the owner asks for.
type SpaceSpec struct {
	// Workload of the tenant that runs in this Space: its decision applies. It cannot be changed: make another Space.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Space's workload cannot be changed: create another Space and move"
	Workload Label `json:"workload"`

	// Quota is the share of the tenant's quota that this Space wants. Resources that are not named get an even part of
	// what the other Spaces leave.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 253 && k.matches('^((requests|limits)[.](cpu|memory|ephemeral-storage)|requests[.]storage|requests[.]hugepages-[1-9][0-9]*[KMGT]i|requests[.][a-z0-9][-a-z0-9.]*/[a-zA-Z0-9][-a-zA-Z0-9._]*|pods|configmaps|secrets|persistentvolumeclaims|replicationcontrollers|services|services[.](loadbalancers|nodeports)|count/[a-z][-a-z0-9]*([.][a-z0-9][-a-z0-9.]*)?|[a-z0-9][-a-z0-9.]*[.](storageclass[.]storage[.]k8s[.]io/(requests[.]storage|persistentvolumeclaims)|deviceclass[.]resource[.]k8s[.]io/devices))$'))",message="a key is not one that a ResourceQuota counts by: write for example requests.cpu, requests.memory, limits.memory, requests.storage, pods, services.loadbalancers or count/jobs.batch"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int ? self[k] >= 0 : !self[k].startsWith('-'))",message="an amount is negative: the least is 0"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int || k.endsWith('.cpu') || !(self[k].endsWith('m') || self[k].endsWith('u') || self[k].endsWith('n')))",message="only CPU comes in thousandths: 100m of memory is a tenth of a byte; write 100Mi for mebibytes"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int || size(self[k]) <= 16)",message="an amount has at most 16 characters, such as 16Gi: what exceeds every cluster is no limit"
	// +kubebuilder:validation:XValidation:rule="!('services.nodeports' in self) || self['services.nodeports'] == 0 || self['services.nodeports'] == '0'",message="services.nodeports is always 0: a node port is open on every node, and tenants share nodes"
	Quota corev1.ResourceList `json:"quota,omitempty"`

	// Internal is whether pods of this Space reach each other: Open, or Closed, where the owner's own
	// NetworkPolicies open what is needed.
	// +optional
	// +kubebuilder:default=Open
	// +kubebuilder:validation:Enum=Open;Closed
	Internal string `json:"internal,omitempty"`

	// To lists what pods of this Space may open connections to, beyond DNS.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	To []Flow `json:"to,omitempty"`

	// From lists who may open connections to pods of this Space. A flow between two Spaces of one tenant needs only
	// the To of its source; from another tenant both sides must declare it and the Platform must allow it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	From []Flow `json:"from,omitempty"`
}

// Flow names one peer, and optionally the ports and the pods concerned.
//
// +kubebuilder:validation:XValidation:rule="(has(self.space) ? 1 : 0) + (has(self.service) ? 1 : 0) + (has(self.cidr) ? 1 : 0) == 1",message="a flow names exactly one of space, service and cidr"
// +kubebuilder:validation:XValidation:rule="!has(self.tenant) || has(self.space)",message="tenant needs space: a flow to another tenant names one of its Spaces"
type Flow struct {
	// Tenant of the peer Space; empty means one's own.
	// +optional
	Tenant TenantName `json:"tenant,omitempty"`
	// Space that is the peer.
	// +optional
	Space SpaceName `json:"space,omitempty"`
	// Service of the platform that is the peer, by its name in the Platform.
	// +optional
	Service Label `json:"service,omitempty"`
	// CIDR outside the cluster that is the peer; it must lie within the Platform's externalCIDRs.
	// +optional
	CIDR CIDR `json:"cidr,omitempty"`
	// Ports of the destination. Empty means every port.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Ports []FlowPort `json:"ports,omitempty"`
	// Pods of this Space that the flow is for, by labels. Empty means all.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="a label's key is a name of at most 63 letters, digits, hyphens, dots and underscores, with an optional DNS prefix such as example.com/"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 63)",message="a label's value has at most 63 characters"
	Pods map[string]string `json:"pods,omitempty"`
}

// FlowPort is a port or a range of ports.
//
// +kubebuilder:validation:XValidation:rule="type(self.port) == int ? self.port >= 1 && self.port <= 65535 : size(self.port) <= 15 && self.port.matches('^[a-z0-9]+(-[a-z0-9]+)*$') && self.port.matches('[a-z]')",message="port is a number from 1 to 65535, or the name of a container port: at most 15 lower-case letters, digits and single hyphens, not only digits"
// +kubebuilder:validation:XValidation:rule="!has(self.endPort) || (type(self.port) == int && self.endPort >= self.port)",message="endPort ends a range: it needs a numeric port, and is not smaller than it"
type FlowPort struct {
	// Protocol: TCP, UDP or SCTP.
	// +optional
	// +kubebuilder:default=TCP
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	Protocol corev1.Protocol `json:"protocol,omitempty"`
	// Port by number, or by the name of a container port.
	// +required
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=15
	Port intstr.IntOrString `json:"port"`
	// EndPort of a range that starts at a numeric port.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	EndPort *int32 `json:"endPort,omitempty"`
}

// SpaceStatus is Bulkhead's answer.
type SpaceStatus struct {
	// Conditions: Decided, Placed, Enforced, Proven, Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Namespace that the Space became; empty while it waits.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Revision identifies what is enforced in the namespace: a hash of every object rendered for it but the quota.
	// +optional
	Revision string `json:"revision,omitempty"`
	// Pattern decided for its workload.
	// +optional
	Pattern Pattern `json:"pattern,omitempty"`
	// Quota granted now.
	// +optional
	Quota corev1.ResourceList `json:"quota,omitempty"`
	// Allows is what objects in the Space's namespace may name, by the field of the Platform or Tenant that lists it: registries, storageClasses,
	// ingressHosts and so on. What is not here may not be named. `bulkhead guide` reads it to owners.
	// +optional
	// +listType=map
	// +listMapKey=what
	Allows []Allowance `json:"allows,omitempty"`
	// ClosedFlows are the flows declared here that are not open.
	// +optional
	// +listType=atomic
	ClosedFlows []ClosedFlow `json:"closedFlows,omitempty"`
	// Waived are the controls that Waivers suspend in this Space now.
	// +optional
	// +listType=atomic
	Waived []WaivedControl `json:"waived,omitempty"`
	// Remaining names what still exists while the Space is being removed.
	// +optional
	// +listType=atomic
	Remaining []string `json:"remaining,omitempty"`
}

// Allowance is a list of names that a tenant's objects may use.
type Allowance struct {
	// What the names are of, such as registries.
	What string `json:"what"`
	// Values that are allowed, in the Platform's order.
	// +listType=atomic
	Values []string `json:"values"`
}

// ClosedFlow is a declared flow that is not open.
type ClosedFlow struct {
	// Field that declares it, such as spec.to[0].
	Field string `json:"field"`
	// Why it is not open.
	Why string `json:"why"`
}

// String is "field: why".
func (f ClosedFlow) String() string { return f.Field + ": " + f.Why }

// WaivedControl is a control that a Waiver suspends.
type WaivedControl struct {
	// Control by its id.
	Control string `json:"control"`
	// Waiver by name.
	Waiver string `json:"waiver"`
}

// String is "control/waiver".
func (w WaivedControl) String() string { return w.Control + "/" + w.Waiver }

// SpaceList is a list of Spaces.
//
// +kubebuilder:object:root=true
type SpaceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Space `json:"items"`
}
