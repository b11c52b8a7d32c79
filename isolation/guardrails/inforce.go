package guardrails

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// completed looks at what mutating policies must make of harmless objects, and that the audit trail is written.
func (g *guardrails) completed(v *visit) []shown {
	ns := v.ns
	pattern, isSpace := ns.Labels.Get(v1alpha1.LabelPattern)
	if !isSpace {
		return nil
	}
	plain := v.setting
	plain.runtime = "" // which admission fills in
	pod := g.harmless(&plain, "pods")
	senders := g.sendersIn(v, pod)
	if len(senders) == 0 {
		return nil
	}
	answer := g.Admission.Admit(pod.In(ns.Name, senders[0].Subject))
	var list []shown
	must := func(answer *finding.AdmissionAnswer, o snapshot.Ref) {
		if _, expected := g.expected[o]; (expected || g.policies[o]) && !slices.Contains(answer.Considered, o) {
			list = append(list, g.unseen(ns, o, senders[0]))
		}
	}
	must(&answer, snapshot.Ref{Kind: kindMutating, Name: v1alpha1.PolicyPrefix + "images-pull"})
	must(&answer, snapshot.Ref{Kind: kindMutating, Name: v1alpha1.PolicyPrefix + "pod-security"})
	must(&answer, snapshot.Ref{Kind: kindMutating, Name: v1alpha1.PolicyPrefix + "defaults"})
	must(&answer, snapshot.Ref{Kind: kindValidating, Name: v1alpha1.PolicyPrefix + "audit"})
	demanded, sandboxed := ns.Labels.Get(v1alpha1.LabelRuntimeClass)
	if sandboxed {
		must(&answer, snapshot.Ref{Kind: kindMutating, Name: v1alpha1.PolicyPrefix + "runtime"})
	}
	if pattern == "SoftAffinity" {
		must(&answer, snapshot.Ref{Kind: kindMutating, Name: v1alpha1.PolicyPrefix + "node-affinity"})
	}
	if !v.setting.token {
		must(&answer, snapshot.Ref{Kind: kindMutating, Name: v1alpha1.PolicyPrefix + "token-pods"})
		account := g.Admission.Admit(g.account().In(ns.Name, senders[0].Subject))
		must(&account, snapshot.Ref{Kind: kindMutating, Name: v1alpha1.PolicyPrefix + "token"})
	}
	for policy, request := range g.completions() {
		considered := g.Admission.Admit(request.In(ns.Name, senders[0].Subject))
		must(&considered, snapshot.Ref{Kind: kindMutating, Name: v1alpha1.PolicyPrefix + policy})
	}
	probes := g.probesFor(v.setting)
	for i := range probes {
		for id, policy := range map[string]string{"token/request": "token-audience", "token/request-audience": "token-audience", "guardrail/widen-rolebindings": "changed-by"} {
			if probes[i].ID == id {
				considered := g.Admission.Admit(probes[i].request.In(ns.Name, senders[0].Subject))
				must(&considered, snapshot.Ref{Kind: kindMutating, Name: v1alpha1.PolicyPrefix + policy})
			}
		}
	}
	if answer.Admitted {
		list = append(list, g.misplaced(ns, pod, senders[0], &answer, demanded)...)
	}
	return list
}

