package hostile

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// guardrailCases change what Bulkhead keeps: its objects, its marks, the tenant's namespaces and Spaces.
func guardrailCases() []Case {
	cases := slices.Concat(guardrailRights(), managedCases(), markCases(), namespaceCases(), spaceCases(), clusterCases(), finalizerCases())
	cases = append(cases, behind(byPolicy("namespaces", "goes with what it was made for"), atHome("guardrail",
		homeRow{"namespace-delete", "delete", "", "namespaces", "deletes its namespace behind its Space's back"})...)...)
	return append(cases, atHome("guardrail",
		homeRow{"namespace-patch", "patch", "", "namespaces", "changes the labels of its namespace"},
		homeRow{"namespace-update", "update", "", "namespaces", "replaces its namespace's labels"},
		homeRow{"namespace-status", "patch", "", "namespaces/status", "writes its namespace's labels by the status"},
		homeRow{"namespace-finalize", "update", "", "namespaces/finalize", "takes the finalizers from its namespace"},
		homeRow{"quota-patch", "patch", "", "resourcequotas", "raises its quota"},
		homeRow{"quota-delete", "delete", "", "resourcequotas", "deletes its quota"},
		homeRow{"quota-status", "patch", "", "resourcequotas/status", "writes what it has used of its quota"},
		homeRow{"limits-patch", "patch", "", "limitranges", "raises its limits"},
		homeRow{"limits-delete", "delete", "", "limitranges", "deletes its limits"},
		homeRow{"space-here", "create", v1alpha1.GroupVersion.Group, "spaces", "makes a Space outside its home"})...)
}

// guardrailRights are the forms in which a proof asks.
func guardrailRights() []Case {
	const control, all = "guardrail", Owners | ServiceAccounts
	return []Case{
		rights("change-guardrails", control, "is exempt from every admission policy", all, may(v1alpha1.VerbChange, v1alpha1.GroupVersion.Group, v1alpha1.ResourceGuardrails, clusterWide)),
		inSpace(rights("patch-namespace", control, "changes the labels of its namespace", all, may("patch", "", "namespaces", inOwn))),
		inSpace(rights("patch-quota", control, "changes its ResourceQuota", all, may("patch", "", "resourcequotas", inOwn))),
		inSpace(rights("patch-limits", control, "changes its LimitRange", all, may("patch", "", "limitranges", inOwn))),
		rights("pods-at-home", control, "runs pods in its home namespace, where no policy guards them", all, may("create", "", "pods", inHome)),
	}
}

// managedCases change the objects that Bulkhead keeps in a Space and on which an owner has rights: a policy keeps them.
func managedCases() []Case {
	const control = "guardrail"
	var cases []Case
	managed := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}}
	}
	for _, object := range []struct {
		group, resource, name string
		made                  any
	}{
		{networkingv1.GroupName, "networkpolicies", v1alpha1.NetworkDefaultName, &networkingv1.NetworkPolicy{ObjectMeta: managed(v1alpha1.NetworkDefaultName)}},
		{rbacv1.GroupName, "rolebindings", v1alpha1.OwnersName, &rbacv1.RoleBinding{ObjectMeta: managed(v1alpha1.OwnersName),
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: v1alpha1.RoleOwner}}},
	} {
		on := func(verb string, body any) Step {
			return Step{Title: verb + " " + object.name + " " + object.resource, Ask: func(s Scene) (Ask, error) {
				namespace, err := inOwn(s)
				return Ask{DryRun: &Request{Verb: verb, Group: object.group, Version: "v1", Namespace: namespace, Resource: object.resource, Name: object.name, Body: body, Upon: object.made}}, err
			}}
		}
		add := func(id, title string, attempt, twin Step) {
			attempt.Title = title
			cases = append(cases, always(ownObject(id+"-"+object.resource, control, title, twin, attempt, byPolicy("managed-objects", "belongs to Bulkhead")))...)
		}
		applied := applyOwn("apply one of its own "+object.resource, harmlessSteps()[object.resource+"."+object.group])
		patch := func(id, title string, body any) { add(id, title, on("patch", body), applied) }
		patch("unmark", "takes Bulkhead's mark from "+object.name+" ("+object.resource+")", patchOfMetadata("labels", map[string]any{v1alpha1.LabelManagedBy: nil}))
		add("delete", "deletes "+object.name+" ("+object.resource+")", on("delete", nil), inItsOwn("delete one of its own "+object.resource,
			Request{Verb: "delete", Group: object.group, Version: "v1", Resource: object.resource, RightOnly: true}))
		patch("annotate", "annotates "+object.name+" ("+object.resource+")", patchOfMetadata("annotations", map[string]any{"x": "y"}))
		patch("finalize", "keeps "+object.name+" ("+object.resource+") from being replaced by a finalizer", patchOfMetadata("finalizers", []string{metav1.FinalizerOrphanDependents}))
		patch("own", "has "+object.name+" ("+object.resource+") collected with an object of its own", patchOfMetadata("ownerReferences",
			[]any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": nothing, "uid": "00000000-0000-0000-0000-000000000000"}}))
		if object.group == rbacv1.GroupName {
			patch("widen", "adds an owner to "+object.name+" ("+object.resource+")", map[string]any{
				"subjects": []any{map[string]any{"apiGroup": rbacv1.GroupName, "kind": "User", "name": nothing}}})
		}
	}
	return cases
}

// markCases claim Bulkhead's own marks.
func markCases() []Case {
	const control = "guardrail"
	return always(
		ownObject("claim-managed", control, "passes an object off as Bulkhead's", harmlessMap,
			createMap("create a ConfigMap with Bulkhead's mark", map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}),
			byPolicy("managed-objects", "is for what Bulkhead makes")),
		ownObject("claim-tenant", control, "passes an object off as another tenant's", harmlessMap,
			createMap("create a ConfigMap with another tenant's label", map[string]string{v1alpha1.LabelTenant: nothing}),
			byPolicy("owned-labels", "is for Bulkhead to set")))
}

