package network

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// cnp writes a ClusterNetworkPolicy for every pod; anp and banp its elder siblings.
func cnp(name, tier string, priority int, rules string) string {
	return fmt.Sprintf("{kind: ClusterNetworkPolicy, metadata: {name: %s}, spec: {tier: %s, priority: %d, subject: {namespaces: {}}, %s}}\n---\n", name, tier, priority, rules)
}

func anp(name string, priority int, rules string) string {
	return fmt.Sprintf("{kind: AdminNetworkPolicy, metadata: {name: %s}, spec: {priority: %d, subject: {namespaces: {}}, %s}}\n---\n", name, priority, rules)
}

func banp(rules string) string {
	return fmt.Sprintf("{kind: BaselineAdminNetworkPolicy, metadata: {name: default}, spec: {subject: {namespaces: {}}, %s}}\n---\n", rules)
}

const (
	denyIn     = "ingress: [{action: Deny, from: [{namespaces: {}}]}]"
	denyOut    = "egress: [{action: Deny, to: [{namespaces: {}}]}]"
	allowFromA = "ingress: [{action: Allow, from: [{namespaces: {matchLabels: {team: a}}}]}]"
	npFromA    = "{metadata: {namespace: b, name: np}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}}], ports: [{port: 80}]}]}}\n---\n"
)

var tierCases = []struct {
	promise, policies string
	verdict           PairVerdict
	ports             string // of a to b
}{
	{"an Admin Deny is final, whatever NetworkPolicies allow", cnp("p", "Admin", 5, denyIn) + npFromA, NoConnection, "No Connections"},
	{"one Deny is enough, on the source's side too", anp("p", 5, denyOut), NoConnection, "No Connections"},
	{"an Admin Allow is final, whatever NetworkPolicies deny", anp("p", 5, allowFromA) + strings.Split(closed, "---")[1] + "---\n", Exceeding, "All Connections"},
	{"Accept is the newer word for Allow", cnp("p", "Admin", 5, strings.ReplaceAll(allowFromA, "Allow", "Accept")) + strings.Split(closed, "---")[1] + "---\n", Exceeding, "All Connections"},
	{"an Allow on one side does not open the other", anp("p", 5, allowFromA) + closed, NoConnection, "No Connections"},
	{"a Pass leaves it to NetworkPolicies, past later Denies", anp("p", 5, "ingress: [{action: Pass, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {}}]}]") + npFromA, Exceeding, "TCP 80"},
	{"the lower number comes first", anp("z", 1, allowFromA) + anp("a", 2, denyIn), Exceeding, "All Connections"},
	{"the lower number comes first, whatever the name", anp("z", 2, allowFromA) + anp("a", 1, denyIn), NoConnection, "No Connections"},
	{"the first rule of a policy comes first", anp("p", 1, "ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}]}, {action: Allow, from: [{namespaces: {}}], ports: [{portRange: {protocol: TCP, start: 79, end: 81}}]}, {action: Deny, from: [{namespaces: {}}]}]"), Exceeding, "TCP 79,81"},
	{"the same priority twice may be either, so it is not known", anp("x", 1, allowFromA) + anp("y", 1, denyIn), PairUnknown, "No Connections"},
	{"the same priority twice matters not where both agree", anp("x", 1, denyIn) + anp("y", 1, denyIn), NoConnection, "No Connections"},
	{"Baseline decides where no NetworkPolicy isolates", banp(denyIn), NoConnection, "No Connections"},
	{"Baseline of the newer API too", cnp("p", "Baseline", 5, denyIn), NoConnection, "No Connections"},
	{"NetworkPolicies come before Baseline", banp(denyIn) + npFromA, Exceeding, "TCP 80"},
	{"a Pass in the Admin tier skips NetworkPolicies only where none isolates", anp("p", 5, "ingress: [{action: Pass, from: [{namespaces: {}}]}]") + banp(denyIn), NoConnection, "No Connections"},
	{"what nothing decides is allowed", banp("ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: c}}}]}]"), Exceeding, "All Connections"},
	{"a named port is the destination's, of any protocol", anp("p", 5, "ingress: [{action: Allow, from: [{namespaces: {}}], ports: [{namedPort: web}]}, {action: Deny, from: [{namespaces: {}}]}]"), Exceeding, "TCP 80,UDP 81"},
	{"networks hold pods too", anp("p", 5, "egress: [{action: Deny, to: [{networks: [10.0.0.0/24]}]}]"), NoConnection, "No Connections"},
	{"networks of another range do not", anp("p", 5, "egress: [{action: Deny, to: [{networks: [10.0.1.0/24]}]}]"), Exceeding, "All Connections"},
	{"nodes are addresses", anp("p", 5, "egress: [{action: Deny, to: [{nodes: {matchLabels: {role: odd}}}]}]") + "{kind: Node, metadata: {name: n, labels: {role: odd}}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}\n---\n", NoConnection, "No Connections"},
	{"where a domain name leads is not known", anp("p", 5, "egress: [{action: Allow, to: [{domainNames: [example.com]}]}, {action: Deny, to: [{namespaces: {}}]}]"), PairUnknown, "No Connections"},
	{"of two APIs in one cluster either may be applied", anp("x", 1, allowFromA) + cnp("y", "Admin", 2, denyIn), PairUnknown, "No Connections"},
}

