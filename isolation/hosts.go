package isolation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// claim is one host that an Ingress or a route of a tenant takes.
type claim struct {
	tenant, host string
	// kind is Ingress or Gateway, and class who answers for the host: of Ingresses their class, of routes their Gateway.
	kind, class string
	object      snapshot.Ref
	created     metav1.Time
}

// hostFindings are the hosts that Ingresses or routes of two tenants take: one finding for each host and pair of tenants. All namespaces
// share the hosts of an ingress controller, and a longer path wins (Ingress, path types); so do all routes of a Gateway. A wildcard takes
// every host below it, though some controllers take one label only. Ingresses of different classes have different controllers.
func hostFindings(p *proof) []finding.Finding {
	byHost := map[string][]claim{}
	var claims []claim
	for _, ingress := range p.Ingresses {
		if tenant := p.Owner[ingress.Namespace]; tenant != "" {
			claims = append(claims, claimsOf(tenant, ingress)...)
		}
	}
	claims = append(claims, p.routeClaims()...)
	for _, c := range claims {
		byHost[c.host] = append(byHost[c.host], c)
	}
	var findings []finding.Finding
	told := map[string]bool{}
	for _, c := range claims {
		for _, wider := range widerHosts(c.host) {
			for _, other := range byHost[wider] {
				first, second := inOrder(other, c)
				key := first.tenant + "\x00" + second.tenant + "\x00" + c.host
				if first.tenant == second.tenant || told[key] || first.kind != second.kind || first.class != "" && second.class != "" && first.class != second.class {
					continue
				}
				told[key] = true
				findings = append(findings, takes(&second, &first))
			}
		}
	}
	return findings
}

func claimsOf(tenant string, ingress *networkingv1.Ingress) []claim {
	class := ingress.Annotations["kubernetes.io/ingress.class"]
	if ingress.Spec.IngressClassName != nil {
		class = *ingress.Spec.IngressClassName
	}
	var hosts []string
	if ingress.Spec.DefaultBackend != nil {
		hosts = append(hosts, "*")
	}
	for i := range ingress.Spec.Rules {
		hosts = append(hosts, cmp.Or(strings.ToLower(ingress.Spec.Rules[i].Host), "*"))
	}
	slices.Sort(hosts)
	var claims []claim
	for _, host := range slices.Compact(hosts) {
		claims = append(claims, claim{tenant, host, "Ingress", class, snapshot.RefOf("Ingress", ingress), ingress.CreationTimestamp})
	}
	return claims
}

// widerHosts are the hosts that overlap with one and are no narrower: itself, and the wildcards above it. One that takes every host
// that no other one takes (*) overlaps only with another one.
func widerHosts(host string) []string {
	hosts := []string{host}
	for rest := strings.TrimPrefix(host, "*."); ; {
		_, above, found := strings.Cut(rest, ".")
		if !found {
			return hosts
		}
		hosts, rest = append(hosts, "*."+above), above
	}
}

// inOrder returns two claims in the order in which their objects were created; of files it is that of their names.
func inOrder(a, b claim) (first, second claim) {
	order := cmp.Or(a.created.Compare(b.created.Time), cmp.Compare(a.object.Namespace, b.object.Namespace), cmp.Compare(a.object.Name, b.object.Name))
	if order > 0 {
		return b, a
	}
	return a, b
}

func takes(later, first *claim) finding.Finding {
	step := func(c *claim) finding.Step { return finding.Step{Object: c.object, Does: "takes host " + c.host} }
	who := "ingress controller"
	if later.kind != "Ingress" {
		who = "Gateway " + later.class
	}
	return finding.Finding{Code: "BH6006", Verdict: finding.Exposed, From: later.tenant, To: first.tenant,
		What:    fmt.Sprintf("%s takes host %s, and so does %s: which gets a request depends on the %s, and on the longer path", later.object, later.host, first.object, who),
		Witness: []finding.Step{step(first), step(later)}, Blame: []snapshot.Ref{later.object, first.object}}
}