// harmlessMap is what owners make all day.
var harmlessMap = createMap("create a ConfigMap", nil)

// createMap creates a ConfigMap with labels next to the mark.
func createMap(title string, labels map[string]string) Step {
	return create(title, "", "configmaps", func(s Scene) any {
		object := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: marked(s)}
		for key, value := range labels {
			object.Labels[key] = value
		}
		return object
	})
}

// namespaceCases change labels and owners of namespaces: the tenant's own, and the system's.
func namespaceCases() []Case {
	const control, all = "guardrail", Owners | ServiceAccounts
	patch := func(title string, place where, verb, sub string, body any) Step {
		return Step{Title: title, Ask: func(s Scene) (Ask, error) {
			name, err := place(s)
			return Ask{DryRun: &Request{Verb: verb, Version: "v1", Resource: "namespaces", Name: name, Subresource: sub, Body: body, RightOnly: true}}, err
		}}
	}
	system := func(Scene) (string, error) { return metav1.NamespaceSystem, nil }
	refused := func(id, title string, each bool, step Step) Case {
		return Case{ID: control + "/" + id, Control: control, Title: title, By: all, EachSpace: each, Twin: reallyAllowed,
			Attempt: step, Refusal: Refusal{By: RBAC}}
	}
	owner := patchOfMetadata("ownerReferences", []any{map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Tenant", "name": nothing,
		"uid": "00000000-0000-0000-0000-000000000000"}})
	label := func(key, value string) map[string]any { return patchOfMetadata("labels", map[string]any{key: value}) }
	marks := behind(byPolicy("namespaces", "is for Bulkhead to set"),
		refused("tenant-label", "moves its namespace to another tenant", true, patch("label its namespace as another tenant's", inOwn, "patch", "", label(v1alpha1.LabelTenant, nothing))),
		refused("pod-security-label", "lowers Pod Security in its namespace", true, patch("label its namespace as privileged", inOwn, "patch", "", label("pod-security.kubernetes.io/enforce", "privileged"))))
	chain := behind(byPolicy("namespaces", "finalizers and owners of namespace"),
		refused("namespace-chain", "keeps its namespace from ever going", true, patch("write a finalizer into its namespace", inOwn, "patch", "", patchOfMetadata("finalizers", []string{metav1.FinalizerOrphanDependents}))))
	return append(slices.Concat(marks, chain), []Case{
		refused("system-namespace-labels", "labels kube-system", false, patch("label kube-system", system, "patch", "", label(v1alpha1.LabelTenant, nothing))),
		refused("system-namespace-owner", "makes itself the owner of kube-system", false, patch("write an owner into kube-system", system, "patch", "", owner)),
		refused("system-namespace-update", "replaces kube-system", false, patch("replace kube-system", system, "update", "", label(v1alpha1.LabelTenant, nothing))),
		refused("system-namespace-apply", "applies labels to kube-system", false, patch("apply labels to kube-system", system, "apply", "", label(v1alpha1.LabelTenant, nothing))),
		refused("system-namespace-status", "labels kube-system by its status", false, patch("label kube-system by its status", system, "patch", "status", label(v1alpha1.LabelTenant, nothing))),
		refused("system-namespace-finalize", "takes the finalizers from kube-system", false, patch("finalize kube-system", system, "update", "finalize", map[string]any{})),
		refused("name-label", "has its namespace pass for another", true, patch("label its namespace with another's name", inOwn, "patch", "", label(corev1.LabelMetadataName, nothing))),
		refused("home-label", "labels its home namespace", false, patch("label its home namespace", inHome, "patch", "", label(v1alpha1.LabelPattern, "Soft"))),
	}...)
}

