package guardrails

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// setting is what a scene takes from a namespace so that harmless twins are harmless there. Namespaces of one setting share requests.
type setting struct {
	// image that is allowed, with the registry that allows it where a policy names it; storageClass that is allowed. Empty where none is
	// known.
	image, registry, storageClass string
	// hub is what is allowed of docker.io, from which images come whose name holds no registry: all, the official ones, or nothing.
	hub string
	// runtime is the RuntimeClass that is demanded.
	runtime string
	// token is true where workloads may have an identity at the API server, hosts where the tenant has host names, and protected where it
	// must not be deleted.
	token, hosts, protected bool
}

// spot is where a scene is: what differs from namespace to namespace of one setting.
type spot struct{ tenant, namespace, host string }

// probeName is the name of every object of a probe.
const probeName = v1alpha1.NamePrefix + "probe"

// anySpot stands for every spot. A request in which its tenant is named is made for each namespace anew.
var anySpot = spot{tenant: probeName + "-tenant", namespace: v1alpha1.SpaceNamespace(probeName+"-tenant", "space"), host: probeName + "-tenant.invalid"}

// fallbackImage is that of harmless pods where the allowed registries are not known.
const fallbackImage = "registry.k8s.io/pause:3.10"

// scene of the catalogue, filled from the snapshot. No control is waived in it: what a Waiver lets through is found, and the Waiver
// accepts it.
func (g *guardrails) scene(s *setting, at spot) hostile.Scene {
	workload := v1alpha1.Workload{Name: probeName}
	if s.token {
		workload.APIAccess = "OwnNamespaces"
	}
	tenant := &v1alpha1.Tenant{}
	tenant.Name, tenant.Spec.Protected, tenant.Spec.Workloads = at.tenant, s.protected, []v1alpha1.Workload{workload}
	tenant.Status.Decisions = []v1alpha1.WorkloadDecision{{Workload: probeName, RuntimeClass: s.runtime}}
	if s.hosts {
		tenant.Spec.IngressHosts = []string{at.host}
	}
	platform := &v1alpha1.Platform{}
	platform.Spec.StorageClasses = []string{probeName}
	if s.storageClass != "" {
		platform.Spec.StorageClasses = []string{s.storageClass}
	}
	if s.registry != "" {
		platform.Spec.Registries = []string{s.registry}
	}
	if s.hub != "" && s.hub+"/" != s.registry {
		platform.Spec.Registries = append(platform.Spec.Registries, s.hub)
	}
	for class, preempts := range g.facts.Preempts { // whichever of them are allowed
		if preempts {
			platform.Spec.PriorityClasses = append(platform.Spec.PriorityClasses, class)
		}
	}
	slices.Sort(platform.Spec.PriorityClasses)
	space := &v1alpha1.Space{}
	space.Name, space.Spec.Workload, space.Status.Namespace = probeName, probeName, at.namespace
	scene := hostile.Scene{Platform: platform, Tenant: tenant, Space: space, Facts: g.facts, Image: s.image}
	if scene.Image == "" {
		scene.Image = fallbackImage
	}
	return scene
}

// factsOf a snapshot are what the catalogue needs to know of the cluster.
func factsOf(in *finding.Input) *hostile.Facts {
	facts := &hostile.Facts{Node: probeName, Runtimes: []string{}, Preempts: map[string]bool{}}
	for _, c := range in.RuntimeClasses {
		facts.Runtimes = append(facts.Runtimes, c.Name)
	}
	for _, c := range in.PriorityClasses {
		never := c.PreemptionPolicy != nil && *c.PreemptionPolicy == corev1.PreemptNever
		facts.Preempts[c.Name] = c.Value > 0 && !never && !strings.HasPrefix(c.Name, "system-")
	}
	return facts
}

