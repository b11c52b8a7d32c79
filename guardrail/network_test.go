package guardrail

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

// world is a small cluster in which every pair of pods can be asked about.
type world struct {
	platform *v1alpha1.Platform
	tenants  map[string]*v1alpha1.Tenant
	spaces   []*v1alpha1.Space
}

type pod struct {
	tenant string
	space  *v1alpha1.Space
	labels map[string]string
}

// probe is a destination port: a number or, kept apart, a name.
type probe struct {
	protocol corev1.Protocol
	port     intstr.IntOrString
}

var probes = []probe{
	{"TCP", intstr.FromInt32(80)}, {"TCP", intstr.FromInt32(82)}, {"UDP", intstr.FromInt32(80)},
	{"TCP", intstr.FromString("web")}, {"TCP", intstr.FromInt32(22)},
}

func randomWorld(r *rand.Rand) *world {
	w := &world{platform: testPlatform(), tenants: map[string]*v1alpha1.Tenant{}}
	w.platform.Spec.Flows = nil
	names := []string{"x", "y", "z"}
	for _, a := range names {
		w.tenants[a] = testTenant(a)
		for _, b := range names {
			if a != b && r.IntN(3) > 0 {
				w.platform.Spec.Flows = append(w.platform.Spec.Flows, v1alpha1.TenantFlow{From: a, To: b})
			}
		}
		for _, name := range []string{"one", "two"} {
			s := testSpace(a, name, "web")
			s.Spec.Internal = []string{"Open", "Closed", ""}[r.IntN(3)]
			s.Spec.To, s.Spec.From = randomFlows(r, names), randomFlows(r, names)
			w.spaces = append(w.spaces, s)
		}
	}
	return w
}

func randomFlows(r *rand.Rand, tenants []string) []v1alpha1.Flow {
	choices := [][]v1alpha1.FlowPort{
		nil, {port(80)}, {portRange(80, 85)}, {portRange(82, 90), named("TCP", "web")}, {named("TCP", "web")},
		{{Protocol: "UDP", Port: intstr.FromInt32(80)}}, {port(22), port(80)}, {portRange(90, 80)}, {port(0), port(80)},
	}
	flows := make([]v1alpha1.Flow, r.IntN(6))
	for i := range flows {
		f := v1alpha1.Flow{Space: []string{"one", "two", "none"}[r.IntN(3)], Ports: choices[r.IntN(len(choices))]}
		if r.IntN(3) > 0 {
			f.Tenant = tenants[r.IntN(len(tenants))]
		}
		if r.IntN(3) == 0 {
			f.Pods = map[string]string{"app": []string{"a", "b", "not a label!"}[r.IntN(3)]}
		}
		flows[i] = f
	}
	return flows
}

func (w *world) input(s *v1alpha1.Space) SpaceInput {
	tenant, _ := v1alpha1.TenantOfHome(s.Namespace)
	return SpaceInput{
		Platform: w.platform, Tenant: w.tenants[tenant], Space: s, Peers: w.spaces,
		Decision: tenancy.Outcome{Pattern: tenancy.PatternSoft},
	}
}

func (w *world) pods() []pod {
	var list []pod
	for _, s := range w.spaces {
		tenant, _ := v1alpha1.TenantOfHome(s.Namespace)
		for _, app := range []string{"a", "b"} {
			list = append(list, pod{tenant, s, map[string]string{"app": app}})
		}
	}
	return list
}

