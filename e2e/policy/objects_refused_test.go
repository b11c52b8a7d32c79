package policy_test

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// attempt is one object; an empty policy means that it must be accepted.
type attempt struct {
	name    string
	object  client.Object
	policy  string
	message string
}

// try creates every object, dry, in the owner's name.
func try(t *testing.T, owner client.Client, attempts []attempt) {
	t.Helper()
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			err := owner.Create(t.Context(), a.object, client.DryRunAll)
			if a.policy != "" {
				assertRefused(t, err, a.policy, a.message)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func service(ns string, change func(*corev1.ServiceSpec)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	change(&s.Spec)
	return s
}

func alias(ns, name string) *corev1.Service {
	return service(ns, func(s *corev1.ServiceSpec) {
		*s = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: name}
	})
}

// A Service that takes only its tenant's traffic is accepted; TestCatalogue has those that are not.
func TestServices(t *testing.T) {
	owner, ns := newSpace(t, "server", nil, nil)
	try(t, owner, []attempt{
		{name: "ClusterIP", object: service(ns, func(*corev1.ServiceSpec) {})},
		{name: "headless", object: service(ns, func(s *corev1.ServiceSpec) { s.ClusterIP = "None" })},
		{name: "LoadBalancer without node ports", object: service(ns, func(s *corev1.ServiceSpec) {
			s.Type, s.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, ptr(false)
		})},
		{name: "ExternalName outside", object: alias(ns, "db.example.com")},
		{name: "ExternalName outside with a dot at its end", object: alias(ns, "db.example.com.")},
		{name: "ExternalName of two labels", object: alias(ns, "kubernetes.default"), policy: "services", message: "lies in no domain that the platform names; use one of example.com"},
	})
}

// Promise: the cluster chooses a Service's address, also where the Service names one; and a budget holds no pod for ever.
func TestServicesAndBudgetsAreCompleted(t *testing.T) {
	owner, ns := newSpace(t, "chooser", nil, nil)
	named := service(ns, func(s *corev1.ServiceSpec) { s.ClusterIP, s.ClusterIPs = "192.0.2.1", []string{"192.0.2.1"} })
	if err := owner.Create(t.Context(), named, client.DryRunAll); err != nil || named.Spec.ClusterIP == "192.0.2.1" || named.Spec.ClusterIP == "" {
		t.Errorf("a Service that names its address gets %q: %v", named.Spec.ClusterIP, err)
	}
	balancer := service(ns, func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeLoadBalancer })
	if err := owner.Create(t.Context(), balancer, client.DryRunAll); err != nil || *balancer.Spec.AllocateLoadBalancerNodePorts || balancer.Spec.Ports[0].NodePort != 0 {
		t.Errorf("a load balancer comes out as %+v: %v", balancer.Spec, err)
	}
	changed := service(ns, func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeClusterIP })
	changed.Name = "changed"
	if err := owner.Create(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if err := update(t.Context(), owner, changed, func() { changed.Spec.Type = corev1.ServiceTypeLoadBalancer }); err != nil || *changed.Spec.AllocateLoadBalancerNodePorts {
		t.Errorf("a Service that becomes a load balancer comes out as %+v: %v", changed.Spec, err)
	}
	web := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	for name, least := range map[string]intstr.IntOrString{"an integer": intstr.FromInt32(1), "a share": intstr.FromString("99%")} {
		b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "min"}, Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &least, Selector: web}}
		if err := owner.Create(t.Context(), b, client.DryRunAll); err != nil {
			t.Errorf("minAvailable as %s: %v", name, err)
		}
	}
	for _, share := range []string{"100%", "0100%"} {
		b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "min"}, Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr(intstr.FromString(share)), Selector: web}}
		if err := owner.Create(t.Context(), b, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "minAvailable below 100%") {
			t.Errorf("minAvailable %s is not refused: %v", share, err)
		}
	}
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}, Spec: policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable: ptr(intstr.FromString("10%")), Selector: web}}
	if err := owner.Create(t.Context(), budget, client.DryRunAll); err != nil || *budget.Spec.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Errorf("a budget that leaves it open holds unhealthy pods by %v: %v", budget.Spec.UnhealthyPodEvictionPolicy, err)
	}
}

