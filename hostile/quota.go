package hostile

import (
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
		byPod("compute-of-pod", control, "takes more than the Space's quota, for a pod as a whole", beyondQuotaAsAWhole, overQuota),
		hugeClaim(), manyDebuggers(),
		whereServed(byPod("scheduling-group", control, "has its pods scheduled and preempt as a group", specChange(func(s *corev1.PodSpec) {
			s.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: new(nothing)}
		}), byPolicy("pod-bounds", "schedulingGroup")), "spec", "schedulingGroup"),
		whereServed(byPod("eviction-responders", control, "holds up the drain of a node by responders that never answer", specChange(func(s *corev1.PodSpec) {
			s.EvictionResponders = []corev1.EvictionResponder{{Name: elsewhere + "/responder", Priority: new(int32(1000))}}
		}), byPolicy("pod-bounds", "schedulingGroup")), "spec", "evictionResponders"),
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
	cases = append(cases, boundBy("bounds-storage", "claims storage without bound", func(Scene) [][]corev1.ResourceName {
		return [][]corev1.ResourceName{{corev1.ResourceRequestsStorage}}
	}))
	return append(append(cases, keptCases()...), evictionCases()...)
}

// countedKeys are the keys by which a quota bounds the number of objects of each kind.
func countedKeys(Scene) [][]corev1.ResourceName {
	keys := [][]corev1.ResourceName{{corev1.ResourceServicesNodePorts}, {corev1.ResourceServicesLoadBalancers},
		{"count/controllerrevisions.apps"}, {"count/resourceclaims.resource.k8s.io"}}
	for _, kind := range snapshot.Kinds() {
		if kind.OwnersCreate && kind.Group != v1alpha1.GroupVersion.Group { // Spaces are counted at home
			keys = append(keys, kind.QuotaKeys())
		}
	}
	return keys
}

// beyondQuota asks for twice what was granted, by two containers, since the LimitRange allows one container no more than the whole tenant has.
func beyondQuota(s Scene, pod *corev1.Pod) error {
	list, err := granted(s)
	if err != nil {
		return err
	}
	resources := &pod.Spec.Containers[0].Resources
	for key, amount := range list {
		if amount.Cmp(resources.Limits[key]) > 0 {
			resources.Limits[key], resources.Requests[key] = amount, amount.DeepCopy()
		}
	}
	second := pod.Spec.Containers[0].DeepCopy()
	second.Name = "second"
	pod.Spec.Containers = append(pod.Spec.Containers, *second)
	return nil
}

// beyondQuotaAsAWhole asks for twice what was granted by no container: a LimitRange bounds those alone.
func beyondQuotaAsAWhole(s Scene, pod *corev1.Pod) error {
	list, err := granted(s)
	if err != nil {
		return err
	}
	whole := &corev1.ResourceRequirements{Limits: corev1.ResourceList{}, Requests: corev1.ResourceList{}}
	for key, amount := range list {
		amount.Add(amount)
		amount.Add(resource.MustParse("1Gi")) // never less than what its containers ask for
		whole.Limits[key], whole.Requests[key] = amount, amount.DeepCopy()
	}
	pod.Spec.Resources = whole
	return nil
}

// whereServed is a case of a field that an API server without its feature gate drops.
func whereServed(c Case, path ...string) Case {
	c.Or = Refusal{By: mutation}
	attempt := c.Attempt.Ask
	c.Attempt.Ask = func(s Scene) (Ask, error) {
		ask, err := attempt(s)
		if err != nil {
			return Ask{}, err
		}
		ask.DryRun.Judge = func(r Reply) Answer {
			if _, kept, err := unstructured.NestedFieldNoCopy(r.Object, path...); err != nil || kept {
				return Answer{Allowed: true}
			}
			return Answer{Refusal: Refusal{By: mutation, Says: "the API server drops " + path[len(path)-1]}}
		}
		return ask, nil
	}
	return c
}

// hugeClaim asks for the largest volume that there is.
func hugeClaim() Case {
	const title = "claims a volume beyond the Space's quota"
	c := ownObject("claim", "quota", title, harmlessClaim, createClaim(title, func(c *corev1.PersistentVolumeClaim) {
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("7Ei")}
	}), overQuota)
	c.Applies, c.Or = claimsStorage, Refusal{By: Limits, Says: "maximum storage"} // which is asked before a quota
	return c
}

