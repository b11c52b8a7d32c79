package attack

import (
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

var plainSpace = createSpace("ask for a Space", nil)

// spaceAttacks go by the one kind of Bulkhead's that tenants write: what the controller makes of a Space, it makes with rights
// that the tenant lacks.
func spaceAttacks() []Attack {
	const control = "guardrail"
	atHome := func(id, title string, attempt Step, refusal Refusal) Attack {
		a := ownObject(id, control, title, plainSpace, attempt, refusal)
		a.Applies = nil
		return a
	}
	template := map[string]any{"template": map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"},
		"additionalResources": []any{map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": nothing}}}}
	return []Attack{
		atHome("space-template", "has the controller make objects of its choice by a new Space", prunedSpace(createSpace("ask for a Space with objects of the tenant's choice", template)),
			Refusal{By: Mended}),
		atHome("space-template-by-patch", "has the controller make objects of its choice by a Space that is there", prunedSpace(patchSpace("add objects of the tenant's choice to a Space", "", spread(template))),
			Refusal{By: Mended}),
		atHome("space-unfinished", "lets a Space go without being off-boarded", patchSpace("take the finalizer from a Space", "", merge("finalizers", nil)), byPolicy("protected")),
		atHome("space-moved", "has a Space serve another workload than it was decided for", patchSpace("change the workload of a Space", "", spread(map[string]any{"workload": nothing})),
			Refusal{By: Validation, Says: "workload cannot be changed"}),
		atHome("space-status", "has the controller take another namespace for its own", patchSpace("write the status of a Space", "status",
			map[string]any{"status": map[string]any{"namespace": nothing}}), Refusal{By: RBAC}),
	}
}

func createSpace(title string, more map[string]any) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		spec := map[string]any{"workload": s.Space.Spec.Workload}
		for key, value := range more {
			spec[key] = value
		}
		space := map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Space", "spec": spec, "metadata": map[string]any{
			"generateName": generateName, "namespace": v1alpha1.HomeNamespace(s.Tenant.Name), "labels": map[string]string{labelAttack: mark(s)}}}
		return Ask{DryRun: spaceRequest(s, &Request{Body: space})}, nil
	}}
}

func patchSpace(title, subresource string, patch any) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		return Ask{DryRun: spaceRequest(s, &Request{Verb: "patch", Name: s.Space.Name, Subresource: subresource, Body: patch})}, nil
	}}
}

func spaceRequest(s Scene, r *Request) *Request {
	r.Group, r.Version = v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version
	r.Namespace, r.Resource = v1alpha1.HomeNamespace(s.Tenant.Name), "spaces"
	return r
}

// prunedSpace is harmless when nothing is left of what the kind does not know.
func prunedSpace(step Step) Step {
	return Step{Title: step.Title, Ask: func(s Scene) (Ask, error) {
		ask, err := step.Ask(s)
		if err != nil {
			return Ask{}, err
		}
		ask.DryRun.Judge = func(r Reply) Answer {
			spec, _ := r.Object["spec"].(map[string]any)
			for _, unknown := range []string{"template", "additionalResources"} {
				if spec[unknown] != nil {
					return Answer{Allowed: true, Note: "spec." + unknown + " was stored"}
				}
			}
			return Answer{Refusal: Refusal{By: Mended, Says: "a Space has no field for objects; the API server dropped it"}}
		}
		return ask, nil
	}}
}
