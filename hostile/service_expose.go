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
	cases := slices.Concat(serviceCases(), aliasCases(), ingressCases(), ingressPathCases())
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
	balanced := func(id, title, says string, change func(*corev1.ServiceSpec)) Case {
		return byService("load-balancer-"+id, title, func(spec *corev1.ServiceSpec) {
			spec.Type, spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, new(false)
			change(spec)
		}, byPolicy("services", says))
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
		nodePorted("load-balancer-ports", "opens a port on every node by a load balancer", func(*corev1.ServiceSpec) {}),
		nodePorted("load-balancer-ports-asked", "asks for a port on every node by a load balancer", func(spec *corev1.ServiceSpec) {
			spec.AllocateLoadBalancerNodePorts = new(true)
		}),
		byService("load-balancer-one-port", "opens one port on every node by a load balancer", func(spec *corev1.ServiceSpec) {
			spec.Type, spec.AllocateLoadBalancerNodePorts, spec.Ports[0].NodePort = corev1.ServiceTypeLoadBalancer, new(false), 30080
		}, nodePorts),
		balanced("class", "picks a load balancer that is not allowed", `loadBalancerClass "`, func(spec *corev1.ServiceSpec) { spec.LoadBalancerClass = new(elsewhere + "/any") }),
		balanced("address", "takes an address of others at the load balancer", "loadBalancerIP", func(spec *corev1.ServiceSpec) { spec.LoadBalancerIP = "192.0.2.1" }),
		balanced("health", "opens a port on every node for health checks", "open a port on every node", func(spec *corev1.ServiceSpec) {
			spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}),
		balanced("health-port", "picks a port on every node for health checks", "open a port on every node", func(spec *corev1.ServiceSpec) {
			spec.ExternalTrafficPolicy, spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyLocal, 30081
		}),
		fixedAddress("fixed-address", func(spec *corev1.ServiceSpec, address string) { spec.ClusterIP = address }),
		fixedAddress("fixed-addresses", func(spec *corev1.ServiceSpec, address string) {
			spec.ClusterIP, spec.ClusterIPs = address, []string{address}
		}),
		patched("node-port-by-patch", "opens a port on every node", "type NodePort", map[string]any{"type": "NodePort"}),
		patched("external-ips-by-patch", "captures the traffic to an external address", "externalIPs 192.0.2.1", map[string]any{"externalIPs": []string{"192.0.2.1"}}),
	}
}

// nodePorted is a load balancer that opens ports on nodes, which then it must not.
func nodePorted(id, title string, change func(*corev1.ServiceSpec)) Case {
	c := byService(id, title, nil, Refusal{By: mutation})
	c.Or = overQuota
	c.Attempt = judgedService(createService("create a Service that "+title, func(spec *corev1.ServiceSpec) {
		spec.Type = corev1.ServiceTypeLoadBalancer
		change(spec)
	}), func(spec *corev1.ServiceSpec) string {
		open := spec.AllocateLoadBalancerNodePorts == nil || *spec.AllocateLoadBalancerNodePorts
		for _, p := range spec.Ports {
			open = open || p.NodePort != 0
		}
		if open {
			return ""
		}
		return "allocateLoadBalancerNodePorts was set to false"
	})
	return c
}

// fixedAddress names the address of a Service, which then is another all the same. The address is for documentation (RFC 5737).
func fixedAddress(id string, name func(*corev1.ServiceSpec, string)) Case {
	const address = "192.0.2.1"
	c := byService(id, "takes an address inside the cluster that others ask", nil, Refusal{By: mutation})
	c.Attempt = judgedService(createService("create a Service at an address of its choice", func(spec *corev1.ServiceSpec) { name(spec, address) }),
		func(spec *corev1.ServiceSpec) string {
			if spec.ClusterIP == address {
				return ""
			}
			return "the cluster chose another address"
		})
	return c
}

// judgedService is a step whose answer is what admission made of the Service: safe is why it is harmless, empty when it is not.
func judgedService(step Step, safe func(*corev1.ServiceSpec) string) Step {
	return Step{Title: step.Title, Ask: func(s Scene) (Ask, error) {
		ask, err := step.Ask(s)
		if err != nil {
			return Ask{}, err
		}
		ask.DryRun.Judge = func(r Reply) Answer {
			var service corev1.Service
			if err := decode(r.Object, &service); err != nil {
				return Unclear("%v", err)
			}
			if says := safe(&service.Spec); says != "" {
				return Answer{Refusal: Refusal{By: mutation, Says: says}}
			}
			return Answer{Allowed: true}
		}
		return ask, nil
	}}
}

