package guardrail

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail/ports"
)

// place names a Space by its tenant.
type place struct{ tenant, space string }

func (p place) String() string { return p.tenant + "/" + p.space }

// opening is one way that is open from the source's pods to the destination's.
type opening struct {
	sourcePods, destinationPods map[string]string
	ports                       ports.Set
}

// wiring is what the flows of one Space are resolved with.
type wiring struct {
	platform *v1alpha1.Platform
	self     place
	own      *v1alpha1.Space
	spaces   map[place]*v1alpha1.Space
	ranges   *externalRanges
}

func newWiring(in *SpaceInput) *wiring {
	w := &wiring{
		platform: in.Platform,
		self:     place{in.Tenant.Name, in.Space.Name},
		own:      in.Space,
		spaces:   make(map[place]*v1alpha1.Space, len(in.Peers)+1),
		ranges:   newExternalRanges(&in.Platform.Spec.Network),
	}
	w.add(in.Peers)
	w.spaces[w.self] = in.Space
	return w
}

func (w *wiring) add(spaces []*v1alpha1.Space) {
	for _, s := range spaces {
		// Whose Space it is follows from where it was written, which no tenant chooses.
		if tenant, ok := v1alpha1.TenantOfHome(s.Namespace); ok && s.DeletionTimestamp == nil {
			w.spaces[place{tenant, s.Name}] = s
		}
	}
}

// OpenFlow is a way that is open from a Space of one tenant to a Space of another, by the word of both and of the
// Platform.
type OpenFlow struct {
	// From and To are the Spaces' namespaces.
	From, To string
	// FromPods and ToPods select pods by labels; nil means all.
	FromPods, ToPods map[string]string
	// Ports of the destination, as in a NetworkPolicy: none means every port.
	Ports []networkingv1.NetworkPolicyPort
}