// completions are requests that mutating policies look at, by the policy, other than the creation of pods.
func (g *guardrails) completions() map[string]*finding.AdmissionRequest {
	budget := &policyv1.PodDisruptionBudget{}
	service := &corev1.Service{}
	volume := &corev1.PersistentVolumeClaim{}
	budget.Name, service.Name, volume.Name = probeName, probeName, probeName
	budgets := policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets")
	of := func(policy string, request finding.AdmissionRequest) *finding.AdmissionRequest {
		request.Name = probeName
		known, _ := g.settings.LoadOrStore(completion(policy), &request)
		return known.(*finding.AdmissionRequest) //nolint:forcetypeassert // nothing else is stored there
	}
	create := finding.AdmissionRequest{Operation: "CREATE", Kind: policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"), Resource: budgets, Object: budget}
	status := create
	status.Operation, status.Subresource, status.OldObject = "UPDATE", "status", budget
	expose := finding.AdmissionRequest{Operation: "CREATE", Kind: corev1.SchemeGroupVersion.WithKind("Service"),
		Resource: corev1.SchemeGroupVersion.WithResource("services"), Object: service}
	claim := finding.AdmissionRequest{Operation: "CREATE", Kind: corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
		Resource: corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"), Object: volume}
	return map[string]*finding.AdmissionRequest{"disruptions": of("disruptions", create), "disruptions-allowed": of("disruptions-allowed", status),
		"service-address": of("service-address", expose), "service-ports": of("service-ports", expose), "claims": of("claims", claim)}
}

// completion is the key of a request that a mutating policy looks at.
type completion string

// account is the creation of a service account that leaves open whether pods get its token.
func (g *guardrails) account() *finding.AdmissionRequest {
	o := &corev1.ServiceAccount{}
	o.Name = probeName
	made := &finding.AdmissionRequest{Operation: "CREATE", Name: probeName, Object: o,
		Kind: corev1.SchemeGroupVersion.WithKind("ServiceAccount"), Resource: corev1.SchemeGroupVersion.WithResource("serviceaccounts")}
	known, _ := g.settings.LoadOrStore(completion("token"), made)
	return known.(*finding.AdmissionRequest) //nolint:forcetypeassert // nothing else is stored there
}

// unseen is a policy that should look at what is made in a namespace and does not.
func (g *guardrails) unseen(ns *snapshot.Namespace, o snapshot.Ref, s sender) shown {
	found := shown{tenant: g.Owner[ns.Name], namespace: ns.Name, subject: s, verdict: finding.Exposed, severity: finding.Low,
		does:  "make objects that " + o.String() + " should look at and does not",
		probe: madeUp("in-force", "", "BH4017", &finding.AdmissionRequest{Operation: "CREATE", Resource: corev1.SchemeGroupVersion.WithResource("pods")})}
	if o.Kind == kindValidating {
		for _, step := range g.silent.of(g, ns, o, &finding.AdmissionAnswer{}) {
			found.blame, found.steps = append(found.blame, step.Object), append(found.steps, step)
		}
		return found
	}
	binding := snapshot.Ref{Kind: kindMutatingBinding, Name: o.Name}
	found.blame, found.steps = []snapshot.Ref{o, binding}, []finding.Step{{Object: o, Does: "or its binding does not match it"}}
	i := slices.IndexFunc(g.MutatingPolicies, func(p *admissionv1.MutatingAdmissionPolicy) bool { return p.Name == o.Name })
	bound := slices.ContainsFunc(g.MutatingBindings, func(b *admissionv1.MutatingAdmissionPolicyBinding) bool {
		return b.Spec.PolicyName == o.Name && selectsNamespace(b.Spec.MatchResources, ns) && !looksFurther(b.Spec.MatchResources)
	})
	if i >= 0 && !bound {
		found.blame, found.steps = []snapshot.Ref{binding, o}, []finding.Step{{Object: binding, Does: "is not there, or does not select Namespace " + ns.Name}}
	}
	return found
}

// madeUp is a probe of what no hostile request shows: what admission fails to make of a harmless one.
func madeUp(id, control, code string, request *finding.AdmissionRequest) *probe {
	return &probe{Case: &hostile.Case{ID: id, Control: control}, grade: grade{code: code}, request: request}
}

// misplaced returns the finding that a harmless pod is admitted, and comes out without the sandbox or the nodes that its namespace demands.
func (g *guardrails) misplaced(ns *snapshot.Namespace, pod *finding.AdmissionRequest, s sender, answer *finding.AdmissionAnswer, demanded string) []shown {
	runtimeClass, nodes := placeOf(answer.Object)
	lacks := func(id, code, does, carrier string) shown {
		p := madeUp(id, id, code, pod)
		p.carrier = carrier
		found := shown{tenant: g.Owner[ns.Name], namespace: ns.Name, subject: s, verdict: finding.Exposed, severity: finding.High, does: does, probe: p}
		found.blame, found.steps = g.blame(ns, p, g.carriers(ns, p), answer)
		return found
	}
	var list []shown
	if demanded != "" && runtimeClass != demanded {
		list = append(list, lacks("runtime", "BH4004", "run pods without the sandbox "+demanded, v1alpha1.PolicyPrefix+"runtime"))
	}
	if pattern, _ := ns.Labels.Get(v1alpha1.LabelPattern); pattern == "SoftAffinity" && nodes != g.Owner[ns.Name] {
		list = append(list, lacks("node-affinity", "BH4005", "run pods outside the tenant's own nodes", v1alpha1.PolicyPrefix+"node-affinity"))
	}
	return list
}

// placeOf a pod as it is stored: its runtime class, and whose nodes it selects.
func placeOf(o runtime.Object) (runtimeClass, nodes string) {
	u, is := o.(*unstructured.Unstructured)
	if !is {
		return "", ""
	}
	runtimeClass, _, _ = unstructured.NestedString(u.Object, "spec", "runtimeClassName")
	nodes, _, _ = unstructured.NestedString(u.Object, "spec", "nodeSelector", v1alpha1.LabelNodeTenant)
	return runtimeClass, nodes
}

// inForce looks at the policies and bindings as they are: one that is not there, is not bound or does not deny refuses
// nothing.
func (g *guardrails) inForce() []finding.Finding {
	var findings []finding.Finding
	add := func(severity finding.Severity, o snapshot.Ref, format string, args ...any) {
		words := fmt.Sprintf(format, args...)
		findings = append(findings, finding.Finding{Code: "BH4017", Verdict: finding.Exposed, Severity: severity, From: finding.EveryTenant, To: finding.ThePlatform,
			What: o.String() + " " + words, Witness: []finding.Step{{Object: o, Does: words}}, Blame: []snapshot.Ref{o}})
	}
	there := g.guardrailObjects()
	for _, e := range g.Expected {
		if kinds := []string{kindValidating, kindValidatingBinding, kindMutating, kindMutatingBinding, "ResourceQuota", "LimitRange", "NetworkPolicy", "Namespace"}; slices.Contains(kinds, e.Object.Kind) && !there[e.Object] {
			add(finding.Medium, e.Object, "is not there; control %s needs it", e.Control)
		}
	}
	for _, p := range g.ValidatingPolicies {
		o := snapshot.Ref{Kind: kindValidating, Name: p.Name}
		bindings := g.silent.bindings[p.Name]
		if len(bindings) == 0 {
			add(finding.Low, snapshot.Ref{Kind: kindValidatingBinding, Name: p.Name}, "is not there: nothing binds %s", o)
		}
		if g.expected[o] == "" || len(p.Spec.Validations) == 0 {
			continue
		}
		if failsOpen(p) != "" {
			add(finding.Low, o, "is ignored when it fails (failurePolicy Ignore)")
		}
		for _, b := range bindings {
			if !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny) {
				add(finding.Medium, snapshot.Ref{Kind: kindValidatingBinding, Name: b.Name}, "does not deny: its validationActions are %v", b.Spec.ValidationActions)
			}
		}
	}
	for _, p := range g.MutatingPolicies {
		o := snapshot.Ref{Kind: kindMutating, Name: p.Name}
		if g.expected[o] != "" && p.Spec.FailurePolicy != nil && *p.Spec.FailurePolicy == admissionv1.Ignore {
			add(finding.Low, o, "is ignored when it fails (failurePolicy Ignore)")
		}
		if !slices.ContainsFunc(g.MutatingBindings, func(b *admissionv1.MutatingAdmissionPolicyBinding) bool { return b.Spec.PolicyName == p.Name }) {
			add(finding.Low, snapshot.Ref{Kind: kindMutatingBinding, Name: p.Name}, "is not there: nothing binds %s", o)
		}
	}
	return findings
}

// guardrailObjects are those that are there, of the kinds that guardrails are made of.
func (g *guardrails) guardrailObjects() map[snapshot.Ref]bool {
	there := maps.Clone(g.policies)
	for _, b := range g.ValidatingBindings {
		there[snapshot.Ref{Kind: kindValidatingBinding, Name: b.Name}] = true
	}
	for _, b := range g.MutatingBindings {
		there[snapshot.Ref{Kind: kindMutatingBinding, Name: b.Name}] = true
	}
	for _, q := range g.ResourceQuotas {
		there[snapshot.Ref{Kind: "ResourceQuota", Namespace: q.Namespace, Name: q.Name}] = true
	}
	for _, l := range g.LimitRanges {
		there[snapshot.Ref{Kind: "LimitRange", Namespace: l.Namespace, Name: l.Name}] = true
	}
	for _, p := range g.NetworkPolicies {
		there[snapshot.Ref{Kind: "NetworkPolicy", Namespace: p.Namespace, Name: p.Name}] = true
	}
	for _, ns := range g.Namespaces {
		there[snapshot.Ref{Kind: "Namespace", Name: ns.Name}] = !ns.Implied
	}
	return there
}

// marks looks at the labels and annotations that policies go by.
func (g *guardrails) marks() []finding.Finding {
	spaces := map[string]*snapshot.Namespace{}
	for _, ns := range g.Namespaces {
		spaces[ns.Name] = ns
	}
	var findings []finding.Finding
	for _, e := range g.Expected {
		ns := spaces[e.Object.Name]
		if e.Object.Kind != "Namespace" || e.Labels == nil || ns == nil {
			continue
		}
		differs := append(differences(e.Labels, ns.Labels), differences(e.Annotations, ns.Annotations)...)
		if len(differs) > 0 {
			words := "is marked otherwise than rendered: " + strings.Join(differs, ", ")
			findings = append(findings, finding.Finding{Code: "BH4020", Verdict: finding.Exposed, From: g.Owner[ns.Name], To: finding.EveryTenant,
				What: e.Object.String() + " " + words, Witness: []finding.Step{{Object: e.Object, Does: words}}, Blame: []snapshot.Ref{e.Object}})
		}
	}
	findings = append(findings, g.unmanaged()...)
	for _, ns := range g.Namespaces {
		version, has := ns.Labels.Get("pod-security.kubernetes.io/enforce-version")
		if _, enforced := ns.Labels.Get("pod-security.kubernetes.io/enforce"); g.Owner[ns.Name] != finding.ThePlatform && enforced && (!has || version == "latest") {
			o := snapshot.Ref{Kind: "Namespace", Name: ns.Name}
			findings = append(findings, finding.Finding{Code: "BH4016", Verdict: finding.Exposed, From: g.Owner[ns.Name], To: finding.ThePlatform,
				What: o.String() + " enforces Pod Security of whatever version the API server has", Witness: []finding.Step{{Object: o, Does: "names no version"}}, Blame: []snapshot.Ref{o}})
		}
	}
	return findings
}

// unmanaged are objects of the platform that do not say so any more, so that tenants may change them.
func (g *guardrails) unmanaged() []finding.Finding {
	var findings []finding.Finding
	seen := map[snapshot.Ref]bool{}
	look := func(kind string, o metav1.Object) {
		named := snapshot.Ref{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
		if _, expected := g.expected[named]; expected && o.GetLabels()[v1alpha1.LabelManagedBy] != "bulkhead" && !seen[named] {
			seen[named] = true
			words := "has lost the label " + v1alpha1.LabelManagedBy + ", so that the policy that protects it looks away"
			findings = append(findings, finding.Finding{Code: "BH4020", Verdict: finding.Exposed, From: g.Owner[o.GetNamespace()], To: finding.EveryTenant,
				What: named.String() + " " + words, Witness: []finding.Step{{Object: named, Does: words}}, Blame: []snapshot.Ref{named}})
		}
	}
	for _, o := range g.NetworkPolicies {
		look("NetworkPolicy", o)
	}
	for _, o := range g.RoleBindings {
		look("RoleBinding", o)
	}
	for _, o := range g.ResourceQuotas {
		look("ResourceQuota", o)
	}
	for _, o := range g.LimitRanges {
		look("LimitRange", o)
	}
	return findings
}

// differences between marks that must be there and those that are; marks of others are no concern.
func differences(want map[string]string, have snapshot.Labels) []string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		value, has := have.Get(key)
		switch {
		case !has:
			list = append(list, key+" is gone")
		case value != want[key]:
			list = append(list, fmt.Sprintf("%s is %q, not %q", key, value, want[key]))
		}
	}
	for _, l := range have {
		_, wanted := want[l.Key]
		ours := strings.HasPrefix(l.Key, v1alpha1.KeyPrefix) || strings.HasPrefix(l.Key, v1alpha1.WaiverPrefix) || strings.HasPrefix(l.Key, "pod-security.kubernetes.io/")
		if ours && !wanted {
			list = append(list, l.Key+" was added")
		}
	}
	return list
}