// clusterCases change what the whole platform rests on.
func clusterCases() []Case {
	const control, all = "guardrail", Owners | ServiceAccounts
	refused := func(id, title string, request func() *Request, refusal Refusal) Case {
		return Case{ID: control + "/" + id, Control: control, Title: title, By: all, Twin: reallyAllowed, Refusal: Refusal{By: RBAC}, Behind: refusal,
			Attempt: Step{Title: title, Ask: func(Scene) (Ask, error) { return Ask{DryRun: request()}, nil }}}
	}
	definition := v1alpha1.DefinitionName("spaces")
	return []Case{
		refused("definition-delete", "deletes the definition of Spaces, and with it every Space", func() *Request {
			return &Request{Verb: "delete", Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Name: definition, RightOnly: true,
				Upon: map[string]any{"metadata": map[string]any{"name": definition}}}
		}, byPolicy("definitions", "would delete every object of its kind")),
		refused("waiver-of-the-past", "makes a Waiver that is over already", func() *Request {
			return &Request{Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Resource: "waivers", RightOnly: true,
				Body: map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Waiver", "metadata": map[string]any{"name": nothing},
					"spec": map[string]any{"control": "images", "tenant": nothing, "workload": nothing, "reason": "an exception that never was",
						"approver": "none", "expires": "2000-01-01T00:00:00Z"}}}
		}, byPolicy("waivers", "before it was made")),
	}
}

// finalized is a step with a finalizer on the object, or on its template.
func finalized(step Step, title, finalizer string, at ...string) Step {
	return changedMetadata(step, title, func(metadata map[string]any) { metadata["finalizers"] = []any{finalizer} }, at...)
}

// finalizerCases keep an object, and with it the namespace and its tenant, from ever going.
func finalizerCases() []Case {
	const finalizer = elsewhere + "/keep"
	refusal := byPolicy("finalizers", "from ever going if no controller takes it off")
	with := func(step Step, title string, at ...string) Step { return finalized(step, title, finalizer, at...) }
	refused := func(id, title string, twin, attempt Step) Case {
		return always(ownObject("finalizer-"+id, "guardrail", title, twin, attempt, refusal))[0]
	}
	cases := []Case{
		refused("misplaced", "keeps a ConfigMap from ever going by a finalizer that is taken off claims alone", harmlessMap,
			finalized(harmlessMap, "create a ConfigMap with the finalizer of claims", "kubernetes.io/pvc-protection")),
		refused("space", "keeps a Space from ever going by a finalizer", plainSpace, with(plainSpace, "ask for a Space with a finalizer")),
		refused("space-by-patch", "keeps a Space from ever going by a finalizer, afterwards", labelSpace,
			patchSpace("add a finalizer to a Space", "", patchOfMetadata("finalizers", []any{v1alpha1.Finalizer, finalizer}))),
	}
	for _, kind := range []struct {
		id, words, resource, group string
		twin                       Step
	}{
		{"configmap", "a ConfigMap", "configmaps", "", harmlessMap},
		{"role", "a Role", "roles", "rbac.authorization.k8s.io", harmlessRole},
		{"role-binding", "a RoleBinding", "rolebindings", "rbac.authorization.k8s.io", shareRole},
		{"service", "a Service", "services", "", harmlessService},
		{"network-policy", "a NetworkPolicy", "networkpolicies", "networking.k8s.io", harmlessPolicy},
	} {
		cases = append(cases,
			refused(kind.id, "keeps "+kind.words+" from ever going by a finalizer", kind.twin, with(kind.twin, "create "+kind.words+" with a finalizer")),
			refused(kind.id+"-by-patch", "keeps "+kind.words+" from ever going by a finalizer, afterwards",
				patchOwn("label "+kind.words, kind.group, kind.resource, patchOfMetadata("labels", map[string]any{"team": "web"})),
				patchOwn("add a finalizer to "+kind.words, kind.group, kind.resource, patchOfMetadata("finalizers", []any{finalizer}))))
	}
	cases = append(cases, refused("pod", "keeps a pod from ever going by a finalizer", compliantPod, with(compliantPod, "create a pod with a finalizer")))
	for _, w := range Workloads() {
		if at := templateOf(w); at != nil {
			twin := createWorkload("create a compliant "+w.Kind, w, unchanged)
			cases = append(cases, refused("template-"+strings.ToLower(w.Kind), "keeps pods of a "+w.Kind+" from ever going by a finalizer", twin,
				with(twin, "create a "+w.Kind+" whose pods have a finalizer", at...)))
		}
	}
	return cases
}

