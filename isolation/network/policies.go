package network

import (
	"errors"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
)

// policy is a NetworkPolicy in the form that reach is computed with.
type policy struct {
	source *networkingv1.NetworkPolicy
	pods   selector
	// ingress and egress report which directions it isolates its pods in.
	ingress, egress bool
	in, out         []*allowance
}

// allowance is what one peer of one rule of one policy allows: connections with the peer, on the ports.
type allowance struct {
	policy *policy // nil: admitted, or no policy isolates the pod, so that everything is allowed
	rule   int
	peer   peer
	ports  *portRule
}

type peerKind uint8

const (
	everyone    peerKind = iota // a rule without peers: every pod and every address
	podsHere                    // a podSelector alone: pods of the policy's own namespace
	podsIn                      // a namespaceSelector, with or without podSelector
	addressesIn                 // an ipBlock
	admitted                    // whatever the Admin tier lets through without asking NetworkPolicies
)

// peer is who a rule allows.
type peer struct {
	kind       peerKind
	home       int // the policy's own namespace
	namespaces selector
	pods       selector
	block      *ipBlock
	// spaces holds every namespace that can have a pod that matches; for addressesIn, also those with pods whose address
	// is not known. It is nil for everyone and podsHere.
	spaces *spaceSet
}

// holds reports whether the peer is, or includes, pods of a class. An ipBlock includes a pod whose address lies in it:
// network plugins differ in that, and the answer that lets more through is the one that cannot hide a hole. A pod
// whose addresses are not known is in no block, or, if loose, in every one. Of pods to come, it holds those with the labels.
func (p *peer) holds(s *space, c *class, loose bool) bool {
	switch p.kind {
	case everyone:
		return true
	case podsHere:
		return s.id == p.home && c.may(p.pods)
	case podsIn:
		return p.spaces.has(s.id) && c.may(p.pods)
	case admitted: // who exactly, the passage says
		return p.spaces.has(s.id)
	default:
		return c.inBlock(p.block, loose)
	}
}

// together reports whether one packet can satisfy both sides' peers. A packet is IPv4 or IPv6: blocks of two families, or
// of a family that the two pods do not share, do not add up to a connection. Pods that seem to share no family are
// given the benefit of every doubt (an address may be missing, something may translate).
func together(out, in *peer, from, to families) bool {
	common := from & to
	if common == 0 {
		return true
	}
	used := common
	if out.kind == addressesIn {
		used &= out.block.family()
	}
	if in.kind == addressesIn {
		used &= in.block.family()
	}
	return used != 0
}

// policyOf reads a policy of the namespace with id home. It fails where the API server would refuse the policy, which
// then could not exist.
func policyOf(source *networkingv1.NetworkPolicy, home int) (*policy, error) {
	p := &policy{source: source}
	var errs []error
	var err error
	if p.pods, err = selectorOf(&source.Spec.PodSelector); err != nil {
		errs = append(errs, fmt.Errorf("spec.podSelector: %w", err))
	}
	if p.ingress, p.egress, err = directions(&source.Spec); err != nil {
		errs = append(errs, err)
	}
	for i := range source.Spec.Ingress {
		rule := &source.Spec.Ingress[i]
		allowances, err := p.allowances(i, home, rule.From, rule.Ports)
		if err != nil {
			errs = append(errs, fmt.Errorf("spec.ingress[%d]: %w", i, err))
		}
		p.in = append(p.in, allowances...)
	}
	for i := range source.Spec.Egress {
		rule := &source.Spec.Egress[i]
		allowances, err := p.allowances(i, home, rule.To, rule.Ports)
		if err != nil {
			errs = append(errs, fmt.Errorf("spec.egress[%d]: %w", i, err))
		}
		p.out = append(p.out, allowances...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// directions that a policy isolates in. Without policyTypes: Ingress always, Egress if there is an egress rule. Rules
// for a direction that policyTypes leaves out have no effect.
func directions(spec *networkingv1.NetworkPolicySpec) (ingress, egress bool, err error) {
	if len(spec.PolicyTypes) == 0 {
		return true, len(spec.Egress) > 0, nil
	}
	for i, t := range spec.PolicyTypes {
		switch t {
		case networkingv1.PolicyTypeIngress:
			ingress = true
		case networkingv1.PolicyTypeEgress:
			egress = true
		default:
			return false, false, fmt.Errorf("spec.policyTypes[%d] %q is none of Ingress, Egress", i, t)
		}
	}
	return ingress, egress, nil
}

func (p *policy) allowances(rule, home int, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) ([]*allowance, error) {
	portRule, err := portRuleOf(ports)
	if err != nil {
		return nil, err
	}
	if len(peers) == 0 {
		return []*allowance{{policy: p, rule: rule, ports: portRule}}, nil
	}
	list := make([]*allowance, 0, len(peers))
	for i := range peers {
		peer, err := peerOf(&peers[i], home)
		if err != nil {
			return nil, fmt.Errorf("peer %d: %w", i, err)
		}
		list = append(list, &allowance{policy: p, rule: rule, peer: peer, ports: portRule})
	}
	return list, nil
}

func peerOf(source *networkingv1.NetworkPolicyPeer, home int) (p peer, err error) {
	p.home = home
	if source.IPBlock != nil {
		if source.PodSelector != nil || source.NamespaceSelector != nil {
			return p, errors.New("ipBlock stands alone: it cannot be combined with a selector")
		}
		p.kind = addressesIn
		p.block, err = ipBlockOf(source.IPBlock)
		return p, err
	}
	if source.PodSelector == nil && source.NamespaceSelector == nil {
		return p, errors.New("a peer must have a podSelector, a namespaceSelector or an ipBlock")
	}
	p.kind = podsHere
	if source.PodSelector != nil { // absent next to a namespaceSelector means every pod, as does empty
		if p.pods, err = selectorOf(source.PodSelector); err != nil {
			return p, fmt.Errorf("podSelector: %w", err)
		}
	}
	if source.NamespaceSelector != nil {
		p.kind = podsIn
		if p.namespaces, err = selectorOf(source.NamespaceSelector); err != nil {
			return p, fmt.Errorf("namespaceSelector: %w", err)
		}
	}
	return p, nil
}

// unrestricted is the allowance of a pod that no policy isolates.
func unrestricted() *allowance {
	return &allowance{ports: &portRule{every: true, fixed: everyPort()}}
}
