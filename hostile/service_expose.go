package hostile

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// serviceExposeCases take traffic, or open ports, that are not the tenant's.
func serviceExposeCases() []Case {
	cases := slices.Concat(serviceCases(), aliasCases(), ingressCases())
	rows := atHome("service-expose",
		homeRow{"endpoints", "create", "", "endpoints", "sends a Service's traffic to addresses of its choice"},
		homeRow{"endpoints-patch", "patch", "", "endpoints", "sends a Service's traffic to other addresses"},
		homeRow{"slices", "create", "discovery.k8s.io", "endpointslices", "sends a Service's traffic to addresses of its choice"},
		homeRow{"slices-patch", "patch", "discovery.k8s.io", "endpointslices", "sends a Service's traffic to other addresses"})
	for i := range rows {
		if rows[i].ID == "service-expose/slices" {
			rows[i].Attempt.Ask = createSlice
		}
	}
	return append(cases, behind(byPolicy("endpoints", "written by hand could lead to anybody"), rows...)...)
}

// createSlice leads to an address for documentation (RFC 5737).
func createSlice(s Scene) (Ask, error) {
	ask, err := create("", discoveryv1.GroupName, "endpointslices", func(s Scene) any {
		return &discoveryv1.EndpointSlice{TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"}, ObjectMeta: marked(s),
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}}}
	}).Ask(s)
	if err == nil {
		ask.DryRun.RightOnly = true
	}
	return ask, err
}

// byService is a case of a new Service.
func byService(id, title string, change func(*corev1.ServiceSpec), refusal Refusal) Case {
	return ownObject(id, "service-expose", title, harmlessService, createService("create a Service that "+title, change), refusal)
}

// serviceCases are a new Service, or one that was harmless. The addresses are for documentation (RFC 5737); externalIPs took
// traffic in CVE-2020-8554.
func serviceCases() []Case {
	patched := func(id, title, says string, spec map[string]any) Case {
		return ownObject(id, "service-expose", title,
			patchOwn("change the session affinity of a Service", "", "services", patchOf(map[string]any{"sessionAffinity": "ClientIP"})),
			patchOwn("change a Service into one that "+title, "", "services", patchOf(spec)), byPolicy("services", says))
	}
	granted := byService("load-balancer", "takes a load balancer that was not granted", func(spec *corev1.ServiceSpec) {
		spec.Type, spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, new(false)
	}, overQuota)
	granted.Applies = func(s Scene) bool {
		balancers := s.Tenant.Spec.Quota[corev1.ResourceServicesLoadBalancers]
		return InForce("service-expose")(s) && balancers.Sign() == 0
	}
	nodePorts := byPolicy("services", "allocateLoadBalancerNodePorts")
	return []Case{
		granted,
		byService("external-ips", "captures the traffic to an external address", func(spec *corev1.ServiceSpec) { spec.ExternalIPs = []string{"192.0.2.1"} },
			byPolicy("services", "externalIPs 192.0.2.1")),
		byService("node-port", "opens a port on every node", func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeNodePort },
			byPolicy("services", "type NodePort")),
		byService("load-balancer-ports", "opens a port on every node by a load balancer",
			func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeLoadBalancer }, nodePorts),
		byService("load-balancer-one-port", "opens one port on every node by a load balancer", func(spec *corev1.ServiceSpec) {
			spec.Type, spec.AllocateLoadBalancerNodePorts, spec.Ports[0].NodePort = corev1.ServiceTypeLoadBalancer, new(false), 30080
		}, nodePorts),
		patched("node-port-by-patch", "opens a port on every node", "type NodePort", map[string]any{"type": "NodePort"}),
		patched("external-ips-by-patch", "captures the traffic to an external address", "externalIPs 192.0.2.1", map[string]any{"externalIPs": []string{"192.0.2.1"}}),
	}
}

// aliasCases are names for what a Service must not stand for.
func aliasCases() []Case {
	standFor := func(name string) func(*corev1.ServiceSpec) {
		return func(spec *corev1.ServiceSpec) {
			*spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: name}
		}
	}
	outside := createService("create a Service that stands for a host outside", standFor("db.example.com"))
	alias := func(id, title, name string) Case {
		return ownObject(id, "service-expose", title, outside, createService("create a Service that "+title, standFor(name)),
			byPolicy("services", "is an address or a name inside the cluster"))
	}
	cases := []Case{
		alias("external-name", "stands for a Service of another namespace", "kubernetes.default.svc.cluster.local"),
		alias("external-name-metadata", "stands for the cloud's metadata service", "169.254.169.254"),
		alias("external-name-localhost", "stands for each client's own host", "localhost"),
	}
	for _, name := range []string{
		"kubernetes.default.svc", "api.other--space.svc.cluster.local.", "web.other--space.svc.corp.example.com", "10-0-0-1.other--space.pod.cluster.local",
		"kubernetes", "x.localhost", "10.96.0.1", "127.0.0.1", "127.1", "0x7f.0.0.1", "metadata.google.internal", "1.0.0.127.in-addr.arpa", "printer.local",
	} {
		cases = append(cases, alias("external-name-"+strings.TrimSuffix(name, "."), "stands for "+name, name))
	}
	return cases
}

