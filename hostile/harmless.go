package hostile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

const (
	// nothing is the name of no object: what is asked of it, the authorizer answers alone.
	nothing = v1alpha1.AttackPrefix + "nothing"
	// elsewhere is a domain that exists nowhere (RFC 2606) and that no list of allowed ones has.
	elsewhere = v1alpha1.AttackName + ".invalid"
)

// marked is the metadata of everything that a case makes: a name that the API server completes, so that it meets
// nothing that exists, and a label by which it is known should it ever be stored.
func marked(s Scene) metav1.ObjectMeta {
	return metav1.ObjectMeta{GenerateName: v1alpha1.AttackPrefix, Namespace: s.Namespace(), Labels: map[string]string{v1alpha1.LabelAttack: mark(s)}}
}

func mark(s Scene) string {
	if s.Run == "" {
		return "proof"
	}
	return s.Run
}

// create is a step that creates an object in the Space's namespace.
func create(title, group, resource string, object func(Scene) any) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		if s.Namespace() == "" {
			return Ask{}, errors.New("the Space has no namespace yet")
		}
		return Ask{DryRun: &Request{Group: group, Version: "v1", Namespace: s.Namespace(), Resource: resource, Body: object(s)}}, nil
	}}
}

// patchOwn changes an object that the case made.
func patchOwn(title, group, resource string, patch any) Step {
	return Step{Title: title, On: resource, Ask: func(s Scene) (Ask, error) {
		return Ask{DryRun: &Request{Verb: "patch", Group: group, Version: "v1", Namespace: s.Namespace(), Resource: resource, Name: targetName(s), Body: patch}}, nil
	}}
}

// applyOwn is a step that creates an object, as a server-side apply of it, which takes the right to patch and no object that is there.
func applyOwn(title string, step Step) Step {
	return Step{Title: title, On: step.On, Ask: func(s Scene) (Ask, error) {
		ask, err := step.Ask(s)
		if err != nil {
			return Ask{}, err
		}
		object, err := plain(ask.DryRun.Body)
		if err != nil {
			return Ask{}, err
		}
		if metadata, is := object["metadata"].(map[string]any); is {
			delete(metadata, "generateName")
			metadata["name"] = nothing
		}
		ask.DryRun.Verb, ask.DryRun.Name, ask.DryRun.Body = "apply", nothing, object
		return ask, nil
	}}
}

