package rbac

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// guardrails are the objects that limit tenants, by resource and namespace: every quota and limit range, the namespaces
// themselves, and those NetworkPolicies and RoleBindings that Bulkhead manages. Of others it is not known whether they are the
// platform's or the tenant's own.
type guardrails map[string]map[string][]guardrail

// guardrail is one of these objects, and what it would be if a tenant loosened it.
type guardrail struct {
	kind         schema.GroupVersionKind
	object       metav1.Object
	was, loosend runtime.Object
}

func managed(labels map[string]string) bool {
	return labels["app.kubernetes.io/managed-by"] == "bulkhead"
}

func guardrailsOf(s *snapshot.Snapshot) guardrails {
	f := guardrails{}
	for _, o := range s.ResourceQuotas {
		next := o.DeepCopy()
		next.Spec.Hard = nil
		f.add("resourcequotas", corev1.SchemeGroupVersion.WithKind("ResourceQuota"), o, o, next)
	}
	for _, o := range s.LimitRanges {
		next := o.DeepCopy()
		next.Spec.Limits = nil
		f.add("limitranges", corev1.SchemeGroupVersion.WithKind("LimitRange"), o, o, next)
	}
	for _, o := range s.NetworkPolicies {
		if managed(o.Labels) {
			next := o.DeepCopy()
			next.Spec.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"no": "pod"}}
			f.add("networkpolicies", networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"), o, o, next)
		}
	}
	for _, o := range s.RoleBindings {
		if managed(o.Labels) {
			next := o.DeepCopy()
			next.Subjects = append(next.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "somebody-else"})
			f.add("rolebindings", rbacv1.SchemeGroupVersion.WithKind("RoleBinding"), o, o, next)
		}
	}
	return f
}

func (f guardrails) add(resource string, kind schema.GroupVersionKind, o metav1.Object, was, loosened runtime.Object) {
	if f[resource] == nil {
		f[resource] = map[string][]guardrail{}
	}
	f[resource][o.GetNamespace()] = append(f[resource][o.GetNamespace()], guardrail{kind, o, was, loosened})
}

// namespaceGuardrails are a namespace's labels as a guardrail: one form for each hostile change, as a policy may refuse
// some and not others.
func (r *Reach) namespaceGuardrails(name string) []guardrail {
	ns := r.snapshot.Namespace(name)
	if ns == nil {
		return nil
	}
	was := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}, Annotations: map[string]string{}}}
	for _, l := range ns.Labels {
		was.Labels[l.Key] = l.Value
	}
	for _, l := range ns.Annotations {
		was.Annotations[l.Key] = l.Value
	}
	var list []guardrail
	changes := []func(map[string]string){
		func(l map[string]string) { l["pod-security.kubernetes.io/enforce"] = "privileged" },
		func(l map[string]string) { delete(l, "pod-security.kubernetes.io/enforce") },
		func(l map[string]string) { l[v1alpha1.LabelTenant] = "another" },
		func(l map[string]string) { clear(l); l[corev1.LabelMetadataName] = name },
		func(l map[string]string) { l["role"] = "ingress" },
	}
	for _, m := range r.marks() {
		changes = append(changes, func(l map[string]string) {
			if l[m.Key] = m.Value; m.Value == "" {
				delete(l, m.Key)
			}
		})
	}
	for _, change := range changes {
		next := was.DeepCopy()
		if change(next.Labels); maps.Equal(next.Labels, was.Labels) {
			continue
		}
		list = append(list, guardrail{corev1.SchemeGroupVersion.WithKind("Namespace"), was, was, next})
	}
	return list
}

// answer is what admission says: refused, let through, or unknown with what is missing.
type answer struct {
	refused bool
	unknown string
}

type answerKey struct{ what, scope string }

// loosen is a right to change guardrails: worth what admission lets through.
func (c *closure) loosen(n *node, g *grant, h *held, scope string, own bool) {
	key := answerKey{h.resource + strings.Join(h.rule.Verbs, ",") + strings.Join(h.names, ","), scope}
	a, known := c.answers[key]
	if !known {
		a = c.askLoosen(n, h, scope)
		c.answers[key] = a
	}
	if a.refused {
		return
	}
	if a.unknown == "" {
		a.unknown = h.maybe
	}
	c.gain(&gain{gainKey: gainKey{code: codeGuardrail, to: c.target(h, scope, own)}, node: n, grant: *g, held: h, scope: scope, own: own, maybe: a.unknown})
}