// Promise: a claim of no class gets the first that the platform allows, also when it is applied again; one that names a class keeps it.
func TestClaimsGetAClass(t *testing.T) {
	owner, ns := newSpace(t, "unclassed", nil, nil)
	for _, class := range []any{"", nil, "fast"} {
		spec := map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}}
		if class != nil {
			spec["storageClassName"] = class
		}
		for range 2 {
			u := unstructuredFrom(map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": map[string]any{"namespace": ns, "name": "data"}, "spec": spec})
			if err := owner.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("gitops")); err != nil {
				t.Fatalf("class %v: %v", class, err)
			}
			if got, _, _ := unstructured.NestedString(u.Object, "spec", "storageClassName"); got != "fast" {
				t.Errorf("class %v becomes %q", class, got)
			}
		}
	}
}

// Promise: no deletion keeps a pod for days; an ordinary one, with or without a grace period, goes through.
func TestDeletionsEnd(t *testing.T) {
	owner, ns := newSpace(t, "lingerer", nil, nil)
	p := pod(ns, "p")
	if err := owner.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	// Without a node, a pod is gone at once.
	bound := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: p.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "none"}}
	if err := admin.SubResource("binding").Create(t.Context(), p, bound); err != nil {
		t.Fatal(err)
	}
	assertRefused(t, owner.Delete(t.Context(), p, client.DryRunAll, client.GracePeriodSeconds(1<<20)), "deletions", "gracePeriodSeconds is at most")
	for _, options := range [][]client.DeleteOption{{client.DryRunAll}, {client.DryRunAll, client.GracePeriodSeconds(30)}, {client.DryRunAll, client.GracePeriodSeconds(0)}} {
		if err := owner.Delete(t.Context(), p, options...); err != nil {
			t.Error(err)
		}
	}
	every := client.InNamespace(ns)
	if err := owner.DeleteAllOf(t.Context(), &corev1.Pod{}, every, client.GracePeriodSeconds(1<<20)); err == nil {
		t.Error("a deletion of every pod keeps them for days")
	}
	if err := owner.DeleteAllOf(t.Context(), &corev1.Pod{}, every); err != nil {
		t.Error(err)
	}
}

// Addresses behind Services come from controllers.
func TestEndpointsByHand(t *testing.T) {
	owner, ns := newSpace(t, "pointer", nil, nil)
	meta := metav1.ObjectMeta{Namespace: ns, Name: "web"}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}}}}
	ends := &corev1.Endpoints{ObjectMeta: meta, Subsets: []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "10.1.2.3"}}, Ports: []corev1.EndpointPort{{Port: 80}}}}} //nolint:staticcheck // the old kind is still an attack
	try(t, owner, []attempt{
		{name: "EndpointSlice", object: slice, policy: "endpoints", message: "endpointslices written by hand could lead to anybody"},
		{name: "Endpoints", object: ends, policy: "endpoints", message: "endpoints written by hand could lead to anybody"},
	})
	controller, err := clientAs("system:serviceaccount:kube-system:endpointslice-controller", "system:serviceaccounts")
	if err != nil {
		t.Fatal(err)
	}
	try(t, controller, []attempt{{name: "EndpointSlice by its controller", object: slice.DeepCopy()}})
}

func ingress(ns string, change func(*networkingv1.Ingress)) *networkingv1.Ingress {
	path := networkingv1.PathTypePrefix
	i := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"},
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "shop.example.com", IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &path, Backend: backend()}}},
		}}}},
	}
	change(i)
	return i
}

func backend() networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}}
}

// An Ingress serves the tenant's hosts and no others.
func TestIngresses(t *testing.T) {
	owner, ns := newSpace(t, "greeter", nil, map[string]string{v1alpha1.AnnotationIngressHosts: "shop.example.com, *.apps.example.com"})
	host := func(h string) *networkingv1.Ingress {
		return ingress(ns, func(i *networkingv1.Ingress) { i.Spec.Rules[0].Host = h })
	}
	tls := func(hosts ...string) *networkingv1.Ingress {
		return ingress(ns, func(i *networkingv1.Ingress) {
			i.Spec.TLS = []networkingv1.IngressTLS{{Hosts: hosts, SecretName: "cert"}}
		})
	}
	annotated := func(key string) *networkingv1.Ingress {
		return ingress(ns, func(i *networkingv1.Ingress) { i.Annotations = map[string]string{key: "x"} })
	}
	foreign := "is not one of this tenant; every rule needs a host, one of: shop.example.com, *.apps.example.com"
	try(t, owner, []attempt{
		{name: "exact host", object: host("shop.example.com")},
		{name: "host below the wildcard", object: host("a.apps.example.com")},
		{name: "the wildcard itself", object: host("*.apps.example.com")},
		{name: "tls of allowed hosts", object: tls("shop.example.com", "a.apps.example.com")},
		{name: "harmless annotation", object: annotated("nginx.ingress.kubernetes.io/rewrite-target")},
		{name: "another host", object: host("bank.example.com"), policy: "ingresses", message: `host "bank.example.com" ` + foreign},
		{name: "two labels below the wildcard", object: host("a.b.apps.example.com"), policy: "ingresses", message: foreign},
		{name: "the wildcard's own domain", object: host("apps.example.com"), policy: "ingresses", message: foreign},
		{name: "wildcard over the exact host", object: host("*.example.com"), policy: "ingresses", message: foreign},
		{name: "wildcard below the wildcard", object: host("*.b.apps.example.com"), policy: "ingresses", message: foreign},
		{name: "suffix without a dot", object: host("evilapps.example.com"), policy: "ingresses", message: foreign},
		{name: "tls of another host", object: tls("shop.example.com", "bank.example.com"), policy: "ingresses", message: "every tls entry needs hosts"},
	})
}

