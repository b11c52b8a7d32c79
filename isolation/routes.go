package isolation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// route is what a proof reads of an HTTPRoute, a GRPCRoute or a TLSRoute.
type route struct {
	Spec struct {
		Hostnames  []string `json:"hostnames"`
		ParentRefs []struct {
			Kind        *string `json:"kind"`
			Namespace   *string `json:"namespace"`
			Name        string  `json:"name"`
			SectionName *string `json:"sectionName"`
		} `json:"parentRefs"`
	} `json:"spec"`
}

// gateway is what a proof reads of a Gateway.
type gateway struct {
	Spec struct {
		Listeners []listener `json:"listeners"`
	} `json:"spec"`
}

// listener is one of a Gateway's.
type listener struct {
	Name          string  `json:"name"`
	Hostname      *string `json:"hostname"`
	AllowedRoutes *struct {
		Namespaces *struct {
			From     *string               `json:"from"`
			Selector *metav1.LabelSelector `json:"selector"`
		} `json:"namespaces"`
	} `json:"allowedRoutes"`
}

// admits reports whether routes of a namespace attach to a listener of a Gateway in another one: of its own namespace unless it says
// otherwise. What is not understood admits.
func (l *listener) admits(from string, ns *snapshot.Namespace, of string) bool {
	if l.AllowedRoutes == nil || l.AllowedRoutes.Namespaces == nil || l.AllowedRoutes.Namespaces.From == nil {
		return from == of
	}
	switch allowed := l.AllowedRoutes.Namespaces; *allowed.From {
	case "Same":
		return from == of
	case "None":
		return false
	case "Selector":
		selector, err := metav1.LabelSelectorAsSelector(allowed.Selector)
		if err != nil || ns == nil || ns.Implied {
			return true
		}
		set := labels.Set{}
		for _, label := range ns.Labels {
			set[label.Key] = label.Value
		}
		return selector.Matches(set)
	}
	return true
}

// gateways are those that were read, by namespace and name.
func (p *proof) gateways() map[snapshot.Ref]*gateway {
	found := make(map[snapshot.Ref]*gateway, len(p.Gateways))
	for _, o := range p.Gateways {
		g := &gateway{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, g); err != nil {
			continue // a route to a Gateway that is not understood is taken to attach
		}
		found[snapshot.RefOf("Gateway", o)] = g
	}
	return found
}

// routeClaims are the hosts that routes of tenants take at the Gateways that admit them. A Gateway that was not read may admit them.
func (p *proof) routeClaims() []claim {
	if len(p.Routes) == 0 {
		return nil
	}
	gateways := p.gateways()
	var claims []claim
	for _, o := range p.Routes {
		r, tenant := &route{}, p.Owner[o.GetNamespace()]
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, r); err != nil || tenant == finding.ThePlatform {
			continue // the API server refuses it
		}
		for i := range r.Spec.ParentRefs {
			parent := &r.Spec.ParentRefs[i]
			if parent.Kind != nil && *parent.Kind != "Gateway" {
				continue
			}
			at := snapshot.Ref{Kind: "Gateway", Namespace: o.GetNamespace(), Name: parent.Name}
			if parent.Namespace != nil {
				at.Namespace = *parent.Namespace
			}
			section := ""
			if parent.SectionName != nil {
				section = *parent.SectionName
			}
			for _, host := range p.hostsAt(o, r, gateways[at], at, section) {
				claims = append(claims, claim{tenant, host, "Gateway", at.Namespace + "/" + at.Name, snapshot.RefOf(o.GetKind(), o), o.GetCreationTimestamp()})
			}
		}
	}
	return claims
}

// hostsAt are the hosts that a route takes at a Gateway: its own, or those of the listeners where it names none.
func (p *proof) hostsAt(o *unstructured.Unstructured, r *route, g *gateway, at snapshot.Ref, section string) []string {
	own := make([]string, len(r.Spec.Hostnames))
	for i, host := range r.Spec.Hostnames {
		own[i] = strings.ToLower(host)
	}
	if g == nil {
		if len(own) == 0 {
			return []string{"*"}
		}
		return own
	}
	var hosts []string
	for i := range g.Spec.Listeners {
		l := &g.Spec.Listeners[i]
		if section != "" && l.Name != section || !l.admits(o.GetNamespace(), p.Namespace(o.GetNamespace()), at.Namespace) {
			continue
		}
		if len(own) > 0 {
			return own
		}
		host := "*"
		if l.Hostname != nil {
			host = cmp.Or(strings.ToLower(*l.Hostname), "*")
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// gatewayFindings are the Gateways of tenants that routes of other tenants attach to: they answer at the addresses, and with the
// certificates, of the tenant whose Gateway it is.
func gatewayFindings(p *proof) []finding.Finding {
	var findings []finding.Finding
	gateways := p.gateways()
	for _, o := range p.Gateways {
		ref, tenant := snapshot.RefOf("Gateway", o), p.Owner[o.GetNamespace()]
		g := gateways[ref]
		if tenant == finding.ThePlatform || g == nil {
			continue
		}
		for i := range g.Spec.Listeners {
			l := &g.Spec.Listeners[i]
			at := slices.IndexFunc(p.Namespaces, func(ns *snapshot.Namespace) bool {
				other := p.Owner[ns.Name]
				return other != finding.ThePlatform && other != tenant && l.admits(ns.Name, ns, o.GetNamespace())
			})
			if at < 0 {
				continue
			}
			from := p.Namespaces[at].Name
			words := fmt.Sprintf("listener %s takes routes of namespace %s (allowedRoutes)", l.Name, from)
			findings = append(findings, finding.Finding{Code: "BH6008", Verdict: finding.Exposed, From: p.Owner[from], To: tenant,
				What: fmt.Sprintf("%s of tenant %s: %s of tenant %s", ref, tenant, words, p.Owner[from]), Witness: []finding.Step{{Object: ref, Does: words}}, Blame: []snapshot.Ref{ref}})
			break
		}
	}
	return findings
}
