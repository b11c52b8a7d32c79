package v1alpha1

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// Tenant is a party that the platform serves, described in business terms. Bulkhead decides from it how each of its
// workloads must be isolated.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=tn,categories=bulkhead
// +kubebuilder:printcolumn:name="Pattern",type=string,JSONPath=`.status.patterns`
// +kubebuilder:printcolumn:name="Spaces",type=string,JSONPath=`.status.spaces`
// +kubebuilder:printcolumn:name="Proven",type=string,JSONPath=`.status.conditions[?(@.type=="Proven")].status`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]+(-[a-z0-9]+)*$') && size(self.metadata.name) <= 28",message="a tenant's name has at most 28 lower-case letters, digits and single hyphens, and neither starts nor ends with a hyphen"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'xn'",message="xn is no tenant's name: xn--... is how DNS writes names in other scripts"
// +kubebuilder:validation:XValidation:rule="self.spec.owners.all(o, o.kind != 'ServiceAccount' || !has(o.__namespace__) || !(o.__namespace__.contains('--') || o.__namespace__.startsWith('tenant-')) || o.__namespace__.startsWith(self.metadata.name + '--') || o.__namespace__ == 'tenant-' + self.metadata.name)",message="a service account of another tenant's namespace is no owner of this tenant"
type Tenant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec TenantSpec `json:"spec"`
	// +kubebuilder:default={conditions: {{type: "Ready", status: "Unknown", reason: "Pending", message: "waiting for Bulkhead's controller", lastTransitionTime: "1970-01-01T00:00:00Z"}}}
	Status TenantStatus `json:"status,omitempty"`
}

// TenantSpec is the tenant's profile. The platform team writes it.
type TenantSpec struct {
	// Owners have the tenant's rights: they create Spaces and own what is in them, and nothing outside.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a == b))",message="an owner is listed twice"
	Owners []Owner `json:"owners"`

	// Boundary is whether the tenant is Inside or Outside the organisation's security policy.
	// +required
	Boundary Boundary `json:"boundary"`

	// Declared is leadership's own word on trust. It can only make the decision stricter.
	// +optional
	Declared Declared `json:"declared,omitempty"`

	// DedicatedHosts is true when a contract or a licence demands nodes of the tenant's own.
	// +optional
	DedicatedHosts bool `json:"dedicatedHosts,omitempty"`

	// Unit is the organisational unit that the tenant belongs to.
	// +optional
	Unit Word `json:"unit,omitempty"`

	// Residency is where the tenant's data must stay, such as a country or a region.
	// +optional
	Residency Word `json:"residency,omitempty"`

	// Transport is what the tenant's traffic needs: None, Encrypted, or Identity (mutual, by workload).
	// +optional
	Transport Transport `json:"transport,omitempty"`

	// Quota of the tenant as a whole, split over its Spaces by a ledger whose sum never exceeds it. Keys are those of
	// a ResourceQuota (requests.cpu, limits.memory, pods, count/widgets.example.com, ...). services.nodeports is
	// always 0. What is not given here is 0 of load balancers, storage, extended resources, huge pages and devices, and bounded of
	// all else.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 253 && k.matches('^((requests|limits)[.](cpu|memory|ephemeral-storage)|requests[.]storage|requests[.]hugepages-[1-9][0-9]*[KMGT]i|requests[.][a-z0-9][-a-z0-9.]*/[a-zA-Z0-9][-a-zA-Z0-9._]*|pods|configmaps|secrets|persistentvolumeclaims|replicationcontrollers|services|services[.](loadbalancers|nodeports)|count/[a-z][-a-z0-9]*([.][a-z0-9][-a-z0-9.]*)?|[a-z0-9][-a-z0-9.]*[.](storageclass[.]storage[.]k8s[.]io/(requests[.]storage|persistentvolumeclaims)|deviceclass[.]resource[.]k8s[.]io/devices))$'))",message="a key is not one that a ResourceQuota counts by: write for example requests.cpu, requests.memory, limits.memory, requests.storage, pods, services.loadbalancers or count/jobs.batch"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int ? self[k] >= 0 : !self[k].startsWith('-'))",message="an amount is negative: the least is 0"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int || k.endsWith('.cpu') || !(self[k].endsWith('m') || self[k].endsWith('u') || self[k].endsWith('n')))",message="only CPU comes in thousandths: 100m of memory is a tenth of a byte; write 100Mi for mebibytes"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int || size(self[k]) <= 16)",message="an amount has at most 16 characters, such as 16Gi: what exceeds every cluster is no limit"
	// +kubebuilder:validation:XValidation:rule="!('services.nodeports' in self) || self['services.nodeports'] == 0 || self['services.nodeports'] == '0'",message="services.nodeports is always 0: a node port is open on every node, and tenants share nodes"
	Quota corev1.ResourceList `json:"quota"`

	// IngressHosts that the tenant's Ingresses may serve: an exact host, or *.example.com for the names directly below it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([*][.])?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.])+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')",message="an ingress host is a full DNS name in lower case, such as www.example.com, or *.example.com: no scheme, port, path or address, and no wildcard elsewhere"
	IngressHosts []string `json:"ingressHosts,omitempty"`

	// Workloads of the tenant. Each is decided by itself; a tenant may mix patterns.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Workloads []Workload `json:"workloads"`

	// Protected refuses the deletion of the tenant and of its Spaces until it is set to false.
	// +optional
	Protected bool `json:"protected,omitempty"`
}

