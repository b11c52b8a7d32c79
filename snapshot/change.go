package snapshot

import (
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	adminv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// Change turns one state into the next.
type Change func(*Snapshot)

// With returns the state after the changes, at another revision. What did not change is shared with s by pointer, so
// that a proof of s can be brought up to date by looking only at what did.
func (s *Snapshot) With(revision string, at time.Time, changes ...Change) *Snapshot {
	next := *s
	next.Revision, next.Time = revision, at
	for _, change := range changes {
		change(&next)
	}
	return &next
}

// SetPod adds a pod, or replaces the one of its name.
func SetPod(pod *Pod) Change {
	return func(s *Snapshot) {
		s.Pods = set(s.Pods, pod, comparePods)
		s.imply(pod.Namespace)
	}
}

// DeletePod removes a pod; nothing happens if it is not there.
func DeletePod(namespace, name string) Change {
	return func(s *Snapshot) { s.Pods = unset(s.Pods, &Pod{Namespace: namespace, Name: name}, comparePods) }
}

// SetNetworkPolicy adds a policy, or replaces the one of its name.
func SetNetworkPolicy(policy *networkingv1.NetworkPolicy) Change {
	return func(s *Snapshot) {
		s.NetworkPolicies = set(s.NetworkPolicies, policy, comparePolicies)
		s.imply(policy.Namespace)
	}
}

// DeleteNetworkPolicy removes a policy; nothing happens if it is not there.
func DeleteNetworkPolicy(namespace, name string) Change {
	return func(s *Snapshot) {
		var key networkingv1.NetworkPolicy
		key.Namespace, key.Name = namespace, name
		s.NetworkPolicies = unset(s.NetworkPolicies, &key, comparePolicies)
	}
}

// SetAdminNetworkPolicy adds a policy, or replaces the one of its name.
func SetAdminNetworkPolicy(policy *adminv1alpha1.AdminNetworkPolicy) Change {
	return func(s *Snapshot) {
		s.AdminNetworkPolicies = set(s.AdminNetworkPolicies, policy, compareObjects[*adminv1alpha1.AdminNetworkPolicy])
	}
}

// DeleteAdminNetworkPolicy removes a policy; nothing happens if it is not there.
func DeleteAdminNetworkPolicy(name string) Change {
	return func(s *Snapshot) {
		var key adminv1alpha1.AdminNetworkPolicy
		key.Name = name
		s.AdminNetworkPolicies = unset(s.AdminNetworkPolicies, &key, compareObjects[*adminv1alpha1.AdminNetworkPolicy])
	}
}

// SetBaselineAdminNetworkPolicy adds the policy, or replaces it.
func SetBaselineAdminNetworkPolicy(policy *adminv1alpha1.BaselineAdminNetworkPolicy) Change {
	return func(s *Snapshot) {
		s.BaselineAdminNetworkPolicies = set(s.BaselineAdminNetworkPolicies, policy, compareObjects[*adminv1alpha1.BaselineAdminNetworkPolicy])
	}
}

// DeleteBaselineAdminNetworkPolicy removes the policy; nothing happens if it is not there.
func DeleteBaselineAdminNetworkPolicy(name string) Change {
	return func(s *Snapshot) {
		var key adminv1alpha1.BaselineAdminNetworkPolicy
		key.Name = name
		s.BaselineAdminNetworkPolicies = unset(s.BaselineAdminNetworkPolicies, &key, compareObjects[*adminv1alpha1.BaselineAdminNetworkPolicy])
	}
}

// SetClusterNetworkPolicy adds a policy, or replaces the one of its name.
func SetClusterNetworkPolicy(policy *adminv1alpha2.ClusterNetworkPolicy) Change {
	return func(s *Snapshot) {
		s.ClusterNetworkPolicies = set(s.ClusterNetworkPolicies, policy, compareObjects[*adminv1alpha2.ClusterNetworkPolicy])
	}
}

// DeleteClusterNetworkPolicy removes a policy; nothing happens if it is not there.
func DeleteClusterNetworkPolicy(name string) Change {
	return func(s *Snapshot) {
		var key adminv1alpha2.ClusterNetworkPolicy
		key.Name = name
		s.ClusterNetworkPolicies = unset(s.ClusterNetworkPolicies, &key, compareObjects[*adminv1alpha2.ClusterNetworkPolicy])
	}
}

// SetNamespace adds a namespace, or replaces the one of its name.
func SetNamespace(ns *Namespace) Change {
	return func(s *Snapshot) { s.Namespaces = set(s.Namespaces, normalNamespace(ns), compareNamespaces) }
}

// DeleteNamespace removes a namespace with its pods and policies; nothing happens if it is not there.
func DeleteNamespace(name string) Change {
	return func(s *Snapshot) {
		s.Namespaces = unset(s.Namespaces, &Namespace{Name: name}, compareNamespaces)
		s.Pods = slices.DeleteFunc(slices.Clone(s.Pods), func(p *Pod) bool { return p.Namespace == name })
		s.NetworkPolicies = slices.DeleteFunc(slices.Clone(s.NetworkPolicies),
			func(p *networkingv1.NetworkPolicy) bool { return p.Namespace == name })
	}
}

func (s *Snapshot) imply(name string) {
	ns := normalNamespace(&Namespace{Name: name, Implied: true})
	if _, found := slices.BinarySearchFunc(s.Namespaces, ns, compareNamespaces); !found {
		s.Namespaces = set(s.Namespaces, ns, compareNamespaces)
	}
}

func set[T any](list []T, item T, compare func(a, b T) int) []T {
	i, found := slices.BinarySearchFunc(list, item, compare)
	next := make([]T, 0, len(list)+1)
	next = append(append(next, list[:i]...), item)
	if found {
		i++
	}
	return append(next, list[i:]...)
}

func unset[T any](list []T, item T, compare func(a, b T) int) []T {
	i, found := slices.BinarySearchFunc(list, item, compare)
	if !found {
		return list
	}
	next := make([]T, 0, len(list)-1)
	return append(append(next, list[:i]...), list[i+1:]...)
}