// A tenant's own NetworkPolicy opens flows inside its namespace only; policies add up, so nothing wider may exist.
func TestNetworkPolicies(t *testing.T) {
	owner, ns := newSpace(t, "networker", nil, nil)
	type peers = []networkingv1.NetworkPolicyPeer
	own := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
	policy := func(in []networkingv1.NetworkPolicyIngressRule, out []networkingv1.NetworkPolicyEgressRule) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "mine"}, Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}, Ingress: in, Egress: out,
		}}
	}
	both := func(name, refuse string, p peers) []attempt {
		port := []networkingv1.NetworkPolicyPort{{Port: ptr(intstr.FromInt32(53))}}
		list := []attempt{
			{name: "from " + name, object: policy([]networkingv1.NetworkPolicyIngressRule{{From: p, Ports: port}}, nil)},
			{name: "to " + name, object: policy(nil, []networkingv1.NetworkPolicyEgressRule{{To: p, Ports: port}})},
		}
		if refuse != "" {
			list[0].policy, list[0].message = "network-policies", "ingress is open to more than this namespace"
			list[1].policy, list[1].message = "network-policies", "egress is open to more than this namespace"
		}
		return list
	}
	attempts := []attempt{{name: "deny all", object: policy(nil, nil)}}
	for _, list := range [][]attempt{
		both("own pods", "", peers{own}),
		both("every namespace", "refuse", peers{{NamespaceSelector: &metav1.LabelSelector{}}}),
	} {
		attempts = append(attempts, list...)
	}
	try(t, owner, attempts)
	t.Run("by Bulkhead", func(t *testing.T) {
		attempts := both("another namespace", "", peers{{NamespaceSelector: &metav1.LabelSelector{}}})
		for _, a := range attempts {
			a.object.SetName("bulkhead")
		}
		try(t, bulkhead, attempts)
	})
}

// Claims get new volumes of allowed classes.
func TestClaims(t *testing.T) {
	owner, ns := newSpace(t, "hoarder", nil, nil)
	with := func(change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
		c := claim(ns, "data", "fast")
		change(c)
		return c
	}
	source := func(from *string) *corev1.PersistentVolumeClaim {
		return with(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: ptr("snapshot.storage.k8s.io"), Kind: "VolumeSnapshot", Name: "s", Namespace: from}
		})
	}
	try(t, owner, []attempt{
		{name: "allowed class", object: claim(ns, "data", "fast")},
		{name: "own snapshot", object: source(nil)},
		{name: "another's snapshot", object: source(ptr("other--space")), policy: "claims", message: `dataSourceRef reads from namespace "other--space"`},
		{name: "no class", object: claim(ns, "data", "")},
	})
	t.Run("volume picked later", func(t *testing.T) {
		c := claim(ns, "later", "fast")
		if err := owner.Create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		pick := func() { c.Spec.VolumeName = "pv-of-other" }
		assertRefused(t, update(t.Context(), owner, c, pick), "claims", `volumeName "pv-of-other"`)
		binder, err := clientAs("system:serviceaccount:kube-system:persistent-volume-binder")
		if err != nil {
			t.Fatal(err)
		}
		if err := update(t.Context(), binder, c, pick, client.DryRunAll); err != nil {
			t.Errorf("the controller that binds: %v", err)
		}
	})
}

