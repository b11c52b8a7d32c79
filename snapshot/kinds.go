package snapshot

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Kind is a kind of object of Kubernetes, of its well-known extensions or of Bulkhead.
type Kind struct {
	// Group is empty for the core.
	Group string
	// Resource is the plural, by which rules and requests name the kind.
	Resource string
	// Name is the singular, which objects carry as their kind.
	Name string
	// Namespaced objects lie in namespaces; the others belong to the cluster.
	Namespaced bool
	// OwnersCreate reports whether a tenant's owners may create it, and so whether a quota must count it.
	OwnersCreate bool
	// PodSpec is the path of its pod spec; nil where it has none.
	PodSpec []string
	// Creates are the kinds that controllers create from it, as group/resource.
	Creates []string
}

// Kinds are all kinds that are known, those of one group together.
func Kinds() []Kind { return slices.Clone(kinds) }

// KindOf returns the kind of a group and a plural; false when it is not known.
func KindOf(group, resource string) (Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Group == group && k.Resource == resource })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// Workloads are the kinds that hold a pod spec, pods first.
func Workloads() []Kind {
	return slices.DeleteFunc(Kinds(), func(k Kind) bool { return k.PodSpec == nil })
}

// QuotaKeys are the keys by which a ResourceQuota counts the kind's objects: first the key that every kind has, then the
// older key of the same thing, if there is one. The key "pods" is not the same thing: it leaves out terminated pods.
func (k Kind) QuotaKeys() []corev1.ResourceName {
	if k.Group != "" {
		return []corev1.ResourceName{corev1.ResourceName("count/" + k.Resource + "." + k.Group)}
	}
	keys := []corev1.ResourceName{corev1.ResourceName("count/" + k.Resource)}
	if slices.Contains(olderQuotaKeys, corev1.ResourceName(k.Resource)) {
		keys = append(keys, corev1.ResourceName(k.Resource))
	}
	return keys
}

var olderQuotaKeys = []corev1.ResourceName{corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims,
	corev1.ResourceReplicationControllers, corev1.ResourceSecrets, corev1.ResourceServices}

// Paths of pod specs.
var (
	inSpec     = []string{"spec"}
	inTemplate = []string{"spec", "template", "spec"}
)

