package demo

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// Refused tries what must be refused, each by its control and in that control's words.
func (p *Play) Refused(ctx context.Context, tell func(Outcome)) ([]Outcome, error) {
	return p.try(ctx, forbidden(), tell)
}

func forbidden() []attempt {
	attempts := looking()
	attempts = append(attempts, rising()...)
	attempts = append(attempts, loosening()...)
	attempts = append(attempts, running()...)
	return append(attempts, exposing()...)
}

// looking is at what belongs to others.
func looking() []attempt {
	list := func(objects client.ObjectList, options ...client.ListOption) func(context.Context, *Person) (string, error) {
		return func(ctx context.Context, p *Person) (string, error) {
			return "", p.client.List(ctx, objects, options...)
		}
	}
	return []attempt{
		{
			newsroom, "list all namespaces, and so everybody's names", "rbac-enumerate", ByRBAC,
			`cannot list resource "namespaces" in API group "" at the cluster scope`, list(&corev1.NamespaceList{}),
		},
		{
			newsroom, "list the nodes", "rbac-enumerate", ByRBAC,
			`cannot list resource "nodes"`, list(&corev1.NodeList{}),
		},
		{
			newsroom, "read the archive's secrets", "rbac-own", ByRBAC,
			`cannot list resource "secrets" in API group "" in the namespace "archive--search"`,
			list(&corev1.SecretList{}, client.InNamespace("archive--search")),
		},
		{
			"vpn", "run a pod where a namespace was never made", "rbac-own", ByRBAC,
			`cannot create resource "pods" in API group "" in the namespace "vpn--gateway"`,
			create(goodPod("vpn--gateway", "tunnel", func(*corev1.Pod) {})),
		},
	}
}

// rising is to more rights than one has.
func rising() []attempt {
	toEdit := &rbacv1.RoleBinding{
		ObjectMeta: named(site, "more"),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "magazine:newsroom"}},
	}
	withToken := goodPod(site, "with-token", func(pod *corev1.Pod) { pod.Spec.AutomountServiceAccountToken = new(true) })
	return []attempt{
		{
			newsroom, "become cluster-admin in its own namespace", "rbac-escalate", ByRBAC,
			"is attempting to grant RBAC permissions not currently held", create(toEdit),
		},
		{newsroom, "run a pod with an identity that it never asked for", "token", ByPolicy, "", create(withToken)},
	}
}

// loosening is of what the platform set.
func loosening() []attempt {
	remove := func(object client.Object) func(context.Context, *Person) (string, error) {
		return func(ctx context.Context, p *Person) (string, error) { return "", p.client.Delete(ctx, object) }
	}
	anywhere := &networkingv1.NetworkPolicy{
		ObjectMeta: named(site, "anywhere"),
		Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}}},
			}},
		},
	}
	fromAll := &networkingv1.NetworkPolicy{
		ObjectMeta: named(site, "from-all"),
		Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}},
			}},
		},
	}
	return []attempt{
		{
			newsroom, "delete its quota", "guardrail", ByRBAC, `cannot delete resource "resourcequotas"`,
			remove(&corev1.ResourceQuota{ObjectMeta: named(site, guardrail.QuotaName)}),
		},
		{
			newsroom, "delete the default NetworkPolicy", "guardrail", ByPolicy, "",
			remove(&networkingv1.NetworkPolicy{ObjectMeta: named(site, guardrail.NetworkDefaultName)}),
		},
		{newsroom, "open the network to anywhere", "network-default", ByPolicy, "", create(anywhere)},
		{newsroom, "let every tenant's pods in", "network-default", ByPolicy, "", create(fromAll)},
		{
			newsroom, "take the Pod Security label off its namespace", "guardrail", ByRBAC, `cannot patch resource "namespaces"`,
			func(ctx context.Context, p *Person) (string, error) {
				patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":null}}}`))
				return "", p.client.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: site}}, patch)
			},
		},
	}
}

// running is pods that reach beyond their place.
func running() []attempt {
	pod := func(what, control string, by By, says string, spoil func(*corev1.Pod)) attempt {
		return attempt{newsroom, what, control, by, says, create(goodPod(site, "attempt", spoil))}
	}
	unsandboxed := goodPod("archive--search", "attempt", func(pod *corev1.Pod) { pod.Spec.RuntimeClassName = new("native") })
	return []attempt{
		pod("run a privileged pod", "pod-security", ByPodSecurity, "privileged", func(pod *corev1.Pod) {
			pod.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil
			pod.Spec.Containers[0].SecurityContext.Privileged = new(true)
		}),
		pod("mount a folder of the node", "pod-security", ByPodSecurity, "hostPath", func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{
				Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}},
			}}
		}),
		pod("run an image from elsewhere", "images", ByPolicy, "docker.io/library/miner", func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Image = "docker.io/library/miner:latest"
		}),
		pod("choose a node itself", "node-affinity", ByPolicy, `nodeName "dedicated-1"`, func(pod *corev1.Pod) {
			pod.Spec.NodeName = "dedicated-1"
		}),
		pod("tolerate every taint", "node-affinity", ByPolicy, "", func(pod *corev1.Pod) {
			pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}),
		pod("preempt the platform's own pods", "priority", ByPolicy, "system-cluster-critical", func(pod *corev1.Pod) {
			pod.Spec.PriorityClassName = "system-cluster-critical"
		}),
		pod("take more than its quota", "quota", ByQuota, "requests.cpu", func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("11")}
			pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("11")}
		}),
		{"archive", "run its bought code outside of the sandbox", "runtime", ByPolicy, "gvisor", create(unsandboxed)},
	}
}

// exposing is services beyond what the platform offers.
func exposing() []attempt {
	nodePort := &corev1.Service{
		ObjectMeta: named(site, "door"),
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	path := networkingv1.PathTypePrefix
	foreignHost := &networkingv1.Ingress{
		ObjectMeta: named(site, "foreign"),
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
			Host: "abo.gazette.example",
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &path,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: "web", Port: networkingv1.ServiceBackendPort{Number: 8080},
					}},
				}},
			}},
		}}},
	}
	return []attempt{
		{newsroom, "open a port on every node", "service-expose", ByPolicy, "NodePort", create(nodePort)},
		{newsroom, "serve another customer's host name", "service-expose", ByPolicy, "abo.gazette.example", create(foreignHost)},
	}
}
