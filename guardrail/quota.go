package guardrail

import (
	"cmp"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// quotaControl bounds what a tenant takes, whatever the number of its Spaces.
var quotaControl = Control{
	ID: "quota", Title: "One quota for the tenant, whatever the number of its Spaces",
	Threat: "noisy neighbours, and evading a namespace's quota by creating more namespaces",
	How: "A ledger splits the tenant's quota into one ResourceQuota for each Space; what the Spaces may use never " +
		"adds up to more than the tenant has, at no moment. Every kind that an owner may create is counted, and " +
		"terminated pods count too, and so do the revisions that controllers keep. The number of Spaces is bounded in the home " +
		"namespace. What the quota does not name is 0: storage, and by an admission policy extended resources, huge pages and " +
		"devices. That policy bounds a pod's lists, texts and grace periods, too, and others the revisions and Jobs that are kept.",
	Objects: []string{"ResourceQuota bulkhead"},
	Needs:   "kube-controller-manager's resource quota controller",
	Fix: "Developer: free something, or move shares between your Spaces by their spec.quota. Platform: raise the " +
		"Tenant's quota.",
	Mappings: []string{"K01", "MTB-PL1-CC-FNS-1", "MTB-PL1-CC-FNS-2", "MTB-PL1-CC-TI-1"},
	cases: []string{
		"compute", "compute-of-pod", "claim", "by-scale", "by-resize", "bounds-cpu", "bounds-memory", "bounds-ephemeral-storage", "bounds-objects",
		"spaces", "bounds-storage", "foreign-resource*", "init-foreign-resource", "huge-pages*", "devices*", "many-*", "much-text*",
		"grace*", "probe-grace", "revisions-of-*", "old-jobs", "other-controller*", "scheduling-group", "eviction-responders", "job-scheduling", "evict-*",
	},
	validations: func(_ *v1alpha1.PlatformSpec) []validation {
		return []validation{histories(), deletions(), podBounds()}
	},
}

// countPods counts every pod, the terminated ones too, which the key "pods" leaves out.
const countPods corev1.ResourceName = "count/pods"

// objectBounds bounds, tenant-wide, the kinds that an owner may create and that a tenant's quota does not name: objects of
// every tenant share one etcd, whose default size is 2 GiB and whose largest recommended size is 8 GiB. Figures: roomy for
// a tenant of a hundred Spaces; an object has at most 1.5 MiB. A kind that is not here has the bound objectBound.
var objectBounds = map[corev1.ResourceName]int64{
	countPods:                                 2000,
	"count/replicationcontrollers":            200,
	"count/podtemplates":                      200,
	"count/replicasets.apps":                  5000, // a Deployment keeps ten old ones
	"count/daemonsets.apps":                   200,
	"count/jobs.batch":                        1000,
	"count/networkpolicies.networking.k8s.io": 1000,
}

// controllerBounds are of what controllers make from what owners write: revisions of StatefulSets and DaemonSets, and claims of
// devices. (Endpoints and EndpointSlices follow from the number of Services and pods, and events expire.)
var controllerBounds = map[corev1.ResourceName]int64{
	"count/controllerrevisions.apps":       5000,
	"count/resourceclaims.resource.k8s.io": 0,
}

// objectBound lets each of a hundred Spaces have 5 objects of a kind.
const objectBound = 500

// defaultSpaces is how many Spaces a tenant has whose quota does not say: each costs the platform a namespace with its
// objects, and a published limit of a cluster is 10,000 namespaces.
const defaultSpaces = 100

// TenantQuota is the quota that the ledger splits over a tenant's Spaces: spec.quota, completed so that nothing an
// owner may create is without a bound.
//
//   - services.nodeports is 0 always, services.loadbalancers is 0 unless given;
//   - count/pods is what pods is unless given, so that terminated pods count;
//   - cpu, memory and ephemeral storage, where no key names them, are bounded by what as many pods get by default; where the
//     requests alone are named, the limits are as many times that as a container's default limit is of its default request;
//   - requests.storage and claims of devices are 0 unless given;
//   - every other kind of object that is not named has the bound of a constant.
//
// CountSpaces is left out: it bounds the home namespace.
func TenantQuota(p *v1alpha1.Platform, t *v1alpha1.Tenant) corev1.ResourceList {
	total := corev1.ResourceList{}
	maps.Copy(total, t.Spec.Quota.DeepCopy())
	delete(total, v1alpha1.CountSpaces)
	total[corev1.ResourceServicesNodePorts] = *resource.NewQuantity(0, resource.DecimalSI)
	complete(total, corev1.ResourceServicesLoadBalancers, 0)
	complete(total, corev1.ResourceRequestsStorage, 0)
	for key, most := range controllerBounds {
		complete(total, key, most)
	}
	if pods, given := total[corev1.ResourcePods]; given {
		complete(total, countPods, pods.Value())
	}
	for _, kind := range snapshot.Kinds() {
		keys := kind.QuotaKeys()
		if !kind.OwnersCreate || keys[0] == v1alpha1.CountSpaces {
			continue
		}
		if _, named := first(total, keys...); !named {
			total[keys[0]] = *resource.NewQuantity(cmp.Or(objectBounds[keys[0]], objectBound), resource.DecimalSI)
		}
	}
	boundCompute(total)
	if p == nil {
		return total
	}
	for _, r := range p.Spec.TenantResources {
		for _, name := range usable(&r) {
			complete(total, corev1.ResourceName("count/"+name+"."+r.Group), objectBound)
		}
	}
	return total
}

// boundCompute bounds what a container can take of a node. The default limit of one container, times the pods: a tenant
// that names nothing gets what the LimitRange gives, for every pod that it may have.
func boundCompute(total corev1.ResourceList) {
	pods := total[countPods]
	for _, c := range compute {
		requests, limits := keysOf(c.name)
		if _, named := first(total, limits...); named {
			continue
		}
		most, times := c.limit, pods.Value()
		if asked, named := first(total, requests...); named {
			most, times = min(asked, 1<<58), c.limit/c.request
		}
		amount := resource.NewQuantity(most, c.format)
		if c.name == corev1.ResourceCPU {
			amount = resource.NewMilliQuantity(most, c.format)
		}
		amount.Mul(times)
		total[limits[0]] = *amount
	}
}

// complete sets a key that is not there.
func complete(total corev1.ResourceList, key corev1.ResourceName, amount int64) {
	if _, given := total[key]; !given {
		total[key] = *resource.NewQuantity(amount, resource.DecimalSI)
	}
}

// resourceQuota is the Space's grant. What must always be 0 is 0 even when the grant is wrong.
func resourceQuota(in *SpaceInput) *corev1.ResourceQuota {
	hard := in.Quota.DeepCopy()
	if hard == nil {
		hard = corev1.ResourceList{}
	}
	hard[corev1.ResourceServicesNodePorts] = *resource.NewQuantity(0, resource.DecimalSI)
	complete(hard, corev1.ResourceServicesLoadBalancers, 0)
	meta := spaceMeta(in, v1alpha1.QuotaName)
	return quotaObject(&meta, hard)
}

// homeQuota bounds the Spaces and lets nothing else in that could run, listen or hold a secret. Owners have no right
// to create any of it there; this holds even when a user gives them one.
func homeQuota(t *v1alpha1.Tenant) *corev1.ResourceQuota {
	spaces, given := t.Spec.Quota[v1alpha1.CountSpaces]
	if !given {
		spaces = *resource.NewQuantity(defaultSpaces, resource.DecimalSI)
	}
	hard := corev1.ResourceList{v1alpha1.CountSpaces: spaces.DeepCopy()}
	for _, key := range []corev1.ResourceName{
		corev1.ResourcePods, countPods, corev1.ResourceServices, corev1.ResourceSecrets,
		corev1.ResourcePersistentVolumeClaims, corev1.ResourceReplicationControllers,
	} {
		hard[key] = *resource.NewQuantity(0, resource.DecimalSI)
	}
	meta := tenantMeta(v1alpha1.HomeNamespace(t.Name), v1alpha1.QuotaName, t.Name)
	return quotaObject(&meta, hard)
}

// SystemQuota keeps Spaces out of Bulkhead's own namespace. It is there before any tenant's quota is: its status shows
// whether Kubernetes counts Spaces yet.
func SystemQuota() *corev1.ResourceQuota {
	meta := clusterMeta("bulkhead-spaces")
	meta.Namespace = v1alpha1.SystemNamespace
	return quotaObject(&meta, corev1.ResourceList{v1alpha1.CountSpaces: *resource.NewQuantity(0, resource.DecimalSI)})
}

// quotaObject is a ResourceQuota over all pods of a namespace.
func quotaObject(meta *metav1.ObjectMeta, hard corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: *meta,
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
	}
}