// manyDebuggers adds more ephemeral containers than other policies judge.
func manyDebuggers() Case {
	const title = "adds more ephemeral containers to a pod than are judged at little cost"
	one := addEphemeral(title, func(*corev1.Container) {})
	return ownObject("many-debuggers", "quota", title, harmlessDebugger, Step{Title: title, On: one.On, Ask: func(s Scene) (Ask, error) {
		ask, err := one.Ask(s)
		if err != nil {
			return Ask{}, err
		}
		body, _ := ask.DryRun.Body.(map[string]any)
		spec, _ := body["spec"].(map[string]any)
		list, _ := spec["ephemeralContainers"].([]any)
		first, is := list[0].(corev1.EphemeralContainer)
		if !is {
			return Ask{}, errors.New("no ephemeral container to add more of")
		}
		for i := range 32 {
			more := first
			more.Name = fmt.Sprintf("debugger-%d", i)
			list = append(list, more)
		}
		spec["ephemeralContainers"] = list
		return ask, nil
	}}, byPolicy("pod-bounds", "a pod has at most"))
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

// granted is all that the Space's quota grants of the first resource that both it and a pod can name: the least where it bounds requests
// and limits, since one container has no more of either.
func granted(s Scene) (corev1.ResourceList, error) {
	for _, key := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		list := corev1.ResourceList{}
		for _, named := range []corev1.ResourceName{"limits." + key, "requests." + key, key} {
			amount, bounds := s.Space.Status.Quota[named]
			if least, found := list[key]; bounds && (!found || amount.Cmp(least) < 0) {
				list[key] = amount.DeepCopy()
			}
		}
		if len(list) > 0 {
			return list, nil
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

// boundedPods ask for what the tenant's quota does not name, or are larger than a pod may be.
func boundedPods() []PodCase {
	pod := func(id, title, says string, variant bool, change func(*corev1.PodSpec)) PodCase {
		return PodCase{ID: id, Control: "quota", Title: title, Refusal: byPolicy("pod-bounds", says), variant: variant, Change: specChange(change)}
	}
	const unnamed = "is not in the quota of this tenant"
	ask := func(c *corev1.Container, name corev1.ResourceName) {
		for _, list := range []*corev1.ResourceList{&c.Resources.Limits, &c.Resources.Requests} {
			if *list == nil {
				*list = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("16Mi")}
			}
			(*list)[name] = resource.MustParse("2Mi")
		}
	}
	initial := pod("init-foreign-resource", "takes devices that its quota does not name, by an init container", unnamed, true, nil)
	initial.Change = func(_ Scene, pod *corev1.Pod) error { ask(addInit(pod), elsewhere+"/gpu"); return nil }
	return append([]PodCase{
		pod("foreign-resource", "takes devices that its quota does not name", unnamed, false, func(s *corev1.PodSpec) { ask(&s.Containers[0], elsewhere+"/gpu") }),
		initial,
		pod("huge-pages", "takes huge pages that its quota does not name", unnamed, true, func(s *corev1.PodSpec) { ask(&s.Containers[0], "hugepages-2Mi") }),
		pod("devices", "claims devices that its quota does not name", "resourceClaims ask for devices", false, func(s *corev1.PodSpec) {
			s.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimName: new(nothing)}}
		}),
	}, append(manyPods(pod), lastingPods(pod)...)...)
}

// manyPods have more of something than other policies judge.
func manyPods(pod func(id, title, says string, variant bool, change func(*corev1.PodSpec)) PodCase) []PodCase {
	const most = "a pod has at most"
	return []PodCase{
		pod("many-containers", "has more containers than are judged at little cost", most, true, func(s *corev1.PodSpec) {
			for i := range 32 {
				c := s.Containers[0].DeepCopy()
				c.Name = fmt.Sprintf("c-%d", i)
				s.Containers = append(s.Containers, *c)
			}
		}),
		pod("many-volumes", "has more volumes than are judged at little cost", most, true, func(s *corev1.PodSpec) {
			for i := range 65 {
				s.Volumes = append(s.Volumes, corev1.Volume{Name: fmt.Sprintf("v-%d", i), VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
			}
		}),
		pod("many-tolerations", "has more tolerations than are judged at little cost", most, true, func(s *corev1.PodSpec) {
			for i := range 33 {
				s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists,
					Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(i))})
			}
		}),
		pod("many-init-containers", "has more init containers than are judged at little cost", most, true, func(s *corev1.PodSpec) {
			for i := range 33 {
				c := s.Containers[0].DeepCopy()
				c.Name = fmt.Sprintf("init-%d", i)
				s.InitContainers = append(s.InitContainers, *c)
			}
		}),
		pod("many-constraints", "has more topology spread constraints than are judged at little cost", most, true, func(s *corev1.PodSpec) {
			for i := range 17 {
				s.TopologySpreadConstraints = append(s.TopologySpreadConstraints, corev1.TopologySpreadConstraint{MaxSkew: 1,
					TopologyKey: fmt.Sprintf("example.com/level-%d", i), WhenUnsatisfiable: corev1.ScheduleAnyway})
			}
		}),
		pod("many-terms", "has more affinity terms than are judged at little cost", most, true, func(s *corev1.PodSpec) {
			toPods(false, false, func(*corev1.PodAffinityTerm) {})(s)
			terms := &s.Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution
			for range 16 {
				*terms = append(*terms, (*terms)[0])
			}
		}),
		pod("many-variables", "has more variables than a template may hold", "at most 256 env", true, func(s *corev1.PodSpec) {
			for i := range 257 {
				s.Containers[0].Env = append(s.Containers[0].Env, corev1.EnvVar{Name: fmt.Sprintf("V%d", i)})
			}
		}),
	}
}

