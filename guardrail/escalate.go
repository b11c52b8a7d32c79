package guardrail

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// rbacEscalateControl is enforced by RBAC itself, and by a policy where RBAC lets rights be shared.
var rbacEscalateControl = Control{
	ID: "rbac-escalate", Title: "No tenant raises its own rights",
	Threat: "gaining rights by roles, impersonation, certificates, webhooks or foreign service accounts",
	How: "The owners' role has no escalate, bind or impersonate and nothing cluster-scoped, so the API server lets " +
		"owners write only Roles and RoleBindings within their own rights; status, binding and proxy subresources " +
		"are not in it either. Annotations and labels, by which controllers act with rights of their own, are allow-lists of the Platform's.",
	Objects: []string{"ClusterRole bulkhead:space-owner"},
	Needs:   "as rbac-own",
	Fix: "Developer: give your Role no more than you have (kubectl auth can-i --list). Platform: custom resources " +
		"for tenants belong in the Platform's tenantResources, and annotations and labels in its lists of them.",
	Mappings: []string{"K02", "K09", "MTB-PL2-CC-TI-1"},
	cases: []string{
		"role-everything*", "role-escalate*", "role-impersonate*", "role-endpoints*", "role-quotas*", "role-bindings*",
		"bind-admin", "bind-cluster-admin", "bind-edit", "bind-other-role", "bind", "bind-roles", "escalate", "escalate-roles", "wildcard",
		"share-with-accounts", "share-with-controllers", "share-with-everybody", "share-with-nobody", "share-with-strangers",
		"share-with-their-accounts", "impersonate", "impersonate-account", "impersonate-accounts", "impersonate-extras",
		"impersonate-groups", "impersonate-node", "impersonate-uids", "impersonate-user-info", "foreign-token", "csr",
		"approve", "sign", "attest", "apiservices", "policies", "webhooks", "nodes-proxy", "nodes-proxy-write", "pod-proxy",
		"service-proxy", "pod-status", "service-status", "ingress-status", "claim-status", "annotate-*", "template-annotated",
		"label-*", "template-labelled", "made-*", "scale-*", "metrics-*",
	},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{roleBindings(), metadata(s), metadataOwn(s), metadataMade(s), autoscalers(s)}
	},
}

// harmlessAnnotations are the keys that concern nothing but the object itself: Kubernetes' own and those of clients. A domain
// stands for all its keys. Other policies judge AppArmor's (pod-security), the old one of storage classes (storage), that of tokens (token) and
// those of the older version of autoscalers (below).
var harmlessAnnotations = []string{
	"kubectl.kubernetes.io", "applyset.kubernetes.io", "meta.helm.sh", "helm.sh", "cronjob.kubernetes.io", "deployment.kubernetes.io", "autoscaling.alpha.kubernetes.io", "kubernetes.io/service-account.name",
	"batch.kubernetes.io", "container.apparmor.security.beta.kubernetes.io",
	"kubernetes.io/description", "kubernetes.io/change-cause", "kubernetes.io/limit-ranger", "controller.kubernetes.io/pod-deletion-cost",
	"service.kubernetes.io/topology-mode", "volume.beta.kubernetes.io/storage-class",
}

// harmlessLabels are the labels with a domain that tenants write or controllers of workloads set, next to the Platform's. A domain stands for
// all its keys. Others' policies judge bulkhead.dev's (guardrail).
var harmlessLabels = []string{
	"app.kubernetes.io", "applyset.kubernetes.io", "service.kubernetes.io/headless", "helm.sh", "batch.kubernetes.io", "apps.kubernetes.io", "statefulset.kubernetes.io", v1alpha1.GroupVersion.Group,
}

