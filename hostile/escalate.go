package hostile

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// rbacEscalateCases raise the tenant's own rights.
func rbacEscalateCases() []Case {
	cases := slices.Concat(escalateRights(), roleCases(), askedRights(), byMark(), byOwnMark(), scalers())
	return append(cases, atHome("rbac-escalate",
		homeRow{"pod-status", "patch", "", "pods/status", "writes the status of pods, and so slips one into a Service"},
		homeRow{"service-status", "patch", "", "services/status", "writes the address of a load balancer"},
		homeRow{"ingress-status", "patch", "networking.k8s.io", "ingresses/status", "writes the address of an Ingress"},
		homeRow{"claim-status", "patch", "", "persistentvolumeclaims/status", "writes the status of claims"},
		homeRow{"pod-proxy", "get", "", "pods/proxy", "has the API server open connections to pods"},
		homeRow{"service-proxy", "get", "", "services/proxy", "has the API server open connections to Services"})...)
}

// markedWith is a step with an annotation or a label on the object, or on its template.
func markedWith(step Step, title, kind, key, value string, at ...string) Step {
	return changedMetadata(step, title, func(metadata map[string]any) {
		marks, is := metadata[kind].(map[string]any)
		if !is {
			marks = map[string]any{}
			metadata[kind] = marks
		}
		marks[key] = value
	}, at...)
}

// changedMetadata is a step with other metadata of the object, or of its template.
func changedMetadata(step Step, title string, change func(map[string]any), at ...string) Step {
	return Step{Title: title, On: step.On, Near: step.Near, Ask: func(s Scene) (Ask, error) {
		ask, err := step.Ask(s)
		if err != nil {
			return Ask{}, err
		}
		whole, err := plain(ask.DryRun.Body)
		if err != nil {
			return Ask{}, err
		}
		around := whole
		for _, field := range at {
			around, _ = around[field].(map[string]any)
		}
		metadata, is := around["metadata"].(map[string]any)
		if !is {
			metadata = map[string]any{}
			around["metadata"] = metadata
		}
		change(metadata)
		ask.DryRun.Body = whole
		return ask, nil
	}}
}

// harmlessAccount and harmlessSecret are what owners make all day.
var (
	harmlessAccount = create("create a service account for its pods", "", "serviceaccounts", func(s Scene) any {
		return &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: marked(s), AutomountServiceAccountToken: new(false)}
	})
	harmlessSecret = create("create a Secret for its pods", "", "secrets", func(s Scene) any {
		return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: marked(s), StringData: map[string]string{"key": "value"}}
	})
)