// lastingPods fill etcd, or hold their node.
func lastingPods(pod func(id, title, says string, variant bool, change func(*corev1.PodSpec)) PodCase) []PodCase {
	return []PodCase{
		pod("much-text", "fills etcd by templates", "characters together", false, func(s *corev1.PodSpec) {
			s.Containers[0].Env = []corev1.EnvVar{{Name: "TEXT", Value: strings.Repeat("x", 65*1024)}}
		}),
		pod("grace", "keeps its node for days after it was deleted", "a grace period is at most", false, func(s *corev1.PodSpec) { s.TerminationGracePeriodSeconds = new(int64(1 << 20)) }),
		pod("probe-grace", "keeps its node for days after a probe failed", "a grace period is at most", true, func(s *corev1.PodSpec) {
			s.Containers[0].LivenessProbe = &corev1.Probe{TerminationGracePeriodSeconds: new(int64(1 << 20)),
				ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
		}),
	}
}

// keptCases have the cluster keep what is over: old revisions, old Jobs, deleted pods.
func keptCases() []Case {
	const control = "quota"
	kept := func(id, title, resource, field string, value any, says string) Case {
		w := workloadOf(resource)
		attempt := createWorkload(title, w, unchanged)
		return ownObject(id, control, title, createWorkload("create a compliant "+w.Kind, w, unchanged), Step{Title: title, Ask: func(s Scene) (Ask, error) {
			ask, err := attempt.Ask(s)
			if err != nil {
				return Ask{}, err
			}
			whole, _ := ask.DryRun.Body.(map[string]any)
			spec, _ := whole["spec"].(map[string]any)
			spec[field] = value
			return ask, nil
		}}, byPolicy("histories", says))
	}
	cases := []Case{
		kept("old-jobs", "keeps every Job that failed", "cronjobs", "failedJobsHistoryLimit", 1000, "are at most"),
		kept("other-controller", "has another controller run its Job", "jobs", "managedBy", elsewhere+"/controller", "managedBy"),
		whereServed(kept("job-scheduling", "has objects made for its Job that no quota counts", "jobs", "scheduling",
			map[string]any{"schedulingPolicy": map[string]any{"basic": map[string]any{}}}, "scheduling has controllers act"), "spec", "scheduling"),
		ownObject("grace-by-eviction", control, "keeps a pod for days after it was evicted", evict("evict a pod", func(o *metav1.DeleteOptions) { o.GracePeriodSeconds = new(int64(30)) }),
			evict("evict a pod in days", func(o *metav1.DeleteOptions) { o.GracePeriodSeconds = new(int64(1 << 20)) }),
			byPolicy("deletions", "gracePeriodSeconds is at most")),
	}
	for _, resource := range []string{"daemonsets", "deployments", "statefulsets"} {
		cases = append(cases, kept("revisions-of-"+resource, "keeps every revision of its "+resource, resource, "revisionHistoryLimit", 1000, "are at most"))
	}
	return cases
}

// evict is a step that evicts a pod.
func evict(title string, change func(*metav1.DeleteOptions)) Step {
	return Step{Title: title, On: "pods", Ask: func(s Scene) (Ask, error) {
		options := &metav1.DeleteOptions{}
		change(options)
		return Ask{DryRun: &Request{Version: "v1", Namespace: s.Namespace(), Resource: "pods", Name: targetName(s), Subresource: "eviction",
			Body: &policyv1.Eviction{TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "Eviction"},
				ObjectMeta: metav1.ObjectMeta{Name: targetName(s), Namespace: s.Namespace()}, DeleteOptions: options}}}, nil
	}}
}

// evictionCases take the allowance of a budget away without a pod that goes.
func evictionCases() []Case {
	twin := evict("evict a pod at once", func(o *metav1.DeleteOptions) { o.GracePeriodSeconds = new(int64(1)) })
	fail := func(id, title string, change func(*metav1.DeleteOptions)) Case {
		return ownObject(id, "quota", title, twin, evict(title, func(o *metav1.DeleteOptions) {
			o.GracePeriodSeconds = new(int64(1))
			change(o)
		}), byPolicy("deletions", "stops the drain of a node"))
	}
	return []Case{
		fail("evict-another", "stops the drain of a node by the eviction of a pod that is another one", func(o *metav1.DeleteOptions) {
			o.Preconditions = metav1.NewUIDPreconditions("00000000-0000-4000-8000-000000000000")
		}),
		fail("evict-orphaning", "stops the drain of a node by an eviction that contradicts itself", func(o *metav1.DeleteOptions) {
			o.PropagationPolicy = new(metav1.DeletePropagationOrphan)
		}),
	}
}