// declares is the meaning of the API in the plainest words: some flow of the list names the peer, this pod and this port.
func declares(flows []v1alpha1.Flow, at, peer *pod, p probe) bool {
	return slices.ContainsFunc(flows, func(f v1alpha1.Flow) bool {
		tenant := f.Tenant
		if tenant == "" {
			tenant = at.tenant
		}
		if tenant != peer.tenant || f.Space != peer.space.Name || strings.Contains(f.Pods["app"], " ") ||
			f.Pods["app"] != "" && f.Pods["app"] != at.labels["app"] {
			return false
		}
		bad := slices.ContainsFunc(f.Ports, func(q v1alpha1.FlowPort) bool {
			return q.Port.Type == intstr.Int && (q.Port.IntVal < 1 || q.EndPort != nil && *q.EndPort < q.Port.IntVal)
		})
		return !bad && (len(f.Ports) == 0 || slices.ContainsFunc(f.Ports, func(q v1alpha1.FlowPort) bool {
			if q.Protocol != p.protocol || q.Port.Type != p.port.Type {
				return false
			}
			if q.Port.Type == intstr.String {
				return q.Port.StrVal == p.port.StrVal
			}
			last := q.Port.IntVal
			if q.EndPort != nil {
				last = *q.EndPort
			}
			return q.Port.IntVal <= p.port.IntVal && p.port.IntVal <= last
		}))
	})
}

func (w *world) wanted(from, to *pod, p probe) bool {
	if from.space == to.space && from.space.Spec.Internal != "Closed" {
		return true
	}
	if !declares(from.space.Spec.To, from, to, p) {
		return false
	}
	return from.tenant == to.tenant || declares(to.space.Spec.From, to, from, p) &&
		slices.Contains(w.platform.Spec.Flows, v1alpha1.TenantFlow{From: from.tenant, To: to.tenant})
}

// evaluate NetworkPolicies as their documentation says: what some policy that selects the pod allows.
func evaluate(policies []*networkingv1.NetworkPolicy, direction networkingv1.PolicyType, at, peer *pod, p probe) bool {
	for _, policy := range policies {
		if !selects(&policy.Spec.PodSelector, at.labels) || !slices.Contains(policy.Spec.PolicyTypes, direction) {
			continue
		}
		if direction == networkingv1.PolicyTypeEgress {
			for _, rule := range policy.Spec.Egress {
				if matchesPeer(rule.To, policy.Namespace, peer) && matchesPort(rule.Ports, p) {
					return true
				}
			}
			continue
		}
		for _, rule := range policy.Spec.Ingress {
			if matchesPeer(rule.From, policy.Namespace, peer) && matchesPort(rule.Ports, p) {
				return true
			}
		}
	}
	return false
}

func selects(s *metav1.LabelSelector, set map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		panic(err)
	}
	return selector.Matches(labels.Set(set))
}

func matchesPeer(peers []networkingv1.NetworkPolicyPeer, own string, p *pod) bool {
	namespace := v1alpha1.SpaceNamespace(p.tenant, p.space.Name)
	if len(peers) == 0 {
		return true
	}
	return slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		switch {
		case peer.IPBlock != nil:
			return false
		case peer.NamespaceSelector == nil && own != namespace:
			return false
		case peer.NamespaceSelector != nil && !selects(peer.NamespaceSelector,
			map[string]string{"kubernetes.io/metadata.name": namespace, v1alpha1.LabelTenant: p.tenant}):
			return false
		}
		return peer.PodSelector == nil || selects(peer.PodSelector, p.labels)
	})
}

func matchesPort(list []networkingv1.NetworkPolicyPort, p probe) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(q networkingv1.NetworkPolicyPort) bool {
		if *q.Protocol != p.protocol {
			return false
		}
		if q.EndPort != nil {
			return p.port.Type == intstr.Int && q.Port.IntVal <= p.port.IntVal && p.port.IntVal <= *q.EndPort
		}
		return *q.Port == p.port
	})
}

func policiesOf(objects []Object) []*networkingv1.NetworkPolicy {
	var list []*networkingv1.NetworkPolicy
	for _, o := range objects {
		if p, ok := o.(*networkingv1.NetworkPolicy); ok {
			list = append(list, p)
		}
	}
	return list
}

