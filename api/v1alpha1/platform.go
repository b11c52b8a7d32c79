package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Platform is the organisation-wide policy of this cluster. There is one, named "platform".
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=bulkhead
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environment`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'platform'",message="there is one Platform on a cluster, and its name is platform"
type Platform struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec PlatformSpec `json:"spec"`
	// +kubebuilder:default={conditions: {{type: "Ready", status: "Unknown", reason: "Pending", message: "waiting for Bulkhead's controller", lastTransitionTime: "1970-01-01T00:00:00Z"}}}
	Status PlatformStatus `json:"status,omitempty"`
}

// PlatformSpec is what the platform team allows. Every list is an allow-list: what is not on it is refused.
type PlatformSpec struct {
	// Environment that this cluster serves. Production and NonProduction never share a cluster: a workload of the other
	// environment is decided, and waits for a cluster of its own environment.
	// +required
	Environment Environment `json:"environment"`

	// Registries that images may come from (control images): a host with an optional path, such as
	// registry.example.com/team. An image is allowed when it starts with one of them and a slash. A name without a
	// registry is docker.io's: postgres is docker.io/library/postgres.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Registries []Registry `json:"registries,omitempty"`

	// StorageClasses that tenants may claim from (control storage). Their reclaim policy must be Delete.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	StorageClasses []Subdomain `json:"storageClasses,omitempty"`

	// VolumeAttributesClasses that tenants' claims may name (control storage).
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	VolumeAttributesClasses []Subdomain `json:"volumeAttributesClasses,omitempty"`

	// LoadBalancerClasses that tenants' Services may name (control service-expose). A Service that names none gets the cluster's
	// own.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",message="a load balancer's class is a name such as example.com/internal"
	LoadBalancerClasses []string `json:"loadBalancerClasses,omitempty"`

	// IngressClasses that tenants' Ingresses may name (control service-expose), the cluster's default one too, if it has one.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	IngressClasses []Subdomain `json:"ingressClasses,omitempty"`

	// ExternalNames are the domains that tenants' Services of type ExternalName may stand for, with all names below them (control
	// service-expose).
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:XValidation:rule="self.contains('.') && self.matches('[.][a-z]([-a-z0-9]*[a-z0-9])?$') && !self.matches('(^|[.])(local|localhost|internal|arpa|svc|pod)$')",message="an external name is a domain outside the cluster with a dot, such as example.com: no address, and no name that the cluster or a node answers itself (local, localhost, internal, arpa, svc, pod)"
	ExternalNames []Subdomain `json:"externalNames,omitempty"`

	// Annotations that tenants may write on objects and in templates (control rbac-escalate): a domain, such
	// as prometheus.io, or one key, such as nginx.ingress.kubernetes.io/rewrite-target. Controllers of meshes, load balancers,
	// ingress, DNS and runtimes act on annotations with rights of their own. Keys without a domain that has a dot, and those of
	// kubectl, Helm and Kubernetes' own that only concern the object, are always allowed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+(/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$')",message="an annotation is a domain such as prometheus.io, or a key such as prometheus.io/scrape; wildcards are not understood"
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith('bulkhead.dev')",message="annotations bulkhead.dev/... are for Bulkhead to set"
	Annotations []string `json:"annotations,omitempty"`

	// Labels that tenants may write on objects and in templates (control rbac-escalate), as annotations: a
	// domain, such as istio.io, or one key, such as sidecar.istio.io/inject. Injectors, meshes and proxies act on labels with rights
	// of their own. Keys without a domain that has a dot, and those of app.kubernetes.io, helm.sh and Kubernetes' own controllers of
	// workloads, are always allowed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+(/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$')",message="a label is a domain such as istio.io, or a key such as sidecar.istio.io/inject; wildcards are not understood"
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith('bulkhead.dev')",message="labels bulkhead.dev/... are for Bulkhead to set"
	Labels []string `json:"labels,omitempty"`

	// Finalizers that tenants may write on their objects (control guardrail), next to those that Kubernetes' own controllers use. An
	// object with a finalizer stays until its controller takes it off: one that no controller takes off holds up the off-boarding of
	// its tenant until offboardingDeadline.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",message="a finalizer is a domain and a name, such as example.com/cleanup; wildcards are not understood"
	Finalizers []string `json:"finalizers,omitempty"`

	// PriorityClasses that tenants' pods may name (control priority). Each needs preemptionPolicy Never, or its pods are
	// refused. A pod that names none is always allowed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	PriorityClasses []PriorityClass `json:"priorityClasses,omitempty"`

	// SchedulerNames that tenants' pods may name (control scheduling).
	// +optional
	// +listType=set
	// +kubebuilder:default={"default-scheduler"}
	// +kubebuilder:validation:MaxItems=16
	SchedulerNames []Subdomain `json:"schedulerNames,omitempty"`

	// Tolerations that tenants' pods may have (control node-affinity), beyond those that Kubernetes adds by itself and that of
	// the tenant's own node group. Taints that a RuntimeClass tolerates for its pods are named here, too.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []TaintToleration `json:"tolerations,omitempty"`

	// SandboxRuntimes are the RuntimeClasses that give a pod a kernel of its own (gVisor, Kata), the preferred one
	// first (control runtime). Where there is none, decisions say so as a residual risk.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	SandboxRuntimes []Label `json:"sandboxRuntimes,omitempty"`

	// Network describes the cluster's network and what of it tenants may reach.
	// +required
	Network PlatformNetwork `json:"network"`

	// Services are endpoints of the platform itself that a Space's flows may name: an ingress controller, a bus, the
	// monitoring.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Services []PlatformService `json:"services,omitempty"`

	// Flows between tenants that the platform allows. A flow also needs both owners' declarations on their Spaces.
	// +optional
	// +listType=map
	// +listMapKey=from
	// +listMapKey=to
	// +kubebuilder:validation:MaxItems=1024
	Flows []TenantFlow `json:"flows,omitempty"`

	// NodeGroups are groups of nodes that may be dedicated to one tenant each (control node-affinity). Bulkhead assigns
	// a free group to a tenant that needs one, labels and taints its nodes, and records the assignment in the status.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=1024
	NodeGroups []NodeGroup `json:"nodeGroups,omitempty"`

	// TenantResources are custom resources, namespaced ones, that owners may use inside their Spaces.
	// +optional
	// +listType=map
	// +listMapKey=group
	// +kubebuilder:validation:MaxItems=64
	TenantResources []TenantResource `json:"tenantResources,omitempty"`

	// ProofFreshness is how old a proof may be before it counts as Unknown.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}(h|m|s))+$') && duration(self) >= duration('30s') && duration(self) <= duration('24h')",message="proofFreshness is a duration from 30s to 24h, such as 10m or 1h30m"
	ProofFreshness metav1.Duration `json:"proofFreshness,omitempty"`

	// OffboardingDeadline is how long a namespace that is being removed may wait for what holds it. After it, pods that are still
	// there get no more time to end; after it has passed again, foreign finalizers are taken off, and recorded.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}(h|m|s))+$') && duration(self) >= duration('30s') && duration(self) <= duration('168h')",message="offboardingDeadline is a duration from 30s to 168h, such as 10m or 1h30m"
	OffboardingDeadline *metav1.Duration `json:"offboardingDeadline,omitempty"`
}

// TaintToleration names taints of nodes that every tenant's pods may tolerate.
type TaintToleration struct {
	// Key of the taint.
	// +required
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",message="a taint's key is a name of at most 63 letters, digits, hyphens, dots and underscores, with an optional DNS prefix such as example.com/"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('bulkhead.dev/')",message="taints bulkhead.dev/... keep tenants off each other's nodes: Bulkhead itself lets each tenant tolerate its own"
	// +kubebuilder:validation:XValidation:rule="!(self in ['node-role.kubernetes.io/control-plane', 'node-role.kubernetes.io/master', 'node.kubernetes.io/unschedulable'])",message="no tenant runs on nodes of the control plane, or on nodes that are being drained"
	Key string `json:"key"`
	// Value of the taint; left out, every value.
	// +optional
	Value Word `json:"value,omitempty"`
	// Effect of the taint; left out, every effect.
	// +optional
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	Effect corev1.TaintEffect `json:"effect,omitempty"`
}

// PlatformNetwork describes the cluster's network.
//
// +kubebuilder:validation:XValidation:rule="self.podCIDRs.all(p, !isCIDR(p) || self.serviceCIDRs.all(s, !isCIDR(s) || !cidr(p).containsCIDR(s) && !cidr(s).containsCIDR(p)))",message="a podCIDR and a serviceCIDR overlap: an address is a pod's or a Service's, not both"
// +kubebuilder:validation:XValidation:rule="!has(self.externalCIDRs) || self.externalCIDRs.all(e, !isCIDR(e) || self.podCIDRs.all(p, !isCIDR(p) || !cidr(p).containsCIDR(e)))",message="an externalCIDR lies within a podCIDR: it would open one tenant's pods to another; name the peer Space in a flow instead"
// +kubebuilder:validation:XValidation:rule="!has(self.externalCIDRs) || self.externalCIDRs.all(e, !isCIDR(e) || self.serviceCIDRs.all(s, !isCIDR(s) || !cidr(s).containsCIDR(e)))",message="an externalCIDR lies within a serviceCIDR: policies see the pods behind a Service, never its address"
// +kubebuilder:validation:XValidation:rule="!has(self.externalCIDRs) || self.externalCIDRs.all(e, !isCIDR(e) || ['127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '::1/128', 'fe80::/10', 'ff00::/8'].all(l, !cidr(l).containsCIDR(e)))",message="an externalCIDR is a loopback, link-local or multicast range: there are the node itself and the cloud's credentials"
type PlatformNetwork struct {
	// PodCIDRs are the ranges of pod addresses.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	PodCIDRs []CIDR `json:"podCIDRs"`
	// ServiceCIDRs are the ranges of cluster IPs.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	ServiceCIDRs []CIDR `json:"serviceCIDRs"`
	// NodeCIDRs are the ranges of nodes' own addresses, where they lie within an externalCIDR: kubelets, the API server and host
	// networks answer there. No flow opens them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	NodeCIDRs []CIDR `json:"nodeCIDRs,omitempty"`
	// ExternalCIDRs are ranges outside the cluster that a Space's flows may name. The metadata address and link-local
	// ranges, pod, service and node ranges are cut out of them in every rendered policy, whatever is written here.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ExternalCIDRs []CIDR `json:"externalCIDRs,omitempty"`
	// DNS is where the cluster's DNS answers. It is the only destination that is open by default.
	// +optional
	// +kubebuilder:default={}
	DNS DNSService `json:"dns,omitempty"`
}

// DNSService locates the pods of the cluster's DNS.
type DNSService struct {
	// Namespace of the DNS pods.
	// +optional
	// +kubebuilder:default="kube-system"
	Namespace Label `json:"namespace,omitempty"`
	// PodLabels that select the DNS pods.
	// +optional
	// +kubebuilder:default={"k8s-app":"kube-dns"}
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="a label's key is a name of at most 63 letters, digits, hyphens, dots and underscores, with an optional DNS prefix such as example.com/"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 63)",message="a label's value has at most 63 characters"
	PodLabels map[string]string `json:"podLabels,omitempty"`
}

// PlatformService is an endpoint that the platform team offers to tenants, or that reaches into them.
type PlatformService struct {
	// Name by which flows refer to it.
	// +required
	Name Label `json:"name"`
	// Namespace of its pods.
	// +required
	Namespace Label `json:"namespace"`
	// PodLabels that select its pods.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="a label's key is a name of at most 63 letters, digits, hyphens, dots and underscores, with an optional DNS prefix such as example.com/"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 63)",message="a label's value has at most 63 characters"
	PodLabels map[string]string `json:"podLabels"`
}

// TenantFlow allows flows from any Space of one tenant to any Space of another.
//
// +kubebuilder:validation:XValidation:rule="self.from != self.to",message="from and to are the same tenant: flows among a tenant's own Spaces are declared on the Spaces and need no permission of the platform"
type TenantFlow struct {
	// From is the tenant that opens connections.
	// +required
	From TenantName `json:"from"`
	// To is the tenant that accepts them.
	// +required
	To TenantName `json:"to"`
}

// NodeGroup is a set of nodes that is given to one tenant as a whole.
type NodeGroup struct {
	// Name of the group.
	// +required
	Name Label `json:"name"`
	// NodeLabels that select the group's nodes, as the provider sets them. Groups must not overlap.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="a label's key is a name of at most 63 letters, digits, hyphens, dots and underscores, with an optional DNS prefix such as example.com/"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 63)",message="a label's value has at most 63 characters"
	NodeLabels map[string]string `json:"nodeLabels"`
	// Tenant to keep the group for. Without it, the group goes to the first tenant that needs one.
	// +optional
	Tenant TenantName `json:"tenant,omitempty"`
}

// TenantResource is a set of namespaced custom resources.
type TenantResource struct {
	// Group of the API. Never a group of Kubernetes itself or of Bulkhead.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+$')",message="the group of a custom resource is a DNS name with a dot, such as example.com: groups without one are Kubernetes' own"
	// +kubebuilder:validation:XValidation:rule="!(self == 'k8s.io' || self.endsWith('.k8s.io') || self == 'kubernetes.io' || self.endsWith('.kubernetes.io') || self == 'bulkhead.dev' || self.endsWith('.bulkhead.dev'))",message="groups of Kubernetes itself (*.k8s.io, *.kubernetes.io) and of Bulkhead are not for tenants: they change what keeps tenants apart"
	// +kubebuilder:validation:XValidation:rule="!['x-k8s.io', 'cilium.io', 'projectcalico.org', 'antrea.io', 'ovn.org', 'k8s.cni.cncf.io', 'kyverno.io', 'gatekeeper.sh', 'kubewarden.io', 'istio.io', 'linkerd.io', 'traefik.io', 'metallb.io', 'karpenter.sh', 'crossplane.io', 'cattle.io'].exists(g, self == g || self.endsWith('.' + g))",message="objects of this group are policies, networks, routes or other clusters' parts: their controllers act with rights over all tenants"
	Group string `json:"group"`
	// Resources by plural name.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="a resource is the lower-case plural such as widgets: no wildcard, and no subresource"
	Resources []string `json:"resources"`
}

// PlatformStatus is what Bulkhead observed and assigned.
type PlatformStatus struct {
	// Conditions: Ready, Enforced.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// NodeGroups assigned so far. An assignment stays until the tenant needs no group any more.
	// +optional
	// +listType=map
	// +listMapKey=name
	NodeGroups []NodeGroupStatus `json:"nodeGroups,omitempty"`
}

// NodeGroupStatus records to whom a node group belongs.
type NodeGroupStatus struct {
	// Name of the group.
	Name string `json:"name"`
	// Tenant that has it; empty when the group is free.
	// +optional
	Tenant string `json:"tenant,omitempty"`
	// Nodes that the group's labels select now.
	// +optional
	Nodes int32 `json:"nodes"`
}

// PlatformList is a list of Platforms; it holds at most one.
//
// +kubebuilder:object:root=true
type PlatformList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Platform `json:"items"`
}
