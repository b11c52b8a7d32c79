package mutation_test

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// relabel changes labels and annotations of a namespace; an empty value removes.
func relabel(s *snapshot.Snapshot, name string, labels, annotations map[string]string) {
	s.Namespaces = slices.Clone(s.Namespaces)
	i := slices.IndexFunc(s.Namespaces, func(ns *snapshot.Namespace) bool { return ns.Name == name })
	ns := *s.Namespaces[i]
	ns.Labels, ns.Annotations = changed(ns.Labels, labels), changed(ns.Annotations, annotations)
	s.Namespaces[i] = &ns
}

func changed(list snapshot.Labels, changes map[string]string) snapshot.Labels {
	all := map[string]string{}
	for _, l := range list {
		all[l.Key] = l.Value
	}
	for key, value := range changes {
		if all[key] = value; value == "" {
			delete(all, key)
		}
	}
	return snapshot.LabelsOf(all)
}

func namespaceMutants() []mutant {
	const security = "pod-security.kubernetes.io/enforce"
	label := func(control, what, ns, key, value string) mutant {
		return mutant{control: control, name: what, object: named("Namespace", ns), mutate: func(s *snapshot.Snapshot) {
			relabel(s, ns, map[string]string{key: value}, nil)
		}}
	}
	note := func(control, what, ns, key, value string) mutant {
		return mutant{control: control, name: what, object: named("Namespace", ns), mutate: func(s *snapshot.Snapshot) {
			relabel(s, ns, nil, map[string]string{key: value})
		}}
	}
	const site, search, paywall = "newsroom--site", "archive--search", "gazette--paywall"
	return []mutant{
		label("pod-security", "unlabelled", site, security, ""),
		label("pod-security", "privileged", site, security, "privileged"),
		label("pod-security", "baseline", site, security, "baseline"),
		label("pod-security", "version latest", site, security+"-version", "latest"),
		label("pod-security", "no version", site, security+"-version", ""),
		label("pod-security", "home unlabelled", "tenant-newsroom", security, ""),
		label("guardrail", "no pattern", site, "bulkhead.dev/pattern", ""),
		label("guardrail", "no tenant", site, "bulkhead.dev/tenant", ""),
		label("guardrail", "another tenant", site, "bulkhead.dev/tenant", "archive"),
		label("guardrail", "not managed", site, "app.kubernetes.io/managed-by", ""),
		label("guardrail", "home is none", "tenant-newsroom", "bulkhead.dev/role", ""),
		note("guardrail", "not protected", "tenant-archive", "bulkhead.dev/protected", "false"),
		label("token", "token allowed", site, "bulkhead.dev/token", "allowed"),
		label("runtime", "no sandbox", search, "bulkhead.dev/runtime-class", ""),
		label("runtime", "another runtime", search, "bulkhead.dev/runtime-class", "native"),
		label("node-affinity", "no nodes of its own", paywall, "bulkhead.dev/pattern", "Soft"),
		note("service-expose", "another's host", "newsroom--media", "bulkhead.dev/ingress-hosts", "gazette.example"),
		note("images", "a waiver that nobody gave", site, "waiver.bulkhead.dev/images", "2030-01-01T00:00:00Z"),
		note("storage", "a waiver that nobody gave", site, "waiver.bulkhead.dev/storage", "2030-01-01T00:00:00Z"),
		note("priority", "a waiver that nobody gave", site, "waiver.bulkhead.dev/priority", "2030-01-01T00:00:00Z"),
	}
}

