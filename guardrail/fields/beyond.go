package fields

// Entry classifies what is no field of its own.
type Entry struct {
	// What it is, in words or by a name that may end in *.
	What  string
	Class Class
	// By is the control, and else the reason.
	By string
	// Cases of package hostile, separated by blanks.
	Cases string
}

// Topic is a list of entries on one subject.
type Topic struct {
	Title, About string
	Entries      []Entry
}

// Topics are what fields hold that is a table of its own: names of resources, kinds that controllers make, domains of labels and
// annotations.
func Topics() []Topic { return []Topic{resources, made, domains} }

// resources are the names by which a container, a pod or a claim asks for something.
var resources = Topic{"Names of resources", "What containers, pods and claims can ask for by name, in `requests` and `limits`.", []Entry{
	{"cpu", Bounded, "quota", "quota/bounds-cpu quota/compute"},
	{"memory", Bounded, "quota", "quota/bounds-memory"},
	{"ephemeral-storage", Bounded, "quota", "quota/bounds-ephemeral-storage"},
	{"hugepages-*", Bounded, "quota", "quota/huge-pages"},
	{"DOMAIN/NAME (extended resources)", Bounded, "quota", "quota/foreign-resource"},
	{"claims (of devices, by ResourceClaimTemplate)", Bounded, "quota", "quota/devices"},
	{"storage", Bounded, "quota", "quota/bounds-storage"},
}}

// made are the kinds of which controllers make objects, as group/resource.
var made = Topic{"Objects that controllers make", "Kinds of which controllers make objects in a tenant's namespace out of what its owners wrote, and what counts them.", []Entry{
	{"/pods", Bounded, "quota", "quota/bounds-objects"},
	{"/persistentvolumeclaims", Bounded, "quota", "quota/bounds-objects"},
	{"apps/replicasets", Bounded, "quota", "quota/bounds-objects"},
	{"batch/jobs", Bounded, "quota", "quota/bounds-objects"},
	{"apps/controllerrevisions", Bounded, "quota", "quota/bounds-objects"},
	{"resource.k8s.io/resourceclaims", Bounded, "quota", "quota/bounds-objects"},
	{"scheduling.k8s.io/workloads", Harmless, "With the feature gate WorkloadWithJob there is one for each Job, which the quota counts, of a bounded size.", ""},
	{"scheduling.k8s.io/podgroups", Harmless, "With the feature gate WorkloadWithJob there is one for each Job, which the quota counts, of a bounded size.", ""},
	{"/endpoints", Harmless, "There is one for each Service, which the quota counts, of a bounded size.", ""},
	{"discovery.k8s.io/endpointslices", Harmless, "There is one for each Service and hundred of its pods, which the quota counts.", ""},
	{"certificates.k8s.io/podcertificaterequests", Harmless, "A kubelet has at most one at a time for each projected certificate of a pod, which the quota counts, and deletes them.", ""},
	{"/events", Harmless, "They end after an hour, equal ones are one object, and their senders send few a second for each object.", ""},
}}

// domains are those of labels and annotations.
var domains = Topic{"Domains of labels and annotations", "Who acts on a label or an annotation is decided by its domain.", []Entry{
	{"label bulkhead.dev/*", Refused, "guardrail", "guardrail/claim-tenant"},
	{"label app.kubernetes.io/managed-by: bulkhead", Refused, "guardrail", "guardrail/claim-managed"},
	{"annotation volume.beta.kubernetes.io/storage-class", Bounded, "storage", "storage/old-annotation"},
	{"every other label", Bounded, "rbac-escalate", "rbac-escalate/label-pod rbac-escalate/label-service"},
	{"every other annotation", Bounded, "rbac-escalate", "rbac-escalate/annotate-pod rbac-escalate/annotate-service"},
}}

// Elsewhere are the fields whose text names an object outside the tenant's namespace, by what it names; each as the schema and the
// path of its row.
func Elsewhere() []Reference {
	return []Reference{
		{"Node", "core.v1.PodSpec", "nodeName"},
		{"labels of nodes", "core.v1.PodSpec", "nodeSelector"},
		{"labels of nodes", "core.v1.PodSpec", "affinity.nodeAffinity"},
		{"taints of nodes", "core.v1.PodSpec", "tolerations"},
		{"scheduler", "core.v1.PodSpec", "schedulerName"},
		{"PriorityClass", "core.v1.PodSpec", "priorityClassName"},
		{"RuntimeClass", "core.v1.PodSpec", "runtimeClassName"},
		{"DeviceClass, by a claim of the namespace", "core.v1.PodSpec", "resourceClaims"},
		{"responders to evictions", "core.v1.PodSpec", "evictionResponders"},
		{"registry", "core.v1.Container", "image"},
		{"registry", "core.v1.EphemeralContainer", "image"},
		{"registry", "core.v1.Volume", "image.reference"},
		{"signer", "core.v1.Volume", "projected.sources.podCertificate.signerName"},
		{"signer or ClusterTrustBundle", "core.v1.Volume", "projected.sources.clusterTrustBundle"},
		{"audience", "core.v1.Volume", "projected.sources.serviceAccountToken.audience"},
		{"audience", "authentication.v1.TokenRequest", "spec.audiences"},
		{"Node", "authentication.v1.TokenRequest", "spec.boundObjectRef"},
		{"profile on the node", "core.v1.SecurityContext", "seccompProfile.localhostProfile"},
		{"profile on the node", "core.v1.SecurityContext", "appArmorProfile.localhostProfile"},
		{"identity of a domain", "core.v1.SecurityContext", "windowsOptions"},
		{"driver", "core.v1.Volume", "csi"},
		{"StorageClass", "core.v1.PersistentVolumeClaimSpec", "storageClassName"},
		{"VolumeAttributesClass", "core.v1.PersistentVolumeClaimSpec", "volumeAttributesClassName"},
		{"PersistentVolume", "core.v1.PersistentVolumeClaimSpec", "volumeName"},
		{"object of another namespace", "core.v1.PersistentVolumeClaimSpec", "dataSourceRef.namespace"},
		{"kind of a volume populator", "core.v1.PersistentVolumeClaimSpec", "dataSourceRef"},
		{"host", "core.v1.ServiceSpec", "externalName"},
		{"address", "core.v1.ServiceSpec", "externalIPs"},
		{"address", "core.v1.ServiceSpec", "loadBalancerIP"},
		{"controller of load balancers", "core.v1.ServiceSpec", "loadBalancerClass"},
		{"IngressClass", "networking.v1.IngressSpec", "ingressClassName"},
		{"host", "networking.v1.IngressSpec", "rules.host"},
		{"host", "networking.v1.IngressSpec", "tls.hosts"},
		{"namespaces", "networking.v1.NetworkPolicy", "spec.egress.to"},
		{"namespaces", "networking.v1.NetworkPolicy", "spec.ingress.from"},
		{"controller of Jobs", "batch.v1.JobSpec", "managedBy"},
		{"external metric", "autoscaling.v2.HorizontalPodAutoscaler", "spec.metrics.external"},
		{"ClusterRole", "rbac.v1.RoleBinding", "roleRef.name"},
		{"users, groups, accounts of other namespaces", "rbac.v1.RoleBinding", "subjects.name"},
		{"Spaces of other tenants", "v1alpha1.Space", "spec.to"},
	}
}

// Reference is a field whose text names an object elsewhere.
type Reference struct{ Names, Schema, Path string }