// byMark have controllers act by an annotation or a label.
func byMark() []Case {
	const control = "rbac-escalate"
	refusal := byPolicy("metadata", "may have a controller act")
	add := func(id, title string, twin Step, key, value string, at ...string) Case {
		return ownObject(id, control, title, twin, markedWith(twin, title, "annotations", key, value, at...), refusal)
	}
	label := func(id, title string, twin Step, key, value string, at ...string) Case {
		return ownObject(id, control, title, twin, markedWith(twin, title, "labels", key, value, at...), refusal)
	}
	deployment := workloadOf("deployments")
	claim := add("annotate-claim", "has a provisioner act by an annotation of a claim", harmlessClaim, "volume.kubernetes.io/selected-node", nothing)
	claim.Applies = claimsStorage
	labelled := label("label-claim", "has a provisioner act by a label of a claim", harmlessClaim, elsewhere+"/class", "any")
	labelled.Applies = claimsStorage
	ingress := label("label-ingress", "has a controller act by a label of an Ingress", harmlessIngress, elsewhere+"/class", "any")
	ingress.Applies = func(s Scene) bool { return len(s.Tenant.Spec.IngressHosts) > 0 }
	cases := []Case{
		claim, labelled, ingress,
		label("label-pod", "has an injector act by a label of a pod", compliantPod, "sidecar.istio.io/inject", "true"),
		label("label-service", "has another proxy answer for a Service by a label", harmlessService, "service.kubernetes.io/service-proxy-name", nothing),
		label("template-labelled", "has an injector act by a label of a template", createWorkload("create a compliant "+deployment.Kind, deployment, unchanged),
			"sidecar.istio.io/inject", "true", "spec", "template"),
		ownObject("label-service-by-patch", control, "has another proxy answer for a Service by a label, afterwards",
			patchOwn("label a Service for people", "", "services", patchOfMetadata("labels", map[string]any{"team": "web"})),
			patchOwn("label a Service for another proxy", "", "services", patchOfMetadata("labels", map[string]any{"service.kubernetes.io/service-proxy-name": nothing})), refusal),
		add("annotate-pod", "has a controller act by an annotation of a pod", compliantPod, elsewhere+"/inject", "true"),
		add("annotate-pod-evict", "stops the removal of a node by an annotation of a pod", compliantPod, "cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
		add("annotate-service", "has a load balancer act by an annotation of a Service", harmlessService, "service.beta.kubernetes.io/aws-load-balancer-internal", "false"),
		add("template-annotated", "has a controller act by an annotation of a template", createWorkload("create a compliant "+deployment.Kind, deployment, unchanged),
			elsewhere+"/inject", "true", "spec", "template"),
		ownObject("annotate-service-by-patch", control, "has a load balancer act by an annotation of a Service, afterwards",
			patchOwn("annotate a Service for people", "", "services", patchOfMetadata("annotations", map[string]any{"kubernetes.io/description": "a Service"})),
			patchOwn("annotate a Service for a load balancer", "", "services", patchOfMetadata("annotations", map[string]any{elsewhere + "/class": "any"})), refusal),
	}
	for _, row := range []struct{ id, title, key, value string }{
		{"snippet", "writes into the configuration of the ingress controller", "nginx.ingress.kubernetes.io/server-snippet", "return 200;"},
		{"location-snippet", "writes into the configuration of a location of the ingress controller", "nginx.ingress.kubernetes.io/configuration-snippet", "return 200;"},
		{"alias", "answers for a second host by an annotation", "nginx.ingress.kubernetes.io/server-alias", elsewhere},
		{"class", "picks an ingress controller by the older annotation", "kubernetes.io/ingress.class", nothing},
	} {
		c := add("annotate-ingress-"+row.id, row.title, harmlessIngress, row.key, row.value)
		c.Applies = func(s Scene) bool { return len(s.Tenant.Spec.IngressHosts) > 0 }
		cases = append(cases, c)
	}
	return cases
}

// byOwnMark have controllers act by an annotation or a label of objects that run nothing themselves, or of a workload itself.
func byOwnMark() []Case {
	const control, says = "rbac-escalate", "may have a controller act"
	deployment := workloadOf("deployments")
	workload := createWorkload("create a compliant "+deployment.Kind, deployment, unchanged)
	var cases []Case
	for _, row := range []struct {
		id, title, kind, key, value string
		twin                        Step
	}{
		{"annotate-account", "gets an identity in a cloud by an annotation of a service account", "annotations", "eks.amazonaws.com/role-arn", nothing, harmlessAccount},
		{"annotate-secret", "has a Secret copied into other namespaces by an annotation", "annotations", elsewhere + "/replicate-to", "any", harmlessSecret},
		{"annotate-map", "has a ConfigMap copied into other namespaces by an annotation", "annotations", elsewhere + "/replicate-to", "any", harmlessMap},
		{"annotate-role", "has a controller act by an annotation of a Role", "annotations", elsewhere + "/sync", "any", harmlessRole},
		{"annotate-network-policy", "has a controller act by an annotation of a NetworkPolicy", "annotations", elsewhere + "/sync", "any", harmlessPolicy},
		{"annotate-budget", "has a controller act by an annotation of a budget of disruption", "annotations", elsewhere + "/sync", "any", harmlessBudget},
		{"annotate-workload", "has a controller change a workload by an annotation", "annotations", elsewhere + "/policy", "all", workload},
		{"label-account", "has an identity in a cloud given out by a label of a service account", "labels", elsewhere + "/use", "true", harmlessAccount},
		{"label-workload", "has a queue admit a workload by a label", "labels", "kueue.x-k8s.io/queue-name", nothing, workload},
	} {
		c := ownObject(row.id, control, row.title, row.twin, markedWith(row.twin, row.title, row.kind, row.key, row.value), byPolicy("metadata-own", says))
		cases = append(cases, c)
	}
	cronJob := workloadOf("cronjobs")
	for _, kind := range []string{"annotations", "labels"} {
		title := "has a queue admit the Jobs of a CronJob by their " + kind
		twin := createWorkload("create a compliant "+cronJob.Kind, cronJob, unchanged)
		cases = append(cases, ownObject("made-"+kind, control, title, twin, markedWith(twin, title, kind, "kueue.x-k8s.io/queue-name", nothing, "spec", "jobTemplate"), byPolicy("metadata-made", says)))
	}
	return cases
}

// scalers have the controller of autoscalers act with rights of its own.
func scalers() []Case {
	scaler := func(title string, change func(*autoscalingv2.HorizontalPodAutoscaler)) Step {
		step := create(title, autoscalingv2.GroupName, "horizontalpodautoscalers", func(s Scene) any {
			o := &autoscalingv2.HorizontalPodAutoscaler{TypeMeta: metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"}, ObjectMeta: marked(s)}
			o.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: v1alpha1.AttackName}
			o.Spec.MaxReplicas = 2
			change(o)
			return o
		})
		return Step{Title: title, Ask: func(s Scene) (Ask, error) {
			ask, err := step.Ask(s)
			if err == nil {
				ask.DryRun.Version = "v2"
			}
			return ask, err
		}}
	}
	old := func(title string, change func(*autoscalingv1.HorizontalPodAutoscaler)) Step {
		return create(title, autoscalingv1.GroupName, "horizontalpodautoscalers", func(s Scene) any {
			o := &autoscalingv1.HorizontalPodAutoscaler{TypeMeta: metav1.TypeMeta{APIVersion: "autoscaling/v1", Kind: "HorizontalPodAutoscaler"}, ObjectMeta: marked(s)}
			o.Spec.ScaleTargetRef = autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: v1alpha1.AttackName}
			o.Spec.MaxReplicas = 2
			change(o)
			return o
		})
	}
	twin := scaler("scale a Deployment by its load", func(*autoscalingv2.HorizontalPodAutoscaler) {})
	oldTwin := old("scale a Deployment by its load, in the older version", func(*autoscalingv1.HorizontalPodAutoscaler) {})
	var cases []Case
	add := func(id, title, says string, twin, attempt Step) {
		cases = append(cases, ownObject(id, "rbac-escalate", title, twin, attempt, byPolicy("autoscalers", says)))
	}
	const other, external = "has what it may not change scaled", "reads metrics of others"
	add("scale-other", other, "an autoscaler scales workloads", twin,
		scaler("scale what is not a tenant's", func(o *autoscalingv2.HorizontalPodAutoscaler) { o.Spec.ScaleTargetRef.APIVersion = elsewhere + "/v1" }))
	add("scale-other-old", other+", by the older version", "an autoscaler scales workloads", oldTwin,
		old("scale what is not a tenant's, in the older version", func(o *autoscalingv1.HorizontalPodAutoscaler) { o.Spec.ScaleTargetRef.APIVersion = elsewhere + "/v1" }))
	add("metrics-external", external, "metrics of type External", twin, scaler("scale by a metric of others", func(o *autoscalingv2.HorizontalPodAutoscaler) {
		o.Spec.Metrics = []autoscalingv2.MetricSpec{{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: nothing}, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: new(resource.MustParse("1"))}}}}
	}))
	add("metrics-old", external+", by an annotation of the older version", "autoscaling/v2", oldTwin,
		old("scale by a metric of others, in an annotation", func(o *autoscalingv1.HorizontalPodAutoscaler) {
			o.Annotations = map[string]string{"autoscaling.alpha.kubernetes.io/metrics": `[{"type":"External","external":{"metricName":"` + nothing + `","targetValue":"1"}}]`}
		}))
	return cases
}

