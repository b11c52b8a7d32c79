package isolation

import "strings"

// kindClass says what reading or writing objects of a kind means for tenants.
type kindClass int

const (
	// kindUnknown is no kind of Kubernetes or Bulkhead: nobody knows whether its objects lie in namespaces.
	kindUnknown kindClass = iota
	// kindNamespaced objects lie in namespaces, and so belong to tenants.
	kindNamespaced
	// kindNames are cluster-scoped objects that tell of others: of tenants, their volumes, their nodes.
	kindNames
	// kindShared are cluster-scoped objects that everyone may know.
	kindShared
	// kindSelf are requests about nobody but oneself.
	kindSelf
)

// kindClasses lists resources as group/resource; the core group is empty.
func kindClasses() map[kindClass][]string {
	return map[kindClass][]string{
		kindNamespaced: {"/bindings", "/configmaps", "/endpoints", "/events", "/limitranges", "/persistentvolumeclaims", "/pods",
			"/podtemplates", "/replicationcontrollers", "/resourcequotas", "/secrets", "/serviceaccounts", "/services",
			"apps/controllerrevisions", "apps/daemonsets", "apps/deployments", "apps/replicasets", "apps/statefulsets",
			"authorization.k8s.io/localsubjectaccessreviews", "autoscaling/horizontalpodautoscalers", "batch/cronjobs", "batch/jobs",
			"coordination.k8s.io/leases", "coordination.k8s.io/leasecandidates", "discovery.k8s.io/endpointslices",
			"events.k8s.io/events", "networking.k8s.io/ingresses", "networking.k8s.io/networkpolicies",
			"policy/poddisruptionbudgets", "rbac.authorization.k8s.io/rolebindings", "rbac.authorization.k8s.io/roles",
			"resource.k8s.io/resourceclaims", "resource.k8s.io/resourceclaimtemplates", "storage.k8s.io/csistoragecapacities",
			"certificates.k8s.io/podcertificaterequests", "scheduling.k8s.io/workloads", "scheduling.k8s.io/podgroups",
			"scheduling.k8s.io/compositepodgroups", "lifecycle.k8s.io/evictionrequests", "lifecycle.k8s.io/evictions",
			"metrics.k8s.io/pods", "extensions/daemonsets", "extensions/deployments", "extensions/ingresses",
			"extensions/networkpolicies", "extensions/replicasets", "bulkhead.dev/spaces"},
		kindNames: {"/namespaces", "/nodes", "/persistentvolumes", "certificates.k8s.io/certificatesigningrequests",
			"rbac.authorization.k8s.io/clusterrolebindings", "storage.k8s.io/volumeattachments", "storage.k8s.io/csinodes",
			"flowcontrol.apiserver.k8s.io/flowschemas", "networking.k8s.io/ipaddresses", "resource.k8s.io/resourceslices",
			"metrics.k8s.io/nodes", "bulkhead.dev/tenants", "bulkhead.dev/platforms", "bulkhead.dev/waivers",
			"bulkhead.dev/isolationreports", "authentication.k8s.io/tokenreviews", "authorization.k8s.io/subjectaccessreviews"},
		kindShared: {"/componentstatuses", "admissionregistration.k8s.io/mutatingadmissionpolicies",
			"admissionregistration.k8s.io/mutatingadmissionpolicybindings",
			"admissionregistration.k8s.io/mutatingwebhookconfigurations", "admissionregistration.k8s.io/validatingadmissionpolicies",
			"admissionregistration.k8s.io/validatingadmissionpolicybindings",
			"admissionregistration.k8s.io/validatingwebhookconfigurations", "apiextensions.k8s.io/customresourcedefinitions",
			"apiregistration.k8s.io/apiservices", "certificates.k8s.io/clustertrustbundles", "certificates.k8s.io/signers",
			"flowcontrol.apiserver.k8s.io/prioritylevelconfigurations", "internal.apiserver.k8s.io/storageversions",
			"networking.k8s.io/ingressclasses", "networking.k8s.io/servicecidrs", "node.k8s.io/runtimeclasses",
			"policy/podsecuritypolicies", "rbac.authorization.k8s.io/clusterroles", "resource.k8s.io/deviceclasses",
			"resource.k8s.io/devicetaintrules", "resource.k8s.io/resourcepoolstatusrequests", "scheduling.k8s.io/priorityclasses", "storage.k8s.io/csidrivers",
			"storage.k8s.io/storageclasses", "storage.k8s.io/volumeattributesclasses", "storagemigration.k8s.io/storageversionmigrations",
			"policy.networking.k8s.io/adminnetworkpolicies", "policy.networking.k8s.io/baselineadminnetworkpolicies",
			"policy.networking.k8s.io/clusternetworkpolicies", "gateway.networking.k8s.io/gatewayclasses",
			"snapshot.storage.k8s.io/volumesnapshotclasses", "bulkhead.dev/guardrails"},
		kindSelf: {"authentication.k8s.io/selfsubjectreviews", "authorization.k8s.io/selfsubjectaccessreviews",
			"authorization.k8s.io/selfsubjectrulesreviews"},
	}
}

// kinds looks kinds up by group/resource.
type kinds struct {
	classes map[string]kindClass
	groups  map[string]bool
}

func newKinds() kinds {
	k := kinds{map[string]kindClass{}, map[string]bool{"*": true}}
	for class, resources := range kindClasses() {
		for _, name := range resources {
			group, _, _ := strings.Cut(name, "/")
			k.classes[name], k.groups[group] = class, true
		}
	}
	return k
}

// of classifies a resource of a rule, which may be a wildcard. A subresource is of its resource's class.
func (k *kinds) of(group, resource string) kindClass {
	resource, _, _ = strings.Cut(resource, "/")
	if group == "*" || resource == "*" {
		if k.groups[group] {
			return kindNamespaced // and more; what else there is in them, the table of rights lists
		}
		return kindUnknown
	}
	return k.classes[group+"/"+resource]
}

// publicPath says whether a path that is no resource tells nothing about tenants: health, versions, the API's own
// description.
func publicPath(pattern string) bool {
	path := strings.TrimRight(pattern, "*")
	if pattern == "/" || pattern == "" {
		return true
	}
	for _, public := range []string{"/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz", "/.well-known/openid-configuration", "/openid"} {
		if path == public || strings.HasPrefix(path, public+"/") {
			return true
		}
	}
	return false
}
