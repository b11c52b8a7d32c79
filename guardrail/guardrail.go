package guardrail

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// guardrailControl keeps the guardrails themselves in place.
var guardrailControl = Control{
	ID: "guardrail", Title: "Tenants cannot change what Bulkhead manages",
	Threat: "loosening a quota, a policy, a namespace's labels, or deleting them",
	How: "An admission policy refuses changes to managed objects and to the labels of namespaces by users who lack " +
		"the verb change on guardrails.bulkhead.dev. Owners have no such right, and no right to write most " +
		"of these objects in the first place. Tenants write no finalizers but those that Kubernetes' own controllers take off, and those " +
		"that the Platform names.",
	Objects: []string{"ClusterRole bulkhead:platform-admin"},
	Needs:   "ValidatingAdmissionPolicy v1",
	Fix: "Developer: change the Space, not the objects made from it. Platform: change the Tenant or the Platform; " +
		"users who must change a managed object by hand need the role bulkhead:platform-admin.",
	Mappings: []string{"K04", "MTB-PL1-BC-CPI-2", "MTB-PL1-CC-TI-1"},
	cases: []string{
		"unmark-*", "delete-*", "annotate-*", "finalize-*", "finalizer-*", "own-*", "widen-*", "claim-managed", "claim-tenant", "change-guardrails",
		"patch-namespace", "patch-quota", "patch-limits", "pods-at-home", "namespace-chain", "namespace-delete",
		"namespace-finalize", "definition-delete", "waiver-of-the-past",
		"namespace-patch", "namespace-status", "namespace-update", "quota-delete", "quota-patch", "quota-status",
		"limits-delete", "limits-patch", "home-label", "name-label", "pod-security-label", "tenant-label",
		"system-namespace-*", "space-here", "space-moved", "space-protected", "space-status", "space-template*", "space-unfinished",
	},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{recordChanger},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{managedObjects(), ownedLabels(), managedNamespaces(), protectedTenants(), finalizers(s), futureWaivers(), definitions()}
	},
}

// Names of the roles for the people who run the platform. Bulkhead renders them and binds them to no subject.
const (
	// RolePlatformAdmin writes Platforms and Tenants, and may change what Bulkhead manages.
	RolePlatformAdmin = "bulkhead:platform-admin"
	// RoleSecurity writes Waivers and reads all.
	RoleSecurity = "bulkhead:security"
	// RoleViewer reads all of Bulkhead's objects.
	RoleViewer = "bulkhead:viewer"
)

func platformAdminRules() []rbacv1.PolicyRule {
	group := v1alpha1.GroupVersion.Group
	return append(viewerRules(),
		rule(group, write(), "platforms", "spaces", "tenants"),
		rule(group, []string{v1alpha1.VerbChange}, v1alpha1.ResourceGuardrails),
	)
}

func securityRules() []rbacv1.PolicyRule {
	return append(viewerRules(), rule(v1alpha1.GroupVersion.Group, write(), "waivers"))
}

func viewerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule(v1alpha1.GroupVersion.Group, read(), "isolationreports", "platforms", "spaces", "tenants", "waivers"),
	}
}

// AnnotationAllowDeletion with the value "true", on one of Bulkhead's CustomResourceDefinitions, lets it be deleted.
const AnnotationAllowDeletion = "bulkhead.dev/allow-deletion"

// neverManaged are resources that Bulkhead never renders, and whose writes keep workloads alive: were one of them
// labelled like ours, no kubelet and no scheduler may be stopped by it.
func neverManaged(more ...admissionv1.NamedRuleWithOperations) []admissionv1.NamedRuleWithOperations {
	return append([]admissionv1.NamedRuleWithOperations{
		on("", []string{"nodes", "nodes/*", "pods/*", "events"}, admissionv1.OperationAll),
		on("coordination.k8s.io", []string{"leases"}, admissionv1.OperationAll),
	}, more...)
}

// allNamespaces leaves namespaces to the policy that is about them.
func allNamespaces() admissionv1.NamedRuleWithOperations {
	return on("", []string{"namespaces", "namespaces/*"}, admissionv1.OperationAll)
}