// kinds is the table. Kinds with details stand alone, the others by group.
var kinds = slices.Concat([]Kind{
	{"", "pods", "Pod", true, true, inSpec, []string{"/persistentvolumeclaims", "resource.k8s.io/resourceclaims"}},
	{"", "podtemplates", "PodTemplate", true, true, []string{"template", "spec"}, nil},
	{"", "replicationcontrollers", "ReplicationController", true, true, inTemplate, []string{"/pods"}},
	{"apps", "daemonsets", "DaemonSet", true, true, inTemplate, []string{"/pods", "apps/controllerrevisions"}},
	{"apps", "deployments", "Deployment", true, true, inTemplate, []string{"apps/replicasets"}},
	{"apps", "replicasets", "ReplicaSet", true, true, inTemplate, []string{"/pods"}},
	{"apps", "statefulsets", "StatefulSet", true, true, inTemplate, []string{"/pods", "/persistentvolumeclaims", "apps/controllerrevisions"}},
	{"batch", "cronjobs", "CronJob", true, true, []string{"spec", "jobTemplate", "spec", "template", "spec"}, []string{"batch/jobs"}},
	{"batch", "jobs", "Job", true, true, inTemplate, []string{"/pods"}},
	{"", "services", "Service", true, true, nil, []string{"/endpoints", "discovery.k8s.io/endpointslices"}},
	{v1alpha1.GroupVersion.Group, "spaces", "Space", true, true, nil, nil},
},
	owned("", "configmaps ConfigMap", "secrets Secret", "serviceaccounts ServiceAccount", "persistentvolumeclaims PersistentVolumeClaim"),
	owned("autoscaling", "horizontalpodautoscalers HorizontalPodAutoscaler"),
	owned("policy", "poddisruptionbudgets PodDisruptionBudget"),
	owned("networking.k8s.io", "ingresses Ingress", "networkpolicies NetworkPolicy"),
	owned("coordination.k8s.io", "leases Lease"),
	owned("rbac.authorization.k8s.io", "rolebindings RoleBinding", "roles Role"),

	namespaced("", "bindings Binding", "endpoints Endpoints", "events Event", "limitranges LimitRange", "resourcequotas ResourceQuota"),
	namespaced("apps", "controllerrevisions ControllerRevision"),
	namespaced("authorization.k8s.io", "localsubjectaccessreviews LocalSubjectAccessReview"),
	namespaced("coordination.k8s.io", "leasecandidates LeaseCandidate"),
	namespaced("discovery.k8s.io", "endpointslices EndpointSlice"),
	namespaced("events.k8s.io", "events Event"),
	namespaced("resource.k8s.io", "resourceclaims ResourceClaim", "resourceclaimtemplates ResourceClaimTemplate"),
	namespaced("storage.k8s.io", "csistoragecapacities CSIStorageCapacity"),
	namespaced("certificates.k8s.io", "podcertificaterequests PodCertificateRequest"),
	namespaced("scheduling.k8s.io", "workloads Workload", "podgroups PodGroup", "compositepodgroups CompositePodGroup"),
	namespaced("lifecycle.k8s.io", "evictionrequests EvictionRequest", "evictions Eviction"),
	namespaced("metrics.k8s.io", "pods PodMetrics"),
	namespaced("extensions", "daemonsets DaemonSet", "deployments Deployment", "ingresses Ingress", "networkpolicies NetworkPolicy",
		"replicasets ReplicaSet"),

	cluster("", "componentstatuses ComponentStatus", "namespaces Namespace", "nodes Node", "persistentvolumes PersistentVolume"),
	cluster("admissionregistration.k8s.io", "mutatingadmissionpolicies MutatingAdmissionPolicy",
		"mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding", "mutatingwebhookconfigurations MutatingWebhookConfiguration",
		"validatingadmissionpolicies ValidatingAdmissionPolicy", "validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding",
		"validatingwebhookconfigurations ValidatingWebhookConfiguration"),
	cluster("apiextensions.k8s.io", "customresourcedefinitions CustomResourceDefinition"),
	cluster("apiregistration.k8s.io", "apiservices APIService"),
	cluster("authentication.k8s.io", "selfsubjectreviews SelfSubjectReview", "tokenreviews TokenReview"),
	cluster("authorization.k8s.io", "selfsubjectaccessreviews SelfSubjectAccessReview", "selfsubjectrulesreviews SelfSubjectRulesReview",
		"subjectaccessreviews SubjectAccessReview"),
	cluster("certificates.k8s.io", "certificatesigningrequests CertificateSigningRequest", "clustertrustbundles ClusterTrustBundle", "signers Signer"),
	cluster("flowcontrol.apiserver.k8s.io", "flowschemas FlowSchema", "prioritylevelconfigurations PriorityLevelConfiguration"),
	cluster("internal.apiserver.k8s.io", "storageversions StorageVersion"),
	cluster("networking.k8s.io", "ingressclasses IngressClass", "ipaddresses IPAddress", "servicecidrs ServiceCIDR"),
	cluster("node.k8s.io", "runtimeclasses RuntimeClass"),
	cluster("policy", "podsecuritypolicies PodSecurityPolicy"),
	cluster("rbac.authorization.k8s.io", "clusterrolebindings ClusterRoleBinding", "clusterroles ClusterRole"),
	cluster("resource.k8s.io", "deviceclasses DeviceClass", "devicetaintrules DeviceTaintRule",
		"resourcepoolstatusrequests ResourcePoolStatusRequest", "resourceslices ResourceSlice"),
	cluster("scheduling.k8s.io", "priorityclasses PriorityClass"),
	cluster("storage.k8s.io", "csidrivers CSIDriver", "csinodes CSINode", "storageclasses StorageClass", "volumeattachments VolumeAttachment",
		"volumeattributesclasses VolumeAttributesClass"),
	cluster("storagemigration.k8s.io", "storageversionmigrations StorageVersionMigration"),
	cluster("metrics.k8s.io", "nodes NodeMetrics"),
	cluster("policy.networking.k8s.io", "adminnetworkpolicies AdminNetworkPolicy",
		"baselineadminnetworkpolicies BaselineAdminNetworkPolicy", "clusternetworkpolicies ClusterNetworkPolicy"),
	cluster("gateway.networking.k8s.io", "gatewayclasses GatewayClass"),
	cluster("snapshot.storage.k8s.io", "volumesnapshotclasses VolumeSnapshotClass"),
	cluster(v1alpha1.GroupVersion.Group, "isolationreports IsolationReport", "platforms Platform", "tenants Tenant", "waivers Waiver",
		v1alpha1.ResourceGuardrails+" "), // of which there are no objects
)

// owned are kinds that owners may create, each as "plural Name".
func owned(group string, names ...string) []Kind { return kindsOf(group, true, true, names) }

func namespaced(group string, names ...string) []Kind { return kindsOf(group, true, false, names) }

func cluster(group string, names ...string) []Kind { return kindsOf(group, false, false, names) }

func kindsOf(group string, inNamespaces, owners bool, names []string) []Kind {
	list := make([]Kind, 0, len(names))
	for _, both := range names {
		resource, name, _ := strings.Cut(both, " ")
		list = append(list, Kind{Group: group, Resource: resource, Name: name, Namespaced: inNamespaces, OwnersCreate: owners})
	}
	return list
}
