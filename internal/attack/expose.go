package attack

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// ownObject is an attack by an object that a tenant may make, beside its harmless twin.
func ownObject(id, control, title string, positive, attempt Step, refusal Refusal) Attack {
	return Attack{ID: control + "/" + id, Control: control, Title: title, By: Owners, EachSpace: true, Applies: inForce(control),
		PositiveControl: positive, Attempt: attempt, Refusal: refusal}
}

var harmlessService = createService("create a cluster-internal Service", internal)

// serviceAttacks take traffic, or open ports, by a Service: a new one, or one that was harmless.
func serviceAttacks() []Attack {
	const control = "service-expose"
	created := func(id, title string, change serviceChange, refusal Refusal) Attack {
		return ownObject(id, control, title, harmlessService, createService("create a Service that "+title, change), refusal)
	}
	patched := func(id, title string, spec map[string]any) Attack {
		return ownObject(id, control, title, patchOwn("change the session affinity of a Service", "", "services", spread(map[string]any{"sessionAffinity": "ClientIP"})),
			patchOwn("change a Service into one that "+title, "", "services", spread(spec)), byPolicy("services"))
	}
	alias := func(name string) serviceChange {
		return func(spec *corev1.ServiceSpec) { externalName(spec); spec.ExternalName = name }
	}
	services := byPolicy("services")
	return []Attack{
		created("external-ips", "captures the traffic to an external address", externalIPs, services),
		created("node-port", "opens a port on every node", nodePort, services),
		created("external-name", "stands for a Service of another namespace", externalName, services),
		created("external-name-metadata", "stands for the cloud's metadata service", alias("169.254.169.254"), services),
		created("external-name-localhost", "stands for whoever looks it up", alias("localhost"), services),
		created("load-balancer-ports", "opens a port on every node by a load balancer", func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeLoadBalancer }, services),
		withoutBalancers(created("load-balancer", "takes a load balancer that was not granted", func(spec *corev1.ServiceSpec) {
			spec.Type, spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, new(false)
		}, quotaRefuses)),
		patched("node-port-by-patch", "opens a port on every node", map[string]any{"type": "NodePort"}),
		patched("external-ips-by-patch", "captures the traffic to an external address", map[string]any{"externalIPs": []string{"192.0.2.1"}}),
	}
}

func spread(spec map[string]any) map[string]any { return map[string]any{"spec": spec} }

// withoutBalancers is for tenants whose quota grants none.
func withoutBalancers(a Attack) Attack {
	a.Applies = func(s Scene) bool {
		granted := s.Tenant.Spec.Quota[corev1.ResourceServicesLoadBalancers]
		return inForce(a.Control)(s) && granted.Sign() == 0
	}
	return a
}

// patchOwn changes an object of the attack's own.
func patchOwn(title, group, resource string, patch any) Step {
	return Step{Title: title, On: resource, Ask: func(s Scene) (Ask, error) {
		return Ask{DryRun: &Request{Verb: "patch", Group: group, Version: "v1", Namespace: s.Namespace(), Resource: resource, Name: targetName(s), Body: patch}}, nil
	}}
}