// Owner is a user, a group or a service account.
//
// +kubebuilder:validation:XValidation:rule="(self.kind == 'ServiceAccount') == (has(self.__namespace__) && size(self.__namespace__) > 0)",message="namespace is required for a ServiceAccount, and for nothing else"
// +kubebuilder:validation:XValidation:rule="!self.name.startsWith('system:')",message="an owner must not be one of Kubernetes' own users or groups (system:...); for a service account write kind: ServiceAccount with its namespace and name"
// +kubebuilder:validation:XValidation:rule="self.kind != 'ServiceAccount' || self.name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="a ServiceAccount's name has lower-case letters, digits, hyphens and dots"
// +kubebuilder:validation:XValidation:rule="self.name != '*' && !self.name.startsWith('bulkhead:') && !self.name.startsWith('bulkhead.dev:')",message="an owner is one user, group or service account: * would be everybody, and bulkhead:... are Bulkhead's own"
// +kubebuilder:validation:XValidation:rule="self.kind != 'ServiceAccount' || !(self.__namespace__ in ['kube-system', 'kube-public', 'kube-node-lease', 'bulkhead-system'])",message="service accounts of the cluster's own namespaces are the cluster's parts, and no tenant's owners"
type Owner struct {
	// Kind is User, Group or ServiceAccount.
	// +required
	// +kubebuilder:validation:Enum=User;Group;ServiceAccount
	Kind string `json:"kind"`
	// Name as the API server authenticates it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]([ -~]*[!-~])?$')",message="an owner's name is printable ASCII without spaces around it: letters that only look like others are refused"
	Name string `json:"name"`
	// Namespace of a ServiceAccount.
	// +optional
	Namespace Label `json:"namespace,omitempty"`
}