// templateOf is where the template of a kind's pods lies; nil for pods.
func templateOf(w Workload) []string {
	switch w.Kind {
	case "Pod":
		return nil
	case "PodTemplate":
		return []string{"template"}
	case "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}
	}
	return []string{"spec", "template"}
}

// spaceCases use the one kind of Bulkhead's that tenants write: what the controller makes of a Space, it makes with rights
// that the tenant lacks.
func spaceCases() []Case {
	const control = "guardrail"
	inHomeNamespace := func(id, title string, attempt Step, refusal Refusal) Case {
		return always(ownObject(id, control, title, plainSpace, attempt, refusal))[0]
	}
	onOne := func(id, title string, attempt Step, refusal Refusal) Case {
		c := inHomeNamespace(id, title, attempt, refusal)
		c.Twin = labelSpace
		return c
	}
	template := map[string]any{"template": map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"},
		"additionalResources": []any{map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": nothing}}}}
	protected := inHomeNamespace("space-protected", "deletes a Space of a protected tenant", Step{Title: "delete a Space of a protected tenant", Ask: func(s Scene) (Ask, error) {
		return Ask{DryRun: spaceRequest(s, &Request{Verb: "delete", Name: s.Space.Name})}, nil
	}}, byPolicy("protected", "is protected from deletion"))
	protected.Applies = func(s Scene) bool { return s.Tenant.Spec.Protected }
	return []Case{
		inHomeNamespace("space-template", "has the controller make objects of its choice by a new Space", prunedSpace(createSpace("ask for a Space with objects of the tenant's choice", template)),
			Refusal{By: mutation}),
		onOne("space-template-by-patch", "has the controller make objects of its choice by a Space that is there", prunedSpace(patchSpace("add objects of the tenant's choice to a Space", "", patchOf(template))),
			Refusal{By: mutation}),
		protected,
		onOne("space-unfinished", "lets a Space go without being off-boarded", patchSpace("take the finalizer from a Space", "", patchOfMetadata("finalizers", nil)), byPolicy("protected", "finalizer")),
		onOne("space-moved", "has a Space serve another workload than it was decided for", patchSpace("change the workload of a Space", "", patchOf(map[string]any{"workload": nothing})),
			Refusal{By: Validation, Says: "workload cannot be changed"}),
		inHomeNamespace("space-status", "has the controller take another namespace for its own", patchSpace("write the status of a Space", "status",
			map[string]any{"status": map[string]any{"namespace": nothing}}), Refusal{By: RBAC}),
	}
}

var (
	plainSpace = createSpace("ask for a Space", nil)
	labelSpace = patchSpace("label a Space", "", patchOfMetadata("labels", map[string]any{"team": "web"}))
)

func createSpace(title string, more map[string]any) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		spec := map[string]any{"workload": s.Space.Spec.Workload}
		for key, value := range more {
			spec[key] = value
		}
		space := map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Space", "spec": spec, "metadata": map[string]any{
			"generateName": v1alpha1.AttackPrefix, "namespace": v1alpha1.HomeNamespace(s.Tenant.Name), "labels": map[string]string{v1alpha1.LabelAttack: mark(s)}}}
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
	if r.Name != "" {
		r.Upon = map[string]any{"metadata": map[string]any{"name": r.Name, "finalizers": []any{v1alpha1.Finalizer}}, "spec": map[string]any{"workload": s.Space.Spec.Workload}}
	}
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
			return Answer{Refusal: Refusal{By: mutation, Says: "a Space has no field for objects; the API server dropped it"}}
		}
		return ask, nil
	}}
}