// targetName is the name of the object that the step acts on.
func targetName(s Scene) string {
	metadata, _ := s.Target["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

// patchOf is a merge patch of the spec.
func patchOf(spec map[string]any) map[string]any { return map[string]any{"spec": spec} }

// patchOfMetadata is a merge patch of one field of the metadata.
func patchOfMetadata(field string, value any) map[string]any {
	return map[string]any{"metadata": map[string]any{field: value}}
}

// Pod obeys every control: an image of an allowed registry, always pulled; all of Pod Security's level restricted;
// no token; the smallest of resources; the RuntimeClass that was decided.
func Pod(s Scene) (*corev1.Pod, error) {
	if s.Namespace() == "" {
		return nil, errors.New("the Space has no namespace yet")
	}
	image := s.Image
	if image == "" && len(s.Platform.Spec.Registries) == 0 {
		return nil, errors.New("the Platform allows no registry, so that no pod is compliant: name one in spec.registries")
	} else if image == "" {
		image = strings.TrimRight(s.Platform.Spec.Registries[0], "/") + "/" + v1alpha1.AttackName + ":harmless"
	}
	small := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")}
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: marked(s),
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:            "harmless",
				Image:           image,
				ImagePullPolicy: corev1.PullAlways,
				Resources:       corev1.ResourceRequirements{Requests: small, Limits: small.DeepCopy()},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	if _, decided, found := s.Workload(); found && decided.RuntimeClass != "" {
		pod.Spec.RuntimeClassName = &decided.RuntimeClass
	}
	return pod, nil
}

// addInit gives a pod an init container that is as harmless as its first container.
func addInit(pod *corev1.Pod) *corev1.Container {
	first := pod.Spec.Containers[0].DeepCopy()
	first.Name = "init"
	pod.Spec.InitContainers = []corev1.Container{*first}
	return &pod.Spec.InitContainers[0]
}

// Target is the request that makes a harmless object of a kind, for a step to act on.
func Target(s Scene, resource string) (*Request, error) {
	kinds := Workloads()
	if i := slices.IndexFunc(kinds, func(w Workload) bool { return w.Resource == resource }); i >= 0 {
		object, err := kinds[i].Around(s, unchanged, true)
		return &Request{Group: kinds[i].Group, Version: "v1", Namespace: s.Namespace(), Resource: resource, Body: object}, err
	}
	for kind, step := range harmlessSteps() {
		if plural, _, _ := strings.Cut(kind, "."); plural == resource {
			ask, err := step.Ask(s)
			return ask.DryRun, err
		}
	}
	return nil, fmt.Errorf("there is no harmless object of %s", resource)
}

// harmlessSteps make an object of each kind that owners make all day and that a case is about, other than workloads. A kind
// is named as RBAC does, with its group.
func harmlessSteps() map[string]Step {
	return map[string]Step{
		"services": harmlessService, "networkpolicies.networking.k8s.io": harmlessPolicy, "roles.rbac.authorization.k8s.io": harmlessRole,
		"rolebindings.rbac.authorization.k8s.io": shareRole, "configmaps": harmlessMap, "persistentvolumeclaims": harmlessClaim,
		"ingresses.networking.k8s.io": harmlessIngress, "poddisruptionbudgets.policy": harmlessBudget,
	}
}

// Harmless are objects such as an owner makes all day, one of every kind that owners may create in a Space, by the kind's name
// in RBAC with its group.
func Harmless(s Scene) (map[string]map[string]any, error) {
	made := map[string]map[string]any{}
	for _, w := range Workloads() {
		body, err := w.Around(s, unchanged, true)
		if err != nil {
			return nil, err
		}
		made[w.String()] = body
	}
	for kind, step := range harmlessSteps() {
		if kind == "persistentvolumeclaims" && len(s.Platform.Spec.StorageClasses) == 0 ||
			kind == "ingresses.networking.k8s.io" && len(s.Tenant.Spec.IngressHosts) == 0 {
			continue // no such object is allowed here
		}
		ask, err := step.Ask(s)
		if err != nil {
			return nil, err
		}
		if made[kind], err = plain(ask.DryRun.Body); err != nil {
			return nil, err
		}
	}
	maps.Copy(made, map[string]map[string]any{
		"secrets":                              {"apiVersion": "v1", "kind": "Secret", "stringData": map[string]any{"key": "value"}},
		"serviceaccounts":                      {"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": false},
		"leases.coordination.k8s.io":           {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": map[string]any{"holderIdentity": nothing}},
		"horizontalpodautoscalers.autoscaling": {"spec": map[string]any{"maxReplicas": float64(1), "scaleTargetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": nothing}}},
	})
	made["pods/eviction"], made["serviceaccounts/token"] = map[string]any{}, map[string]any{"spec": map[string]any{}}
	for _, object := range made {
		object["metadata"] = map[string]any{"generateName": v1alpha1.AttackPrefix, "labels": map[string]any{v1alpha1.LabelAttack: mark(s)}}
		delete(object, "status")
	}
	return made, nil
}

// Made are the resources that cases make objects of, or would if the API server failed to honour a dry-run, in the order in
// which to remove them.
func Made() []Request {
	var all []Request
	for _, w := range slices.Backward(Workloads()) { // pods go last: their owners would make them again
		all = append(all, Request{Group: w.Group, Resource: w.Resource})
	}
	for _, plural := range []string{"services", "configmaps", "secrets", "persistentvolumeclaims", "serviceaccounts"} {
		all = append(all, Request{Resource: plural})
	}
	return append(all,
		Request{Group: networkingv1.GroupName, Resource: "networkpolicies"}, Request{Group: networkingv1.GroupName, Resource: "ingresses"},
		Request{Group: rbacv1.GroupName, Resource: "rolebindings"}, Request{Group: rbacv1.GroupName, Resource: "roles"},
		Request{Group: "coordination.k8s.io", Resource: "leases"}, Request{Group: "policy", Resource: "poddisruptionbudgets"},
		Request{Group: "autoscaling", Resource: "horizontalpodautoscalers"})
}

// plain is an object as JSON would give it back.
func plain(object any) (map[string]any, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode an object: %w", err)
	}
	var decoded map[string]any
	err = json.Unmarshal(raw, &decoded)
	return decoded, err
}

// decode reads an object as JSON gave it back into a type of Kubernetes'.
func decode(object map[string]any, into any) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode an object: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read an object: %w", err)
	}
	return nil
}
