package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// New returns the contents in their normal form: sorted, labelled as the API server labels, with a Namespace for every
// namespace that an object lies in. The contents' slices are not kept; what they point to is, and must not change.
// It fails when two objects have the same name, or two tenants the same namespace: then the input is not a state that
// a cluster can be in, and a proof about it would mean nothing.
func New(contents Snapshot) (*Snapshot, error) {
	s := contents
	s.Tenants = normalTenants(contents.Tenants)
	s.Pods = sorted(contents.Pods, comparePods)
	s.NetworkPolicies = sorted(contents.NetworkPolicies, comparePolicies)
	s.Namespaces = impliedNamespaces(normalNamespaces(contents.Namespaces), s.Pods, s.NetworkPolicies)
	s.sortObjects()
	s.Flows, s.Waivers = normalFlows(contents.Flows), normalWaivers(contents.Waivers)
	s.Missing = slices.Clone(contents.Missing)
	slices.SortFunc(s.Missing, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Why, b.Why), cmp.Compare(a.Namespace, b.Namespace))
	})
	s.Missing = slices.Compact(s.Missing)
	if err := s.check(); err != nil {
		return nil, err
	}
	return &s, nil
}

// PodOf returns what a proof needs of a pod. Its owner is its controller; a caller that knows more (the Deployment
// above a ReplicaSet) says so in Owner.
func PodOf(pod *corev1.Pod) *Pod {
	p := &Pod{
		Namespace:   pod.Namespace,
		Name:        pod.Name,
		Labels:      LabelsOf(pod.Labels),
		Node:        pod.Spec.NodeName,
		HostNetwork: pod.Spec.HostNetwork,
		Phase:       pod.Status.Phase,
		Ports:       namedPorts(pod.Spec.InitContainers, pod.Spec.Containers),
		IPs:         addresses(pod.Status.PodIP, pod.Status.PodIPs),
		Spec:        &pod.Spec,
		Annotations: securityAnnotations(pod.Annotations),
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		p.Owner = Owner{Kind: owner.Kind, Name: owner.Name}
	}
	return p
}

// PodOfTemplate returns the pod that stands for all pods of a workload that has not created them, as in a folder of
// manifests. Where they will run, and their addresses, are not known.
func PodOfTemplate(namespace string, owner Owner, template *corev1.PodTemplateSpec) *Pod {
	return &Pod{
		Namespace:   namespace,
		Name:        owner.Name,
		Owner:       owner,
		Labels:      LabelsOf(template.Labels),
		Node:        template.Spec.NodeName,
		HostNetwork: template.Spec.HostNetwork,
		Ports:       namedPorts(template.Spec.InitContainers, template.Spec.Containers),
		Spec:        &template.Spec,
		Annotations: securityAnnotations(template.Annotations),
	}
}

// securityAnnotations are AppArmor profiles by container, which Pod Security looks at, and those that ask for other networks.
func securityAnnotations(annotations map[string]string) Labels {
	kept := map[string]string{}
	for key, value := range annotations {
		if strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) || slices.Contains(NetworkAnnotations(), key) {
			kept[key] = value
		}
	}
	return LabelsOf(kept)
}

// NetworkAnnotations are those by which Multus and its kin attach a pod to further networks, or to another one than that of the cluster
// (Kubernetes Network Custom Resource Definition De-facto Standard).
func NetworkAnnotations() []string {
	return []string{"k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network"}
}

// NamespaceOf returns what a proof needs of a namespace.
func NamespaceOf(ns *corev1.Namespace) *Namespace {
	return &Namespace{Name: ns.Name, Labels: LabelsOf(ns.Labels), Annotations: LabelsOf(ns.Annotations)}
}