func shareMutants(s *snapshot.Snapshot) []mutant {
	const ns = "newsroom--site"
	quota, limits := snapshot.Ref{Kind: "ResourceQuota", Namespace: ns, Name: "bulkhead"}, snapshot.Ref{Kind: "LimitRange", Namespace: ns, Name: "bulkhead"}
	list := []mutant{
		{control: "quota", name: "removed", object: quota, mutate: func(s *snapshot.Snapshot) { s.ResourceQuotas = without(s.ResourceQuotas, ns, "bulkhead") }},
		{control: "quota", name: "home removed", object: snapshot.Ref{Kind: "ResourceQuota", Namespace: "tenant-newsroom", Name: "bulkhead"},
			mutate: func(s *snapshot.Snapshot) {
				s.ResourceQuotas = without(s.ResourceQuotas, "tenant-newsroom", "bulkhead")
			}},
		{control: "quota", name: "scoped", object: quota, mutate: func(s *snapshot.Snapshot) {
			s.ResourceQuotas = change(s.ResourceQuotas, ns, "bulkhead", func(q *corev1.ResourceQuota) {
				q.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
			})
		}},
		{control: "guardrail", name: "not managed", object: quota, mutate: func(s *snapshot.Snapshot) {
			s.ResourceQuotas = change(s.ResourceQuotas, ns, "bulkhead", func(q *corev1.ResourceQuota) { delete(q.Labels, "app.kubernetes.io/managed-by") })
		}},
		{control: "defaults", name: "removed", object: limits, mutate: func(s *snapshot.Snapshot) { s.LimitRanges = without(s.LimitRanges, ns, "bulkhead") }},
	}
	for _, q := range s.ResourceQuotas {
		if q.Namespace != ns {
			continue
		}
		for key := range q.Spec.Hard {
			list = append(list,
				mutant{control: "quota", name: "without " + string(key), object: quota, mutate: func(s *snapshot.Snapshot) {
					s.ResourceQuotas = change(s.ResourceQuotas, ns, "bulkhead", func(q *corev1.ResourceQuota) { delete(q.Spec.Hard, key) })
				}},
				mutant{control: "quota", name: "more " + string(key), object: quota, mutate: func(s *snapshot.Snapshot) {
					s.ResourceQuotas = change(s.ResourceQuotas, ns, "bulkhead", func(q *corev1.ResourceQuota) { q.Spec.Hard[key] = resource.MustParse("1000000Gi") })
				}})
		}
	}
	slices.SortFunc(list, func(a, b mutant) int { return compareStrings(a.name, b.name) })
	item := func(what string, do func(*corev1.LimitRangeItem)) mutant {
		return mutant{control: "defaults", name: what, object: limits, mutate: func(s *snapshot.Snapshot) {
			s.LimitRanges = change(s.LimitRanges, ns, "bulkhead", func(l *corev1.LimitRange) { do(&l.Spec.Limits[0]) })
		}}
	}
	return append(list,
		item("no minimum", func(i *corev1.LimitRangeItem) { i.Min = nil }),
		item("minimum of 0", func(i *corev1.LimitRangeItem) { i.Min[corev1.ResourceMemory] = resource.MustParse("0") }),
		item("no default limit of CPU", func(i *corev1.LimitRangeItem) {
			delete(i.Default, corev1.ResourceCPU)
			delete(i.Max, corev1.ResourceCPU)
		}),
		item("no maximum", func(i *corev1.LimitRangeItem) { i.Max = nil }),
		item("a large maximum", func(i *corev1.LimitRangeItem) { i.Max[corev1.ResourceMemory] = resource.MustParse("1000Gi") }),
		item("for pods only", func(i *corev1.LimitRangeItem) { i.Type = corev1.LimitTypePod }),
	)
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func fairnessMutants() []mutant {
	return append(flowMutants("bulkhead-tenant-newsroom", v1alpha1.PriorityLevelName("newsroom")), append(flowMutants("bulkhead-lists-newsroom", "bulkhead-tenants-lists"), []mutant{
		{control: "api-fairness", name: "removed", object: named("FlowSchema", "bulkhead-system"), mutate: func(s *snapshot.Snapshot) { s.FlowSchemas = without(s.FlowSchemas, "", "bulkhead-system") }},
		{control: "api-fairness", name: "no paths", object: named("FlowSchema", "bulkhead-tenant-newsroom"), mutate: func(s *snapshot.Snapshot) {
			s.FlowSchemas = change(s.FlowSchemas, "", "bulkhead-tenant-newsroom", func(f *flowcontrolv1.FlowSchema) { f.Spec.Rules[0].NonResourceRules = nil })
		}},
		{control: "api-fairness", name: "no watches", object: named("FlowSchema", "bulkhead-lists-newsroom"), mutate: func(s *snapshot.Snapshot) {
			s.FlowSchemas = change(s.FlowSchemas, "", "bulkhead-lists-newsroom", func(f *flowcontrolv1.FlowSchema) {
				f.Spec.Rules[0].ResourceRules[0].Verbs, f.Spec.Rules[1].ResourceRules[0].Verbs = []string{"list"}, []string{"list"}
			})
		}},
	}...)...)
}

// flowMutants of one FlowSchema of a tenant and the level that it goes to.
func flowMutants(schema, level string) []mutant {
	ofSchema := func(what string, do func(*flowcontrolv1.FlowSchema)) mutant {
		return mutant{control: "api-fairness", name: what, object: named("FlowSchema", schema), mutate: func(s *snapshot.Snapshot) {
			s.FlowSchemas = change(s.FlowSchemas, "", schema, do)
		}}
	}
	ofLevel := func(what string, do func(*flowcontrolv1.PriorityLevelConfiguration)) mutant {
		return mutant{control: "api-fairness", name: what, object: named("PriorityLevelConfiguration", level), mutate: func(s *snapshot.Snapshot) {
			s.PriorityLevels = change(s.PriorityLevels, "", level, do)
		}}
	}
	guest := func(s *snapshot.Snapshot) {
		s.RoleBindings = append(slices.Clone(s.RoleBindings), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "newsroom--site", Name: "guest"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "guest"}},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "bulkhead:space-owner"}})
	}
	withGuest := ofSchema("a guest", func(*flowcontrolv1.FlowSchema) {})
	withGuest.mutate, withGuest.equivalent = guest, "what a guest asks in the tenant's namespaces is the tenant's"
	guests := ofSchema("nothing for guests", func(*flowcontrolv1.FlowSchema) {})
	guests.mutate = func(s *snapshot.Snapshot) {
		guest(s)
		s.FlowSchemas = change(s.FlowSchemas, "", schema, func(f *flowcontrolv1.FlowSchema) { f.Spec.Rules = f.Spec.Rules[:1] })
	}
	to := func(level string) func(*flowcontrolv1.FlowSchema) {
		return func(f *flowcontrolv1.FlowSchema) { f.Spec.PriorityLevelConfiguration.Name = level }
	}
	return []mutant{
		withGuest, guests,
		{control: "api-fairness", name: "removed", object: named("FlowSchema", schema), mutate: func(s *snapshot.Snapshot) { s.FlowSchemas = without(s.FlowSchemas, "", schema) }},
		{control: "api-fairness", name: "removed", object: named("PriorityLevelConfiguration", level), mutate: func(s *snapshot.Snapshot) { s.PriorityLevels = without(s.PriorityLevels, "", level) }},
		ofSchema("exempt", to("exempt")), ofSchema("among nodes", to("system")), ofSchema("among controllers", to("workload-high")), ofSchema("no such level", to("nothing")),
		ofSchema("asked last", func(f *flowcontrolv1.FlowSchema) { f.Spec.MatchingPrecedence = 9990 }),
		ofSchema("a flow for each user", func(f *flowcontrolv1.FlowSchema) {
			f.Spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType}
		}),
		ofSchema("a flow for each namespace", func(f *flowcontrolv1.FlowSchema) {
			f.Spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByNamespaceType}
		}),
		ofSchema("no subjects but the first", func(f *flowcontrolv1.FlowSchema) { f.Spec.Rules[0].Subjects = f.Spec.Rules[0].Subjects[:1] }),
		ofSchema("nothing for the whole cluster", func(f *flowcontrolv1.FlowSchema) { f.Spec.Rules[0].ResourceRules[0].ClusterScope = false }),
		ofSchema("everybody", func(f *flowcontrolv1.FlowSchema) {
			f.Spec.MatchingPrecedence = 7800
			f.Spec.Rules[0].Subjects = append(f.Spec.Rules[0].Subjects, flowcontrolv1.Subject{Kind: "Group", Group: &flowcontrolv1.GroupSubject{Name: "system:authenticated"}})
		}),
		ofLevel("exempt", func(l *flowcontrolv1.PriorityLevelConfiguration) {
			l.Spec = flowcontrolv1.PriorityLevelConfigurationSpec{Type: flowcontrolv1.PriorityLevelEnablementExempt}
		}),
		ofLevel("rejects", func(l *flowcontrolv1.PriorityLevelConfiguration) {
			l.Spec.Limited.LimitResponse = flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject}
		}),
		ofLevel("one queue", func(l *flowcontrolv1.PriorityLevelConfiguration) { l.Spec.Limited.LimitResponse.Queuing.Queues = 1 }),
		ofLevel("nearly all seats", func(l *flowcontrolv1.PriorityLevelConfiguration) {
			l.Spec.Limited.NominalConcurrencyShares = new(int32(5000))
		}),
		ofLevel("more than half of all seats", func(l *flowcontrolv1.PriorityLevelConfiguration) {
			l.Spec.Limited.NominalConcurrencyShares = new(int32(400))
		}),
		ofLevel("borrows without bound", func(l *flowcontrolv1.PriorityLevelConfiguration) { l.Spec.Limited.BorrowingLimitPercent = nil }),
	}
}

