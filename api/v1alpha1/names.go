package v1alpha1

import (
	"fmt"
	"hash/fnv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Names that objects on a cluster carry. They are API: admission policies, selectors and users' own tooling read them.
const (
	// NamePrefix begins the names of objects and of field managers that Bulkhead makes.
	NamePrefix = "bulkhead-"
	// KeyPrefix begins the keys of labels, annotations and taints, and UserPrefix the names of users that do not exist: as
	// such Bulkhead asks what an unknown user may do.
	KeyPrefix  = "bulkhead.dev/"
	UserPrefix = "bulkhead.dev:"
	// PlatformName is the name of the one Platform object.
	PlatformName = "platform"
	// SystemNamespace is where Bulkhead itself runs and keeps its records.
	SystemNamespace = "bulkhead-system"

	// LabelManagedBy with the value ManagedBy marks every object that Bulkhead renders. The guardrail policy protects
	// what carries it; Bulkhead prunes nothing that does not.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy, and the field manager of every write by Bulkhead.
	ManagedBy = "bulkhead"
	// LabelTenant holds the tenant's name, on every object that exists for one tenant.
	LabelTenant = "bulkhead.dev/tenant"
	// LabelSpace holds the Space's name, on every object that exists for one Space.
	LabelSpace = "bulkhead.dev/space"
	// LabelPattern holds the decided pattern (Soft or SoftAffinity) on a Space's namespace. Its presence is what the
	// admission policies of this package's controls select namespaces by.
	LabelPattern = "bulkhead.dev/pattern"
	// LabelRuntimeClass, on a Space's namespace, names the RuntimeClass that its pods must use (control runtime).
	LabelRuntimeClass = "bulkhead.dev/runtime-class"
	// LabelToken with the value TokenAllowed, on a Space's namespace, lets its pods mount a service account token.
	LabelToken = "bulkhead.dev/token"
	// TokenAllowed is the value of LabelToken for workloads whose apiAccess is OwnNamespaces.
	TokenAllowed = "allowed"
	// LabelRole with the value RoleHomeNamespace marks home namespaces. They carry no pattern: nothing runs there.
	LabelRole = "bulkhead.dev/role"
	// RoleHomeNamespace is the value of LabelRole.
	RoleHomeNamespace = "home"
	// LabelControl, on an admission policy, holds the id of its control.
	LabelControl = "bulkhead.dev/control"
	// LabelRecord, on a ConfigMap in SystemNamespace, holds what it is the record of.
	LabelRecord = "bulkhead.dev/record"
	// AnnotationIngressHosts, on a Space's namespace, is the comma-separated list of the tenant's ingress hosts.
	AnnotationIngressHosts = "bulkhead.dev/ingress-hosts"
	// AnnotationResources, on a Space's namespace, is the comma-separated list of the resources of pods that the tenant's quota names,
	// next to cpu, memory and ephemeral storage: extended resources, huge pages, device classes.
	AnnotationResources = "bulkhead.dev/resources"
	// WaiverPrefix plus a control's id is a label and an annotation on a Space's namespace where a Waiver suspends this
	// control. The label's value is the Waiver's name, for people; the annotation's is its expiry (RFC 3339), by which
	// admission policies go: an expired waiver ends by itself, whether or not Bulkhead runs.
	WaiverPrefix = "waiver.bulkhead.dev/"
	// AnnotationProtected with the value "true", on a tenant's home namespace, marks the Tenant as protected: an
	// admission policy refuses the deletion of its Spaces.
	AnnotationProtected = "bulkhead.dev/protected"
	// AnnotationChangedBy is set by the API server (a mutating admission policy) on a managed object that a user
	// other than Bulkhead changed: the user's name.
	AnnotationChangedBy = "bulkhead.dev/changed-by"

	// LabelNodeTenant is the node label of a dedicated node group: the tenant's name. Its prefix is one that the
	// NodeRestriction admission plugin keeps kubelets from writing.
	LabelNodeTenant = "node-restriction.kubernetes.io/bulkhead-tenant"
	// TaintNodeTenant is the key of the NoSchedule taint on a dedicated node group: the value is the tenant's name.
	TaintNodeTenant = "bulkhead.dev/tenant"

	// Finalizer keeps a Tenant or a Space until everything that exists for it is gone.
	Finalizer = "bulkhead.dev/offboarding"
)

// DefinitionName is the name of the CustomResourceDefinition of one of Bulkhead's kinds, by its plural.
func DefinitionName(plural string) string { return plural + "." + GroupVersion.Group }

// HomeNamespace is the namespace in which a tenant's owners create its Spaces. It holds nothing else.
func HomeNamespace(tenant string) string { return "tenant-" + tenant }

// TenantOfHome is the inverse of HomeNamespace; false when the namespace does not have the form of a home namespace.
func TenantOfHome(namespace string) (string, bool) { return strings.CutPrefix(namespace, "tenant-") }

// SpaceNamespace is the namespace that a Space becomes. No name of a tenant or a Space holds two hyphens in a row, so
// the mapping is one-to-one over the whole fleet, and no home namespace (one hyphen) can collide with it.
func SpaceNamespace(tenant, space string) string { return tenant + "--" + space }

// Names of the cluster-wide objects through which rights are given. Bulkhead may bind these roles, and no others.
const (
	// RoleOwner is the ClusterRole bound to a tenant's owners in each of its Spaces' namespaces.
	RoleOwner = "bulkhead:space-owner"
	// RoleHome is the ClusterRole bound to a tenant's owners in its home namespace.
	RoleHome = "bulkhead:home-owner"
	// ResourceGuardrails with the verb VerbChange, in this API group, is what a user must be granted to change what
	// Bulkhead manages. The resource exists in RBAC only: admission policies ask the authorizer for it, so the right
	// is given and seen where all other rights are.
	ResourceGuardrails = "guardrails"
	// ControllerUser is the controller inside the cluster: its service account.
	ControllerUser = "system:serviceaccount:" + SystemNamespace + ":" + ManagedBy
	// ControllerGroup is the controller outside the cluster: the group (organisation) in its client certificate.
	ControllerGroup = "bulkhead:controllers"
	// VerbChange is the verb on ResourceGuardrails.
	VerbChange = "change"
)

// Names of the objects that Bulkhead keeps in every Space's namespace, and of what refuses.
const (
	// QuotaName is the ResourceQuota and LimitsName the LimitRange of a namespace that Bulkhead renders.
	QuotaName  = "bulkhead"
	LimitsName = "bulkhead"
	// OwnersName is the RoleBinding that gives the tenant's owners their rights.
	OwnersName = "bulkhead-owners"
	// NetworkDefaultName is the NetworkPolicy that denies by default.
	NetworkDefaultName = "bulkhead-default"
	// PolicyPrefix begins the name of every admission policy.
	PolicyPrefix = NamePrefix
	// CountSpaces is the quota key of the number of Spaces. It bounds a tenant's home namespace and is not split.
	CountSpaces corev1.ResourceName = "count/spaces.bulkhead.dev"
)

// Names of what `bulkhead attack` makes: it is known by them, and removed by them.
const (
	// LabelAttack, with the run as its value, is on everything that an attack makes. As a scheduling gate it keeps pods from
	// ever being scheduled.
	LabelAttack = "bulkhead.dev/attack"
	// AttackName is the field manager that writes what attacks make, and AttackPrefix begins the name of all of it.
	AttackName   = "bulkhead-attack"
	AttackPrefix = AttackName + "-"
)

// Names of the objects that keep each tenant to its share of the API server.
const (
	// TenantPriorityLevels is how many priority levels there are for what is done within milliseconds. Each tenant is on one.
	TenantPriorityLevels = 8
	// ListsLevelName is the PriorityLevelConfiguration of all tenants' lists, watches and deletions of collections, which
	// take as long as the collection is large.
	ListsLevelName = "bulkhead-tenants-lists"
	// FlowSchemaSystem is the FlowSchema of Bulkhead itself.
	FlowSchemaSystem = "bulkhead-system"
)

// PriorityLevelName is the PriorityLevelConfiguration of a tenant. It depends on the tenant's name alone, so that nothing
// remembers it, and no tenant moves when another comes or goes.
func PriorityLevelName(tenant string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(tenant)) // never fails, by its documentation
	return PriorityLevelNames()[hash.Sum32()%TenantPriorityLevels]
}

// PriorityLevelNames are the names of the tenant priority levels.
func PriorityLevelNames() []string {
	names := make([]string, TenantPriorityLevels)
	for n := range names {
		names[n] = fmt.Sprintf("bulkhead-tenants-%d", n)
	}
	return names
}

// FlowSchemaName is the name of a tenant's FlowSchema.
func FlowSchemaName(tenant string) string { return "bulkhead-tenant-" + tenant }

// ListsFlowSchemaName is the name of the FlowSchema of a tenant's lists. It is asked before the other.
func ListsFlowSchemaName(tenant string) string { return "bulkhead-lists-" + tenant }