// Workload is a part of the tenant's software with one set of traits.
type Workload struct {
	// Name by which Spaces and Waivers refer to it.
	// +required
	Name Label `json:"name"`
	// Code: who wrote what runs. Arbitrary means that others hand it in at run time.
	// +required
	Code Code `json:"code"`
	// Environment of the workload.
	// +required
	Environment Environment `json:"environment"`
	// HostAccess that the workload needs; None unless declared, and admission keeps it to that.
	// +optional
	// +kubebuilder:default=None
	HostAccess HostAccess `json:"hostAccess,omitempty"`
	// APIAccess to Kubernetes that the workload's own pods need; None unless declared.
	// +optional
	// +kubebuilder:default=None
	APIAccess APIAccess `json:"apiAccess,omitempty"`
	// ClusterScoped is true when the workload brings its own CRDs, webhooks or operators.
	// +optional
	ClusterScoped bool `json:"clusterScoped,omitempty"`
	// Performance: Guaranteed means that a noisy neighbour cannot be accepted.
	// +optional
	// +kubebuilder:default=Shared
	Performance Performance `json:"performance,omitempty"`
	// Upgrades: Own means that the tenant sets the pace of its nodes' upgrades.
	// +optional
	// +kubebuilder:default=Platform
	Upgrades Upgrades `json:"upgrades,omitempty"`
	// Lifetime: Ephemeral means one run after which nothing stays.
	// +optional
	// +kubebuilder:default=Permanent
	Lifetime Lifetime `json:"lifetime,omitempty"`
	// Demand that the workload expects, in ResourceQuota keys; used to place it.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 253 && k.matches('^((requests|limits)[.](cpu|memory|ephemeral-storage)|requests[.]storage|requests[.]hugepages-[1-9][0-9]*[KMGT]i|requests[.][a-z0-9][-a-z0-9.]*/[a-zA-Z0-9][-a-zA-Z0-9._]*|pods|configmaps|secrets|persistentvolumeclaims|replicationcontrollers|services|services[.](loadbalancers|nodeports)|count/[a-z][-a-z0-9]*([.][a-z0-9][-a-z0-9.]*)?|[a-z0-9][-a-z0-9.]*[.](storageclass[.]storage[.]k8s[.]io/(requests[.]storage|persistentvolumeclaims)|deviceclass[.]resource[.]k8s[.]io/devices))$'))",message="a key is not one that a ResourceQuota counts by: write for example requests.cpu, requests.memory, limits.memory, requests.storage, pods, services.loadbalancers or count/jobs.batch"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int ? self[k] >= 0 : !self[k].startsWith('-'))",message="an amount is negative: the least is 0"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int || k.endsWith('.cpu') || !(self[k].endsWith('m') || self[k].endsWith('u') || self[k].endsWith('n')))",message="only CPU comes in thousandths: 100m of memory is a tenth of a byte; write 100Mi for mebibytes"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int || size(self[k]) <= 16)",message="an amount has at most 16 characters, such as 16Gi: what exceeds every cluster is no limit"
	// +kubebuilder:validation:XValidation:rule="!('services.nodeports' in self) || self['services.nodeports'] == 0 || self['services.nodeports'] == '0'",message="services.nodeports is always 0: a node port is open on every node, and tenants share nodes"
	Demand corev1.ResourceList `json:"demand,omitempty"`
}

// Workload by name; nil when the tenant declares none of that name.
func (t *Tenant) Workload(name string) *Workload {
	for i := range t.Spec.Workloads {
		if t.Spec.Workloads[i].Name == name {
			return &t.Spec.Workloads[i]
		}
	}
	return nil
}

// Transport requirement.
// +kubebuilder:validation:Enum=None;Encrypted;Identity
type Transport string

// What the tenancy decision reads and decides. Types, values and rules of validation are those of the decision.
type (
	// Boundary of the organisation's security policy.
	Boundary = tenancy.Boundary
	// Declared is leadership's word on trust.
	Declared = tenancy.Declared
	// Code is where the code comes from that runs.
	Code = tenancy.Code
	// Environment is Production or NonProduction.
	Environment = tenancy.Environment
	// HostAccess that a workload needs.
	HostAccess = tenancy.HostAccess
	// APIAccess that a workload's pods need.
	APIAccess = tenancy.APIAccess
	// Performance that a workload needs.
	Performance = tenancy.Performance
	// Upgrades is whose pace of upgrades a workload follows.
	Upgrades = tenancy.Upgrades
	// Lifetime of a workload.
	Lifetime = tenancy.Lifetime
	// Pattern is Soft, SoftAffinity or Hard.
	Pattern = tenancy.Pattern
)

// TenantStatus is Bulkhead's answer.
type TenantStatus struct {
	// Conditions: Decided, Placed, Enforced, Proven, Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Decisions, one per workload, sorted by its name.
	// +optional
	// +listType=map
	// +listMapKey=workload
	Decisions []WorkloadDecision `json:"decisions,omitempty"`
	// Patterns decided, each once, the strictest first: for the printed column.
	// +optional
	Patterns string `json:"patterns,omitempty"`
	// Spaces as "ready/all".
	// +optional
	Spaces string `json:"spaces,omitempty"`
	// NodeGroup dedicated to the tenant, when a workload needs one.
	// +optional
	NodeGroup string `json:"nodeGroup,omitempty"`
	// Ledger of the tenant's quota: what each Space holds. Its sum never exceeds spec.quota.
	// +optional
	// +listType=map
	// +listMapKey=space
	Ledger []LedgerEntry `json:"ledger,omitempty"`
	// Waivers in force for this tenant, as control/workload.
	// +optional
	// +listType=set
	Waivers []string `json:"waivers,omitempty"`
	// Proof is the latest answer of the API server to the questions of the Proven condition.
	// +optional
	Proof *Proof `json:"proof,omitempty"`
	// Remaining names what still exists while the tenant is being removed.
	// +optional
	// +listType=atomic
	Remaining []string `json:"remaining,omitempty"`
}

