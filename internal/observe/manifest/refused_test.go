package manifest

import (
	"fmt"
	"strings"
	"testing"
)

// Promise: an object that the API server would refuse counts as absent, and is named with its place and the reason; its twin, one
// point apart, counts.
func TestWhatTheAPIServerRefusesCountsAsAbsent(t *testing.T) {
	policy := func(metadata, spec string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: shop, " + metadata + "}\nspec: {podSelector: {}, " + spec + "}\n"
	}
	ports := func(ports string) string {
		return policy("name: web", "ingress: [{from: [{podSelector: {}}], ports: [{"+ports+"}]}]")
	}
	admission := func(kind, spec string) string {
		return "apiVersion: admissionregistration.k8s.io/v1\nkind: " + kind + "\nmetadata: {name: own}\nspec: {" + spec + "}\n"
	}
	const of = "matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}, "
	for _, c := range []struct{ refused, taken, kind, why string }{
		{ports(`port: ""`), ports("port: web"), "NetworkPolicy", "4:78: NetworkPolicy shop/web would be refused by the API server, and counts as absent: spec.ingress[0].ports[0].port: Invalid value"},
		{ports(`port: "80"`), ports("port: 80"), "NetworkPolicy", "spec.ingress[0].ports[0].port: Invalid value: \"80\": must contain at least one letter"},
		{ports("port: 0, endPort: 65535"), ports("port: 1, endPort: 65535"), "NetworkPolicy", "spec.ingress[0].ports[0].port: Invalid value: 0"},
		{ports("port: 80, protocol: tcp"), ports("port: 80, protocol: TCP"), "NetworkPolicy", "spec.ingress[0].ports[0].protocol: Unsupported value"},
		{ports("port: 90, endPort: 80"), ports("port: 90, endPort: 91"), "NetworkPolicy", "spec.ingress[0].ports[0].endPort: Invalid value"},
		{ports("port: a-name-of-16-let"), ports("port: a-name-of-15-le"), "NetworkPolicy", "spec.ingress[0].ports[0].port: Invalid value"},
		{policy("name: web, labels: {owner: a@b}", ""), policy("name: web, labels: {owner: a.b}", ""), "NetworkPolicy", "metadata.labels: Invalid value"},
		{
			"apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: shop}\nspec: {podSelector: {}}\n", policy("name: web", ""), "NetworkPolicy",
			"1:1: NetworkPolicy shop/web is of extensions/v1beta1, which API servers have removed, and counts as absent: give networking.k8s.io/v1",
		},
		{policy("name: web_0", ""), policy("name: web-0", ""), "NetworkPolicy", "metadata.name: Invalid value"},
		{policy("name: web", "policyTypes: [Ingress, Egress, Ingress]"), policy("name: web", "policyTypes: [Ingress, Egress]"), "NetworkPolicy", "spec.policyTypes: Invalid value"},
		{
			policy("name: web", "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}}]}]"),
			policy("name: web", "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]"), "NetworkPolicy", "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value",
		},
		{
			strings.Replace(admission("ValidatingAdmissionPolicy", of+"validations: [{expression: 'true'}]"), "/v1", "/v1beta1", 1),
			admission("ValidatingAdmissionPolicy", of+"validations: [{expression: 'true'}]"), "ValidatingAdmissionPolicy", "is of version v1beta1, which API servers have removed",
		},
		{
			admission("ValidatingAdmissionPolicy", of+"validations: [{expression: 'has(objekt.spec)'}]"),
			admission("ValidatingAdmissionPolicy", of+"validations: [{expression: 'has(object.spec)'}]"), "ValidatingAdmissionPolicy", "undeclared reference to 'objekt'",
		},
		{
			admission("ValidatingAdmissionPolicyBinding", "policyName: own, validationActions: [Deny, Warn]"),
			admission("ValidatingAdmissionPolicyBinding", "policyName: own, validationActions: [Deny, Audit]"), "ValidatingAdmissionPolicyBinding", "must not contain both Deny and Warn",
		},
		{
			admission("MutatingAdmissionPolicy", of+"reinvocationPolicy: Never, mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: 1}]'}}]"),
			admission("MutatingAdmissionPolicy", of+`reinvocationPolicy: Never, mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "remove", path: "/spec/nodeName"}]'}}]`),
			"MutatingAdmissionPolicy", "spec.mutations[0].jsonPatch.expression: Invalid value",
		},
		{
			"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restrict}}\n",
			"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}\n", "Namespace", "must be one of privileged, baseline, restricted",
		},
		{
			"apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: shop}\nspec: {hard: {requests.cpu: -1}}\n",
			"apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: shop}\nspec: {hard: {requests.cpu: 1}}\n", "ResourceQuota", "spec.hard[requests.cpu]: Invalid value",
		},
		{
			"apiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: shop}\nspec: {limits: [{type: Container, max: {cpu: 1}, default: {cpu: 2}}]}\n",
			"apiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: shop}\nspec: {limits: [{type: Container, max: {cpu: 2}, default: {cpu: 2}}]}\n", "LimitRange", "spec.limits[0].defaultRequest[cpu]: Invalid value",
		},
		{
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: shop, ownerReferences: [{name: a, uid: b, apiVersion: v1}]}\nspec: {template: {spec: {containers: []}}}\n",
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: shop, ownerReferences: [{name: a, uid: b, apiVersion: v1, kind: ConfigMap}]}\nspec: {template: {spec: {containers: []}}}\n",
			"Pod", "3:56: Deployment shop/d would be refused by the API server, and counts as absent: metadata.ownerReferences[0].kind: Required value",
		},
	} {
		if s := readManifests(t, c.refused).Snapshot; len(s.Missing) != 1 || s.Missing[0].Kind != c.kind || !strings.Contains(s.Missing[0].Why, c.why) {
			t.Errorf("missing is %q, want %s: %s, for\n%s", s.Missing, c.kind, c.why, c.refused)
		} else if len(s.NetworkPolicies)+len(s.ValidatingPolicies)+len(s.ValidatingBindings)+len(s.MutatingPolicies)+len(s.ResourceQuotas)+len(s.LimitRanges)+len(s.Pods) > 0 {
			t.Errorf("it is there:\n%s", c.refused)
		}
		if s := readManifests(t, c.taken).Snapshot; len(s.Missing) > 0 {
			t.Errorf("missing is %q, want nothing, for\n%s", s.Missing, c.taken)
		}
	}
}

