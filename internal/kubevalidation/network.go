package kubevalidation

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// networkPolicy is ValidateNetworkPolicySpec of Kubernetes' pkg/apis/networking/validation.
func networkPolicy(spec *networkingv1.NetworkPolicySpec, path *field.Path) field.ErrorList {
	faults := selector(&spec.PodSelector, path.Child("podSelector"))
	for i, rule := range spec.Ingress {
		at := path.Child("ingress").Index(i)
		faults = append(append(faults, ports(rule.Ports, at.Child("ports"))...), peers(rule.From, at.Child("from"))...)
	}
	for i, rule := range spec.Egress {
		at := path.Child("egress").Index(i)
		faults = append(append(faults, ports(rule.Ports, at.Child("ports"))...), peers(rule.To, at.Child("to"))...)
	}
	types := path.Child("policyTypes")
	if len(spec.PolicyTypes) > 2 {
		return append(faults, field.Invalid(types, spec.PolicyTypes, "may not specify more than two policyTypes"))
	}
	for i, t := range spec.PolicyTypes {
		faults = append(faults, oneOf(types.Index(i), t, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)...)
	}
	return faults
}

func ports(list []networkingv1.NetworkPolicyPort, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	for i := range list {
		p, at := &list[i], path.Index(i)
		if p.Protocol != nil {
			faults = append(faults, oneOf(at.Child("protocol"), *p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
		}
		end := at.Child("endPort")
		switch {
		case p.Port == nil:
			if p.EndPort != nil {
				faults = append(faults, field.Invalid(end, *p.EndPort, "may not be specified when `port` is not specified"))
			}
		case p.Port.Type == intstr.Int:
			faults = append(faults, invalid(at.Child("port"), p.Port.IntVal, validation.IsValidPortNum(int(p.Port.IntVal)))...)
			if p.EndPort == nil {
				continue
			}
			if *p.EndPort < p.Port.IntVal {
				faults = append(faults, field.Invalid(end, *p.EndPort, "must be greater than or equal to `port`"))
			}
			faults = append(faults, invalid(end, *p.EndPort, validation.IsValidPortNum(int(*p.EndPort)))...)
		default:
			if p.EndPort != nil {
				faults = append(faults, field.Invalid(end, *p.EndPort, "may not be specified when `port` is non-numeric"))
			}
			faults = append(faults, invalid(at.Child("port"), p.Port.StrVal, validation.IsValidPortName(p.Port.StrVal))...)
		}
	}
	return faults
}

func peers(list []networkingv1.NetworkPolicyPeer, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	for i := range list {
		p, at := &list[i], path.Index(i)
		if p.PodSelector != nil {
			faults = append(faults, selector(p.PodSelector, at.Child("podSelector"))...)
		}
		if p.NamespaceSelector != nil {
			faults = append(faults, selector(p.NamespaceSelector, at.Child("namespaceSelector"))...)
		}
		if p.IPBlock != nil {
			faults = append(faults, ipBlock(p.IPBlock, at.Child("ipBlock"))...)
		}
		switch selects := p.PodSelector != nil || p.NamespaceSelector != nil; {
		case !selects && p.IPBlock == nil:
			faults = append(faults, field.Required(at, "must specify a peer"))
		case selects && p.IPBlock != nil:
			faults = append(faults, field.Forbidden(at, "may not specify both ipBlock and another peer"))
		}
	}
	return faults
}

func ipBlock(block *networkingv1.IPBlock, path *field.Path) field.ErrorList {
	if block.CIDR == "" {
		return field.ErrorList{field.Required(path.Child("cidr"), "")}
	}
	faults := validation.IsValidCIDRForLegacyField(path.Child("cidr"), block.CIDR, true, nil)
	whole, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return faults
	}
	for i, text := range block.Except {
		at := path.Child("except").Index(i)
		faults = append(faults, validation.IsValidCIDRForLegacyField(at, text, true, nil)...)
		if part, err := netip.ParsePrefix(text); err == nil && (!whole.Contains(part.Addr()) || whole.Bits() >= part.Bits()) {
			faults = append(faults, field.Invalid(at, text, "must be a strict subset of `cidr`"))
		}
	}
	return faults
}
