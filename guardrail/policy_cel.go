package guardrail

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Operations that rules match.
const (
	onCreate  = admissionv1.Create
	onUpdate  = admissionv1.Update
	onDelete  = admissionv1.Delete
	onConnect = admissionv1.Connect
)

// on is a rule for resources of one group (* for all), in all versions.
func on(group string, resources []string, operations ...admissionv1.OperationType) admissionv1.NamedRuleWithOperations {
	return admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: operations,
		Rule: admissionv1.Rule{
			APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: resources,
			Scope: ptrTo(admissionv1.AllScopes),
		},
	}}
}

// anyPodSpec matches pods and everything that makes pods from a template. The subresource pods/resize is left out: it
// can change nothing but resources, which quota judges.
func anyPodSpec() []admissionv1.NamedRuleWithOperations {
	return []admissionv1.NamedRuleWithOperations{
		on("", []string{"pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"}, onCreate, onUpdate),
		on("apps", []string{"daemonsets", "deployments", "replicasets", "statefulsets"}, onCreate, onUpdate),
		on("batch", []string{"cronjobs", "jobs"}, onCreate, onUpdate),
	}
}

// inSpaces selects the namespaces of Spaces.
func inSpaces() *metav1.LabelSelector { return labelled(v1alpha1.LabelPattern) }

// ofTenants selects the namespaces of Spaces and tenants' home namespaces.
func ofTenants() *metav1.LabelSelector { return labelled(v1alpha1.LabelTenant) }

// labelled selects what carries a label, whatever its value.
func labelled(key string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: key, Operator: metav1.LabelSelectorOpExists},
	}}
}

// outsideOwnNamespace leaves out the namespace in which Bulkhead itself runs: no tenant has a right there, and the
// controllers that run its Deployment must work.
func outsideOwnNamespace() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn,
		Values: []string{v1alpha1.SystemNamespace},
	}}}
}

// celPodSpec finds the pod spec in any of the kinds of anyPodSpec.
func celPodSpec(object string) string {
	return strings.ReplaceAll(`(OBJ.kind == 'Pod' ? dyn(OBJ).spec :
 OBJ.kind == 'CronJob' ? dyn(OBJ).spec.jobTemplate.spec.template.spec :
 OBJ.kind == 'PodTemplate' ? dyn(OBJ).template.spec : dyn(OBJ).spec.template.spec)`, "OBJ", object)
}

// podSpecChanged keeps updates that leave the pod spec alone, such as those of controllers, out of a policy.
func podSpecChanged() []admissionv1.MatchCondition {
	return []admissionv1.MatchCondition{{
		Name:       "pod-spec-is-new",
		Expression: "oldObject == null || " + celPodSpec("object") + " != " + celPodSpec("oldObject"),
	}}
}

// podSpecWith is podSpecChanged for pod specs that concern a policy at all. It is an expression with POD for the pod spec,
// and is there for speed: a condition costs a third of the policy that it leaves out.
func podSpecWith(what, expression string) []admissionv1.MatchCondition {
	return append(podSpecChanged(), admissionv1.MatchCondition{
		Name: "with-" + what, Expression: strings.ReplaceAll(expression, "POD", celPodSpec("object")),
	})
}

// specChanged keeps updates that leave the spec alone out of a policy.
func specChanged() []admissionv1.MatchCondition {
	return []admissionv1.MatchCondition{{
		Name: "spec-is-new", Expression: "oldObject == null || dyn(object).spec != dyn(oldObject).spec",
	}}
}

// podVariables are variables that policies on pod specs share: pod and old (empty at creation), and what is asked for.
func podVariables(more ...admissionv1.Variable) []admissionv1.Variable {
	return append([]admissionv1.Variable{
		let("pod", celPodSpec("object")),
		let("old", "oldObject == null ? dyn({}) : "+celPodSpec("oldObject")),
	}, more...)
}