// WorkloadDecision is the recorded decision for one workload.
type WorkloadDecision struct {
	// Workload by name.
	Workload string `json:"workload"`
	// Pattern: Soft, SoftAffinity or Hard.
	Pattern Pattern `json:"pattern"`
	// Sandboxed is true where the decision asks for a sandboxed runtime. With no RuntimeClass the platform has none.
	// +optional
	Sandboxed bool `json:"sandboxed,omitempty"`
	// RuntimeClass that its pods must use; empty for the cluster's default.
	// +optional
	RuntimeClass string `json:"runtimeClass,omitempty"`
	// Ephemeral is true where each run has a short-lived cluster of its own.
	// +optional
	Ephemeral bool `json:"ephemeral,omitempty"`
	// Explanation of the decision.
	// +optional
	Explanation Explanation `json:"explanation"`
	// InputHash of what was decided upon. A decision whose input has changed is stale.
	InputHash string `json:"inputHash"`
}

// Explanation holds the reasons of a decision, what it leaves open and what would make it cheaper.
type Explanation struct {
	// Reasons are the rules that fired, the strictest first.
	// +optional
	// +listType=atomic
	Reasons []DecisionReason `json:"reasons,omitempty"`
	// Risks that the decision leaves.
	// +optional
	// +listType=atomic
	Risks []ResidualRisk `json:"risks,omitempty"`
	// Relaxations are the smallest changes of declared facts that would give a cheaper pattern, the smallest first.
	// +optional
	// +listType=atomic
	Relaxations []Relaxation `json:"relaxations,omitempty"`
}

// DecisionReason is a rule that fired: `bulkhead explain RULE` has its meaning.
type DecisionReason struct {
	// Rule by its id, such as T7.
	Rule string `json:"rule"`
	// Facts that fired it. The rule that holds where no other does has none.
	// +optional
	// +listType=atomic
	Facts []DeclaredFact `json:"facts,omitempty"`
	// Pattern that the rule accepts at least.
	Pattern Pattern `json:"pattern"`
	// Sandboxed is true where the rule asks for a sandboxed runtime as well.
	// +optional
	Sandboxed bool `json:"sandboxed,omitempty"`
	// Because is the argument behind the rule.
	Because string `json:"because"`
}

// String is "rule: facts: because".
func (r DecisionReason) String() string {
	facts := make([]string, len(r.Facts))
	for i, f := range r.Facts {
		facts[i] = f.Name + "=" + f.Value
	}
	if len(facts) == 0 {
		return r.Rule + ": " + r.Because
	}
	return r.Rule + ": " + strings.Join(facts, ", ") + ": " + r.Because
}

// DeclaredFact is a fact with its value.
type DeclaredFact struct {
	// Name of the fact, such as workload.code.
	Name string `json:"name"`
	// Value that is declared, or the default.
	Value string `json:"value"`
}

// ResidualRisk is what a decision leaves open although it is the right one.
type ResidualRisk struct {
	// ID is stable, such as R3.
	ID string `json:"id"`
	// Severity: High, Medium or Low.
	Severity string `json:"severity"`
	// Text is what can still happen.
	Text string `json:"text"`
	// Control that covers the risk or narrows it, by its id; or a measure in words where there is none.
	Control string `json:"control"`
}

// String is "id: text".
func (r ResidualRisk) String() string { return r.ID + ": " + r.Text }

// Relaxation is a minimal set of changes that together give a cheaper pattern.
type Relaxation struct {
	// Changes of declared facts.
	// +listType=atomic
	Changes []FactChange `json:"changes"`
	// Pattern that is then decided.
	Pattern Pattern `json:"pattern"`
	// Sandboxed is true where a sandboxed runtime is then asked for.
	// +optional
	Sandboxed bool `json:"sandboxed,omitempty"`
}

// String is "pattern if fact from this to that and ...".
func (r Relaxation) String() string {
	changes := make([]string, len(r.Changes))
	for i, c := range r.Changes {
		changes[i] = c.Fact + " from " + c.From + " to " + c.To
	}
	return string(r.Pattern) + " if " + strings.Join(changes, " and ")
}

