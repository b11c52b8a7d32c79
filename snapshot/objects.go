package snapshot

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// sortObjects brings the lists of whole API objects into their normal form.
func (s *Snapshot) sortObjects() {
	s.AdminNetworkPolicies, s.BaselineAdminNetworkPolicies = byName(s.AdminNetworkPolicies), byName(s.BaselineAdminNetworkPolicies)
	s.ClusterNetworkPolicies = byName(s.ClusterNetworkPolicies)
	s.Roles, s.RoleBindings = byName(s.Roles), byName(s.RoleBindings)
	s.ClusterRoles, s.ClusterRoleBindings = byName(s.ClusterRoles), byName(s.ClusterRoleBindings)
	s.ServiceAccounts, s.Nodes = byName(s.ServiceAccounts), byName(s.Nodes)
	s.ResourceQuotas, s.LimitRanges = byName(s.ResourceQuotas), byName(s.LimitRanges)
	s.ValidatingPolicies, s.ValidatingBindings = byName(s.ValidatingPolicies), byName(s.ValidatingBindings)
	s.MutatingPolicies, s.MutatingBindings = byName(s.MutatingPolicies), byName(s.MutatingBindings)
	s.ValidatingWebhooks, s.MutatingWebhooks = byName(s.ValidatingWebhooks), byName(s.MutatingWebhooks)
	s.Parameters = sorted(s.Parameters, compareParameters)
	s.FlowSchemas, s.PriorityLevels = byName(s.FlowSchemas), byName(s.PriorityLevels)
	s.StorageClasses, s.PersistentVolumes = byName(s.StorageClasses), byName(s.PersistentVolumes)
	s.PriorityClasses, s.RuntimeClasses = byName(s.PriorityClasses), byName(s.RuntimeClasses)
	s.Services, s.Ingresses = byName(s.Services), byName(s.Ingresses)
	s.APIServices = byName(s.APIServices)
	s.Gateways, s.Routes = byName(s.Gateways), sorted(s.Routes, compareRoutes)
	s.Endpoints = sorted(s.Endpoints, compareEndpoints)
}

// duplicates are the objects that are there twice.
func (s *Snapshot) duplicates() []error {
	return []error{
		objectTwice("AdminNetworkPolicy", s.AdminNetworkPolicies),
		objectTwice("BaselineAdminNetworkPolicy", s.BaselineAdminNetworkPolicies),
		objectTwice("ClusterNetworkPolicy", s.ClusterNetworkPolicies),
		objectTwice("Role", s.Roles), objectTwice("RoleBinding", s.RoleBindings),
		objectTwice("ClusterRole", s.ClusterRoles), objectTwice("ClusterRoleBinding", s.ClusterRoleBindings),
		objectTwice("ServiceAccount", s.ServiceAccounts), objectTwice("Node", s.Nodes),
		objectTwice("ResourceQuota", s.ResourceQuotas), objectTwice("LimitRange", s.LimitRanges),
		objectTwice("ValidatingAdmissionPolicy", s.ValidatingPolicies),
		objectTwice("ValidatingAdmissionPolicyBinding", s.ValidatingBindings),
		objectTwice("MutatingAdmissionPolicy", s.MutatingPolicies),
		objectTwice("MutatingAdmissionPolicyBinding", s.MutatingBindings),
		objectTwice("ValidatingWebhookConfiguration", s.ValidatingWebhooks),
		objectTwice("MutatingWebhookConfiguration", s.MutatingWebhooks),
		twice(s.Parameters, compareParameters, func(o *unstructured.Unstructured) string {
			return RefOf(o.GetKind(), o).String()
		}),
		objectTwice("FlowSchema", s.FlowSchemas), objectTwice("PriorityLevelConfiguration", s.PriorityLevels),
		objectTwice("StorageClass", s.StorageClasses), objectTwice("PersistentVolume", s.PersistentVolumes),
		objectTwice("PriorityClass", s.PriorityClasses), objectTwice("RuntimeClass", s.RuntimeClasses),
		objectTwice("Service", s.Services), objectTwice("Ingress", s.Ingresses),
		objectTwice("APIService", s.APIServices), objectTwice("Gateway", s.Gateways),
		twice(s.Routes, compareRoutes, func(o *unstructured.Unstructured) string { return RefOf(o.GetKind(), o).String() }),
		twice(s.Endpoints, compareEndpoints, func(e *Endpoints) string { return Ref{Kind: e.Kind, Namespace: e.Namespace, Name: e.Name}.String() }),
		twice(s.Waivers, compareWaivers, func(w Waiver) string { return "Waiver " + w.Name }),
	}
}

func byName[T metav1.Object](list []T) []T { return sorted(list, compareObjects[T]) }

func compareObjects[T metav1.Object](a, b T) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}

func compareParameters(a, b *unstructured.Unstructured) int {
	return cmp.Or(cmp.Compare(a.GetAPIVersion(), b.GetAPIVersion()), cmp.Compare(a.GetKind(), b.GetKind()), compareObjects(a, b))
}

func compareRoutes(a, b *unstructured.Unstructured) int {
	return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), compareObjects(a, b))
}

func objectTwice[T metav1.Object](kind string, list []T) error {
	return twice(list, compareObjects[T], func(o T) string { return RefOf(kind, o).String() })
}

func normalFlows(flows []Flow) []Flow {
	flows = slices.Clone(flows)
	slices.SortStableFunc(flows, func(a, b Flow) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return flows
}

func normalWaivers(waivers []Waiver) []Waiver {
	waivers = slices.Clone(waivers)
	for i := range waivers {
		waivers[i].Namespaces = slices.Clone(waivers[i].Namespaces)
		slices.Sort(waivers[i].Namespaces)
	}
	slices.SortFunc(waivers, compareWaivers)
	return waivers
}

func compareWaivers(a, b Waiver) int { return strings.Compare(a.Name, b.Name) }

func compareEndpoints(a, b *Endpoints) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
}
