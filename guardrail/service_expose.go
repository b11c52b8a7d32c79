package guardrail

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// serviceExposeControl keeps Services and Ingresses to their tenant's own traffic.
var serviceExposeControl = Control{
	ID: "service-expose", Title: "Nothing is exposed or captured by a Service",
	Threat: "node ports, capturing others' traffic by externalIPs, serving another tenant's host name",
	How: "The quota allows no node ports, and load balancers only as the tenant's quota names them. An admission " +
		"policy refuses externalIPs, names and classes that the Platform does not name, ports on nodes for health checks, and Ingress " +
		"hosts that are not the tenant's; others have the cluster choose the addresses of Services, and set " +
		"allocateLoadBalancerNodePorts to false.",
	Objects: []string{"ResourceQuota bulkhead", "Namespace annotation bulkhead.dev/ingress-hosts"},
	Fix: "Developer: use a ClusterIP Service behind an Ingress with one of the tenant's hosts. Platform: add hosts to " +
		"the Tenant's ingressHosts, load balancers to its quota, and domains and classes to the Platform's externalNames, " +
		"loadBalancerClasses and ingressClasses.",
	Waivable: true,
	Mappings: []string{"K06", "MTB-PL1-BC-HI-1"},
	cases: []string{
		"node-port*", "load-balancer", "load-balancer-ports*", "load-balancer-one-port", "external-ips*", "external-name",
		"external-name-*", "endpoints", "endpoints-patch", "slices", "slices-patch", "ingress-foreign-host",
		"ingress-any", "ingress-any-host", "ingress-every-host", "ingress-second-rule", "ingress-foreign-tls", "ingress-hostless-tls",
		"ingress-default-backend*", "ingress-class", "ingress-raw-path", "ingress-path-*", "ingress-resource", "fixed-address*",
		"load-balancer-class", "load-balancer-address", "load-balancer-health*",
	},
	mutations: []func(*v1alpha1.PlatformSpec) mutation{freeAddresses, withholdNodePorts},
	validations: func(s *v1alpha1.PlatformSpec) []validation {
		return []validation{services(s), endpoints(), ingresses(s)}
	},
}

// services (control service-expose): a Service takes no traffic that is not its tenant's. The number of load balancers
// is a matter of quota; no tenant gets their node ports.
func services(s *v1alpha1.PlatformSpec) validation {
	return validation{
		name:  "services",
		about: "Services open no node ports, claim no addresses and alias no names inside the cluster.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("", []string{"services"}, onCreate, onUpdate)},
			namespaces: inSpaces(), conditions: specChanged(),
		},
		variables: []admissionv1.Variable{
			waived("service-expose"),
			let("type", "object.spec.?type.orValue('ClusterIP')"),
			let("alias", "object.spec.?externalName.orValue('').lowerAscii()"),
			// The name without the dot that may end it.
			let("name", "variables.alias.endsWith('.') ? variables.alias.substring(0, size(variables.alias) - 1) : variables.alias"),
			let("class", "object.spec.?loadBalancerClass.orValue('')"),
		},
		checks: []check{{
			expression: "variables.type != 'NodePort' || variables.waived",
			message:    `'type NodePort opens a port on every node; use ClusterIP, with an Ingress for HTTP'`,
			fallback:   "type NodePort opens a port on every node; use ClusterIP, with an Ingress for HTTP",
			reason:     metav1.StatusReasonForbidden,
		}, {
			expression: `variables.type != 'LoadBalancer' || variables.waived ||
 (!object.spec.?allocateLoadBalancerNodePorts.orValue(true) &&
  object.spec.?ports.orValue([]).all(p, p.?nodePort.orValue(0) == 0))`,
			message:  `'a LoadBalancer must not open node ports; set allocateLoadBalancerNodePorts: false, and no nodePort'`,
			fallback: "a LoadBalancer must not open node ports; set allocateLoadBalancerNodePorts: false, and no nodePort",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "size(object.spec.?externalIPs.orValue([])) == 0 || variables.waived",
			message:    `'externalIPs ' + object.spec.?externalIPs.orValue([]).join(', ') + ' would take traffic that is meant for others; remove them'`,
			fallback:   "externalIPs would take traffic that is meant for others; remove them",
			reason:     metav1.StatusReasonForbidden,
		}, {
			// The cluster's own domain may lie below one that is named.
			expression: "variables.type != 'ExternalName' || variables.waived || (" + celList(s.ExternalNames) +
				".exists(d, variables.name == d || variables.name.endsWith('.' + d)) && !variables.name.split('.').exists(l, l in ['svc', 'pod']))",
			message: `'externalName "' + variables.alias + '" lies in no domain that the platform names; ' + ` +
				celString(oneOf("externalNames", s.ExternalNames)+"; for what is inside the cluster, declare a flow on the Space"),
			fallback: "externalName lies in no domain that the platform names; " + oneOf("externalNames", s.ExternalNames),
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "variables.class in " + celList(append([]string{""}, s.LoadBalancerClasses...)) + " || variables.waived",
			message: `'loadBalancerClass "' + variables.class + '" is not allowed; ' + ` +
				celString(leaveOut("loadBalancerClasses", s.LoadBalancerClasses)),
			fallback: "loadBalancerClass is not allowed; " + leaveOut("loadBalancerClasses", s.LoadBalancerClasses),
			reason:   metav1.StatusReasonForbidden,
		},
			bound("object.spec.?loadBalancerIP.orValue('') == '' || variables.waived", "loadBalancerIP takes an address that may be another's; leave it out"),
			// The API server gives such a Service a port for health checks that is open on every node.
			bound("object.spec.?healthCheckNodePort.orValue(0) == 0 && (variables.type != 'LoadBalancer' || "+
				"object.spec.?externalTrafficPolicy.orValue('') != 'Local') || variables.waived",
				"healthCheckNodePort and externalTrafficPolicy Local open a port on every node; leave them out"),
		},
	}
}

