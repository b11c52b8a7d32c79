package install

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/api/crds"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// The phases of an installation, in their order. Rights come after what they are for, and the controller last: it
// never runs where something that it needs is missing.
const (
	// PhaseDefinitions writes the CustomResourceDefinitions and waits until they are served.
	PhaseDefinitions = "definitions"
	// PhaseGuardrails writes the cluster-wide admission policies, roles for tenants and API fairness levels. They
	// enforce from then on, with or without the controller.
	PhaseGuardrails = "guardrails"
	// PhaseSystem writes Bulkhead's own namespace, identity and rights.
	PhaseSystem = "system"
	// PhaseController writes the Deployment and what keeps it available.
	PhaseController = "controller"
)

// Names of Bulkhead's own objects.
const (
	// DeploymentName is the controller's Deployment.
	DeploymentName = v1alpha1.ManagedBy
	// LeaseName is the lease that the leading controller holds, in the namespace v1alpha1.SystemNamespace.
	LeaseName = "bulkhead"
	// ManagedBy is the value of the label v1alpha1.LabelManagedBy on the objects of an installation. It differs from
	// that of the objects that the controller renders, which prunes what carries its own value and is not rendered.
	ManagedBy = v1alpha1.NamePrefix + "install"
)

// Phase is a group of objects that are written together, in their order.
type Phase struct {
	Name    string
	Objects []guardrail.Object
}

// Render returns everything that must be on a cluster for Bulkhead itself, in the order in which it must be written.
// platform is the cluster's Platform, or nil where there is none: the guardrails of the two are rendered by the same
// function that the controller uses, so install and controller never fight.
func Render(options Options, platform *v1alpha1.Platform) ([]Phase, error) {
	definitions, err := renderDefinitions()
	if err != nil {
		return nil, err
	}
	if platform == nil {
		platform = &v1alpha1.Platform{} // every list of a Platform is an allow-list, so the empty one is the strictest
	}
	phases := []Phase{
		{PhaseDefinitions, definitions},
		{PhaseGuardrails, guardrail.Cluster(platform)},
		{PhaseSystem, renderSystem()},
	}
	if options.Image != "" {
		phases = append(phases, Phase{PhaseController, renderController(options)})
	}
	return phases, nil
}

func renderDefinitions() ([]guardrail.Object, error) {
	all, err := crds.All()
	if err != nil {
		return nil, err
	}
	objects := make([]guardrail.Object, 0, len(all))
	for _, crd := range all {
		crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		if crd.Labels == nil {
			crd.Labels = map[string]string{}
		}
		for key, value := range ownLabels() {
			crd.Labels[key] = value
		}
		objects = append(objects, crd)
	}
	return objects, nil
}

func renderSystem() []guardrail.Object {
	namespace := &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace, Labels: ownLabels()},
	}
	for _, mode := range []string{"enforce", "audit", "warn"} {
		namespace.Labels["pod-security.kubernetes.io/"+mode] = "restricted"
		namespace.Labels["pod-security.kubernetes.io/"+mode+"-version"] = "latest"
	}
	objects := []guardrail.Object{
		namespace,
		&corev1.ServiceAccount{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta: inSystem(),
		},
		guardrail.SystemQuota(), // early, so that Kubernetes counts Spaces by the time the first tenant comes
	}
	return append(objects, run.RBAC()...)
}

// inSystem is the metadata of an object in Bulkhead's own namespace. There is one of each kind.
func inSystem() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.ManagedBy, Labels: ownLabels()}
}

// ownLabels are on every object of an installation but the guardrails, which are the controller's to keep. A map of its own each time: callers add to it.
func ownLabels() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name": "bulkhead",
		v1alpha1.LabelManagedBy:  ManagedBy,
	}
}
