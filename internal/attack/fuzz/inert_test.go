package fuzz

import (
	"testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/attack/fuzz/invent"
)

// Promise: what is made for real does nothing by being there: every harmless object that is made for real is inert, and with a danger
// that takes effect by itself it is not.
func TestInert(t *testing.T) {
	space := &v1alpha1.Space{Spec: v1alpha1.SpaceSpec{Workload: "web"}}
	space.Status.Namespace = "acme--web"
	made, err := hostile.Harmless(hostile.Scene{
		Platform: &v1alpha1.Platform{Spec: v1alpha1.PlatformSpec{Registries: []string{"registry.example.com"}}},
		Tenant:   &v1alpha1.Tenant{}, Space: space, Facts: &hostile.Facts{Node: "n"}, Run: "r",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"pods", "deployments.apps", "cronjobs.batch", "daemonsets.apps", "services", "networkpolicies.networking.k8s.io", "secrets", "configmaps"} {
		if !inert(kind, made[kind]) {
			t.Errorf("the harmless one of %s is not inert", kind)
		}
	}
	for _, kind := range []string{"persistentvolumeclaims", "ingresses.networking.k8s.io", "rolebindings.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io",
		"poddisruptionbudgets.policy", "horizontalpodautoscalers.autoscaling", "spaces.bulkhead.dev", "validatingwebhookconfigurations.admissionregistration.k8s.io"} {
		if inert(kind, made[kind]) {
			t.Errorf("%s counts as inert", kind)
		}
	}
	edit := func(value any, path ...any) invent.Edit { return invent.Edit{Path: path, Value: value} }
	for name, test := range map[string]struct {
		kind string
		edit invent.Edit
	}{
		"a pod without the gate":          {"pods", invent.Edit{Path: []any{"spec", "schedulingGates"}, Remove: true}},
		"a pod on a node":                 {"pods", edit("node-1", "spec", "nodeName")},
		"a template without the gate":     {"deployments.apps", invent.Edit{Path: []any{"spec", "template", "spec", "schedulingGates"}, Remove: true}},
		"a flood of pods":                 {"deployments.apps", edit(1000, "spec", "replicas")},
		"a flood by a text":               {"deployments.apps", edit("1000", "spec", "replicas")},
		"a flood of a Job's pods":         {"jobs.batch", edit(1000, "spec", "parallelism")},
		"a CronJob at work":               {"cronjobs.batch", edit(false, "spec", "suspend")},
		"a load balancer":                 {"services", edit("LoadBalancer", "spec", "type")},
		"a policy for the tenant's pods":  {"networkpolicies.networking.k8s.io", edit(map[string]any{}, "spec", "podSelector")},
		"a token":                         {"secrets", edit("kubernetes.io/service-account-token", "type")},
		"a template that is none at all":  {"pods", edit("x", "spec")},
		"a CronJob that has no template":  {"cronjobs.batch", edit(nil, "spec", "jobTemplate")},
		"a pod whose gates are something": {"pods", edit([]any{"x"}, "spec", "schedulingGates")},
	} {
		a := &invent.Attempt{Base: made[test.kind], Edits: []invent.Edit{test.edit}}
		if inert(test.kind, a.Object()) {
			t.Errorf("%s counts as inert", name)
		}
	}
}

// Promise: what is made for real can be known again by its mark, its name and its writer, and removed at once.
func TestStamp(t *testing.T) {
	for name, test := range map[string]struct {
		metadata any
		known    bool
	}{
		"none":         {nil, false},
		"a text":       {"x", false},
		"empty":        {map[string]any{}, true},
		"labels":       {map[string]any{"labels": map[string]any{"a": "b", v1alpha1.LabelAttack: "another"}}, true},
		"no labels":    {map[string]any{"labels": "x"}, false},
		"a name":       {map[string]any{"name": "kube-dns"}, false},
		"a finalizer":  {map[string]any{"finalizers": []any{"x/y"}}, false},
		"an owner":     {map[string]any{"ownerReferences": []any{}}, false},
		"another name": {map[string]any{"generateName": "x-"}, true},
	} {
		object := map[string]any{"metadata": test.metadata}
		if got := stamp(object, "run"); got != test.known {
			t.Errorf("%s: %t", name, got)
		}
		if test.known {
			m := engine.MetadataOf(object)
			if m.GetLabels()[v1alpha1.LabelAttack] != "run" || m.GetGenerateName() != v1alpha1.AttackPrefix {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
	for _, path := range [][]any{{"metadata"}, {"metadata", "labels", "a"}, {}} {
		if !touchesMetadata([]invent.Edit{{Path: []any{"spec"}}, {Path: path}}) {
			t.Errorf("%v does not touch the metadata", path)
		}
	}
}