// Promise: an administrators' network policy that its definition refuses counts as absent, and is named.
func TestAdministratorsPoliciesThatAreRefused(t *testing.T) {
	cluster := func(rule string) string {
		return "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: own}\nspec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [" + rule + "]}\n"
	}
	admin := func(rule string) string {
		return "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: own}\nspec: {priority: 1, subject: {namespaces: {}}, ingress: [" + rule + "]}\n"
	}
	const accepted = "{action: Accept, from: [{namespaces: {}}]}"
	for _, c := range []struct{ refused, taken string }{
		{cluster("{action: Accept, from: [{namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}]}"), cluster(accepted)},
		{cluster("{action: Allow, from: [{namespaces: {}}]}"), cluster(accepted)},
		{cluster(strings.Repeat(accepted+", ", 25) + accepted), cluster(strings.Repeat(accepted+", ", 24) + accepted)},
		{admin("{action: Accept, from: [{namespaces: {}}]}"), admin("{action: Allow, from: [{namespaces: {}}]}")},
		{
			admin("{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {port: 1, protocol: TCP}, portRange: {start: 1, end: 2, protocol: TCP}}]}"),
			admin("{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {port: 1, protocol: TCP}}]}"),
		},
	} {
		s := readManifests(t, c.refused).Snapshot
		if len(s.ClusterNetworkPolicies)+len(s.AdminNetworkPolicies) > 0 || len(s.Missing) != 1 || !strings.Contains(s.Missing[0].Why, "would be refused by the API server") {
			t.Errorf("missing is %q, for\n%s", s.Missing, c.refused)
		}
		s = readManifests(t, c.taken).Snapshot
		if len(s.ClusterNetworkPolicies)+len(s.AdminNetworkPolicies) != 1 || len(s.Missing) > 0 {
			t.Errorf("missing is %q, want nothing, for\n%s", s.Missing, c.taken)
		}
	}
}

