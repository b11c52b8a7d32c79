package guardrail

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// tokenControl keeps API credentials out of pods.
var tokenControl = Control{
	ID: "token", Title: "Pods get no API credentials unless they need them",
	Threat: "an identity stolen from a pod",
	How: "Where the workload's apiAccess is None, an admission policy keeps service account tokens out of pods that do not say whether " +
		"they mount one, whatever their service account says, and another refuses those that ask for one; " +
		"where it is OwnNamespaces, tokens are mounted, reach only what their own Roles give, are for the API server alone and " +
		"last a day at most.",
	Needs: "MutatingAdmissionPolicy v1",
	Fix: "Developer: set automountServiceAccountToken to false and remove projected tokens; if the pods do call the " +
		"Kubernetes API, have apiAccess OwnNamespaces declared for the workload. Platform: declare it on the Tenant.",
	Waivable: true,
	Mappings: []string{"K03", "K09"},
	cases: []string{
		"mount*", "projected*", "projected-elsewhere", "certificate*", "foreign-audience*", "request", "request-audience",
		"secret", "by-default", "long-token*", "long-request", "request-bound", "foreign-signer*",
	},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{withholdTokens, withholdFromPods, markAudiences},
	validations: func(_ *v1alpha1.PlatformSpec) []validation {
		return []validation{tokenPods(), tokenCredentials()}
	},
}

// annotationAudience, on a token request on its way through admission, marks that the request itself named audiences.
// The API server fills in its own before it validates, and then they look alike.
const annotationAudience = "bulkhead.dev/audience"

// maxLifetime of a token or of a certificate, in seconds: a day. Nothing revokes one before, but the deletion of what it is bound to.
const maxLifetime = 24 * 60 * 60

var lifetime = fmt.Sprintf("a token or certificate lasts at most %d seconds; programs read the file again, or ask again", maxLifetime)

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
			let("sources", `variables.pod.?volumes.orValue([]).filter(v, !(v in variables.old.?volumes.orValue([]))).map(v,
 v.?projected.?sources.orValue(null) == null ? [] : v.projected.sources).flatten()`),
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
		},
			bound(fmt.Sprintf(`variables.sources.all(s, s.?serviceAccountToken.?expirationSeconds.orValue(0) <= %d &&
 s.?podCertificate.?maxExpirationSeconds.orValue(0) <= %d) || variables.waived`, maxLifetime, maxLifetime), lifetime),
			bound(`variables.sources.all(s, s.?podCertificate.?signerName.orValue('kubernetes.io/kube-apiserver-client-pod') ==
  'kubernetes.io/kube-apiserver-client-pod' && !s.?clusterTrustBundle.?name.hasValue() &&
 s.?clusterTrustBundle.?signerName.orValue('kubernetes.io/kube-apiserver-serving') == 'kubernetes.io/kube-apiserver-serving') || variables.waived`,
				"a pod's certificates and trust are those of the API server alone; leave other signers and bundles out"),
		},
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
		},
			bound(fmt.Sprintf("!variables.request || variables.node || variables.waived || dyn(object).spec.?expirationSeconds.orValue(0) <= %d", maxLifetime),
				lifetime),
			bound("!variables.request || variables.node || variables.waived || (dyn(object).spec.?boundObjectRef.?kind.orValue('Pod') in ['Pod', 'Secret'] && "+
				"size(dyn(object).spec.?attestations.orValue({})) == 0)", "a token is bound to a Pod or a Secret of this namespace, and attests nothing else"),
		},
	}
}

// withholdTokens makes not mounting the default, since pods get what their service account says.
func withholdTokens(*v1alpha1.PlatformSpec) mutation {
	return mutation{
		name:  "token",
		about: "Service accounts do not mount their token unless they say so.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("", []string{"serviceaccounts"}, onCreate, onUpdate)},
			namespaces: withoutIdentity(),
			conditions: []admissionv1.MatchCondition{{
				Name: "says-nothing", Expression: "!has(object.automountServiceAccountToken)",
			}},
		},
		patch: notWaived("token") + ` ? [JSONPatch{op: 'add', path: '/automountServiceAccountToken', value: false}] : []`,
	}
}

// withoutIdentity selects the namespaces of Spaces whose workload needs no identity at the API server.
func withoutIdentity() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: v1alpha1.LabelPattern, Operator: metav1.LabelSelectorOpExists},
		{Key: v1alpha1.LabelToken, Operator: metav1.LabelSelectorOpNotIn, Values: []string{v1alpha1.TokenAllowed}},
	}}
}

// withholdFromPods answers for a pod that does not say whether it mounts a token. Where its service account has pods do so, as those
// of many charts, the API server's plugin has added the volume before any policy sees the pod: one volume, mounted once in
// each container. It is taken out again.
func withholdFromPods(*v1alpha1.PlatformSpec) mutation {
	mounts := func(list string) string {
		return strings.ReplaceAll(`variables.pod.?LIST.orValue([]).transformList(i, c, c.?volumeMounts.orValue([]).transformList(j, m,
 m.name in variables.added, '/spec/LIST/' + string(i) + '/volumeMounts/' + string(j)))`, "LIST", list)
	}
	return mutation{
		name:  "token-pods",
		about: "Pods of a workload that needs no API do not mount a token unless they say so.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("", []string{"pods"}, onCreate)},
			namespaces: withoutIdentity(),
			conditions: podSpecWith("nothing-said", "!has(POD.automountServiceAccountToken)"),
		},
		variables: []admissionv1.Variable{
			let("pod", "dyn(object).spec"),
			let("added", `variables.pod.?volumes.orValue([]).filter(v, v.name.matches('^kube-api-access-[a-z0-9]{5}$') &&
 v.?projected.?sources.orValue([]).exists(s, has(s.serviceAccountToken))).map(v, v.name)`),
			let("mounts", mounts("containers")+" +\n "+mounts("initContainers")),
			let("paths", `size(variables.added) != 1 || variables.mounts.exists(l, size(l) > 1) ? [] : variables.mounts.flatten() +
 variables.pod.?volumes.orValue([]).transformList(i, v, v.name in variables.added, '/spec/volumes/' + string(i))`),
		},
		patch: notWaived("token") + ` ?
 variables.paths.map(p, JSONPatch{op: 'remove', path: p}) +
 [JSONPatch{op: 'add', path: '/spec/automountServiceAccountToken', value: false}] : []`,
	}
}

// markAudiences notes on a token request that it named audiences by itself.
func markAudiences(*v1alpha1.PlatformSpec) mutation {
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