// managedObjects (control guardrail): what Bulkhead rendered is changed by Bulkhead and by those who were given the
// right to; otherwise only by Kubernetes' own controllers, each for the one thing that it does. The selector matches
// an object before or after the change, so that removing the label is a change like any other.
func managedObjects() validation {
	return validation{
		name:  "managed-objects",
		about: "Objects that Bulkhead manages are changed by Bulkhead and platform administrators only.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("*", []string{"*/*"}, onCreate, onUpdate, onDelete)},
			except:     neverManaged(allNamespaces()),
			objects:    &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}},
			namespaces: outsideOwnNamespace(),
		},
		variables: []admissionv1.Variable{
			// A namespace that is going takes what is in it along.
			let("cleanup", "request.operation == 'DELETE' && namespaceObject != null && "+
				"namespaceObject.metadata.?deletionTimestamp.hasValue() && "+celController("namespace-controller")),
			let("counting", "request.resource.resource == 'resourcequotas' && request.?subResource.orValue('') == 'status' && "+
				celController("resourcequota-controller")),
			let("what", `request.resource.resource + ' "' + request.?name.orValue('') + '"'`),
		},
		checks: []check{{
			expression: "variables.cleanup || variables.counting || " + celMayChange(),
			message: `(request.operation == 'CREATE' ?
 'label app.kubernetes.io/managed-by: bulkhead on ' + variables.what + ' is for what Bulkhead makes; leave it out' :
 variables.what + ' belongs to Bulkhead; change the Space, the Tenant or the Platform that it is made from, ' +
 'or ask the platform team')`,
			fallback: "the object belongs to Bulkhead; change the Space, the Tenant or the Platform that it is made from",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// ownedLabels (control guardrail): who an object exists for is not for others to claim: inventories and the search for
// what an off-boarded tenant left behind go by it.
func ownedLabels() validation {
	return validation{
		name:  "owned-labels",
		about: "The labels bulkhead.dev/... on objects are Bulkhead's to set.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("*", []string{"*"}, onCreate, onUpdate)},
			except:     neverManaged(allNamespaces()),
			objects:    labelled(v1alpha1.LabelTenant),
			namespaces: outsideOwnNamespace(),
		},
		variables: []admissionv1.Variable{
			let("now", ownLabels("object")),
			let("before", "oldObject == null ? [] : "+ownLabels("oldObject")),
			let("changed", "variables.now.filter(l, !(l in variables.before)) + variables.before.filter(l, !(l in variables.now))"),
		},
		checks: []check{{
			expression: "size(variables.changed) == 0 || " + celMayChange(),
			message:    `'label ' + variables.changed.join(', ') + ' is for Bulkhead to set; leave it as it was'`,
			fallback:   "labels bulkhead.dev/... are for Bulkhead to set; leave them as they were",
			reason:     metav1.StatusReasonForbidden,
		}},
	}
}

func ownLabels(object string) string {
	return "dyn(" + object + ").metadata.?labels.orValue({}).transformList(k, v, k.startsWith('bulkhead.dev/'), k + '=' + v)"
}

// managedNamespaces (control guardrail): all other policies and flows read the marks on namespaces. Only
// Bulkhead and users with the right may add them to a namespace, remove or change them; other labels and
// annotations stay free for the platform's other tools. Only Bulkhead deletes a tenant's namespace, after the Space.
func managedNamespaces() validation {
	return validation{
		name:   "namespaces",
		behind: "RBAC: owners have no right to write namespaces",
		about:  "Namespaces of tenants keep Bulkhead's marks, and go only with their Space or Tenant.",
		match: match{rules: []admissionv1.NamedRuleWithOperations{
			on("", []string{"namespaces", "namespaces/*"}, onCreate, onUpdate, onDelete),
		}},
		variables: []admissionv1.Variable{
			let("was", "oldObject == null ? dyn({}) : dyn(oldObject).metadata"),
			let("is", "object == null ? dyn({}) : dyn(object).metadata"),
			let("tenant", "variables.was.?labels[?"+celString(v1alpha1.LabelTenant)+"].orValue('')"),
			let("space", "variables.was.?labels[?"+celString(v1alpha1.LabelSpace)+"].orValue('')"),
			let("marksBefore", marks("was")),
			let("marksNow", marks("is")),
			let("changed", `variables.marksNow.filter(m, !(m in variables.marksBefore)) +
 variables.marksBefore.filter(m, !(m in variables.marksNow))`),
			let("chained", `variables.tenant != '' && object != null && oldObject != null && (
 variables.is.?finalizers != variables.was.?finalizers || variables.is.?ownerReferences != variables.was.?ownerReferences ||
 object.spec.?finalizers != oldObject.spec.?finalizers)`),
			let("finalizing", "request.?subResource.orValue('') == 'finalize' && "+celController("namespace-controller")),
		},
		checks: []check{{
			expression: "request.operation == 'DELETE' || size(variables.changed) == 0 || " + celMayChange(),
			message:    `'mark ' + variables.changed.join(', ') + ' on namespace "' + request.?name.orValue('') + '" is for Bulkhead to set; leave it as it was'`,
			fallback:   "marks of Bulkhead on namespaces are for Bulkhead to set; leave them as they were",
			reason:     metav1.StatusReasonForbidden,
		}, {
			expression: "!variables.chained || variables.finalizing || " + celMayChange(),
			message: `'finalizers and owners of namespace "' + request.?name.orValue('') + '" belong to Bulkhead; delete the ' +
 (variables.space != '' ? 'Space' : 'Tenant') + ' instead'`,
			fallback: "finalizers and owners of a tenant's namespace belong to Bulkhead",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "request.operation != 'DELETE' || variables.tenant == '' || " + celIsBulkhead(),
			message: `'namespace "' + request.?name.orValue('') + '" goes with what it was made for; ' + (variables.space != '' ?
 'delete Space "' + variables.space + '" in namespace tenant-' + variables.tenant :
 'delete Tenant "' + variables.tenant + '"') + ' instead'`,
			fallback: "a tenant's namespace goes with what it was made for; delete the Space or the Tenant instead",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// marks are the labels and annotations by which namespaces are judged, as "key=value". Pod Security labels of
// namespaces that are no tenant's are none of our business.
func marks(meta string) string {
	return strings.NewReplacer("META", meta, "MANAGED", celString(v1alpha1.LabelManagedBy)).Replace(
		`['labels', 'annotations'].map(f, variables.META[?f].orValue({}).transformList(k, v,
 k.startsWith('bulkhead.dev/') || k.startsWith('waiver.bulkhead.dev/') || (k == MANAGED && v == 'bulkhead') ||
 (variables.tenant != '' && k.startsWith('pod-security.kubernetes.io/')), k + '=' + v)).flatten()`)
}

// protectedTenants (control guardrail): no user can delete a protected tenant or its Spaces, and none of
// them can disappear without being off-boarded.
func protectedTenants() validation {
	finalizer := celString(v1alpha1.Finalizer)
	return validation{
		name:  "protected",
		about: "Protected Tenants and their Spaces are not deleted; none goes without off-boarding.",
		match: match{rules: []admissionv1.NamedRuleWithOperations{
			on(v1alpha1.GroupVersion.Group, []string{"tenants", "spaces"}, onUpdate, onDelete),
		}},
		variables: []admissionv1.Variable{
			let("protected", `request.operation == 'DELETE' && (namespaceObject == null ?
 dyn(oldObject).?spec.?protected.orValue(false) :
 namespaceObject.metadata.?annotations[?`+celString(v1alpha1.AnnotationProtected)+`].orValue('') == 'true')`),
			let("released", "request.operation == 'UPDATE' && "+finalizer+" in dyn(oldObject).metadata.?finalizers.orValue([]) && !("+
				finalizer+" in dyn(object).metadata.?finalizers.orValue([]))"),
		},
		checks: []check{{
			expression: "!variables.protected",
			message: `request.resource.resource + ' "' + request.?name.orValue('') + '" is protected from deletion; ' +
 'set spec.protected: false on the Tenant first'`,
			fallback: "protected from deletion; set spec.protected: false on the Tenant first",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "!variables.released || " + celMayChange(),
			message: `'finalizer ' + ` + finalizer + ` + ' of "' + request.?name.orValue('') + '" is removed by Bulkhead when nothing is left; ' +
 'status.remaining says what is'`,
			fallback: "the finalizer is removed by Bulkhead when nothing is left; status.remaining says what is",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// ownFinalizers are those that Kubernetes' own controllers, and Bulkhead, take off by themselves: each from objects of one kind, and from
// every kind where none is named. Of another kind no controller takes them off. Tenants write those that are theirs to write, or that an
// object bears when it is created for them.
var ownFinalizers = []struct {
	name, kind string
	tenants    bool
}{
	{metav1.FinalizerDeleteDependents, "", true}, {metav1.FinalizerOrphanDependents, "", true},
	{"kubernetes.io/pvc-protection", "PersistentVolumeClaim", true}, {"batch.kubernetes.io/job-tracking", "Pod", true},
	{v1alpha1.Finalizer, "Space", true},
	{"snapshot.storage.kubernetes.io/pvc-as-source-protection", "PersistentVolumeClaim", false},
	{"service.kubernetes.io/load-balancer-cleanup", "Service", false}, {"resource.kubernetes.io/delete-protection", "ResourceClaim", false},
}

// OwnFinalizer reports whether Kubernetes' own controllers, or Bulkhead, take a finalizer off objects of a kind by themselves.
func OwnFinalizer(kind, finalizer string) bool {
	for _, own := range ownFinalizers {
		if own.name == finalizer && (own.kind == "" || own.kind == kind) {
			return true
		}
	}
	return false
}

// celTenantsFinalizer is true for a finalizer f that tenants may write on the request's object.
func celTenantsFinalizer(more []string) string {
	terms := []string{"f in " + celList(more)}
	for _, own := range ownFinalizers {
		switch {
		case !own.tenants:
		case own.kind == "":
			terms = append(terms, "f == "+celString(own.name))
		default:
			terms = append(terms, "(f == "+celString(own.name)+" && request.kind.kind == "+celString(own.kind)+")")
		}
	}
	return "(" + strings.Join(terms, " || ") + ")"
}

// finalizers (control guardrail): an object stays until the last of its finalizers is taken off, and with it its namespace, and with
// that its tenant. So tenants write those that a controller takes off. Controllers of the platform, which may change the kind in every
// namespace, write theirs on what tenants made. Not so on pods and claims that they make from a template: there it is the tenant's.
func finalizers(s *v1alpha1.PlatformSpec) validation {
	all := func(object string) string {
		return strings.ReplaceAll(`(dyn(OBJ).metadata.?finalizers.orValue([]) + (!(request.kind.group in ['', 'apps', 'batch']) ? [] :
 dyn(OBJ).?spec.?template.?metadata.?finalizers.orValue([]) + dyn(OBJ).?template.?metadata.?finalizers.orValue([]) +
 dyn(OBJ).?spec.?jobTemplate.?spec.?template.?metadata.?finalizers.orValue([]) +
 dyn(OBJ).?spec.?volumeClaimTemplates.orValue([]).map(c, c.?metadata.?finalizers.orValue([])).flatten()))`, "OBJ", object)
	}
	return validation{
		name:  "finalizers",
		about: "Tenants' objects carry finalizers that a controller takes off.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("*", []string{"*"}, onCreate, onUpdate)},
			except:     []admissionv1.NamedRuleWithOperations{on("", []string{"events"}, admissionv1.OperationAll), on("events.k8s.io", []string{"events"}, admissionv1.OperationAll)},
			namespaces: ofTenants(),
			conditions: []admissionv1.MatchCondition{{Name: "with-finalizers", Expression: "size(" + all("object") + ") > 0"}},
		},
		variables: []admissionv1.Variable{
			let("before", "oldObject == null ? [] : "+all("oldObject")),
			let("foreign", all("object")+".filter(f, !(f in variables.before) && !"+celTenantsFinalizer(s.Finalizers)+")"),
			let("controller", `(request.operation == 'UPDATE' || !(request.resource.resource in ['pods', 'persistentvolumeclaims'])) &&
 (authorizer.group(request.resource.group).resource(request.resource.resource).check('update').allowed() || `+celMayChange()+`)`),
		},
		checks: []check{{
			expression: "size(variables.foreign) == 0 || variables.controller",
			message: `'finalizer ' + variables.foreign.join(', ') + ' keeps the object, and your namespace, from ever going if no controller takes it off; leave it out, or ' + ` +
				celString(oneOf("finalizers", s.Finalizers)),
			fallback: "a finalizer keeps the object, and your namespace, from ever going if no controller takes it off; leave it out, or " + oneOf("finalizers", s.Finalizers),
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// futureWaivers (control guardrail) refuses a Waiver that is over when it is made: it would suspend nothing, and look like a
// record of an exception that never was. A definition's rules have no clock; admission has the time that the API server
// gives the object. Those that expire later stay, as records.
func futureWaivers() validation {
	return validation{
		name:   "waivers",
		behind: "RBAC: owners have no right to create Waivers",
		about:  "A Waiver expires after it is made.",
		match:  match{rules: []admissionv1.NamedRuleWithOperations{on(v1alpha1.GroupVersion.Group, []string{"waivers"}, onCreate)}},
		checks: []check{{
			expression: "timestamp(dyn(object).metadata.creationTimestamp) < timestamp(dyn(object).spec.expires)",
			message: `'Waiver "' + dyn(object).metadata.?name.orValue('') + '" expired at ' + dyn(object).spec.expires + ', before it was made at ' +
 string(timestamp(dyn(object).metadata.creationTimestamp)) + ': give spec.expires a time to come'`,
			fallback: "the Waiver expired before it was made: give spec.expires a time to come",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// definitions (control guardrail): to delete a definition is to delete every object of its kind.
func definitions() validation {
	allow := celString(AnnotationAllowDeletion)
	rule := on("apiextensions.k8s.io", []string{"customresourcedefinitions"}, onDelete)
	for _, kind := range []string{"isolationreports", "platforms", "spaces", "tenants", "waivers"} {
		rule.ResourceNames = append(rule.ResourceNames, kind+"."+v1alpha1.GroupVersion.Group)
	}
	return validation{
		name:   "definitions",
		behind: "RBAC: owners have no right to delete definitions",
		about:  "Bulkhead's CustomResourceDefinitions are not deleted by mistake.",
		match:  match{rules: []admissionv1.NamedRuleWithOperations{rule}},
		checks: []check{{
			expression: "dyn(oldObject).metadata.?annotations[?" + allow + "].orValue('') == 'true'",
			message: `'deleting ' + request.?name.orValue('') + ' would delete every object of its kind; if that is meant, annotate it with ' + ` +
				allow + ` + '=true first (bulkhead uninstall does)'`,
			fallback: "deleting this definition would delete every object of its kind; bulkhead uninstall does it if that is meant",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// recordChanger (control guardrail) writes down who changed a managed object, so that the event that reports the repair
// can name them. It does not record deletions, which leave no object to write to, nor changes of admission policies, which no
// admission policy sees.
func recordChanger(*v1alpha1.PlatformSpec) mutation {
	key := celString(v1alpha1.AnnotationChangedBy)
	return mutation{
		name:  "changed-by",
		about: "Managed objects carry the name of who changed them last, other than Bulkhead.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("*", []string{"*"}, onCreate, onUpdate)},
			except:     neverManaged(),
			objects:    &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}},
			namespaces: outsideOwnNamespace(),
			conditions: []admissionv1.MatchCondition{
				{Name: "not-bulkhead", Expression: "!" + celIsBulkhead()},
				// Who may not is refused, or changes nothing that is ours.
				{Name: "may-change", Expression: celMayChange()},
			},
		},
		patch: `dyn(object).metadata.?annotations.hasValue() ?
 [JSONPatch{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey(` + key + `), value: request.userInfo.username}] :
 [JSONPatch{op: 'add', path: '/metadata/annotations', value: {` + key + `: request.userInfo.username}}]`,
	}
}
