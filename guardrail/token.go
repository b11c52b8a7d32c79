package guardrail

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// tokenControl keeps API credentials out of pods.
var tokenControl = Control{
	ID: "token", Title: "Pods get no API credentials unless they need them",
	Threat: "an identity stolen from a pod",
	How: "Where the workload's apiAccess is None, an admission policy keeps service account tokens out of pods; " +
		"where it is OwnNamespaces, tokens are mounted and reach only what their own Roles give.",
	Needs: "MutatingAdmissionPolicy v1",
	Fix: "Developer: set automountServiceAccountToken to false and remove projected tokens; if the pods do call the " +
		"Kubernetes API, have apiAccess OwnNamespaces declared for the workload. Platform: declare it on the Tenant.",
	Waivable: true,
	Mappings: []string{"K03", "K09"},
	cases: []string{
		"mount*", "projected*", "projected-elsewhere", "certificate*", "foreign-audience*", "request", "request-audience",
		"secret", "by-default",
	},
	mutations: []func() mutation{withholdTokens, markAudiences},
	validations: func(_ *v1alpha1.PlatformSpec) []validation {
		return []validation{tokenPods(), tokenCredentials()}
	},
}

// annotationAudience, on a token request on its way through admission, marks that the request itself named audiences.
// The API server fills in its own before it validates, and then they look alike.
const annotationAudience = "bulkhead.dev/audience"

const askForToken = "ask the platform team to declare apiAccess: OwnNamespaces for this workload"

// tokenPods (control token): pods carry an identity only where the workload needs the API, and then only for the API.
func tokenPods() validation {
	return validation{
		name:  "token-pods",
		about: "Pods mount a service account token only where their workload needs the API, and for the API alone.",
		match: match{rules: anyPodSpec(), namespaces: inSpaces(), conditions: podSpecWith("projection-or-automount",
			"POD.?automountServiceAccountToken.orValue(false) || POD.?volumes.orValue([]).exists(v, has(v.projected))")},
		variables: podVariables(waived("token"),
			let("allowed", celNamespaceLabel(v1alpha1.LabelToken)+" == "+celString(v1alpha1.TokenAllowed)),
			let("identities", `variables.pod.?volumes.orValue([]).filter(v, !(v in variables.old.?volumes.orValue([])) &&
 v.?projected.?sources.orValue(null) != null &&
 v.projected.sources.exists(s, has(s.serviceAccountToken) || has(s.podCertificate)))`),
			let("foreign", `variables.identities.filter(v,
 v.projected.sources.exists(s, s.?serviceAccountToken.?audience.orValue('') != ''))`),
			let("automount", `variables.pod.?automountServiceAccountToken.orValue(false) &&
 !variables.old.?automountServiceAccountToken.orValue(false)`),
		),
		checks: []check{{
			expression: "variables.allowed || (size(variables.identities) == 0 && !variables.automount) || variables.waived",
			message: `'pods of this Space have no identity at the API server; ' +
 (variables.automount ? 'set automountServiceAccountToken: false' :
  'volume "' + variables.identities.map(v, v.name).join('", "') + '" projects one: remove it, or set ' +
  'automountServiceAccountToken: false on the ServiceAccount') + ', or ' + ` + celString(askForToken),
			fallback: "pods of this Space have no identity at the API server; set automountServiceAccountToken: false, or " +
				askForToken,
			reason: metav1.StatusReasonForbidden,
		}, {
			expression: "!variables.allowed || size(variables.foreign) == 0 || variables.waived",
			message: `'volume "' + variables.foreign.map(v, v.name).join('", "') + '" projects a token for an audience ' +
 'other than the API server; leave audience out'`,
			fallback: "a volume projects a token for an audience other than the API server; leave audience out",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// tokenCredentials (control token) closes the other ways to a token: the Secret that never expires, and the request.
// The kubelet's requests are for pods that were admitted.
func tokenCredentials() validation {
	return validation{
		name:  "token-credentials",
		about: "No token Secrets; tokens are requested only where the workload needs the API, and for the API alone.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("", []string{"secrets", "serviceaccounts/token"}, onCreate),
			},
			namespaces: inSpaces(),
		},
		variables: []admissionv1.Variable{
			waived("token"),
			let("request", "request.resource.resource == 'serviceaccounts'"),
			let("node", "'system:nodes' in request.userInfo.?groups.orValue([])"),
			let("allowed", celNamespaceLabel(v1alpha1.LabelToken)+" == "+celString(v1alpha1.TokenAllowed)),
		},
		checks: []check{{
			expression: "variables.request || dyn(object).?type.orValue('') != 'kubernetes.io/service-account-token' || variables.waived",
			message:    `'a Secret of type kubernetes.io/service-account-token never expires; let pods mount a token that does'`,
			fallback:   "a Secret of type kubernetes.io/service-account-token never expires; let pods mount a token that does",
			reason:     metav1.StatusReasonForbidden,
		}, {
			expression: "!variables.request || variables.allowed || variables.node || variables.waived",
			message:    `'service accounts of this Space have no identity at the API server; ' + ` + celString(askForToken),
			fallback:   "service accounts of this Space have no identity at the API server; " + askForToken,
			reason:     metav1.StatusReasonForbidden,
		}, {
			expression: "!variables.request || variables.node || variables.waived || " +
				"!dyn(object).metadata.?annotations[?" + celString(annotationAudience) + "].hasValue()",
			message: `'a token for ' + dyn(object).spec.?audiences.orValue([]).join(', ') +
 ' would be an identity outside this cluster; leave audiences out'`,
			fallback: "a token for another audience would be an identity outside this cluster; leave audiences out",
			reason:   metav1.StatusReasonForbidden,
		}},
	}
}

// withholdTokens makes not mounting the default, since pods get what their service account says.
func withholdTokens() mutation {
	return mutation{
		name:  "token",
		about: "Service accounts do not mount their token unless they say so.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{on("", []string{"serviceaccounts"}, onCreate, onUpdate)},
			namespaces: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: v1alpha1.LabelPattern, Operator: metav1.LabelSelectorOpExists},
				{Key: v1alpha1.LabelToken, Operator: metav1.LabelSelectorOpNotIn, Values: []string{v1alpha1.TokenAllowed}},
			}},
			conditions: []admissionv1.MatchCondition{{
				Name: "says-nothing", Expression: "!has(object.automountServiceAccountToken)",
			}},
		},
		patch: notWaived("token") + ` ? [JSONPatch{op: 'add', path: '/automountServiceAccountToken', value: false}] : []`,
	}
}

// markAudiences notes on a token request that it named audiences by itself.
func markAudiences() mutation {
	return mutation{
		name:  "token-audience",
		about: "Token requests that name audiences are marked, for the validation that comes after.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("", []string{"serviceaccounts/token"}, onCreate)},
			namespaces: inSpaces(),
			conditions: []admissionv1.MatchCondition{{
				Name: "names-audiences", Expression: "dyn(object).spec.?audiences.orValue(null) != null && size(dyn(object).spec.audiences) > 0",
			}},
		},
		patch: `dyn(object).metadata.?annotations.hasValue() ?
 [JSONPatch{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey(` + celString(annotationAudience) + `), value: 'named'}] :
 [JSONPatch{op: 'add', path: '/metadata/annotations', value: {` + celString(annotationAudience) + `: 'named'}}]`,
	}
}