func rightsMutants() []mutant {
	const role = "bulkhead:space-owner"
	grant := func(control, what string, rule rbacv1.PolicyRule) mutant {
		return mutant{control: control, name: what, object: named("ClusterRole", role), mutate: func(s *snapshot.Snapshot) {
			s.ClusterRoles = change(s.ClusterRoles, "", role, func(r *rbacv1.ClusterRole) { r.Rules = append(r.Rules, rule) })
		}}
	}
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	binding := func(what, ns string, subject rbacv1.Subject) mutant {
		return mutant{control: "rbac-own", name: what, object: snapshot.Ref{Kind: "RoleBinding", Namespace: ns, Name: "bulkhead-owners"}, mutate: func(s *snapshot.Snapshot) {
			s.RoleBindings = change(s.RoleBindings, ns, "bulkhead-owners", func(b *rbacv1.RoleBinding) { b.Subjects = append(b.Subjects, subject) })
		}}
	}
	everywhere := func(what, role string, subject rbacv1.Subject) mutant {
		return mutant{control: "rbac-own", name: what, object: named("ClusterRoleBinding", "mistake"), mutate: func(s *snapshot.Snapshot) {
			s.ClusterRoleBindings = append(slices.Clone(s.ClusterRoleBindings), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "mistake"},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{subject}})
		}}
	}
	group := func(name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: name}
	}
	account := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "newsroom--site", Name: "default"}
	return []mutant{
		binding("another tenant's group", "archive--search", group("magazine:newsroom")),
		binding("everybody", "archive--search", group("system:authenticated")),
		binding("every service account", "archive--search", group("system:serviceaccounts")),
		binding("another tenant's service account", "archive--search", account),
		everywhere("an owner everywhere", role, group("magazine:newsroom")),
		everywhere("cluster-admin for a service account", "cluster-admin", account),
		everywhere("view for a tenant", "view", group("magazine:newsroom")),
		everywhere("edit for everybody", "edit", group("system:authenticated")),
		grant("rbac-escalate", "may escalate", rule("rbac.authorization.k8s.io", "roles", "escalate")),
		behind(grant("rbac-escalate", "may bind", rule("rbac.authorization.k8s.io", "clusterroles", "bind")),
			"a ClusterRole can only be bound by a RoleBinding here, and policy bulkhead-role-bindings lets none but the owners' own and view be bound"),
		grant("scheduling", "may bind pods", rule("", "pods/binding", "create")),
		grant("guardrail", "may write quotas", rule("", "resourcequotas", "update", "patch", "delete")),
		grant("audit", "may write events", rule("", "events", "create")),
		grant("rbac-escalate", "may connect by the API server", rule("", "pods/proxy", "get")),
		grant("guardrail", "may change guardrails", rule("bulkhead.dev", "guardrails", "change")),
	}
}