// FactChange moves one declared fact to another value.
type FactChange struct {
	// Fact by name.
	Fact string `json:"fact"`
	// From is the present value.
	From string `json:"from"`
	// To is the value that it would need.
	To string `json:"to"`
}

// LedgerEntry is what one Space holds of its tenant's quota.
type LedgerEntry struct {
	// Space by name.
	Space string `json:"space"`
	// Held amounts: the larger of what the Space's ResourceQuota grants and what its namespace uses.
	Held corev1.ResourceList `json:"held"`
}

// Verdict of a proof. Unknown is never reported as Isolated.
// +kubebuilder:validation:Enum=Isolated;Exposed;Unknown
type Verdict string

// The three voices of a proof.
const (
	Isolated Verdict = "Isolated"
	Exposed  Verdict = "Exposed"
	Unknown  Verdict = "Unknown"
)

// Proof is what the API server itself answered when asked as the tenant's own identities.
type Proof struct {
	// Verdict over all questions: Exposed if any is, else Unknown if any is, else Isolated.
	Verdict Verdict `json:"verdict"`
	// Time at which the last question was answered.
	Time metav1.Time `json:"time"`
	// Asked counts the questions that were asked.
	Asked int32 `json:"asked"`
	// Scope is what the questions were about. What is outside has not been proven.
	// +optional
	Scope ProofScope `json:"scope"`
	// Failures are the questions whose answer was not Isolated, the worst first.
	// +optional
	// +listType=atomic
	Failures []ProofFailure `json:"failures,omitempty"`
}

// ProofScope is what a proof is about: a state of the Tenant, of the Platform and of Spaces.
type ProofScope struct {
	// TenantGeneration is the Tenant's metadata.generation.
	// +optional
	TenantGeneration int64 `json:"tenantGeneration,omitempty"`
	// PlatformGeneration is the Platform's metadata.generation.
	// +optional
	PlatformGeneration int64 `json:"platformGeneration,omitempty"`
	// Spaces, each with what was enforced in it.
	// +optional
	// +listType=map
	// +listMapKey=name
	Spaces []SpaceRevision `json:"spaces,omitempty"`
}

// SpaceRevision is a Space as it was enforced.
type SpaceRevision struct {
	// Name of the Space.
	Name string `json:"name"`
	// Revision that its status had.
	// +optional
	Revision string `json:"revision,omitempty"`
}

// ScopeOf is the scope of a proof about the present state of a Tenant, the Platform and Spaces, in the order of their names:
// the same state gives the same scope, in whatever order a cache lists it.
func ScopeOf(t *Tenant, p *Platform, spaces []Space) ProofScope {
	scope := ProofScope{TenantGeneration: t.Generation, PlatformGeneration: p.Generation}
	for i := range spaces {
		scope.Spaces = append(scope.Spaces, SpaceRevision{spaces[i].Name, spaces[i].Status.Revision})
	}
	slices.SortFunc(scope.Spaces, func(a, b SpaceRevision) int { return strings.Compare(a.Name, b.Name) })
	return scope
}

// CoversTenant reports whether the proof is about the present Tenant and Platform.
func (s *ProofScope) CoversTenant(t *Tenant, p *Platform) bool {
	return s.TenantGeneration == t.Generation && s.PlatformGeneration == p.Generation
}

// CoversSpace reports whether the proof is about what is enforced in the Space now.
func (s *ProofScope) CoversSpace(space *Space) bool {
	return slices.Contains(s.Spaces, SpaceRevision{space.Name, space.Status.Revision})
}

// ProofFailure is a question of a proof whose answer was not Isolated.
type ProofFailure struct {
	// Control that was asked about, by its id; "proof" where all are concerned.
	Control string `json:"control"`
	// Subject as whom the question was asked, and where.
	Subject string `json:"subject"`
	// Verdict is Exposed or Unknown.
	Verdict Verdict `json:"verdict"`
	// Detail is what was seen.
	Detail string `json:"detail"`
}

// String is "control: subject: verdict: detail".
func (f ProofFailure) String() string {
	return f.Control + ": " + f.Subject + ": " + string(f.Verdict) + ": " + f.Detail
}

// TenantList is a list of Tenants.
//
// +kubebuilder:object:root=true
type TenantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Tenant `json:"items"`
}