// metadata (control rbac-escalate): an annotation or a label is how a controller with rights of its own is told what to do: a mesh, a load
// balancer, an ingress controller, a runtime. A subject that creates the object is judged, since controllers copy what tenants wrote; who
// changes it and may do so in every namespace is the platform's.
func metadata(s *v1alpha1.PlatformSpec) validation {
	v := judgedMarks(s, `(OBJ.kind in ['Pod', 'Service', 'Ingress', 'PersistentVolumeClaim'] ? dyn(OBJ).?metadata :
 OBJ.kind == 'CronJob' ? dyn(OBJ).spec.jobTemplate.spec.template.?metadata :
 OBJ.kind == 'PodTemplate' ? dyn(OBJ).template.?metadata : dyn(OBJ).spec.template.?metadata)`,
		"(request.operation == 'UPDATE' && "+celOfPlatform("'update'")+")")
	v.name = "metadata"
	v.about = "Pods, templates, Services, Ingresses and claims have annotations and labels that the platform names, and harmless ones."
	v.match.rules = append(anyPodSpec(), on("", []string{"services", "persistentvolumeclaims"}, onCreate, onUpdate),
		on("networking.k8s.io", []string{"ingresses"}, onCreate, onUpdate))
	return v
}

// metadataOwn (control rbac-escalate) judges what is left: objects on which other controllers than Kubernetes' own act as well, such as those that copy
// Secrets, give service accounts an identity in a cloud, or queue and change workloads; and the Jobs and claims that workloads have made. Operators
// of the platform make such objects with marks of their own; but of what Kubernetes' own controllers make, the marks are the tenant's.
func metadataOwn(s *v1alpha1.PlatformSpec) validation {
	const made = "object.kind in ['Job', 'ReplicaSet']"
	v := judgedMarks(s, "dyn(OBJ).?metadata", "(request.operation == 'UPDATE' || !("+made+")) && "+celOfPlatform("request.operation == 'CREATE' ? 'create' : 'update'"))
	v.name = "metadata-own"
	v.about = "Every other object has annotations and labels that the platform names, and harmless ones."
	v.match.rules = []admissionv1.NamedRuleWithOperations{
		on("", []string{"configmaps", "podtemplates", "replicationcontrollers", "secrets", "serviceaccounts"}, onCreate, onUpdate),
		on("apps", []string{"daemonsets", "deployments", "replicasets", "statefulsets"}, onCreate, onUpdate),
		on("autoscaling", []string{"horizontalpodautoscalers"}, onCreate, onUpdate),
		on("batch", []string{"cronjobs", "jobs"}, onCreate, onUpdate),
		on("coordination.k8s.io", []string{"leases"}, onCreate, onUpdate),
		on("networking.k8s.io", []string{"networkpolicies"}, onCreate, onUpdate),
		on("policy", []string{"poddisruptionbudgets"}, onCreate, onUpdate),
		on("rbac.authorization.k8s.io", []string{"rolebindings", "roles"}, onCreate, onUpdate),
	}
	return v
}

// metadataMade (control rbac-escalate) says at the workload what the Jobs and claims that it has made would run into.
func metadataMade(s *v1alpha1.PlatformSpec) validation {
	const made = `(OBJ.kind == 'CronJob' ? [dyn(OBJ).spec.jobTemplate.?metadata.orValue({})] :
 dyn(OBJ).spec.?volumeClaimTemplates.orValue([]).map(t, t.?metadata.orValue({})))`
	of := func(object string) string { return strings.ReplaceAll(made, "OBJ", object) }
	foreign := func(kind string, allowed []string) string {
		return "m.?" + kind + ".orValue({}).transformList(k, v, " + celForeign(allowed) + ", k)"
	}
	annotations, labels := slices.Concat(harmlessAnnotations, s.Annotations), slices.Concat(harmlessLabels, s.Labels)
	const says = " may have a controller act with rights that you lack; leave it out, or ask the platform team to name it in the Platform's annotations or labels"
	return validation{
		name:  "metadata-made",
		about: "Jobs and claims that workloads have made have annotations and labels that the platform names, and harmless ones.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("apps", []string{"statefulsets"}, onCreate, onUpdate), on("batch", []string{"cronjobs"}, onCreate, onUpdate),
			},
			namespaces: inSpaces(),
			conditions: []admissionv1.MatchCondition{{Name: "made-is-new", Expression: "oldObject == null || " + of("object") + " != " + of("oldObject")}},
		},
		variables: []admissionv1.Variable{
			let("foreign", of("object")+".map(m, ("+foreign("annotations", annotations)+" +\n "+foreign("labels", labels)+").join(', ')).filter(m, m != '')"),
		},
		checks: []check{{
			expression: "size(variables.foreign) == 0 || (request.operation == 'UPDATE' && " + celOfPlatform("'update'") + ")",
			message:    "'in the template of what it makes, ' + variables.foreign.join(', ') + " + celString(says),
			fallback:   "in the template of what it makes, an annotation or label" + says,
			reason:     metav1.StatusReasonForbidden,
		}},
	}
}