// behind is a mutant that makes no difference, since something else refuses the same.
func behind(m mutant, why string) mutant {
	m.equivalent = why
	return m
}

func networkMutants() []mutant {
	const ns = "newsroom--drafts"
	object := snapshot.Ref{Kind: "NetworkPolicy", Namespace: ns, Name: "bulkhead-default"}
	ofDefault := func(what string, do func(*networkingv1.NetworkPolicy)) mutant {
		return mutant{control: "network-default", name: what, object: object, mutate: func(s *snapshot.Snapshot) {
			s.NetworkPolicies = change(s.NetworkPolicies, ns, "bulkhead-default", do)
		}}
	}
	everyNamespace := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
	return []mutant{
		{control: "network-default", name: "removed", object: object, mutate: func(s *snapshot.Snapshot) {
			s.NetworkPolicies = without(s.NetworkPolicies, ns, "bulkhead-default")
		}},
		// Another policy selects the same pods, so nothing opens: the object that is missing is named all the same.
		{control: "network-default", name: "removed next to flows", object: snapshot.Ref{Kind: "NetworkPolicy", Namespace: "newsroom--site", Name: v1alpha1.NetworkDefaultName},
			mutate: func(s *snapshot.Snapshot) {
				s.NetworkPolicies = without(s.NetworkPolicies, "newsroom--site", v1alpha1.NetworkDefaultName)
			}},
		ofDefault("for no pods", func(p *networkingv1.NetworkPolicy) {
			p.Spec.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"no": "pod"}}
		}),
		ofDefault("ingress of every namespace", func(p *networkingv1.NetworkPolicy) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{everyNamespace}})
		}),
		ofDefault("egress to every namespace", func(p *networkingv1.NetworkPolicy) {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{everyNamespace}})
		}),
		ofDefault("egress is open", func(p *networkingv1.NetworkPolicy) {
			p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			p.Spec.Egress = nil
		}),
		ofDefault("ingress is open", func(p *networkingv1.NetworkPolicy) {
			p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
			p.Spec.Ingress = nil
		}),
		ofDefault("not managed", func(p *networkingv1.NetworkPolicy) { delete(p.Labels, "app.kubernetes.io/managed-by") }),
	}
}