// Promise: over random Spaces of three tenants, each side's rendered policies by themselves open exactly what is
// declared: by the source within a tenant; across tenants by both sides and the Platform, for the ports of both.
func TestFlowsOpenWhatIsDeclared(t *testing.T) {
	opened := 0
	for seed := range uint64(60) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 1)))
		policies := map[*v1alpha1.Space][]*networkingv1.NetworkPolicy{}
		for _, s := range w.spaces {
			objects, _ := Space(w.input(s))
			policies[s] = policiesOf(objects)
		}
		pods := w.pods()
		for i := range pods {
			for j := range pods {
				for _, p := range probes {
					from, to := &pods[i], &pods[j]
					want := w.wanted(from, to, p)
					out := evaluate(policies[from.space], networkingv1.PolicyTypeEgress, from, to, p)
					in := evaluate(policies[to.space], networkingv1.PolicyTypeIngress, to, from, p)
					if out != want || in != want {
						t.Fatalf("seed %d: %s/%s %v -> %s/%s %v %v: egress %v, ingress %v, declared %v", seed, from.tenant,
							from.space.Name, from.labels, to.tenant, to.space.Name, to.labels, p, out, in, want)
					}
					if want && from.tenant != to.tenant {
						opened++
					}
				}
			}
		}
	}
	if opened == 0 {
		t.Error("no flow across tenants was ever open: the test shows nothing")
	}
}

// Promise: a flow is reported as closed exactly when some port that it names is closed, for pods that it names.
func TestClosedFlowsAreReported(t *testing.T) {
	reported := 0
	for seed := range uint64(100) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 2)))
		for _, s := range w.spaces {
			in := w.input(s)
			_, closed := Space(in)
			fields := map[string]string{}
			for _, c := range closed {
				fields[c.Field] = c.Why
			}
			reported += len(closed)
			tenant := in.Tenant.Name
			for i, f := range s.Spec.To {
				at := &pod{tenant, s, map[string]string{"app": "a"}}
				if f.Pods != nil {
					at.labels = f.Pods
				}
				open := true
				for _, p := range probes {
					single := []v1alpha1.Flow{f}
					names := func(peer *pod) bool { return declares(single, at, peer, p) }
					for _, peer := range w.pods() {
						if names(&peer) && tenant != peer.tenant && !(slices.Contains(w.platform.Spec.Flows,
							v1alpha1.TenantFlow{From: tenant, To: peer.tenant}) && (declares(peer.space.Spec.From,
							&pod{peer.tenant, peer.space, map[string]string{"app": "a"}}, at, p) || declares(peer.space.Spec.From,
							&pod{peer.tenant, peer.space, map[string]string{"app": "b"}}, at, p))) {
							open = false
						}
					}
				}
				why, said := fields[fmt.Sprintf("spec.to[%d]", i)]
				if !open && !said {
					t.Fatalf("seed %d: %s/%s spec.to[%d] %+v is closed in part and nobody says so", seed, tenant, s.Name, i, f)
				}
				if said && (why == "" || strings.Contains(why, "%!")) {
					t.Fatalf("no good reason: %q", why)
				}
			}
		}
	}
	if reported == 0 {
		t.Error("nothing was ever closed: the test shows nothing")
	}
}

// Promise: whether a foreign Space exists cannot be learned by naming it.
func TestClosedFlowDoesNotTellOfForeignSpaces(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		var answers []string
		for _, exists := range []bool{true, false} {
			in := plainSpace()
			if !allowed {
				in.Platform.Spec.Flows = nil
			}
			in.Space.Spec.To = []v1alpha1.Flow{{Tenant: "payments", Space: "secret", Ports: []v1alpha1.FlowPort{port(1)}}}
			if exists {
				in.Peers = []*v1alpha1.Space{testSpace("payments", "secret", "web")}
			}
			_, closed := Space(in)
			if len(closed) != 1 {
				t.Fatalf("closed %v", closed)
			}
			answers = append(answers, closed[0].Why)
		}
		if answers[0] != answers[1] {
			t.Errorf("existing: %q, missing: %q", answers[0], answers[1])
		}
	}
}