// escalateRights are the forms in which a proof asks.
func escalateRights() []Case {
	const control, all = "rbac-escalate", Owners | ServiceAccounts
	return []Case{
		rights("impersonate", control, "acts as any user", all, may("impersonate", "", "users", clusterWide)),
		onForeign(rights("foreign-token", control, "takes tokens of foreign service accounts", all, may("create", "", "serviceaccounts/token", inForeign))),
		rights("bind", control, "binds any ClusterRole", all, mayNamed("bind", "rbac.authorization.k8s.io", "clusterroles", "cluster-admin")),
		rights("escalate", control, "writes rights that it lacks into roles", all, may("escalate", "rbac.authorization.k8s.io", "clusterroles", clusterWide)),
		rights("nodes-proxy", control, "reaches the kubelets' API", all, may("get", "", "nodes/proxy", clusterWide)),
		rights("csr", control, "asks for client certificates", all, may("create", "certificates.k8s.io", "certificatesigningrequests", clusterWide)),
		rights("webhooks", control, "sees and changes every request by a webhook", all, may("create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", clusterWide)),
		rights("policies", control, "removes admission policies", all, may("delete", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", clusterWide)),
		rights("apiservices", control, "serves APIs of its own", all, may("create", "apiregistration.k8s.io", "apiservices", clusterWide)),
	}
}

// roleCases raise the tenant's own rights, or share them with whom they are not for.
func roleCases() []Case {
	const control = "rbac-escalate"
	bound := func(id, title string, role string, to func(Scene) rbacv1.Subject, refusal Refusal) Case {
		return always(ownObject(id, control, title, shareRole, bindRole(title, role, to), refusal))[0]
	}
	group := func(name string) func(Scene) rbacv1.Subject {
		return func(Scene) rbacv1.Subject {
			return rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: name}
		}
	}
	stranger := func(s Scene) rbacv1.Subject {
		return rbacv1.Subject{Kind: "ServiceAccount", Namespace: v1alpha1.SpaceNamespace(v1alpha1.AttackName, "stranger"), Name: "default"}
	}
	escalation := Refusal{By: Escalation}
	policy := byPolicy("role-bindings", "is not of this tenant")
	cases := []Case{
		bound("bind-cluster-admin", "gives itself cluster-admin in its namespace", "cluster-admin", ownAccount, escalation),
		bound("bind-admin", "gives itself Kubernetes' admin in its namespace", "admin", ownAccount, escalation),
		bound("bind-edit", "gives itself Kubernetes' edit in its namespace", "edit", ownAccount, escalation),
		// Every user has this one's rights already, so RBAC itself has nothing against it.
		bound("bind-other-role", "binds a role of the cluster that is not for tenants", "system:basic-user", ownAccount, byPolicy("role-bindings", "is not for tenants to bind")),
		bound("share-with-everybody", "opens its namespace to every authenticated user", v1alpha1.RoleOwner, everyone, policy),
		bound("share-with-nobody", "opens its namespace to users that are not authenticated", v1alpha1.RoleOwner, group("system:unauthenticated"), policy),
		bound("share-with-accounts", "opens its namespace to every service account of the cluster", v1alpha1.RoleOwner, group(serviceAccounts), policy),
		bound("share-with-strangers", "opens its namespace to another tenant's service account", v1alpha1.RoleOwner, stranger, policy),
		bound("share-with-their-accounts", "opens its namespace to all of another namespace's service accounts", v1alpha1.RoleOwner,
			group(serviceAccounts+":"+metav1.NamespaceSystem), policy),
		bound("share-with-controllers", "has what Bulkhead's controllers may do count as its own", v1alpha1.RoleOwner, group(v1alpha1.ControllerGroup), policy),
	}
	for id, rule := range map[string]rbacv1.PolicyRule{
		"everything":  {APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		"quotas":      {APIGroups: []string{""}, Resources: []string{"resourcequotas"}, Verbs: []string{"update"}},
		"bindings":    {APIGroups: []string{""}, Resources: []string{"pods/binding"}, Verbs: []string{"create"}},
		"endpoints":   {APIGroups: []string{""}, Resources: []string{"endpoints"}, Verbs: []string{"update"}},
		"impersonate": {APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"impersonate"}},
		"escalate":    {APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, Verbs: []string{"escalate", "bind"}},
	} {
		title := "writes into a Role what it may not itself: " + id
		created := ownObject("role-"+id, control, title, harmlessRole, createRole(title, rule), escalation)
		changed := ownObject("role-"+id+"-by-patch", control, title+", afterwards",
			patchOwn("change a Role within its own rights", rbacv1.GroupName, "roles", map[string]any{"rules": []any{mayReadMaps}}),
			patchOwn(title+", afterwards", rbacv1.GroupName, "roles", map[string]any{"rules": []any{rule}}), escalation)
		cases = append(cases, always(created, changed)...)
	}
	return cases
}

var (
	mayReadPods = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}
	mayReadMaps = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}
)

