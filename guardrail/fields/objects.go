package fields

// bytes is why data without a bound of its size is open.
const bytes = "Each object may hold 1 MiB or more, and as many as the quota counts are more than etcd holds."

// configuration is what only holds data.
var configuration = []Section{
	{"core.v1.ConfigMap", []Row{
		{"binaryData", Open, bytes, ""},
		{"data", Open, bytes, ""},
		{"immutable", Harmless, "It keeps the tenant's own object as it is.", ""},
	}},
	{"core.v1.Secret", []Row{
		{"data", Open, bytes, ""},
		{"stringData", Open, bytes, ""},
		{"immutable", Harmless, "It keeps the tenant's own object as it is.", ""},
		{"type", Bounded, "token", "token/secret"},
	}},
	{"coordination.v1.Lease", []Row{
		{"spec", Harmless, "Nothing acts on Leases of a Space but the tenant's own programs; the API server bounds texts but the holder's, which is as long as an object.", ""},
	}},
}

// network are Services, Ingresses and network policies.
var network = []Section{
	{"core.v1.Service", []Row{
		{"status", Server, "It is dropped: the subresource status is the load balancers'.", ""},
	}},
	{"core.v1.ServiceSpec", []Row{
		{"allocateLoadBalancerNodePorts", Refused, "service-expose", "service-expose/load-balancer-ports-asked"},
		{"clusterIP", Refused, "service-expose", "service-expose/fixed-address"},
		{"clusterIPs", Refused, "service-expose", "service-expose/fixed-addresses"},
		{"externalIPs", Refused, "service-expose", "service-expose/external-ips"},
		{"externalName", Bounded, "service-expose", "service-expose/external-name service-expose/external-name-elsewhere service-expose/external-name-like-it"},
		{"externalTrafficPolicy", Bounded, "service-expose", "service-expose/load-balancer-health"},
		{"healthCheckNodePort", Refused, "service-expose", "service-expose/load-balancer-health-port"},
		{"internalTrafficPolicy", Harmless, "It decides which of the tenant's own pods answer.", ""},
		{"ipFamilies", Harmless, "A Service has one address of each family at most, and the quota counts Services.", ""},
		{"ipFamilyPolicy", Harmless, "A Service has one address of each family at most, and the quota counts Services.", ""},
		{"loadBalancerClass", Bounded, "service-expose", "service-expose/load-balancer-class"},
		{"loadBalancerIP", Refused, "service-expose", "service-expose/load-balancer-address"},
		{"loadBalancerSourceRanges", Harmless, "It narrows down who reaches the tenant's own load balancer.", ""},
		{"ports", Harmless, "They are ports of the Service's own address and of the tenant's own pods.", ""},
		{"ports#", Harmless, lists, ""},
		{"ports.nodePort", Refused, "service-expose", "service-expose/load-balancer-one-port"},
		{"publishNotReadyAddresses", Harmless, "It shows the tenant's own pods sooner.", ""},
		{"selector", Harmless, "It selects pods of its own namespace.", ""},
		{"sessionAffinity", Harmless, "It decides which of the tenant's own pods answer.", ""},
		{"sessionAffinityConfig", Harmless, "It decides which of the tenant's own pods answer.", ""},
		{"trafficDistribution", Harmless, "It decides which of the tenant's own pods answer.", ""},
		{"type", Bounded, "service-expose", "service-expose/node-port service-expose/load-balancer"},
	}},
	{"networking.v1.Ingress", []Row{
		{"status", Server, "It is dropped: the subresource status is the controllers'.", ""},
	}},
	{"networking.v1.IngressSpec", []Row{
		{"defaultBackend", Refused, "service-expose", "service-expose/ingress-default-backend"},
		{"ingressClassName", Bounded, "service-expose", "service-expose/ingress-class"},
		{"rules.host", Bounded, "service-expose", "service-expose/ingress-foreign-host service-expose/ingress-every-host"},
		{"rules.http.paths.backend.service", Harmless, "It names a Service of its own namespace.", ""},
		{"rules.http.paths.backend.resource", Refused, "service-expose", "service-expose/ingress-resource"},
		{"rules.http.paths.path", Bounded, "service-expose", "service-expose/ingress-path-text"},
		{"rules.http.paths.pathType", Bounded, "service-expose", "service-expose/ingress-raw-path"},
		{"tls.hosts", Bounded, "service-expose", "service-expose/ingress-foreign-tls"},
		{"tls.secretName", Harmless, "It names a Secret of its own namespace.", ""},
		{"#", Harmless, lists, ""},
	}},
	{"networking.v1.NetworkPolicy", []Row{
		{"spec.egress.ports", Harmless, "They narrow down what a rule opens.", ""},
		{"spec.egress.to", Bounded, "network-default", "network-default/to-everybody network-default/to-every-namespace network-default/to-everywhere"},
		{"spec.ingress.ports", Harmless, "They narrow down what a rule opens.", ""},
		{"spec.ingress.from", Bounded, "network-default", "network-default/from-everywhere network-default/from-every-address"},
		{"spec.podSelector", Harmless, "It selects pods of its own namespace.", ""},
		{"spec.policyTypes", Harmless, "A policy adds what its rules open, which are judged, to what Bulkhead's own policies open.", ""},
		{"#", Harmless, lists, ""},
	}},
}