// celForeign is true for a key k with a domain that is not allowed, by itself or by its domain.
func celForeign(allowed []string) string {
	return `k.contains('/') && k.substring(0, k.indexOf('/')).contains('.') &&
 !` + celList(allowed) + `.exists(a, k == a || k.startsWith(a + '/'))`
}

// celOfPlatform is true for who may do in every namespace what the request does in one.
func celOfPlatform(verb string) string {
	return "authorizer.group(request.resource.group).resource(request.resource.resource).check(" + verb + ").allowed()"
}

// judgedMarks judges the annotations and labels of the metadata that an expression finds in OBJ, unless another is true.
func judgedMarks(s *v1alpha1.PlatformSpec, found, exempt string) validation {
	meta := func(object, kind string) string {
		return strings.ReplaceAll(found, "OBJ", object) + ".?" + kind + ".orValue({})"
	}
	changed := func(kind string) string {
		return "[" + meta("object", kind) + "].all(m, m.exists(k, k.contains('/')) && (oldObject == null || m != " + meta("oldObject", kind) + "))"
	}
	foreign := func(kind string, allowed []string) string {
		return `variables.` + kind + `.transformList(k, v, ` + celForeign(allowed) + ` &&
 !(k in variables.` + kind + `Before && variables.` + kind + `Before[k] == v), k)`
	}
	v := validation{match: match{
		namespaces: inSpaces(),
		conditions: []admissionv1.MatchCondition{{Name: "metadata-is-new", Expression: changed("annotations") + " ||\n " + changed("labels")}},
	}}
	for _, of := range []struct {
		kind, one string
		own, more []string
	}{{"annotations", "an annotation", harmlessAnnotations, s.Annotations}, {"labels", "a label", harmlessLabels, s.Labels}} {
		const acts = ", may have a controller act with rights that you lack; "
		v.variables = append(v.variables, let(of.kind, meta("object", of.kind)),
			let(of.kind+"Before", "oldObject == null ? dyn({}) : dyn("+meta("oldObject", of.kind)+")"),
			let(of.kind+"Foreign", foreign(of.kind, slices.Concat(of.own, of.more))))
		v.checks = append(v.checks, check{
			expression: "size(variables." + of.kind + "Foreign) == 0 || " + exempt,
			message:    celString(of.one+", ") + " + variables." + of.kind + "Foreign.join(', ') + " + celString(acts+leaveOut(of.kind, of.more)),
			fallback:   of.one + strings.TrimPrefix(acts, ",") + leaveOut(of.kind, of.more),
			reason:     metav1.StatusReasonForbidden,
		})
	}
	return v
}