// Promise: kinds of network plugins and meshes leave the network undecided, by name and once for each kind; kinds that hold only
// their state, or belong to others, do not.
func TestKindsThatDecideTheNetworkAreNamed(t *testing.T) {
	object := func(version, kind, name string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: shop}\nspec: {}\n---\n", version, kind, name)
	}
	for _, c := range []struct{ version, kind string }{
		{"cilium.io/v2", "CiliumNetworkPolicy"},
		{"cilium.io/v2", "CiliumClusterwideNetworkPolicy"},
		{"projectcalico.org/v3", "GlobalNetworkPolicy"},
		{"crd.projectcalico.org/v1", "NetworkPolicy"},
		{"crd.antrea.io/v1beta1", "ClusterNetworkPolicy"},
		{"k8s.ovn.org/v1", "EgressFirewall"},
		{"security.istio.io/v1", "AuthorizationPolicy"},
		{"k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"},
		{"fabric.example/v1", "TenantNetworkPolicy"},
	} {
		want := fmt.Sprintf("<stdin>:1:1: 2 of %s %s, which may open or redirect", c.kind, c.version)
		s := readManifests(t, object(c.version, c.kind, "a")+object(c.version, c.kind, "b")).Snapshot
		if len(s.Missing) != 1 || s.Missing[0].Kind != "NetworkPolicy" || !strings.HasPrefix(s.Missing[0].Why, want) {
			t.Errorf("missing is %q, want NetworkPolicy: %s", s.Missing, want)
		}
	}
	others := object("cilium.io/v2", "CiliumEndpoint", "a") + object("projectcalico.org/v3", "IPPool", "a") + object("gateway.networking.k8s.io/v1", "HTTPRoute", "a") +
		object("monitoring.example/v1", "ServiceMonitor", "a") + object("networking.k8s.io/v1", "IngressClass", "a")
	if s := readManifests(t, others).Snapshot; len(s.Missing) > 0 {
		t.Errorf("missing is %q, want nothing", s.Missing)
	}
}

// Promise: what cannot be decoded is named with its place, its field and what is wrong with it.
func TestWhatCannotBeDecodedNamesItsField(t *testing.T) {
	for content, want := range map[string]string{
		"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: {team: no}\n":                                          `<stdin>:5:18: Namespace a cannot be decoded: metadata.labels.team: false is not text: write it in quotes`,
		"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: {release: 1.10}\n":                                     `<stdin>:5:21: Namespace a cannot be decoded: metadata.labels.release: 1.1 is not text: write it in quotes`,
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - port: 1\n  - port: http\n":                     `<stdin>:7:11: Service a cannot be decoded: spec.ports[1].port: "http" is not a whole number`,
		"apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: a}\nspec: {hard: {cpu: lots}}\n":                                  `<stdin>:4:20: ResourceQuota a cannot be decoded: spec.hard.cpu: quantities must match`,
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {metadata: {labels: {app: 1}}, spec: {}}}": `<stdin>:4:44: Deployment a cannot be decoded: spec.template.metadata.labels.app: 1 is not text: write it in quotes`,
	} {
		if s := readManifests(t, content).Snapshot; len(s.Missing) != 1 || !strings.HasPrefix(s.Missing[0].Why, want) {
			t.Errorf("missing is %q, want %s", s.Missing, want)
		}
	}
}
