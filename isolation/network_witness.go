package isolation

import (
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Pair is the verdict on an ordered pair of tenants, with what it rests on.
type Pair struct {
	From, To string
	Verdict  Verdict
	// Declared connections that are open, and Excess beyond them.
	Declared, Excess Ports
	// Possible connections beyond the declared ones, which hang on addresses or nodes of pods that are not known.
	Possible Ports
	// Witness of the excess, or else of what is possible; nil if there is neither.
	Witness *Witness
	// Doubts say what is missing for a verdict, or would be if it were not Exceeding.
	Doubts []string
}

// Witness is one connection that exceeds: who reaches whom, and what lets it through on each side.
type Witness struct {
	// From and To are workloads, as namespace/name[Kind]; FromPod and ToPod one pod of each, as namespace/name.
	From, To       string
	FromPod, ToPod string
	Ports          Ports
	// Egress and Ingress are the causes on the side of the source and of the destination, in order. Closing either side
	// ends the connection.
	Egress, Ingress []Cause
}

// Cause is an object that lets a connection through.
type Cause struct {
	// Kind, Namespace and Name of the object: a NetworkPolicy, the Namespace that lacks one, or the host-network Pod.
	Kind, Namespace, Name string
	// Rule of the policy, from 0; -1 otherwise.
	Rule int
	// Why it lets the connection through.
	Why string
}

func (p *TenantPairs) pair(from, to int) Pair {
	pair := Pair{From: p.r.tenants[from].name, To: p.r.tenants[to].name, Verdict: NoConnection}
	pair.Doubts = append(pair.Doubts, p.everyone...)
	pair.Doubts = append(append(pair.Doubts, p.byTenant[from]...), p.byTenant[to]...)
	if p.r.maybe.has(from, to) {
		p.connect(&pair, from, to)
	}
	switch {
	case !pair.Excess.Empty():
		pair.Verdict = Exceeding
	case len(pair.Doubts) > 0:
		pair.Verdict = Unknown
	case !pair.Declared.Empty():
		pair.Verdict = DeclaredOnly
	}
	return pair
}

// connect fills in every connection of the pair.
func (p *TenantPairs) connect(pair *Pair, from, to int) {
	flows := p.flows[[2]int{from, to}]
	var possible *Witness
	for _, a := range p.r.tenants[from].spaces {
		for _, b := range p.r.tenants[to].spaces {
			source, target := p.r.spaces[a], p.r.spaces[b]
			for _, c := range source.classes {
				for _, d := range target.classes {
					s, t := end{source, c}, end{target, d}
					approved := declared(flows, s, t)
					all := between(s, t, true)
					sure := between(s, t, false)
					pair.Declared = pair.Declared.union(sure.intersect(approved))
					if excess := sure.minus(approved); !excess.Empty() {
						pair.Excess = pair.Excess.union(excess)
						if pair.Witness == nil {
							pair.Witness = witnessOf(s, t, approved, excess, false)
						}
					}
					if beyond := all.minus(sure).minus(approved); !beyond.Empty() {
						pair.Possible = pair.Possible.union(beyond)
						if possible == nil {
							possible = witnessOf(s, t, approved, beyond, true)
						}
					}
				}
			}
			p.connectOnNodes(pair, source, target, flows, &possible)
		}
	}
	pair.Possible = pair.Possible.minus(pair.Excess)
	if !pair.Possible.Empty() {
		pair.Doubts = append(pair.Doubts, fmt.Sprintf("%s from %s to %s hangs on addresses or nodes of pods that are not known",
			possible.Ports, possible.From, possible.To))
	}
	if pair.Witness == nil {
		pair.Witness = possible
	}
}

// connectOnNodes adds what host-network pods reach, and are reached by, on their own node.
func (p *TenantPairs) connectOnNodes(pair *Pair, source, target *space, flows []flow, possible **Witness) {
	if len(source.hostNodes) == 0 && len(target.hostNodes) == 0 {
		return
	}
	for i, a := range source.pods {
		for j, b := range target.pods {
			sure, maybe := nodeLink([]*snapshot.Pod{a}, []*snapshot.Pod{b})
			if !maybe {
				continue
			}
			approved := declared(flows, end{source, source.classes[source.classOf[i]]}, end{target, target.classes[target.classOf[j]]})
			excess := everyPort().minus(approved)
			w := nodeWitness(source, target, a, b, excess)
			switch {
			case sure:
				pair.Declared = pair.Declared.union(approved)
				if pair.Excess = pair.Excess.union(excess); pair.Witness == nil && !excess.Empty() {
					pair.Witness = w
				}
			case !excess.Empty():
				if pair.Possible = pair.Possible.union(excess); *possible == nil {
					*possible = w
				}
			}
		}
	}
}

func nodeWitness(source, target *space, a, b *snapshot.Pod, ports Ports) *Witness {
	host := a
	if !a.HostNetwork {
		host = b
	}
	cause := []Cause{{Kind: "Pod", Namespace: host.Namespace, Name: host.Name, Rule: -1,
		Why: "it uses its node's network, and a node and its pods always reach each other"}}
	return &Witness{From: workloadName(source, a.Workload()), To: workloadName(target, b.Workload()),
		FromPod: a.Namespace + "/" + a.Name, ToPod: b.Namespace + "/" + b.Name, Ports: ports, Egress: cause, Ingress: cause}
}

func witnessOf(from, to end, approved, ports Ports, loose bool) *Witness {
	a, b := from.class.first, to.class.first
	w := &Witness{From: workloadName(from.space, a.Workload()), To: workloadName(to.space, b.Workload()),
		FromPod: a.Namespace + "/" + a.Name, ToPod: b.Namespace + "/" + b.Name, Ports: ports}
	for _, out := range from.class.out {
		for _, in := range to.class.in {
			if !out.peer.holds(to.space, to.class, loose) || !in.peer.holds(from.space, from.class, loose) ||
				!together(&out.peer, &in.peer, from.class.families, to.class.families) ||
				overlap(out, in, to.class.ports).minus(approved).Empty() {
				continue
			}
			w.Egress = addCause(w.Egress, causeOf(out, from, "egress"))
			w.Ingress = addCause(w.Ingress, causeOf(in, to, "ingress"))
		}
	}
	return w
}

func addCause(causes []Cause, c Cause) []Cause {
	if slices.Contains(causes, c) {
		return causes
	}
	return append(causes, c)
}

func causeOf(a *allowance, side end, direction string) Cause {
	pod := side.class.first
	switch {
	case a.policy != nil:
		return Cause{Kind: "NetworkPolicy", Namespace: a.policy.source.Namespace, Name: a.policy.source.Name, Rule: a.rule,
			Why: fmt.Sprintf("its %s rule %d allows it", direction, a.rule)}
	case side.class.host:
		return Cause{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, Rule: -1, Why: "it uses its node's network, which policies do not isolate"}
	default:
		return Cause{Kind: "Namespace", Name: side.space.source.Name, Rule: -1,
			Why: fmt.Sprintf("no policy isolates pod %s for %s", pod.Name, direction)}
	}
}