func clusterMutants() []mutant {
	return []mutant{
		{control: "storage", name: "retains", object: named("StorageClass", "standard"), mutate: func(s *snapshot.Snapshot) {
			s.StorageClasses = change(s.StorageClasses, "", "standard", func(c *storagev1.StorageClass) { c.ReclaimPolicy = new(corev1.PersistentVolumeReclaimRetain) })
		}},
		{control: "storage", name: "a released volume made available", object: named("PersistentVolume", "old"), mutate: func(s *snapshot.Snapshot) {
			v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "old"}}
			v.Status.Phase = corev1.VolumeAvailable
			s.PersistentVolumes = append(slices.Clone(s.PersistentVolumes), v)
		}},
		{control: "storage", name: "a path of the node", object: named("PersistentVolume", "path"), mutate: func(s *snapshot.Snapshot) {
			v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "path"}}
			v.Spec.HostPath = &corev1.HostPathVolumeSource{Path: "/"}
			s.PersistentVolumes = append(slices.Clone(s.PersistentVolumes), v)
		}},
		{control: "priority", name: "default for all", object: named("PriorityClass", "magazine-business"), mutate: func(s *snapshot.Snapshot) {
			s.PriorityClasses = change(s.PriorityClasses, "", "magazine-business", func(c *schedulingv1.PriorityClass) {
				c.GlobalDefault, c.PreemptionPolicy = true, new(corev1.PreemptLowerPriority)
			})
		}},
	}
}