// ingressAttacks take another tenant's host names.
func ingressAttacks() []Attack {
	const control = "service-expose"
	refused := func(id, title string, change func(*networkingv1.Ingress)) Attack {
		a := ownObject("ingress-"+id, control, title, createIngress("create an Ingress for a host of its own", func(*networkingv1.Ingress) {}),
			createIngress("create an Ingress that "+title, change), byPolicy("ingresses"))
		a.Applies = func(s Scene) bool { return inForce(control)(s) && len(s.Tenant.Spec.IngressHosts) > 0 }
		return a
	}
	hostless := ownObject("ingress-any-host", control, "answers for a host, though the tenant has none", harmlessService,
		createIngress("create an Ingress, though the tenant has no host", func(i *networkingv1.Ingress) { i.Spec.Rules[0].Host = "bank.example" }), byPolicy("ingresses"))
	hostless.Applies = func(s Scene) bool { return inForce(control)(s) && len(s.Tenant.Spec.IngressHosts) == 0 }
	annotate := func(key, value string) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { i.Annotations = map[string]string{key: value} }
	}
	return []Attack{
		hostless,
		refused("foreign-host", "answers for a host of somebody else", func(i *networkingv1.Ingress) { i.Spec.Rules[0].Host = "bulkhead-attack.invalid" }),
		refused("every-host", "answers for every host", func(i *networkingv1.Ingress) { i.Spec.Rules[0].Host = "" }),
		refused("default-backend", "answers for what nobody else answers for", func(i *networkingv1.Ingress) {
			i.Spec.DefaultBackend = i.Spec.Rules[0].HTTP.Paths[0].Backend.DeepCopy()
		}),
		refused("foreign-tls", "shows a certificate for a host of somebody else", func(i *networkingv1.Ingress) {
			i.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"bulkhead-attack.invalid"}, SecretName: "x"}}
		}),
		refused("snippet", "writes into the configuration of the ingress controller", annotate("nginx.ingress.kubernetes.io/server-snippet", "return 200;")),
		refused("server-alias", "answers for a second host by an annotation", annotate("nginx.ingress.kubernetes.io/server-alias", "bulkhead-attack.invalid")),
	}
}

func createIngress(title string, change func(*networkingv1.Ingress)) Step {
	return create(title, networkingv1.GroupName, "ingresses", func(s Scene) any {
		host := "none.invalid"
		if len(s.Tenant.Spec.IngressHosts) > 0 {
			host = s.Tenant.Spec.IngressHosts[0]
		}
		prefix := networkingv1.PathTypePrefix
		ingress := &networkingv1.Ingress{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"}, ObjectMeta: marked(s)}
		ingress.Spec.Rules = []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
				Name: nothing, Port: networkingv1.ServiceBackendPort{Number: 80}}}}}}}}}
		change(ingress)
		return ingress
	})
}

// networkAttacks open what the platform closed: policies add up, so one that is too wide is enough.
func networkAttacks() []Attack {
	const control = "network-default"
	policies := byPolicy("network-policies")
	own := createNetworkPolicy("create a NetworkPolicy of its own", withinSpace)
	widening := func(control, id, title string, rule wide) Attack {
		a := ownObject(id, control, title, own, createNetworkPolicy("create a NetworkPolicy that "+title, rule), policies)
		a.Applies = nil // it cannot be waived
		return a
	}
	narrow := map[string]any{"spec": map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": nothing}}}}
	changed := ownObject("from-everywhere-by-patch", control, "opens a policy that was narrow to every namespace",
		patchOwn("change the pods of a NetworkPolicy", networkingv1.GroupName, "networkpolicies", narrow),
		patchOwn("change a NetworkPolicy into one that lets everybody in", networkingv1.GroupName, "networkpolicies", spread(map[string]any{"ingress": []any{map[string]any{}}})), policies)
	changed.Applies = nil
	return []Attack{
		widening(control, "from-everywhere", "opens its pods to every namespace", fromEverywhere),
		widening(control, "from-anybody", "opens its pods to whoever there is", func(spec *networkingv1.NetworkPolicySpec) {
			spec.PolicyTypes, spec.Ingress = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, []networkingv1.NetworkPolicyIngressRule{{}}
		}),
		widening(control, "from-labelled", "opens its pods to namespaces by a label that anybody might have", func(spec *networkingv1.NetworkPolicySpec) {
			fromEverywhere(spec)
			spec.Ingress[0].From[0].NamespaceSelector.MatchLabels = map[string]string{"team": "friends"}
		}),
		widening(control, "to-everywhere", "opens the way to every address", toEverywhere),
		widening(control, "to-everybody", "opens the way to whoever there is", func(spec *networkingv1.NetworkPolicySpec) {
			spec.PolicyTypes, spec.Egress = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, []networkingv1.NetworkPolicyEgressRule{{}}
		}),
		widening(control, "to-every-namespace", "opens the way to every namespace", func(spec *networkingv1.NetworkPolicySpec) {
			spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
			spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}}}
		}),
		widening(control, "to-pods", "opens the way to the pods' addresses", func(spec *networkingv1.NetworkPolicySpec) { reach(spec, "10.0.0.0/8") }),
		changed,
		widening("network-metadata", "by-policy", "opens the way to the cloud's metadata service", toMetadata),
		widening("network-metadata", "by-wide-policy", "opens the way to link-local addresses", func(spec *networkingv1.NetworkPolicySpec) { reach(spec, "169.254.0.0/16") }),
		widening("network-metadata", "by-ipv6-policy", "opens the way to every IPv6 address", func(spec *networkingv1.NetworkPolicySpec) { reach(spec, "::/0") }),
	}
}

