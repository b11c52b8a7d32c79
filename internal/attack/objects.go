package attack

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// create is a step that creates an object in the Space's namespace.
func create(title, group, resource string, object func(Scene) any) Step {
	return Step{Title: title, Ask: func(s Scene) (Ask, error) {
		if s.Namespace() == "" {
			return Ask{}, errors.New("the Space has no namespace yet")
		}
		return Ask{DryRun: &Request{Group: group, Version: "v1", Namespace: s.Namespace(), Resource: resource, Body: object(s)}}, nil
	}}
}

type serviceChange func(*corev1.ServiceSpec)

func createService(title string, change serviceChange) Step {
	return create(title, "", "services", func(s Scene) any {
		service := &corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: marked(s),
			Spec: corev1.ServiceSpec{
				Type:     corev1.ServiceTypeClusterIP,
				Selector: map[string]string{"app": "bulkhead-attack"},
				Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
			},
		}
		change(&service.Spec)
		return service
	})
}

func internal(*corev1.ServiceSpec) {}

func nodePort(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeNodePort }

// externalIPs takes the traffic to an address (CVE-2020-8554); this one is for documentation (RFC 5737).
func externalIPs(spec *corev1.ServiceSpec) { spec.ExternalIPs = []string{"192.0.2.1"} }

func externalName(spec *corev1.ServiceSpec) {
	*spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "kubernetes.default.svc.cluster.local"}
}

// wide is what a NetworkPolicy opens.
type wide func(*networkingv1.NetworkPolicySpec)

func createNetworkPolicy(title string, open wide) Step {
	return create(title, networkingv1.GroupName, "networkpolicies", func(s Scene) any {
		policy := &networkingv1.NetworkPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
			ObjectMeta: marked(s),
		}
		policy.Spec.PodSelector.MatchLabels = map[string]string{"app": "bulkhead-attack"}
		open(&policy.Spec)
		return policy
	})
}

// withinSpace lets pods of the same namespace in, on one port.
func withinSpace(spec *networkingv1.NetworkPolicySpec) {
	port := intstr.FromInt32(8080)
	spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
		From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
		Ports: []networkingv1.NetworkPolicyPort{{Port: &port}},
	}}
}

func fromEverywhere(spec *networkingv1.NetworkPolicySpec) {
	spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
		From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}},
	}}
}

func toEverywhere(spec *networkingv1.NetworkPolicySpec) { reach(spec, "0.0.0.0/0") }

func toMetadata(spec *networkingv1.NetworkPolicySpec) { reach(spec, "169.254.169.254/32") }

func reach(spec *networkingv1.NetworkPolicySpec, cidr string) {
	spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
		To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: cidr}}},
	}}
}

// shareRole is what owners do all day: they let their own pods use the API within the Space.
func shareRole() Step {
	return bindRole("share its rights with its own service account", v1alpha1.RoleOwner, ownAccount)
}

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

func everybody(Scene) rbacv1.Subject {
	return rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: authenticated}
}
