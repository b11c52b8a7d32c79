package hostile

import (
	corev1 "k8s.io/api/core/v1"

	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// overQuota is the refusal by the Space's quota.
var overQuota = Refusal{By: Quota, Name: v1alpha1.QuotaName}

// quotaCases take more than the tenant's part.
func quotaCases() []Case {
	const control = "quota"
	deployment := workloadOf("deployments")
	cases := []Case{
		byPod("compute", control, "takes more than the Space's quota", beyondQuota, overQuota),
		ownObject("by-resize", control, "resizes a pod beyond the Space's quota", harmlessResize, resizePod("resize a pod beyond the quota", granted), overQuota),
		always(ownObject("by-scale", control, "scales a Deployment up beyond the Space's quota",
			runWorkload("scale a Deployment up within the quota", deployment, unchanged, true),
			runWorkload("scale a Deployment up beyond the quota", deployment, beyondQuota, true), overQuota))[0],
		spaceCount(),
		boundBy("bounds-objects", "has no bound on the number of some kind of object", countedKeys),
	}
	for _, key := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		cases = append(cases, boundBy("bounds-"+string(key), "has no bound on "+string(key), func(Scene) [][]corev1.ResourceName {
			return [][]corev1.ResourceName{{"requests." + key, key, "limits." + key}} // no request is above its limit
		}))
	}
	return cases
}

// countedKeys are the keys by which a quota bounds the number of objects of each kind.
func countedKeys(Scene) [][]corev1.ResourceName {
	keys := [][]corev1.ResourceName{{corev1.ResourceServicesNodePorts}, {corev1.ResourceServicesLoadBalancers}}
	for _, kind := range snapshot.Kinds() {
		if kind.OwnersCreate && kind.Group != v1alpha1.GroupVersion.Group { // Spaces are counted at home
			keys = append(keys, kind.QuotaKeys())
		}
	}
	return keys
}

// beyondQuota asks for twice what was granted, of the first resource that both the Space's quota and a pod can name. It does
// so by two containers, since the LimitRange allows one container no more than the whole tenant has.
func beyondQuota(s Scene, pod *corev1.Pod) error {
	for _, key := range []struct {
		quota, pod corev1.ResourceName
		limit      bool
	}{
		{corev1.ResourceLimitsCPU, corev1.ResourceCPU, true},
		{corev1.ResourceLimitsMemory, corev1.ResourceMemory, true},
		{corev1.ResourceRequestsCPU, corev1.ResourceCPU, false},
		{corev1.ResourceCPU, corev1.ResourceCPU, false},
		{corev1.ResourceRequestsMemory, corev1.ResourceMemory, false},
		{corev1.ResourceMemory, corev1.ResourceMemory, false},
	} {
		granted, named := s.Space.Status.Quota[key.quota]
		if !named {
			continue
		}
		resources := &pod.Spec.Containers[0].Resources
		if granted.Cmp(resources.Limits[key.pod]) > 0 {
			resources.Limits[key.pod] = granted.DeepCopy()
			if !key.limit {
				resources.Requests[key.pod] = granted.DeepCopy()
			}
		}
		second := pod.Spec.Containers[0].DeepCopy()
		second.Name = "second"
		pod.Spec.Containers = append(pod.Spec.Containers, *second)
		return nil
	}
	return errors.New("the Space's quota (status.quota) bounds neither cpu nor memory: name requests.cpu or requests.memory in the tenant's quota")
}

// boundBy reads, as the tenant, the quotas that are in force in its Space, and demands that each list of keys is bounded by one
// of its keys: by its exact name, in the status, which is what admission goes by. To fill a quota for real would starve the
// tenant.
func boundBy(id, title string, keys func(Scene) [][]corev1.ResourceName) Case {
	return Case{ID: "quota/" + id, Control: "quota", Title: title, By: Owners, EachSpace: true, Refusal: Refusal{By: Quota},
		Twin: readQuotas("read the Space's quotas", nil), Attempt: readQuotas(title, keys)}
}

func readQuotas(title string, keys func(Scene) [][]corev1.ResourceName) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		namespace, err := inOwn(s)
		if err != nil {
			return Ask{}, err
		}
		request := Request{Verb: "list", Version: "v1", Namespace: namespace, Resource: "resourcequotas"}
		if keys == nil {
			return Ask{Real: &Real{Request: request}}, nil
		}
		request.Judge = func(r Reply) Answer {
			var list corev1.ResourceQuotaList
			if err := decode(r.Object, &list); err != nil {
				return Unclear("%v", err)
			}
			return bounded(list.Items, keys(s))
		}
		return Ask{Real: &Real{Request: request}}, nil
	}}
}

