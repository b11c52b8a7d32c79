package guardrail

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail/quota"
)

// defaultsControl gives every container requests and limits.
var defaultsControl = Control{
	ID: "defaults", Title: "Every container has requests and limits",
	Threat: "containers without limits, or with a limit of 0, which is none",
	How: "A LimitRange gives what a container does not name and refuses what is below a minimum or above what the " +
		"whole tenant has. The minimum closes a hole of quotas: a limit of 0 costs nothing and means unlimited. Where a container " +
		"requests more than the limit that it was given, an admission policy raises that to the request.",
	Objects:   []string{"LimitRange bulkhead"},
	Fix:       "Developer: name requests and limits of your own. Platform: none is needed.",
	Mappings:  []string{"K01", "MTB-PL1-CC-FNS-1"},
	cases:     []string{"no-limit", "huge", "huge-by-resize"},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{raiseLimits},
}

// compute holds, for each compute resource of a container, the figures that its defaults come from, in thousandths of
// a CPU or in bytes.
//
//   - request and limit are for a container that names none: enough for a small web service.
//   - least is the smallest amount that a container may name. It is not there for tidiness: a container that names a
//     limit of 0 has no limit at all in the kernel, and a request of 0 counts nothing in the quota, so without it one
//     pod could take a whole node for free. 4 MiB is about what a container runtime needs to start a process.
//   - whole is the unit to round to.
var compute = []struct {
	name                         corev1.ResourceName
	least, request, limit, whole int64
	format                       resource.Format
}{
	{corev1.ResourceCPU, 1, 50, 500, 1, resource.DecimalSI},
	{corev1.ResourceMemory, 4 * mebi, 64 * mebi, 256 * mebi, mebi, resource.BinarySI},
	{corev1.ResourceEphemeralStorage, mebi, 64 * mebi, 1024 * mebi, mebi, resource.BinarySI},
}

const (
	mebi = 1 << 20
	// podsAssumed is by how many pods a grant is divided that does not say how many it has.
	podsAssumed = 10
)

// limitRange gives containers that name no requests or limits some, and bounds those that do.
//
// A default is the table's figure or, where the grant divided by its number of pods is less, that: so a Space can
// always run as many pods without requests as its quota counts. The largest limit of one container is what the whole
// tenant has, also of what its quota does not name and TenantQuota bounds for it, since a quota of requests alone would let
// a container burst without bound. It does not follow the
// Space's own share, which changes whenever a sibling comes or goes, and which the quota enforces.
func limitRange(in *SpaceInput) *corev1.LimitRange {
	container := corev1.LimitRangeItem{
		Type:           corev1.LimitTypeContainer,
		Min:            corev1.ResourceList{},
		Max:            corev1.ResourceList{},
		Default:        corev1.ResourceList{},
		DefaultRequest: corev1.ResourceList{},
	}
	tenant := TenantQuota(in.Platform, in.Tenant)
	pods := int64(podsAssumed)
	if q, given := in.Quota[corev1.ResourcePods]; given && q.Value() > 0 {
		pods = q.Value()
	}
	for _, c := range compute {
		quantity := func(n int64) resource.Quantity {
			if c.name == corev1.ResourceCPU {
				return *resource.NewMilliQuantity(n, c.format)
			}
			return *resource.NewQuantity(n, c.format)
		}
		per := func(amount int64) int64 { return amount / pods / c.whole * c.whole }
		request, limit := c.request, c.limit
		requests, limits := keysOf(c.name)
		if share, named := first(in.Quota, limits...); named {
			limit = max(c.least, min(limit, per(share)))
		}
		if share, named := first(in.Quota, requests...); named {
			request = max(c.least, min(request, per(share)))
		}
		total, named := first(in.Tenant.Spec.Quota, append(limits, requests...)...)
		if !named {
			total, named = first(tenant, limits...)
		}
		if named {
			largest := max(total, c.least)
			limit = min(limit, largest)
			container.Max[c.name] = quantity(largest)
		}
		request = min(request, limit)
		container.Min[c.name] = quantity(c.least)
		container.Default[c.name] = quantity(limit)
		container.DefaultRequest[c.name] = quantity(request)
	}
	limits := []corev1.LimitRangeItem{container}
	if storage, named := in.Tenant.Spec.Quota[corev1.ResourceRequestsStorage]; named && storage.Sign() > 0 {
		limits = append(limits, corev1.LimitRangeItem{
			Type: corev1.LimitTypePersistentVolumeClaim,
			Max:  corev1.ResourceList{corev1.ResourceStorage: storage.DeepCopy()},
		})
	}
	return &corev1.LimitRange{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
		ObjectMeta: spaceMeta(in, v1alpha1.LimitsName),
		Spec:       corev1.LimitRangeSpec{Limits: limits},
	}
}

// raiseLimits makes a default limit as large as the request next to it: many charts name requests alone, and the API refuses a
// limit below its request. The API server's plugin notes in an annotation which limits it set; what a container says itself stays.
// A subject that forges the note has a limit raised that the API would refuse, and the LimitRange and the quota judge what comes out.
func raiseLimits(*v1alpha1.PlatformSpec) mutation {
	low := func(list, kind string) string {
		return strings.NewReplacer("LIST", list, "KIND", kind).Replace(`variables.pod.?LIST.orValue([]).transformList(i, c,
 ['cpu', 'memory', 'ephemeral-storage'].filter(r, c.?resources.?requests[?r].hasValue() && c.?resources.?limits[?r].hasValue() &&
  variables.set.exists(s, s.contains(r) && s.endsWith(' limit for KIND ' + c.name)) &&
  quantity(string(c.resources.limits[r])).isLessThan(quantity(string(c.resources.requests[r])))).map(r,
 {'path': '/spec/LIST/' + string(i) + '/resources/limits/' + r, 'value': string(c.resources.requests[r])}))`)
	}
	const note = "dyn(object).metadata.?annotations[?'kubernetes.io/limit-ranger']"
	return mutation{
		name:  "defaults",
		about: "A default limit is no smaller than the request next to it.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("", []string{"pods"}, onCreate)},
			namespaces: inSpaces(),
			conditions: podSpecWith("default-limits", note+".orValue('').contains(' limit for ')"),
		},
		variables: []admissionv1.Variable{
			let("pod", "dyn(object).spec"),
			let("set", note+".orValue('').split('; ')"),
			let("low", "("+low("containers", "container")+" +\n "+low("initContainers", "init container")+").flatten()"),
		},
		patch: "variables.low.map(l, JSONPatch{op: 'replace', path: l.path, value: l.value})",
	}
}

// keysOf a compute resource in a quota; "cpu" there means requests.cpu.
func keysOf(name corev1.ResourceName) (requests, limits []corev1.ResourceName) {
	return []corev1.ResourceName{"requests." + name, name}, []corev1.ResourceName{"limits." + name}
}

// first amount of a list that is named by one of the keys, in the unit of quota.Amount.
func first(list corev1.ResourceList, keys ...corev1.ResourceName) (int64, bool) {
	for _, key := range keys {
		if q, named := list[key]; named {
			return quota.Amount(key, q), true
		}
	}
	return 0, false
}