// OpenFlows lists the ways that are open between Spaces of different tenants, sorted by namespaces. It goes by the same
// rule as the policies that Space renders.
func OpenFlows(p *v1alpha1.Platform, spaces []*v1alpha1.Space) []OpenFlow {
	if p == nil {
		return nil
	}
	w := &wiring{platform: p, spaces: make(map[place]*v1alpha1.Space, len(spaces))}
	w.add(spaces)
	var open []OpenFlow
	for source, s := range w.spaces {
		seen := map[place]bool{}
		for i := range s.Spec.To {
			destination := peer(source, &s.Spec.To[i])
			if destination.tenant == source.tenant || seen[destination] {
				continue
			}
			seen[destination] = true
			for _, o := range w.openings(source, destination) {
				open = append(open, OpenFlow{
					From: v1alpha1.SpaceNamespace(source.tenant, source.space), To: v1alpha1.SpaceNamespace(destination.tenant, destination.space),
					FromPods: o.sourcePods, ToPods: o.destinationPods, Ports: o.ports.Rules(),
				})
			}
		}
	}
	slices.SortStableFunc(open, func(a, b OpenFlow) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return open
}

// peer that a flow written in the Space at home names.
func peer(home place, f *v1alpha1.Flow) place { return place{cmp.Or(f.Tenant, home.tenant), f.Space} }

// openings from one Space to another, which both sides' policies are made of: within a tenant, the source's word is
// enough; across tenants the destination and the Platform must say the same, and only the ports that both name open.
func (w *wiring) openings(source, destination place) []opening {
	var open []opening
	for _, to := range w.to(source, destination) {
		open = append(open, w.openingsOf(source, destination, &to)...)
	}
	return open
}

// openingsOf one flow of the source.
func (w *wiring) openingsOf(source, destination place, to *v1alpha1.Flow) []opening {
	if w.spaces[source] == nil || w.spaces[destination] == nil || malformed(to) != "" {
		return nil
	}
	wanted := ports.Of(to.Ports)
	if source.tenant == destination.tenant {
		return []opening{{sourcePods: to.Pods, ports: wanted}}
	}
	if !w.allowed(source, destination) {
		return nil
	}
	var open []opening
	for _, from := range w.from(source, destination) {
		if both := wanted.Intersect(ports.Of(from.Ports)); malformed(&from) == "" && !both.Empty() {
			open = append(open, opening{sourcePods: to.Pods, destinationPods: from.Pods, ports: both})
		}
	}
	return open
}

// to lists the flows of the source that name the destination.
func (w *wiring) to(source, destination place) []v1alpha1.Flow {
	if s := w.spaces[source]; s != nil {
		return naming(s.Spec.To, source, destination)
	}
	return nil
}

// from lists the flows of the destination that name the source.
func (w *wiring) from(source, destination place) []v1alpha1.Flow {
	if s := w.spaces[destination]; s != nil {
		return naming(s.Spec.From, destination, source)
	}
	return nil
}

func naming(flows []v1alpha1.Flow, home, other place) []v1alpha1.Flow {
	var list []v1alpha1.Flow
	for i := range flows {
		if f := &flows[i]; f.Space != "" && f.Service == "" && f.CIDR == "" && peer(home, f) == other {
			list = append(list, *f)
		}
	}
	return list
}

// allowed reports whether the Platform lets the one tenant reach the other.
func (w *wiring) allowed(source, destination place) bool {
	return slices.Contains(w.platform.Spec.Flows,
		v1alpha1.TenantFlow{From: source.tenant, To: destination.tenant})
}

// direction of a flow as its Space sees it.
type direction string

const (
	outward direction = "to"
	inward  direction = "from"
)

// closed returns every flow of the Space that is not open, or not wholly.
func (w *wiring) closed() []ClosedFlow {
	var list []ClosedFlow
	for _, d := range []direction{outward, inward} {
		flows := w.own.Spec.To
		if d == inward {
			flows = w.own.Spec.From
		}
		for i := range flows {
			if why := w.why(d, &flows[i]); why != "" {
				list = append(list, ClosedFlow{Field: fmt.Sprintf("spec.%s[%d]", d, i), Why: why})
			}
		}
	}
	return list
}

// why a flow is not wholly open; empty when it is.
func (w *wiring) why(d direction, f *v1alpha1.Flow) string {
	if why := malformed(f); why != "" {
		return why
	}
	switch {
	case f.Space != "" && f.Service == "" && f.CIDR == "":
		return w.whySpace(d, f)
	case f.Space == "" && f.Service != "" && f.CIDR == "":
		_, why := w.service(f.Service)
		return why
	case f.Space == "" && f.Service == "" && f.CIDR != "":
		_, why := w.ranges.block(f.CIDR)
		return why
	}
	return "it names not exactly one of space, service and cidr"
}

func (w *wiring) whySpace(d direction, f *v1alpha1.Flow) string {
	other := peer(w.self, f)
	source, destination := w.self, other
	if d == inward {
		source, destination = other, w.self
	}
	if w.spaces[other] == nil && other.tenant == w.self.tenant {
		return fmt.Sprintf("there is no Space %s; create it, or correct the name", other.space)
	}
	if source.tenant != destination.tenant && !w.allowed(source, destination) {
		return fmt.Sprintf("the Platform allows no flow from tenant %s to tenant %s; ask the platform team to add it to "+
			"spec.flows", source.tenant, destination.tenant)
	}
	open, wanted := w.openPorts(d, f, source, destination), ports.Of(f.Ports)
	switch {
	case open.Equal(wanted):
		return ""
	case open.Empty(): // and no word on whether a foreign Space exists: names would be guessed with it
		return fmt.Sprintf("%s does not declare it for %s; its owners must add it to spec.%s of their Space",
			other, wanted, d.opposite())
	}
	return fmt.Sprintf("open for %s only; for the rest of %s the owners of %s must add it to spec.%s of their Space",
		open, wanted, other, d.opposite())
}

// openPorts of a flow of this Space, seen from its own side.
func (w *wiring) openPorts(d direction, f *v1alpha1.Flow, source, destination place) ports.Set {
	var open ports.Set
	if d == outward {
		for _, o := range w.openingsOf(source, destination, f) {
			open = open.Union(o.ports)
		}
		return open
	}
	wanted := ports.Of(f.Ports)
	for _, to := range w.to(source, destination) {
		if malformed(&to) == "" {
			open = open.Union(ports.Of(to.Ports).Intersect(wanted))
		}
	}
	return open
}

func (d direction) opposite() direction {
	if d == outward {
		return inward
	}
	return outward
}

// malformed names what of a flow cannot be written into a policy; empty when all can. One such flow must not keep the
// policy that holds it, which may be another tenant's, from being accepted.
func malformed(f *v1alpha1.Flow) string {
	for key, value := range f.Pods {
		if len(utilvalidation.IsQualifiedName(key)) > 0 || len(utilvalidation.IsValidLabelValue(value)) > 0 {
			return fmt.Sprintf("pods has %q, which is not a label; write a label such as app: web", key+": "+value)
		}
	}
	for i := range f.Ports {
		if ports.Of(f.Ports[i : i+1]).Empty() {
			return fmt.Sprintf("ports[%d] is no port; write a number from 1 to 65535, a range that does not end before it "+
				"begins, or a port's name", i)
		}
	}
	return ""
}

// service of the platform by name, as a peer of a policy, or why it is none.
func (w *wiring) service(name string) (*networkingv1.NetworkPolicyPeer, string) {
	names := make([]string, 0, len(w.platform.Spec.Services))
	for i := range w.platform.Spec.Services {
		s := &w.platform.Spec.Services[i]
		names = append(names, s.Name)
		if s.Name != name {
			continue
		}
		if s.Namespace == "" || len(s.PodLabels) == 0 || strings.Contains(s.Namespace, "--") {
			return nil, fmt.Sprintf("the Platform's service %s needs podLabels and a namespace that is no Space's: a tenant that "+
				"can create pods there could act as the service; the platform team must correct it", name)
		}
		return peerOf(s.Namespace, s.PodLabels), ""
	}
	if len(names) == 0 {
		return nil, fmt.Sprintf("the Platform offers no service %s, and no other", name)
	}
	slices.Sort(names)
	return nil, fmt.Sprintf("the Platform offers no service %s; it offers %s", name, strings.Join(names, ", "))
}

// peerOf selects pods of one namespace by name. The label with the name is written by the API server itself and cannot
// be forged, unlike a label that a user may set on a namespace.
func peerOf(namespace string, pods map[string]string) *networkingv1.NetworkPolicyPeer {
	p := &networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
	}
	if len(pods) > 0 {
		p.PodSelector = &metav1.LabelSelector{MatchLabels: pods}
	}
	return p
}