func TestTiers(t *testing.T) {
	pods := []string{"a/x ip=10.0.0.1", "b/y ip=10.0.0.2 port=web/80/TCP port=web/81/UDP"}
	for _, c := range tierCases {
		pair := pairOf(t, build(t, pods, c.policies), "a", "b")
		if pair.Verdict != c.verdict || pair.Excess.String() != c.ports {
			t.Errorf("%s: %s %s because of %v, want %s %s", c.promise, pair.Verdict, pair.Excess, pair.Doubts, c.verdict, c.ports)
		}
		if (pair.Verdict == PairUnknown) != (len(pair.Doubts) > 0) {
			t.Errorf("%s: %s with doubts %v", c.promise, pair.Verdict, pair.Doubts)
		}
	}
}

func TestHostNetworkPodsAreOutsideTheTiersButForTheirAddress(t *testing.T) {
	pods := []string{"a/x host node=1 ip=192.0.2.1", "b/y node=2 ip=10.0.0.2"}
	for policies, want := range map[string]PairVerdict{
		anp("p", 1, denyOut): Exceeding,
		anp("p", 1, denyIn):  Exceeding,
		anp("p", 1, "egress: [{action: Deny, to: [{networks: [192.0.2.0/24]}]}]"): NoConnection,
	} {
		s := build(t, pods, policies)
		from, to := "a", "b"
		if want == NoConnection {
			from, to = "b", "a"
		}
		if pair := pairOf(t, s, from, to); pair.Verdict != want {
			t.Errorf("%s: %s, want %s", policies, pair.Verdict, want)
		}
	}
}

// TestAnAdminPolicyThatTheAPIServerWouldRefuseLeavesADoubtAboutEverybody, and so does one of a newer version.
func TestAnAdminPolicyThatTheAPIServerWouldRefuseLeavesADoubtAboutEverybody(t *testing.T) {
	for policy, why := range map[string]string{
		anp("p", 1001, denyIn):                                                              "not within 0 to 1000",
		anp("p", 1, "ingress: [{action: Allow, from: []}]"):                                 "needs a peer",
		anp("p", 1, "ingress: [{action: Maybe, from: [{namespaces: {}}]}]"):                 "none of Allow",
		anp("p", 1, "egress: [{action: Deny, to: [{networks: [x]}]}]"):                      "is not a range",
		cnp("p", "Other", 1, denyIn):                                                        "none of Admin, Baseline",
		anp("p", 1, "ingress: [{action: Deny, from: [{}]}]"):                                "of a newer version",
		anp("p", 1, "ingress: [{action: Deny, from: [{namespaces: {}}], ports: []}]"):       "needs one",
		strings.Replace(banp(denyIn), "name: default", "name: other", 1):                    "must be default",
		strings.Replace(anp("p", 1, denyIn), "{namespaces: {}}, ingress", "{}, ingress", 1): "needs namespaces or pods",
	} {
		pair := pairOf(t, build(t, twoPods, closed+policy), "a", "b")
		if doubts := strings.Join(pair.Doubts, "; "); pair.Verdict != PairUnknown || !strings.Contains(doubts, why) {
			t.Errorf("%s: %s because of %q, want Unknown because of %q", policy, pair.Verdict, doubts, why)
		}
	}
}

func TestNodesThatNobodyListedAreADoubtWhereAPolicyNamesNodes(t *testing.T) {
	byNode := anp("p", 1, "egress: [{action: Allow, to: [{nodes: {}}]}]")
	for policies, want := range map[string]PairVerdict{closed: NoConnection, closed + byNode: PairUnknown} {
		s := *build(t, twoPods, policies)
		s.Missing = []snapshot.Missing{{Kind: "Node", Why: "forbidden"}}
		if pair := pairOf(t, &s, "a", "b"); pair.Verdict != want {
			t.Errorf("%s: %s, want %s", policies, pair.Verdict, want)
		}
	}
}

func TestTheWitnessNamesTheAdminPolicyThatOverrules(t *testing.T) {
	pair := pairOf(t, build(t, twoPods, anp("hole", 1, allowFromA)+strings.Split(closed, "---")[1]), "a", "b")
	if pair.Witness == nil || len(pair.Witness.Ingress) != 1 || pair.Witness.Ingress[0].Name != "hole" || pair.Witness.Ingress[0].Kind != "AdminNetworkPolicy" {
		t.Errorf("witness %+v", pair.Witness)
	}
}