// endpoints (control service-expose): addresses behind a Service come from its pods. Written by hand they could be
// any tenant's (CVE-2021-25740). A user who may write them in every namespace is the platform's: no tenant has such a right.
func endpoints() validation {
	return validation{
		name:   "endpoints",
		behind: "RBAC: owners have no right to write endpoints",
		about:  "Endpoints and EndpointSlices are written by controllers, not by tenants.",
		match: match{
			rules: []admissionv1.NamedRuleWithOperations{
				on("", []string{"endpoints"}, onCreate, onUpdate),
				on("discovery.k8s.io", []string{"endpointslices"}, onCreate, onUpdate),
			},
			namespaces: inSpaces(),
		},
		variables: []admissionv1.Variable{waived("service-expose")},
		checks: []check{{
			expression: "authorizer.group(request.resource.group).resource(request.resource.resource).check('update').allowed() || variables.waived",
			message:    `request.resource.resource + ' written by hand could lead to anybody; give the Service a selector'`,
			fallback:   "endpoints written by hand could lead to anybody; give the Service a selector",
			reason:     metav1.StatusReasonForbidden,
		}},
	}
}

// ingresses (control service-expose): an Ingress serves the tenant's hosts and no others.
func ingresses(s *v1alpha1.PlatformSpec) validation {
	hosts := celString(v1alpha1.AnnotationIngressHosts)
	covered := func(h string) string {
		return strings.ReplaceAll(`(HOST != '' && (HOST in variables.allowed ||
 (HOST.contains('.') && ('*' + HOST.substring(HOST.indexOf('.'))) in variables.allowed)))`, "HOST", h)
	}
	return validation{
		name:  "ingresses",
		about: "Ingresses serve only hosts that were allowed to their tenant.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("networking.k8s.io", []string{"ingresses"}, onCreate, onUpdate)},
			namespaces: inSpaces(), conditions: specChanged(),
		},
		variables: []admissionv1.Variable{
			waived("service-expose"),
			let("allowed", "namespaceObject.metadata.?annotations[?"+hosts+"].orValue('').split(',').map(h, h.trim())"),
			let("hosts", `object.spec.?rules.orValue([]).map(r, r.?host.orValue(''))`),
			let("tlsHosts", `object.spec.?tls.orValue([]).map(t, t.?hosts.orValue(['']))`),
			let("foreign", "variables.hosts.filter(h, !"+covered("h")+")"),
			let("foreignTLS", "variables.tlsHosts.filter(l, !l.all(h, "+covered("h")+"))"),
			let("class", "object.spec.?ingressClassName.orValue('')"),
			let("paths", "object.spec.?rules.orValue([]).map(r, r.?http.?paths.orValue([])).flatten()"),
		},
		checks: []check{{
			expression: "size(variables.foreign) == 0 || variables.waived",
			message: `'host "' + variables.foreign.join('", "') + '" is not one of this tenant; every rule needs a host, one of: ' + ` +
				`variables.allowed.join(', ')`,
			fallback: "every rule needs a host that was allowed to this tenant",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "size(variables.foreignTLS) == 0 || variables.waived",
			message: `'tls host "' + variables.foreignTLS.map(l, l.join('", "')).join('", "') + ` +
				`'" is not one of this tenant; every tls entry needs hosts, of: ' + variables.allowed.join(', ')`,
			fallback: "every tls entry needs hosts that were allowed to this tenant",
			reason:   metav1.StatusReasonForbidden,
		}, {
			expression: "!has(object.spec.defaultBackend) || variables.waived",
			message:    `'defaultBackend answers for hosts of others; use rules with hosts'`,
			fallback:   "defaultBackend answers for hosts of others; use rules with hosts",
			reason:     metav1.StatusReasonForbidden,
		}, {
			expression: "variables.class in " + celList(append([]string{""}, s.IngressClasses...)) + " || variables.waived",
			message:    `'ingressClassName "' + variables.class + '" is not allowed; ' + ` + celString(oneOf("ingressClasses", s.IngressClasses)),
			fallback:   "ingressClassName is not allowed; " + oneOf("ingressClasses", s.IngressClasses),
			reason:     metav1.StatusReasonForbidden,
		},
			// Controllers write what they do not understand as it is into their configuration (CVE-2021-25745, CVE-2021-25748).
			bound("variables.paths.all(p, p.?pathType.orValue('') in ['Exact', 'Prefix'] && p.?path.orValue('/').matches('^/[-A-Za-z0-9/_.~%+]*$')) || variables.waived",
				"a path is of type Exact or Prefix, and of letters, digits and -/_.~%+"),
			bound("!variables.paths.exists(p, p.?backend.?resource.hasValue()) || variables.waived", "a backend is a Service of this namespace"),
		},
	}
}