func createService(title string, change func(*corev1.ServiceSpec)) Step {
	return create(title, "", "services", func(s Scene) any {
		service := &corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: marked(s),
			Spec: corev1.ServiceSpec{
				Type:     corev1.ServiceTypeClusterIP,
				Selector: map[string]string{"app": v1alpha1.AttackName},
				Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
			},
		}
		change(&service.Spec)
		return service
	})
}

// harmlessService is reached in the cluster alone.
var harmlessService = createService("create a cluster-internal Service", func(*corev1.ServiceSpec) {})

// ingressCases take another tenant's host names.
func ingressCases() []Case {
	const control = "service-expose"
	const hosts, certificates = "every rule needs a host", "every tls entry needs hosts"
	has := func(s Scene) bool { return InForce(control)(s) && len(s.Tenant.Spec.IngressHosts) > 0 }
	refused := func(id, title, says string, change func(*networkingv1.Ingress)) Case {
		c := ownObject("ingress-"+id, control, title, harmlessIngress, createIngress("create an Ingress that "+title, change), byPolicy("ingresses", says))
		c.Applies = has
		return c
	}
	host := func(name string) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { i.Spec.Rules[0].Host = name }
	}
	annotate := func(key, value string) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { i.Annotations = map[string]string{key: value} }
	}
	tls := func(hosts ...string) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { i.Spec.TLS = []networkingv1.IngressTLS{{Hosts: hosts, SecretName: "x"}} }
	}
	hostless := func(id, title, attempt, name string) Case {
		c := ownObject(id, control, title, harmlessService, createIngress(attempt, host(name)), byPolicy("ingresses", hosts))
		c.Applies = func(s Scene) bool { return InForce(control)(s) && len(s.Tenant.Spec.IngressHosts) == 0 }
		return c
	}
	const balancer = "changes the ingress controller"
	return []Case{
		hostless("ingress-any-host", "answers for a host, though the tenant has none", "create an Ingress, though the tenant has no host", "bank.example"),
		hostless("ingress-any", "answers for every host, though the tenant has none", "create an Ingress for every host, though the tenant has none", ""),
		refused("foreign-host", "answers for a host that is not its own", hosts, host(elsewhere)),
		refused("every-host", "answers for every host", hosts, host("")),
		refused("second-rule", "answers for a second host that is not its own", hosts, func(i *networkingv1.Ingress) {
			i.Spec.Rules = append(i.Spec.Rules, networkingv1.IngressRule{Host: elsewhere})
		}),
		refused("default-backend", "answers for what no other Ingress answers for", "defaultBackend", func(i *networkingv1.Ingress) {
			i.Spec.DefaultBackend = i.Spec.Rules[0].HTTP.Paths[0].Backend.DeepCopy()
		}),
		refused("default-backend-alone", "answers for every host by a default backend alone", "defaultBackend", func(i *networkingv1.Ingress) {
			i.Spec.DefaultBackend, i.Spec.Rules = i.Spec.Rules[0].HTTP.Paths[0].Backend.DeepCopy(), nil
		}),
		refused("foreign-tls", "shows a certificate for a host that is not its own", certificates, tls(elsewhere)),
		refused("hostless-tls", "shows a certificate for every host", certificates, tls()),
		refused("snippet", "writes into the configuration of the ingress controller", balancer, annotate("nginx.ingress.kubernetes.io/server-snippet", "return 200;")),
		refused("configuration-snippet", "writes into the configuration of a location of the ingress controller", balancer,
			annotate("nginx.ingress.kubernetes.io/configuration-snippet", "return 200;")),
		refused("server-alias", "answers for a second host by an annotation", balancer, annotate("nginx.ingress.kubernetes.io/server-alias", elsewhere)),
	}
}

// harmlessIngress answers for a host of the tenant.
var harmlessIngress = createIngress("create an Ingress for a host of its own", func(*networkingv1.Ingress) {})

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