// managed are the objects that Bulkhead keeps in a Space and on which an owner has rights: what keeps them is a policy.
func managedAttacks() []Attack {
	const control = "guardrail"
	var attacks []Attack
	for _, object := range []struct{ group, resource, name string }{
		{networkingv1.GroupName, "networkpolicies", guardrail.NetworkDefaultName},
		{"rbac.authorization.k8s.io", "rolebindings", guardrail.OwnersName},
	} {
		upon := func(verb string, body any) Step {
			return Step{Title: verb + " " + object.name + " " + object.resource, Ask: func(s Scene) (Ask, error) {
				namespace, err := inOwn(s)
				return Ask{DryRun: &Request{Verb: verb, Group: object.group, Version: "v1", Namespace: namespace, Resource: object.resource, Name: object.name, Body: body}}, err
			}}
		}
		add := func(id, title string, attempt Step) {
			attempt.Title = title
			a := ownObject(id+"-"+object.resource, control, title, createNetworkPolicy("create a NetworkPolicy of its own", withinSpace), attempt, byPolicy("managed-objects"))
			a.Applies = nil
			attacks = append(attacks, a)
		}
		add("unmark", "takes Bulkhead's mark from "+object.name+" ("+object.resource+")", upon("patch", mergeLabels(map[string]any{v1alpha1.LabelManagedBy: nil})))
		add("delete", "deletes "+object.name+" ("+object.resource+")", upon("delete", nil))
		add("annotate", "annotates "+object.name+" ("+object.resource+")", upon("patch", merge("annotations", map[string]any{"x": "y"})))
		add("finalize", "keeps "+object.name+" ("+object.resource+") from being replaced by a finalizer", upon("patch", merge("finalizers", []string{"example.invalid/keep"})))
		add("own", "has "+object.name+" ("+object.resource+") collected with an object of its own", upon("patch", merge("ownerReferences",
			[]any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": nothing, "uid": "00000000-0000-0000-0000-000000000000"}})))
	}
	return append(attacks, markAttacks()...)
}

// markAttacks claim Bulkhead's own marks.
func markAttacks() []Attack {
	const control = "guardrail"
	plain := createMap("create a ConfigMap", nil)
	attacks := []Attack{
		ownObject("claim-managed", control, "passes an object off as Bulkhead's", plain,
			createMap("create a ConfigMap with Bulkhead's mark", map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}), byPolicy("managed-objects")),
		ownObject("claim-tenant", control, "passes an object off as another tenant's", plain,
			createMap("create a ConfigMap with another tenant's label", map[string]string{v1alpha1.LabelTenant: nothing}), byPolicy("owned-labels")),
	}
	for i := range attacks {
		attacks[i].Applies = nil
	}
	return append(attacks, spaceAttacks()...)
}

// createMap creates a ConfigMap with labels beside the attack's own.
func createMap(title string, labels map[string]string) Step {
	return create(title, "", "configmaps", func(s Scene) any {
		object := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: marked(s)}
		for key, value := range labels {
			object.Labels[key] = value
		}
		return object
	})
}

func mergeLabels(labels map[string]any) map[string]any { return merge("labels", labels) }

// merge is a merge patch of one field of the metadata.
func merge(field string, value any) map[string]any {
	return map[string]any{"metadata": map[string]any{field: value}}
}