// autoscalers (control rbac-escalate): the controller of autoscalers scales every kind and reads external metrics with its own rights. An
// operator that may make autoscalers in every namespace is the platform's.
func autoscalers(s *v1alpha1.PlatformSpec) validation {
	groups := []string{"v1", "apps"}
	for _, r := range s.TenantResources {
		groups = append(groups, r.Group)
	}
	const operator = " || authorizer.group('autoscaling').resource('horizontalpodautoscalers').check('create').allowed()"
	return validation{
		name:  "autoscalers",
		about: "Autoscalers scale what the tenant may change itself, by metrics of its own namespace.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("autoscaling", []string{"horizontalpodautoscalers"}, onCreate, onUpdate)},
			namespaces: inSpaces(),
			conditions: []admissionv1.MatchCondition{{Name: "target-or-metrics-are-new", Expression: "oldObject == null || dyn(object).spec != dyn(oldObject).spec ||\n " +
				"object.metadata.?annotations != oldObject.metadata.?annotations"}},
		},
		checks: []check{
			bound(celList(groups)+".exists(g, [dyn(object).spec.scaleTargetRef.?apiVersion.orValue('v1')].all(v, g == v || v.startsWith(g + '/')))"+operator,
				"an autoscaler scales workloads of the group apps, ReplicationControllers, and kinds that the platform gives to tenants (Platform, spec.tenantResources)"),
			bound("dyn(object).spec.?metrics.orValue([]).all(m, m.type != 'External')"+operator,
				"metrics of type External are read with rights that you lack, and may be other tenants'; use Resource, ContainerResource, Pods or Object"),
			// The older version keeps metrics in an annotation.
			bound("!object.metadata.?annotations[?'autoscaling.alpha.kubernetes.io/metrics'].hasValue()"+operator,
				"write metrics in the version autoscaling/v2, in spec.metrics, instead of an annotation"),
		},
	}
}

// roleBindings (control rbac-escalate): owners share their rights, which RBAC keeps from growing, with people and with
// their own tenant's service accounts; never with everybody, with the cluster's own users or with another tenant's
// service accounts, nor with Bulkhead's controllers, who would count as theirs. Of the cluster's roles they may bind the owners' own: of every other, view
// too, RBAC itself refuses it because of rights that they lack.
func roleBindings() validation {
	return validation{
		name:  "role-bindings",
		about: "RoleBindings of tenants name people and the tenant's own service accounts.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("rbac.authorization.k8s.io", []string{"rolebindings"}, onCreate, onUpdate),
			},
			namespaces: ofTenants(),
			conditions: []admissionv1.MatchCondition{{
				Name: "rights-are-new",
				Expression: "oldObject == null || dyn(object).roleRef != dyn(oldObject).roleRef || " +
					"dyn(object).?subjects != dyn(oldObject).?subjects",
			}},
		},
		variables: []admissionv1.Variable{
			tenantName(),
			let("mayChange", celMayChange()),
			let("role", "dyn(object).roleRef"),
			let("homes", "['tenant-' + variables.tenant]"),
			let("strangers", `dyn(object).?subjects.orValue([]).filter(s, s.kind == 'ServiceAccount' ?
 !(s.?namespace.orValue('') in variables.homes || s.?namespace.orValue('').startsWith(variables.tenant + '--')) :
 s.name.startsWith('bulkhead:') || s.name.startsWith('bulkhead.dev:') || s.name.startsWith('system:') &&
 !s.name.startsWith('system:serviceaccount:' + variables.tenant + '--') &&
 !s.name.startsWith('system:serviceaccounts:' + variables.tenant + '--'))`),
		},
		checks: []check{{
			expression: "variables.mayChange || size(variables.strangers) == 0",
			message: `variables.strangers.map(s, s.kind + ' "' + s.?namespace.optMap(n, n + '/').orValue('') + s.name + '"').join(', ') +
 ' is not of this tenant; bind people, or service accounts of ' + variables.tenant + '--...'`,
			fallback: "a subject is not of this tenant; bind people, or service accounts of this tenant",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "variables.mayChange || variables.role.kind != 'ClusterRole' || variables.role.name in " +
				celList([]string{v1alpha1.RoleOwner}),
			message: `'ClusterRole "' + variables.role.name + '" is not for tenants to bind; use a Role of this namespace, ' + ` +
				celString("or ClusterRole "+v1alpha1.RoleOwner),
			fallback: "this ClusterRole is not for tenants to bind; use a Role of this namespace",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}