// settingOf finds out what is harmless in a namespace.
func (g *guardrails) settingOf(ns *snapshot.Namespace, identities []rbac.Identity) (setting, spot) {
	at := spot{tenant: g.Owner[ns.Name], namespace: ns.Name}
	s := setting{}
	s.image, s.registry = g.image(ns, identities)
	for _, hub := range []string{"docker.io", "docker.io/library"} {
		if s.hub == "" && s.registry != "" && g.admits(ns, identities, hub+"/"+probeName+":1") {
			s.hub = hub
		}
	}
	for _, class := range g.StorageClasses {
		s.storageClass = class.Name
		if len(identities) == 0 || len(g.Admission.Admit(g.harmless(&s, "persistentvolumeclaims").In(ns.Name, identities[0].Subject)).RefusedBy) == 0 {
			break
		}
		s.storageClass = ""
	}
	hosts, _ := ns.Annotations.Get(v1alpha1.AnnotationIngressHosts)
	at.host, _, _ = strings.Cut(hosts, ",")
	at.host = strings.Replace(at.host, "*", "probe", 1)
	s.hosts = at.host != ""
	token, _ := ns.Labels.Get(v1alpha1.LabelToken)
	s.token = token == v1alpha1.TokenAllowed
	protected, _ := ns.Annotations.Get(v1alpha1.AnnotationProtected)
	s.protected = protected == "true"
	s.runtime, _ = ns.Labels.Get(v1alpha1.LabelRuntimeClass)
	if !slices.Contains(g.facts.Runtimes, s.runtime) {
		s.runtime = "" // no pod can have it
	}
	return s, at
}

// harmless is the request that makes a harmless object of a kind.
func (g *guardrails) harmless(s *setting, resource string) *finding.AdmissionRequest {
	key := harmlessKey{*s, resource}
	if known, found := g.settings.Load(key); found {
		return known.(*finding.AdmissionRequest) //nolint:forcetypeassert // nothing else is stored there
	}
	scene := g.scene(s, anySpot)
	made, err := hostile.Target(scene, resource)
	if err != nil {
		panic("the scene of a proof lacks nothing that a harmless object needs: " + err.Error())
	}
	request, _, err := g.request(made, &scene)
	if err != nil {
		panic("a harmless object is one of Kubernetes: " + err.Error())
	}
	known, _ := g.settings.LoadOrStore(key, request)
	return known.(*finding.AdmissionRequest) //nolint:forcetypeassert // nothing else is stored there
}

type harmlessKey struct {
	setting

	resource string
}

// candidate is an image that may be allowed, of a registry that a policy names.
type candidate struct{ image, registry string }

// image is one of which a harmless pod is admitted in a namespace: of a registry that policies name, or of a pod that is there.
func (g *guardrails) image(ns *snapshot.Namespace, identities []rbac.Identity) (image, registry string) {
	if len(identities) == 0 {
		return "", ""
	}
	for _, c := range g.images() {
		if g.admits(ns, identities, c.image) {
			return c.image, c.registry
		}
	}
	return "", ""
}

// admits reports whether a harmless pod of an image is admitted in a namespace.
func (g *guardrails) admits(ns *snapshot.Namespace, identities []rbac.Identity, image string) bool {
	q := g.harmless(&setting{image: image}, "pods")
	return len(g.Admission.Admit(q.In(ns.Name, identities[0].Subject)).RefusedBy) == 0
}

// images are candidates, each once.
func (g *guardrails) images() []candidate {
	if known, found := g.settings.Load("images"); found {
		return known.([]candidate) //nolint:forcetypeassert // nothing else is stored there
	}
	quoted := regexp.MustCompile(`["']([a-z0-9][a-z0-9.-]*\.[a-z0-9.-]+(?::[0-9]+)?/(?:[a-z0-9._/-]*/)?)["']`)
	var list []candidate
	for _, p := range g.ValidatingPolicies {
		for _, v := range append(p.Spec.Validations[:len(p.Spec.Validations):len(p.Spec.Validations)], variablesAsChecks(p)...) {
			for _, match := range quoted.FindAllStringSubmatch(v.Expression, 8) {
				list = append(list, candidate{match[1] + probeName + ":1", match[1]})
			}
		}
	}
	const enough = 16
	for _, pod := range g.Pods {
		if pod.Spec == nil || len(pod.Spec.Containers) == 0 || len(list) >= enough {
			continue
		}
		if c := (candidate{image: pod.Spec.Containers[0].Image}); !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	list = append(list, candidate{image: fallbackImage})
	g.settings.Store("images", list)
	return list
}

// namespaceObject is a namespace as it stands, as far as what refuses its change looks at it.
func namespaceObject(name string, marks snapshot.Labels) map[string]any {
	set := map[string]any{}
	for _, l := range marks {
		set[l.Key] = l.Value
	}
	return map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": set}}
}