// webhooks looks at those that validate: whether they can be gone round.
func (g *guardrails) webhooks() []finding.Finding {
	services := map[string]bool{}
	for _, s := range g.Services {
		services[s.Namespace+"/"+s.Name] = true
	}
	var findings []finding.Finding
	for _, c := range g.ValidatingWebhooks {
		o := snapshot.Ref{Kind: "ValidatingWebhookConfiguration", Name: c.Name}
		for i := range c.Webhooks {
			w := &c.Webhooks[i]
			var faults []string
			severity := finding.Low
			if w.FailurePolicy != nil && *w.FailurePolicy == admissionv1.Ignore {
				faults = append(faults, "is ignored when it does not answer (failurePolicy Ignore)")
				if s := w.ClientConfig.Service; s != nil && !services[s.Namespace+"/"+s.Name] {
					faults, severity = append(faults, "calls Service "+s.Namespace+"/"+s.Name+", which is not there"), finding.Medium
				}
			}
			if g.tenantsEscape(w.NamespaceSelector) {
				faults, severity = append(faults, "leaves out namespaces by labels that a tenant may set on its own"), finding.High
			}
			if len(faults) > 0 {
				words := "webhook " + w.Name + " " + strings.Join(faults, "; ")
				findings = append(findings, finding.Finding{Code: "BH4018", Verdict: finding.Exposed, Severity: severity, From: finding.EveryTenant, To: finding.ThePlatform,
					What: o.String() + ": " + words, Witness: []finding.Step{{Object: o, Does: words}}, Blame: []snapshot.Ref{o}})
			}
		}
	}
	return findings
}

// tenantsEscape reports whether a namespace selector depends on more than the namespace's name, and a tenant may change its labels.
func (g *guardrails) tenantsEscape(s *metav1.LabelSelector) bool {
	if s == nil {
		return false
	}
	free := len(s.MatchLabels) > 0
	for _, e := range s.MatchExpressions {
		free = free || e.Key != corev1.LabelMetadataName
	}
	if !free {
		return false
	}
	for namespace := range g.Owner {
		for _, i := range g.identities(namespace) {
			for _, verb := range []string{"update", "patch"} {
				if _, may := i.May(finding.Attributes{Verb: verb, Resource: "namespaces", Namespace: namespace, Name: namespace}); may {
					return true
				}
			}
		}
	}
	return false
}