func createRole(title string, rule rbacv1.PolicyRule) Step {
	return create(title, rbacv1.GroupName, "roles", func(s Scene) any {
		return &rbacv1.Role{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"}, ObjectMeta: marked(s), Rules: []rbacv1.PolicyRule{rule}}
	})
}

// shareRole is what owners do all day: they let their own pods use the API within the Space.
var shareRole = bindRole("share its rights with its own service account", v1alpha1.RoleOwner, ownAccount)

// harmlessRole is what owners do all day.
var harmlessRole = createRole("create a Role within its own rights", mayReadPods)

// bindRole binds a ClusterRole within the Space's namespace.
func bindRole(title, role string, to func(Scene) rbacv1.Subject) Step {
	return create(title, rbacv1.GroupName, "rolebindings", func(s Scene) any {
		return &rbacv1.RoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
			ObjectMeta: marked(s),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{to(s)},
		}
	})
}

func ownAccount(s Scene) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: s.Namespace(), Name: "default"}
}

func everyone(Scene) rbacv1.Subject {
	return rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: authenticated}
}

// askedRights are rights that no tenant may have, of which the authorizer alone knows: to use them for real would take what a
// tenant must not have in the first place.
func askedRights() []Case {
	const control, all = "rbac-escalate", Owners | ServiceAccounts
	const auth, certificates = "authentication.k8s.io", "certificates.k8s.io"
	table := []struct{ id, verb, group, resource, title string }{
		{"impersonate-groups", "impersonate", "", "groups", "acts as any group"},
		{"impersonate-accounts", "impersonate", "", "serviceaccounts", "acts as any service account"},
		{"impersonate-uids", "impersonate", auth, "uids", "acts as any UID"},
		{"impersonate-extras", "impersonate", auth, "userextras", "claims any extra fact about itself"},
		{"impersonate-user-info", "impersonate:user-info", auth, "users", "acts as any user where a right says so"},
		{"impersonate-account", "impersonate:serviceaccount", auth, "serviceaccounts", "acts as any service account where a right says so"},
		{"impersonate-node", "impersonate:arbitrary-node", auth, "nodes", "acts as any node where a right says so"},
		{"bind-roles", "bind", rbacv1.GroupName, "roles", "binds any Role"},
		{"escalate-roles", "escalate", rbacv1.GroupName, "roles", "writes rights that it lacks into Roles"},
		{"approve", "approve", certificates, "signers", "approves certificates"},
		{"sign", "sign", certificates, "signers", "signs certificates"},
		{"attest", "attest", certificates, "signers", "vouches for trust bundles"},
		{"nodes-proxy-write", "create", "", "nodes/proxy", "runs commands by the kubelets' API"},
		{"wildcard", "*", "*", "*", "may do everything"},
	}
	cases := make([]Case, 0, len(table))
	for _, row := range table {
		cases = append(cases, rights(row.id, control, row.title, all, may(row.verb, row.group, row.resource, clusterWide)))
	}
	return cases
}