// askLoosen asks about one guardrail after the other until one may be loosened. No guardrail, nothing to loosen.
func (c *closure) askLoosen(n *node, h *held, scope string) answer {
	verdict := answer{refused: true}
	for _, o := range c.guardrailsIn(h, scope) {
		for _, operation := range operationsOf(h, o) {
			request := &finding.AdmissionRequest{Subject: n.subject, Operation: operation, Kind: o.kind,
				Resource: o.kind.GroupVersion().WithResource(h.resource), Namespace: o.object.GetNamespace(), Name: o.object.GetName(), OldObject: o.was}
			if request.Namespace == "" {
				request.Namespace = o.object.GetName() // a Namespace is in itself
			}
			if operation == "UPDATE" {
				request.Object = o.loosend
			}
			switch a := c.ask(request); {
			case a.refused:
			case a.unknown == "":
				return a
			default:
				verdict = a
			}
		}
	}
	return verdict
}

func (c *closure) guardrailsIn(h *held, scope string) []guardrail {
	const most = 20 // of a whole cluster, a sample: what is refused there is a doubt and no more
	if h.scope == ofNamespace {
		if scope != "" {
			return c.namespaceGuardrails(scope)
		}
		var list []guardrail
		for _, t := range c.snapshot.Tenants[:min(most, len(c.snapshot.Tenants))] {
			for _, ns := range t.Namespaces[:min(1, len(t.Namespaces))] {
				list = append(list, c.namespaceGuardrails(ns)...)
			}
		}
		return list
	}
	byNamespace := c.guardrails[h.resource]
	var list []guardrail
	for _, namespace := range slices.Sorted(maps.Keys(byNamespace)) {
		if scope != "" && namespace != scope || len(list) > most {
			continue
		}
		for _, o := range byNamespace[namespace] {
			if h.may(o.object.GetName()) {
				list = append(list, o)
			}
		}
	}
	return list
}

// operationsOf are those of a rule's verbs.
func operationsOf(h *held, o guardrail) []string {
	var operations []string
	if matchingVerb(h.rule.Verbs, edits()) != "" {
		operations = append(operations, "UPDATE")
	}
	if matchingVerb(h.rule.Verbs, removes()) != "" && o.kind.Kind != "Namespace" {
		operations = append(operations, "DELETE")
	}
	return operations
}

// ask puts a request to admission. Where there is none, nothing refuses if the snapshot holds nothing that could.
func (c *closure) ask(request *finding.AdmissionRequest) answer {
	if c.admission == nil {
		if c.guarded {
			return answer{unknown: "whether admission refuses it: it was not evaluated"}
		}
		return answer{}
	}
	a := c.admission.Admit(request)
	switch {
	case len(a.RefusedBy) > 0:
		return answer{refused: true}
	case a.Admitted:
		return answer{}
	default:
		return answer{unknown: "whether admission refuses it: " + finding.Few(a.Unknown)}
	}
}

// askRaise asks whether a binding, or a changed role, is let through.
func (c *closure) askRaise(n *node, scope string, to *role, binds bool) answer {
	name := to.object
	if to == c.whole {
		name = snapshot.Ref{Kind: "ClusterRole", Name: "cluster-admin"}
	}
	request := &finding.AdmissionRequest{Subject: n.subject, Operation: "CREATE", Namespace: scope, Name: "raised"}
	meta := metav1.ObjectMeta{Namespace: scope, Name: "raised"}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: name.Kind, Name: name.Name}
	self := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: n.subject.User}}
	if namespace, account, is := accountOf(n.subject.User); is {
		self = []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}}
	}
	group := rbacv1.SchemeGroupVersion
	switch {
	case !binds:
		request.Kind, request.Resource = group.WithKind("Role"), group.WithResource("roles")
		request.Object = &rbacv1.Role{ObjectMeta: meta, Rules: wholeRules()}
		if scope == "" {
			request.Kind, request.Resource = group.WithKind("ClusterRole"), group.WithResource("clusterroles")
			request.Object = &rbacv1.ClusterRole{ObjectMeta: meta, Rules: wholeRules()}
		}
	case scope == "":
		request.Kind, request.Resource = group.WithKind("ClusterRoleBinding"), group.WithResource("clusterrolebindings")
		request.Object = &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: self}
	default:
		request.Kind, request.Resource = group.WithKind("RoleBinding"), group.WithResource("rolebindings")
		request.Object = &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: self}
	}
	return c.ask(request)
}

func (c *closure) askTokenSecret(n *node, scope string) answer {
	if scope == "" {
		scope = "kube-system"
	}
	return c.ask(&finding.AdmissionRequest{Subject: n.subject, Operation: "CREATE", Kind: corev1.SchemeGroupVersion.WithKind("Secret"),
		Resource: corev1.SchemeGroupVersion.WithResource("secrets"), Namespace: scope, Name: "token",
		Object: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: scope, Name: "token",
			Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}}, Type: corev1.SecretTypeServiceAccountToken}})
}

// doubt is how a doubt stands in a sentence.
func doubt(maybe string) string {
	if maybe == "" {
		return ""
	}
	return fmt.Sprintf("; not known: %s", maybe)
}