// freeAddresses has the cluster choose a Service's address. One that was named could be one that others' clients still ask, or that
// the cluster's DNS is about to get. A validation comes too late: the API server chooses addresses before it.
func freeAddresses(*v1alpha1.PlatformSpec) mutation {
	return mutation{
		name:  "service-address",
		about: "Services get an address that the cluster chooses.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("", []string{"services"}, onCreate, onUpdate)},
			namespaces: inSpaces(),
			conditions: []admissionv1.MatchCondition{{
				Name: "names-an-address", Expression: "(oldObject == null || oldObject.spec.?clusterIP.orValue('') == '') && " +
					"([object.spec.?clusterIP.orValue('')] + object.spec.?clusterIPs.orValue([])).exists(ip, !(ip in ['', 'None']))",
			}},
		},
		patch: notWaived("service-expose") + ` ? ['clusterIP', 'clusterIPs'].filter(f, object.spec[?f].hasValue()).map(f,
 JSONPatch{op: 'remove', path: '/spec/' + f}) : []`,
	}
}

// withholdNodePorts has load balancers open no ports on nodes. The API server fills in that they do before any policy sees the Service, so
// that whether it was said or left out is not known; of a Service that names a port, or has one already, it was said.
func withholdNodePorts(*v1alpha1.PlatformSpec) mutation {
	return mutation{
		name:  "service-ports",
		about: "Load balancers open no ports on nodes.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("", []string{"services"}, onCreate, onUpdate)},
			namespaces: inSpaces(),
			conditions: []admissionv1.MatchCondition{{
				Name: "would-open-ports", Expression: "object.spec.?type.orValue('') == 'LoadBalancer' && object.spec.?allocateLoadBalancerNodePorts.orValue(true) && " +
					"object.spec.?ports.orValue([]).all(p, p.?nodePort.orValue(0) == 0)",
			}},
		},
		patch: notWaived("service-expose") + ` ? [JSONPatch{op: 'add', path: '/spec/allocateLoadBalancerNodePorts', value: false}] : []`,
	}
}