func namedPorts(lists ...[]corev1.Container) []NamedPort {
	var ports []NamedPort
	for _, containers := range lists {
		for i := range containers {
			for _, p := range containers[i].Ports {
				if p.Name == "" || p.ContainerPort < 1 || p.ContainerPort > 65535 {
					continue
				}
				ports = append(ports, NamedPort{p.Name, cmp.Or(p.Protocol, corev1.ProtocolTCP), uint16(p.ContainerPort)})
			}
		}
	}
	slices.SortFunc(ports, func(a, b NamedPort) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(ports)
}

func addresses(first string, all []corev1.PodIP) []netip.Addr {
	texts := make([]string, 0, len(all)+1)
	for _, ip := range all {
		texts = append(texts, ip.IP)
	}
	if first != "" {
		texts = append(texts, first)
	}
	ips := make([]netip.Addr, 0, len(texts))
	for _, text := range texts {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return nil // one that cannot be parsed makes the pod's addresses not known, which a proof treats with care
		}
		ips = append(ips, ip.Unmap().WithZone(""))
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	return slices.Compact(ips)
}

func normalTenants(tenants []Tenant) []Tenant {
	list := make([]Tenant, 0, len(tenants))
	for _, t := range tenants {
		namespaces := slices.Clone(t.Namespaces)
		slices.Sort(namespaces)
		t.Namespaces = slices.Compact(namespaces)
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Tenant) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func normalNamespaces(namespaces []*Namespace) []*Namespace {
	list := make([]*Namespace, 0, len(namespaces))
	for _, ns := range namespaces {
		list = append(list, normalNamespace(ns))
	}
	return sorted(list, compareNamespaces)
}

func normalNamespace(ns *Namespace) *Namespace {
	if value, has := ns.Labels.Get(corev1.LabelMetadataName); has && value == ns.Name {
		return ns
	}
	named := *ns
	named.Labels = ns.Labels.with(corev1.LabelMetadataName, ns.Name)
	return &named
}

func impliedNamespaces(list []*Namespace, pods []*Pod, policies []*networkingv1.NetworkPolicy) []*Namespace {
	known := make(map[string]bool, len(list))
	for _, ns := range list {
		known[ns.Name] = true
	}
	imply := func(name string) {
		if !known[name] {
			known[name] = true
			list = append(list, normalNamespace(&Namespace{Name: name, Implied: true}))
		}
	}
	for _, p := range pods {
		imply(p.Namespace)
	}
	for _, p := range policies {
		imply(p.Namespace)
	}
	slices.SortFunc(list, compareNamespaces)
	return list
}

func (s *Snapshot) check() error {
	var errs []error
	owner := map[string]string{}
	for i, t := range s.Tenants {
		if i > 0 && s.Tenants[i-1].Name == t.Name {
			errs = append(errs, fmt.Errorf("tenant %s is there twice: give it once, with all its namespaces", t.Name))
		}
		for _, ns := range t.Namespaces {
			if other, taken := owner[ns]; taken && other != t.Name {
				errs = append(errs, fmt.Errorf("namespace %s belongs to tenants %s and %s: give it to one", ns, other, t.Name))
			}
			owner[ns] = t.Name
		}
	}
	errs = append(errs, twice(s.Namespaces, compareNamespaces, func(n *Namespace) string { return "namespace " + n.Name }))
	errs = append(errs, twice(s.Pods, comparePods, func(p *Pod) string { return Ref{Kind: "pod", Namespace: p.Namespace, Name: p.Name}.String() }))
	errs = append(errs, twice(s.NetworkPolicies, comparePolicies, func(p *networkingv1.NetworkPolicy) string {
		return Ref{Kind: "NetworkPolicy", Namespace: p.Namespace, Name: p.Name}.String()
	}))
	errs = append(errs, s.duplicates()...)
	return errors.Join(errs...)
}

func twice[T any](list []T, compare func(a, b T) int, name func(T) string) error {
	var errs []error
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) == 0 {
			errs = append(errs, fmt.Errorf("%s is there twice: a cluster holds one; remove the other", name(list[i])))
		}
	}
	return errors.Join(errs...)
}

func sorted[T any](list []T, compare func(a, b T) int) []T {
	list = slices.Clone(list)
	if !slices.IsSortedFunc(list, compare) {
		slices.SortStableFunc(list, compare)
	}
	return list
}

func compareNamespaces(a, b *Namespace) int { return cmp.Compare(a.Name, b.Name) }

func comparePods(a, b *Pod) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func comparePolicies(a, b *networkingv1.NetworkPolicy) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
