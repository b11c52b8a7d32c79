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
		"policy refuses externalIPs, ExternalName to foreign Services, and Ingress hosts that are not the tenant's.",
	Objects: []string{"ResourceQuota bulkhead", "Namespace annotation bulkhead.dev/ingress-hosts"},
	Fix: "Developer: use a ClusterIP Service behind an Ingress with one of the tenant's hosts. Platform: add hosts to " +
		"the Tenant's ingressHosts, load balancers to its quota.",
	Waivable: true,
	Mappings: []string{"K06", "MTB-PL1-BC-HI-1"},
	cases: []string{
		"node-port*", "load-balancer", "load-balancer-ports", "load-balancer-one-port", "external-ips*", "external-name",
		"external-name-*", "endpoints", "endpoints-patch", "slices", "slices-patch", "ingress-foreign-host",
		"ingress-any", "ingress-any-host", "ingress-every-host", "ingress-second-rule", "ingress-foreign-tls", "ingress-hostless-tls",
		"ingress-default-backend*", "ingress-server-alias", "ingress-snippet", "ingress-configuration-snippet",
	},
	validations: func(_ *v1alpha1.PlatformSpec) []validation {
		return []validation{services(), endpoints(), ingresses()}
	},
}

// services (control service-expose): a Service takes no traffic that is not its tenant's. The number of load balancers
// is a matter of quota; no tenant gets their node ports.
func services() validation {
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
			// The name without the dot that may end it, in labels.
			let("labels", "(variables.alias.endsWith('.') ? variables.alias.substring(0, size(variables.alias) - 1) : variables.alias).split('.')"),
			let("internal", `size(variables.labels) < 2 || variables.labels.exists(l, l in ['svc', 'pod', 'localhost']) ||
 variables.labels[size(variables.labels) - 1] in ['local', 'internal', 'arpa'] ||
 variables.labels.all(l, l.matches('^(0x[0-9a-f]*|[0-9]*)$')) || variables.alias.contains(':')`),
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
			expression: "variables.type != 'ExternalName' || !variables.internal || variables.waived",
			message: `'externalName "' + variables.alias + '" is an address or a name inside the cluster; ` +
				`name a host outside, and declare a flow on the Space for what is inside'`,
			fallback: "externalName is an address or a name inside the cluster; name a host outside",
			reason:   metav1.StatusReasonForbidden,
		}},
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
func ingresses() validation {
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
			namespaces: inSpaces(),
			conditions: []admissionv1.MatchCondition{{
				Name: "spec-or-annotations-are-new",
				Expression: "oldObject == null || dyn(object).spec != dyn(oldObject).spec || " +
					"dyn(object).metadata.?annotations != dyn(oldObject).metadata.?annotations",
			}},
		},
		variables: []admissionv1.Variable{
			waived("service-expose"),
			let("allowed", "namespaceObject.metadata.?annotations[?"+hosts+"].orValue('').split(',').map(h, h.trim())"),
			let("hosts", `object.spec.?rules.orValue([]).map(r, r.?host.orValue(''))`),
			let("tlsHosts", `object.spec.?tls.orValue([]).map(t, t.?hosts.orValue(['']))`),
			let("foreign", "variables.hosts.filter(h, !"+covered("h")+")"),
			let("foreignTLS", "variables.tlsHosts.filter(l, !l.all(h, "+covered("h")+"))"),
			let("tricks", `object.metadata.?annotations.orValue({}).transformList(k, v,
 k.contains('snippet') || k.endsWith('/server-alias') || k.endsWith('/default-backend'), k)`),
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
			expression: "size(variables.tricks) == 0 || variables.waived",
			message:    `'annotation ' + variables.tricks.join(', ') + ' changes the ingress controller for all tenants; remove it'`,
			fallback:   "an annotation changes the ingress controller for all tenants; remove it",
			reason:     metav1.StatusReasonForbidden,
		}},
	}
}