// aliasCases are names for what a Service must not stand for.
func aliasCases() []Case {
	const control = "service-expose"
	standFor := func(title string, name func(allowed string) string) Step {
		return Step{Title: title, Ask: func(s Scene) (Ask, error) {
			allowed := elsewhere
			if len(s.Platform.Spec.ExternalNames) > 0 {
				allowed = s.Platform.Spec.ExternalNames[0]
			}
			return createService("", func(spec *corev1.ServiceSpec) {
				*spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: name(allowed)}
			}).Ask(s)
		}}
	}
	// Where the platform names no host, a Service of the cluster's own is the nearest that is allowed.
	named := standFor("create a Service that stands for a host, if the platform names one", func(allowed string) string { return "db." + allowed })
	outside := Step{Title: named.Title, Ask: func(s Scene) (Ask, error) {
		if len(s.Platform.Spec.ExternalNames) == 0 {
			return harmlessService.Ask(s)
		}
		return named.Ask(s)
	}}
	aliased := func(id, title string, name func(allowed string) string) Case {
		return ownObject(id, control, title, outside, standFor("create a Service that "+title, name), byPolicy("services", "lies in no domain that the platform names"))
	}
	alias := func(id, title, name string) Case { return aliased(id, title, func(string) string { return name }) }
	cases := []Case{
		aliased("external-name-like-it", "stands for a host whose name ends like one that the platform names", func(allowed string) string { return "not" + allowed }),
		alias("external-name-elsewhere", "stands for a host that the platform does not name", elsewhere),
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
	tls := func(hosts ...string) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { i.Spec.TLS = []networkingv1.IngressTLS{{Hosts: hosts, SecretName: "x"}} }
	}
	hostless := func(id, title, attempt, name string) Case {
		c := ownObject(id, control, title, harmlessService, createIngress(attempt, host(name)), byPolicy("ingresses", hosts))
		c.Applies = func(s Scene) bool { return InForce(control)(s) && len(s.Tenant.Spec.IngressHosts) == 0 }
		return c
	}
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
	}
}

// ingressPathCases have an ingress controller do more than lead to the tenant's Services.
func ingressPathCases() []Case {
	refused := func(id, title, says string, change func(*networkingv1.Ingress)) Case {
		c := ownObject("ingress-"+id, "service-expose", title, harmlessIngress, createIngress("create an Ingress that "+title, change), byPolicy("ingresses", says))
		c.Applies = func(s Scene) bool { return InForce("service-expose")(s) && len(s.Tenant.Spec.IngressHosts) > 0 }
		return c
	}
	path := func(change func(*networkingv1.HTTPIngressPath)) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { change(&i.Spec.Rules[0].HTTP.Paths[0]) }
	}
	const paths = "a path is of type Exact or Prefix"
	return []Case{
		refused("class", "picks an ingress controller that is not allowed", `ingressClassName "`+nothing+`"`, func(i *networkingv1.Ingress) { i.Spec.IngressClassName = new(nothing) }),
		refused("raw-path", "writes a path as it is into the configuration of the ingress controller", paths, path(func(p *networkingv1.HTTPIngressPath) {
			p.PathType = new(networkingv1.PathTypeImplementationSpecific)
		})),
		refused("path-text", "writes directives into the configuration of the ingress controller by a path", paths, path(func(p *networkingv1.HTTPIngressPath) {
			p.Path = "/a;return 200"
		})),
		refused("resource", "leads to an object on which the ingress controller acts", "a backend is a Service", path(func(p *networkingv1.HTTPIngressPath) {
			p.Backend = networkingv1.IngressBackend{Resource: &corev1.TypedLocalObjectReference{Kind: "Secret", Name: nothing}}
		})),
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
		if classes := s.Platform.Spec.IngressClasses; len(classes) > 0 {
			ingress.Spec.IngressClassName = &classes[0]
		}
		ingress.Spec.Rules = []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
				Name: nothing, Port: networkingv1.ServiceBackendPort{Number: 80}}}}}}}}}
		change(ingress)
		return ingress
	})
}