// Owners share rights with people and with their own service accounts.
func TestRoleBindings(t *testing.T) {
	owner, ns := newSpace(t, "sharer", nil, nil)
	subject := func(kind, namespace, name string) rbacv1.Subject {
		s := rbacv1.Subject{Kind: kind, Name: name, Namespace: namespace}
		if kind != "ServiceAccount" {
			s.APIGroup = rbacv1.GroupName
		}
		return s
	}
	attempts := []attempt{
		{name: "own role", object: roleBinding(ns, "Role", "mine")},
		{name: "the owners' role", object: roleBinding(ns, "ClusterRole", v1alpha1.RoleOwner)},
	}
	for _, role := range []string{"cluster-admin", "admin", "edit", "view", v1alpha1.RoleHome, "system:node"} {
		attempts = append(attempts, attempt{name: "role " + role, object: roleBinding(ns, "ClusterRole", role),
			policy: "role-bindings", message: `ClusterRole "` + role + `" is not for tenants to bind`})
	}
	for _, s := range []rbacv1.Subject{
		subject("User", "", "jane"), subject("Group", "", "developers"), subject("ServiceAccount", ns, "ci"),
		subject("ServiceAccount", "sharer--other", "ci"), subject("ServiceAccount", "tenant-sharer", "ci"),
		subject("User", "", "system:serviceaccount:sharer--other:ci"), subject("Group", "", "system:serviceaccounts:sharer--other"),
	} {
		attempts = append(attempts, attempt{name: "to " + s.Kind + " " + s.Namespace + " " + s.Name, object: roleBinding(ns, "Role", "mine", s)})
	}
	for _, s := range []rbacv1.Subject{
		subject("Group", "", "system:serviceaccounts:other--space"), subject("Group", "", "system:masters"), subject("Group", "", "system:nodes"),
		subject("Group", "", v1alpha1.ControllerGroup), subject("User", "", "bulkhead.dev:x"),
		subject("User", "", "system:anonymous"), subject("User", "", "system:kube-scheduler"), subject("User", "", "system:serviceaccount:other--space:ci"),
		subject("ServiceAccount", "other--space", "ci"), subject("ServiceAccount", "kube-system", "default"), subject("ServiceAccount", "sharer-x--space", "ci"),
		subject("ServiceAccount", "tenant-other", "ci"),
	} {
		attempts = append(attempts, attempt{name: "to " + s.Kind + " " + s.Namespace + " " + s.Name,
			object: roleBinding(ns, "Role", "mine", subject("User", "", "jane"), s), policy: "role-bindings", message: s.Name + `" is not of this tenant`})
	}
	try(t, owner, attempts)
	t.Run("update", func(t *testing.T) {
		b := roleBinding(ns, "Role", "mine")
		if err := owner.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		err := update(t.Context(), owner, b, func() { b.Subjects = append(b.Subjects, subject("Group", "", "system:authenticated")) })
		assertRefused(t, err, "role-bindings", `Group "system:authenticated" is not of this tenant`)
	})
	t.Run("by an administrator", func(t *testing.T) {
		edit := roleBinding(ns, "ClusterRole", "edit")
		edit.Name = "edit"
		try(t, admin, []attempt{{name: "any role", object: edit}})
	})
}

// Where a workload needs no API access, its service accounts have no token by any way; elsewhere only for the API.
func TestTokens(t *testing.T) {
	without, closed := newSpace(t, "tokenless", nil, nil)
	with, open := newSpace(t, "tokened", map[string]string{v1alpha1.LabelToken: v1alpha1.TokenAllowed}, nil)
	secret := func(ns string, kind corev1.SecretType) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "s", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}}, Type: kind}
	}
	request := func(c client.Client, ns string, audiences ...string) error {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}
		return c.SubResource("token").Create(t.Context(), account, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}})
	}
	try(t, without, []attempt{
		{name: "ordinary secret", object: secret(closed, corev1.SecretTypeOpaque)},
	})
	try(t, with, []attempt{
		{name: "projected token", object: spoiled(open, projectToken(""))},
		{name: "automount", object: spoiled(open, func(s *corev1.PodSpec) { s.AutomountServiceAccountToken = ptr(true) })},
	})
	t.Run("requests", func(t *testing.T) {
		if err := request(with, open); err != nil {
			t.Errorf("for the API server: %v", err)
		}
	})
	t.Run("service accounts", func(t *testing.T) {
		for ns, want := range map[string]*bool{closed: ptr(false), open: nil} {
			account := &corev1.ServiceAccount{}
			if err := admin.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "default"}, account); err != nil {
				t.Fatal(err)
			}
			if got := account.AutomountServiceAccountToken; (got == nil) != (want == nil) || got != nil && *got != *want {
				t.Errorf("%s: automountServiceAccountToken of the default service account is %v, want %v", ns, got, want)
			}
		}
	})
}