func bounded(quotas []corev1.ResourceQuota, keys [][]corev1.ResourceName) Answer {
	var bounds, open []string
	for _, alternatives := range keys {
		found := false
		for _, key := range alternatives {
			for i := range quotas {
				// A quota with a scope does not count every object.
				hard, named := quotas[i].Status.Hard[key]
				if named && len(quotas[i].Spec.Scopes) == 0 && quotas[i].Spec.ScopeSelector == nil {
					found = true
					bounds = append(bounds, fmt.Sprintf("%s at most %s", key, hard.String()))
				}
			}
		}
		if !found {
			open = append(open, string(alternatives[0]))
		}
	}
	if len(open) > 0 {
		return Answer{Allowed: true, Note: few(open)}
	}
	return Answer{Refusal: Refusal{By: Quota, Says: few(bounds)}}
}

// spaceCount is the oldest way to many namespaces: to ask for more Spaces than the tenant has.
func spaceCount() Case {
	return Case{ID: "quota/spaces", Control: "quota", Title: "makes as many Spaces as it likes", By: Owners, Refusal: Refusal{By: Quota},
		Twin:    homeQuota("read the home namespace's quota through its Spaces", false),
		Attempt: homeQuota("make more Spaces than were granted", true)}
}

// homeQuota makes a Space by dry-run: where there is room it is accepted, and a quota must count it.
func homeQuota(title string, attempt bool) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		if !attempt {
			return reallyAllowed.Ask(s)
		}
		if s.Facts == nil {
			return Ask{}, errors.New("the quota of the home namespace is not known: the runner did not look")
		}
		return Ask{Real: &Real{Request: Request{Verb: "list", Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version,
			Namespace: v1alpha1.HomeNamespace(s.Tenant.Name), Resource: "spaces", Judge: func(Reply) Answer {
				if i := slices.IndexFunc(s.Facts.HomeBounds, func(b string) bool { return strings.HasPrefix(b, string(v1alpha1.CountSpaces)+" ") }); i >= 0 {
					return Answer{Refusal: Refusal{By: Quota, Says: s.Facts.HomeBounds[i]}}
				}
				return Answer{Allowed: true, Note: "no ResourceQuota in the home namespace counts Spaces"}
			}}}}, nil
	}}
}

// harmlessResize grows a pod in place, by its subresource resize, which needs no new pod.
var harmlessResize = resizePod("resize a pod of its own within its quota", func(Scene) (corev1.ResourceList, error) {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("11m")}, nil
})

// granted is all that the Space's quota grants of the first resource that both it and a pod can name.
func granted(s Scene) (corev1.ResourceList, error) {
	for _, key := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		for _, named := range []corev1.ResourceName{"limits." + key, "requests." + key, key} {
			if amount, bounds := s.Space.Status.Quota[named]; bounds {
				return corev1.ResourceList{key: amount.DeepCopy()}, nil
			}
		}
	}
	return nil, errors.New("the Space's quota (status.quota) bounds neither cpu nor memory: name requests.cpu or requests.memory in the tenant's quota")
}

// resizePod makes a small pod of two containers and resizes both: a LimitRange allows one alone no more than the whole tenant has.
// Requests and limits stay equal, as the API wants it of such a pod.
func resizePod(title string, to func(Scene) (corev1.ResourceList, error)) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		amount, err := to(s)
		if err != nil {
			return Ask{}, err
		}
		object, err := workloadOf("pods").Around(s, func(_ Scene, pod *corev1.Pod) error {
			second := pod.Spec.Containers[0].DeepCopy()
			second.Name = "second"
			pod.Spec.Containers = append(pod.Spec.Containers, *second)
			return nil
		}, true)
		if err != nil {
			return Ask{}, err
		}
		resources := map[string]any{"requests": amount, "limits": amount}
		return Ask{Real: &Real{Request: Request{Version: "v1", Namespace: s.Namespace(), Resource: "pods", Body: object},
			Then: &Request{Verb: "patch", Patch: types.StrategicMergePatchType, Version: "v1", Namespace: s.Namespace(), Resource: "pods", Subresource: "resize",
				Body: map[string]any{"spec": map[string]any{"containers": []any{
					map[string]any{"name": "harmless", "resources": resources}, map[string]any{"name": "second", "resources": resources}}}}}}}, nil
	}}
}