// containerVariables adds every container of the pod, and those that it had before.
func containerVariables(more ...admissionv1.Variable) []admissionv1.Variable {
	const all = `variables.POD.?containers.orValue([]) + variables.POD.?initContainers.orValue([]) +
 variables.POD.?ephemeralContainers.orValue([])`
	return podVariables(append([]admissionv1.Variable{
		let("containers", strings.ReplaceAll(all, "POD", "pod")),
		let("oldContainers", strings.ReplaceAll(all, "POD", "old")),
	}, more...)...)
}

// waived is true where a Waiver suspends the control. The namespace carries its expiry, and the API server's own clock,
// which set the creation time of the object that is judged, ends it, whether or not Bulkhead runs. An update has no
// such clock. So a waiver counts for creations, and for templates, whose pods are judged again when they are created.
func waived(control string) admissionv1.Variable {
	key := celString(v1alpha1.WaiverPrefix + control)
	return let("waived", `namespaceObject.metadata.?annotations[?`+key+`].hasValue() &&
 (request.operation == 'CREATE' ?
  timestamp(object.metadata.creationTimestamp) < timestamp(namespaceObject.metadata.annotations[`+key+`]) :
  object.kind in ['CronJob', 'DaemonSet', 'Deployment', 'Job', 'PodTemplate', 'ReplicaSet', 'ReplicationController', 'StatefulSet'])`)
}

// notWaived lets a mutation stand back where a Waiver is noted, in force or not: the validation beside it knows better.
func notWaived(control string) string {
	return "!namespaceObject.metadata.?annotations[?" + celString(v1alpha1.WaiverPrefix+control) + "].hasValue()"
}

// tenantName is the tenant whose namespace the request is about.
func tenantName() admissionv1.Variable {
	return let("tenant", "namespaceObject.metadata.labels["+celString(v1alpha1.LabelTenant)+"]")
}

// celNamespaceLabel reads a label of the namespace; empty when it is not there.
func celNamespaceLabel(key string) string {
	return "namespaceObject.metadata.?labels[?" + celString(key) + "].orValue('')"
}

// celMayChange asks the authorizer whether the user may change what Bulkhead manages.
func celMayChange() string {
	return fmt.Sprintf("authorizer.group(%s).resource(%s).check(%s).allowed()",
		celString(v1alpha1.GroupVersion.Group), celString(v1alpha1.ResourceGuardrails), celString(v1alpha1.VerbChange))
}

// celIsBulkhead is true for Bulkhead itself.
func celIsBulkhead() string {
	return fmt.Sprintf("(request.userInfo.username == %s || %s in request.userInfo.?groups.orValue([]))",
		celString(ControllerUser), celString(ControllerGroup))
}

// celController is true for a controller of kube-controller-manager, with or without a service account of its own.
func celController(name string) string {
	return fmt.Sprintf("request.userInfo.username in ['system:kube-controller-manager', %s]",
		celString("system:serviceaccount:kube-system:"+name))
}

func let(name, expression string) admissionv1.Variable {
	return admissionv1.Variable{Name: name, Expression: expression}
}

// celString quotes a string for CEL. Go's ASCII quoting is a subset of CEL's.
func celString(s string) string { return strconv.QuoteToASCII(s) }

// celList is a list of strings in CEL.
func celList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = celString(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// oneOf tells people what a list allows. Long lists are cut: the API server passes on messages of at most 5 KiB, in
// which it wants no line breaks.
func oneOf(field string, values []string) string {
	const most = 8
	values = slices.Clone(values)
	for i, v := range values {
		values[i] = strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, v)
	}
	switch {
	case len(values) == 0:
		return "the platform allows none (Platform, spec." + field + "): ask the platform team"
	case len(values) > most:
		return fmt.Sprintf("use one of %s, or of %d more (Platform, spec.%s)",
			strings.Join(values[:most], ", "), len(values)-most, field)
	default:
		return "use one of " + strings.Join(values, ", ")
	}
}