// scaling are autoscalers and disruption budgets.
var scaling = []Section{
	{"autoscaling.v1.HorizontalPodAutoscaler", []Row{
		{"status", Server, "Its controller writes it.", ""},
		{"spec.maxReplicas", Harmless, eachPod, ""},
		{"spec.minReplicas", Harmless, eachPod, ""},
		{"spec.scaleTargetRef", Bounded, "rbac-escalate", "rbac-escalate/scale-other-old"},
		{"spec.targetCPUUtilizationPercentage", Harmless, "It is when the tenant's own pods become more.", ""},
	}},
	{"autoscaling.v2.HorizontalPodAutoscaler", []Row{
		{"status", Server, "Its controller writes it.", ""},
		{"spec.behavior", Harmless, "It is how fast the tenant's own pods become more or fewer.", ""},
		{"spec.behavior.scaleDown.policies#", Harmless, lists, ""},
		{"spec.behavior.scaleUp.policies#", Harmless, lists, ""},
		{"spec.maxReplicas", Harmless, eachPod, ""},
		{"spec.minReplicas", Harmless, eachPod, ""},
		{"spec.metrics", Harmless, "The controller reads metrics of the own namespace's pods and objects.", ""},
		{"spec.metrics.external", Refused, "rbac-escalate", "rbac-escalate/metrics-external"},
		{"spec.scaleTargetRef", Bounded, "rbac-escalate", "rbac-escalate/scale-other"},
	}},
	{"policy.v1.PodDisruptionBudget", []Row{
		{"status", Server, "Its controller writes it.", ""},
		{"spec.maxUnavailable", Bounded, "scheduling", "scheduling/no-drain scheduling/no-drain-percent scheduling/no-drain-unset"},
		{"spec.minAvailable", Bounded, "scheduling", "scheduling/no-drain-available"},
		{"spec.selector", Bounded, "scheduling", "scheduling/no-drain-together scheduling/no-drain-everything"},
		{"spec.selector.matchExpressions", Harmless, "They narrow down the pods that matchLabels select.", ""},
		{"spec.unhealthyPodEvictionPolicy", Bounded, "scheduling", "scheduling/no-drain-unhealthy"},
	}},
}

// rights are service accounts, roles and their bindings.
var rights = []Section{
	{"core.v1.ServiceAccount", []Row{
		{"automountServiceAccountToken", Checked, "Pods are judged after the API server has given them the token (control token).", ""},
		{"imagePullSecrets", Harmless, "They are Secrets of its own namespace.", ""},
		{"secrets", Harmless, "They are Secrets of its own namespace.", ""},
	}},
	{"rbac.v1.Role", []Row{
		{"rules", Bounded, "rbac-escalate", "rbac-escalate/role-everything rbac-escalate/role-quotas rbac-escalate/role-escalate"},
		{"rules.nonResourceURLs", Checked, "The API server refuses it in Roles.", ""},
		{"rules.resourceNames", Harmless, "They narrow down what a rule allows.", ""},
	}},
	{"rbac.v1.RoleBinding", []Row{
		{"roleRef.apiGroup", Checked, "The API server knows one group.", ""},
		{"roleRef.kind", Checked, "The API server knows Role and ClusterRole, and judges the rights of both.", ""},
		{"roleRef.name", Bounded, "rbac-escalate", "rbac-escalate/bind-cluster-admin rbac-escalate/bind-edit rbac-escalate/bind-other-role"},
		{"subjects.apiGroup", Checked, "The API server knows one group for each kind.", ""},
		{"subjects.kind", Bounded, "rbac-escalate", "rbac-escalate/share-with-everybody"},
		{"subjects.name", Bounded, "rbac-escalate", "rbac-escalate/share-with-everybody rbac-escalate/share-with-accounts"},
		{"subjects.namespace", Bounded, "rbac-escalate", "rbac-escalate/share-with-strangers"},
		{"#", Harmless, lists, ""},
	}},
}
