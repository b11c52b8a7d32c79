package network

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	adminv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// build makes a snapshot of pods, written "namespace/name key=value ip=... port=name/80/TCP node=n host phase=p", of
// policies in YAML, and of namespaces with the label team=NAME. Tenants are the namespaces.
func build(t *testing.T, pods []string, policies string) *snapshot.Snapshot {
	t.Helper()
	s := snapshot.Snapshot{Revision: "7", Time: time.Unix(1, 0)}
	for _, text := range pods {
		p := podFrom(t, text)
		s.Pods = append(s.Pods, p)
		if !slices.ContainsFunc(s.Namespaces, func(n *snapshot.Namespace) bool { return n.Name == p.Namespace }) {
			s.Namespaces = append(s.Namespaces, &snapshot.Namespace{Name: p.Namespace, Labels: snapshot.LabelsOf(map[string]string{"team": p.Namespace})})
			s.Tenants = append(s.Tenants, snapshot.Tenant{Name: p.Namespace, Namespaces: []string{p.Namespace}})
		}
	}
	for _, document := range strings.Split(policies, "---") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		addPolicy(t, &s, document)
	}
	result, err := snapshot.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// addPolicy adds a policy, of NetworkPolicy if it does not say its kind.
func addPolicy(t *testing.T, s *snapshot.Snapshot, document string) {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		t.Fatal(err)
	}
	read := func(policy any) {
		if err := yaml.UnmarshalStrict([]byte(document), policy); err != nil {
			t.Fatal(err)
		}
	}
	switch kind.Kind {
	case "AdminNetworkPolicy":
		s.AdminNetworkPolicies = append(s.AdminNetworkPolicies, &adminv1alpha1.AdminNetworkPolicy{})
		read(s.AdminNetworkPolicies[len(s.AdminNetworkPolicies)-1])
	case "BaselineAdminNetworkPolicy":
		s.BaselineAdminNetworkPolicies = append(s.BaselineAdminNetworkPolicies, &adminv1alpha1.BaselineAdminNetworkPolicy{})
		read(s.BaselineAdminNetworkPolicies[len(s.BaselineAdminNetworkPolicies)-1])
	case "ClusterNetworkPolicy":
		s.ClusterNetworkPolicies = append(s.ClusterNetworkPolicies, &adminv1alpha2.ClusterNetworkPolicy{})
		read(s.ClusterNetworkPolicies[len(s.ClusterNetworkPolicies)-1])
	case "Node":
		s.Nodes = append(s.Nodes, &corev1.Node{})
		read(s.Nodes[len(s.Nodes)-1])
	default:
		s.NetworkPolicies = append(s.NetworkPolicies, &networkingv1.NetworkPolicy{})
		read(s.NetworkPolicies[len(s.NetworkPolicies)-1])
	}
}

func podFrom(t *testing.T, text string) *snapshot.Pod {
	t.Helper()
	words := strings.Fields(text)
	namespace, name, _ := strings.Cut(words[0], "/")
	p := &snapshot.Pod{Namespace: namespace, Name: name, Node: "n-" + name, Phase: corev1.PodRunning}
	labels := map[string]string{}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "ip":
			p.IPs = append(p.IPs, netip.MustParseAddr(value))
		case "node":
			p.Node = value
		case "host":
			p.HostNetwork = true
		case "phase":
			p.Phase = corev1.PodPhase(value)
		case "owner":
			kind, owner, _ := strings.Cut(value, "/")
			p.Owner = snapshot.Owner{Kind: kind, Name: owner}
		case "port":
			parts := strings.Split(value, "/")
			port := map[string]uint16{"80": 80, "81": 81, "53": 53}[parts[1]]
			p.Ports = append(p.Ports, snapshot.NamedPort{Name: parts[0], Port: port, Protocol: corev1.Protocol(parts[2])})
		default:
			labels[key] = value
		}
	}
	p.Labels = snapshot.LabelsOf(labels)
	return p
}

const closeB = "{metadata: {namespace: b, name: close}, spec: {podSelector: {}, policyTypes: [Ingress]}}\n---\n"

var twoPods = []string{"a/x app=x", "b/y app=y"}

// semantics has one case for every corner of the API, named by its promise. want lists the connections between pods,
// and with addresses outside if asked for by world.
var semantics = []struct {
	promise  string
	pods     []string
	policies string
	world    bool
	want     string
}{
	{"without policies everyone reaches everyone, and the world", twoPods, "", true, `
0.0.0.0-255.255.255.255 => a/x[Pod] : All Connections
0.0.0.0-255.255.255.255 => b/y[Pod] : All Connections
a/x[Pod] => 0.0.0.0-255.255.255.255 : All Connections
a/x[Pod] => b/y[Pod] : All Connections
b/y[Pod] => 0.0.0.0-255.255.255.255 : All Connections
b/y[Pod] => a/x[Pod] : All Connections`},
	{"a policy without rules isolates", twoPods, closeB, true, `
0.0.0.0-255.255.255.255 => a/x[Pod] : All Connections
a/x[Pod] => 0.0.0.0-255.255.255.255 : All Connections
b/y[Pod] => 0.0.0.0-255.255.255.255 : All Connections
b/y[Pod] => a/x[Pod] : All Connections`},
	{"policyTypes left out with no egress rule isolates for ingress alone", twoPods,
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}}}", false, "b/y[Pod] => a/x[Pod] : All Connections"},
	{"policyTypes left out with an egress rule isolates both ways", twoPods,
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, egress: [{to: [{podSelector: {}}]}]}}", false, ""},
	{"policyTypes Egress does not isolate for ingress", twoPods,
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Egress]}}", false, "a/x[Pod] => b/y[Pod] : All Connections"},
	{"rules of a direction that policyTypes leaves out have no effect", twoPods,
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Egress], ingress: [{}], egress: [{}]}}", false,
		"b/y[Pod] => a/x[Pod] : All Connections"},
	{"a podSelector that matches no pod isolates none", twoPods,
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {matchLabels: {app: other}}}}", false,
		"a/x[Pod] => b/y[Pod] : All Connections\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"policies add up", twoPods,
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}}", false,
		"a/x[Pod] => b/y[Pod] : All Connections\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"a connection needs both sides", twoPods,
		closeB + "{metadata: {namespace: a, name: q}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 80}, {port: 81}]}]}}\n---\n" +
			"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{ports: [{port: 81}, {port: 82}]}]}}", false,
		"a/x[Pod] => b/y[Pod] : TCP 81\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"a rule without peers means everyone", twoPods,
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}}", true, `
0.0.0.0-255.255.255.255 => a/x[Pod] : All Connections
0.0.0.0-255.255.255.255 => b/y[Pod] : TCP 80
a/x[Pod] => 0.0.0.0-255.255.255.255 : All Connections
a/x[Pod] => b/y[Pod] : TCP 80
b/y[Pod] => 0.0.0.0-255.255.255.255 : All Connections
b/y[Pod] => a/x[Pod] : All Connections`},
	{"an empty list of peers means everyone too", twoPods,
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [], ports: [{port: 80}]}]}}", false,
		"a/x[Pod] => b/y[Pod] : TCP 80\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"a podSelector alone means pods of the policy's namespace", []string{"a/x app=x", "b/x app=x", "b/y app=db"},
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: x}}}]}]}}", false,
		"b/x[Pod] => a/x[Pod] : All Connections\nb/x[Pod] => b/y[Pod] : All Connections\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"an empty podSelector alone means the policy's namespace, not the world", []string{"a/x", "b/x", "b/y"},
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}}", false,
		"b/x[Pod] => a/x[Pod] : All Connections\nb/x[Pod] => b/y[Pod] : All Connections\nb/y[Pod] => a/x[Pod] : All Connections\nb/y[Pod] => b/x[Pod] : All Connections"},
	{"a namespaceSelector alone means every pod of the namespaces, and none outside", []string{"a/x", "b/y", "c/z"},
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}}]}]}}\n---\n" +
			"{metadata: {namespace: a, name: q}, spec: {podSelector: {}}}\n---\n{metadata: {namespace: c, name: q}, spec: {podSelector: {}}}", true, `
a/x[Pod] => 0.0.0.0-255.255.255.255 : All Connections
a/x[Pod] => b/y[Pod] : All Connections
b/y[Pod] => 0.0.0.0-255.255.255.255 : All Connections
c/z[Pod] => 0.0.0.0-255.255.255.255 : All Connections`},
	{"both selectors in one peer must both match; in two peers either", []string{"a/x app=x", "a/y app=y", "c/x app=x", "b/t app=t"},
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: x}}}], ports: [{port: 80}]}, " +
			"{from: [{namespaceSelector: {matchLabels: {team: a}}}, {podSelector: {matchLabels: {app: x}}}], ports: [{port: 81}]}]}}\n---\n" +
			"{metadata: {namespace: a, name: q}, spec: {podSelector: {}}}\n---\n{metadata: {namespace: c, name: q}, spec: {podSelector: {}}}", false,
		"a/x[Pod] => b/t[Pod] : TCP 80-81\na/y[Pod] => b/t[Pod] : TCP 81"},
	{"the name of a namespace is its label kubernetes.io/metadata.name", []string{"a/x", "b/y", "c/z"},
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: c}}}]}]}}\n---\n" +
			"{metadata: {namespace: a, name: q}, spec: {podSelector: {}}}\n---\n{metadata: {namespace: c, name: q}, spec: {podSelector: {}}}", false,
		"c/z[Pod] => b/y[Pod] : All Connections"},
	{"NotIn and DoesNotExist match where the label is absent", []string{"a/x app=x", "a/n", "b/y"},
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [x]}]}}], ports: [{port: 1}]}, " +
			"{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}], ports: [{port: 2}]}, " +
			"{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: Exists}]}}], ports: [{port: 3}]}]}}\n---\n" +
			"{metadata: {namespace: a, name: q}, spec: {podSelector: {}}}", false,
		"a/n[Pod] => b/y[Pod] : TCP 1-2\na/x[Pod] => b/y[Pod] : TCP 3"},
	{"no protocol means TCP; a protocol without a port means every port of it", twoPods,
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{ports: [{port: 80}, {protocol: UDP}]}]}}", false,
		"a/x[Pod] => b/y[Pod] : TCP 80,UDP 1-65535\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"an empty port is every TCP port, and no ports is everything", twoPods,
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{ports: [{}]}]}}\n---\n" +
			"{metadata: {namespace: a, name: p}, spec: {podSelector: {}, ingress: [{ports: []}]}}", false,
		"a/x[Pod] => b/y[Pod] : TCP 1-65535\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"endPort is included, ranges that touch are one, SCTP counts", twoPods,
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8100}, {port: 8101}, {port: 443}, {protocol: SCTP, port: 7}]}]}}", false,
		"a/x[Pod] => b/y[Pod] : SCTP 7,TCP 443,8000-8101\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"every port of all three protocols, one by one, is All Connections", twoPods,
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{ports: [{protocol: SCTP}, {protocol: UDP, port: 1, endPort: 65535}, {}]}]}}", false,
		"a/x[Pod] => b/y[Pod] : All Connections\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"a port by name is each destination's own, of its protocol, and nothing where the name is not declared",
		[]string{"a/x", "b/one port=web/80/TCP", "b/two port=web/81/TCP", "b/udp port=web/53/UDP", "b/none"},
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: web}]}]}}", false,
		"a/x[Pod] => b/one[Pod] : TCP 80\na/x[Pod] => b/two[Pod] : TCP 81"},
	{"a port by name in an egress rule is the destination's, and nothing outside", []string{"a/x port=web/81/TCP", "b/y port=web/80/TCP"},
		"{metadata: {namespace: a, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], egress: [{ports: [{port: web}]}]}}\n---\n" +
			"{metadata: {namespace: b, name: q}, spec: {podSelector: {}, policyTypes: [Egress]}}", true, `
0.0.0.0-255.255.255.255 => b/y[Pod] : All Connections
a/x[Pod] => b/y[Pod] : TCP 80`},
	{"pods alike but for the names of their ports are told apart", []string{"a/x", "b/y port=web/80/TCP", "b/z port=dns/80/TCP"},
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: web}]}]}}", false,
		"a/x[Pod] => b/y[Pod] : TCP 80"},
	{"a name that two containers declare is both ports", []string{"a/x", "b/y port=web/80/TCP port=web/81/TCP"},
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: web}]}]}}", false,
		"a/x[Pod] => b/y[Pod] : TCP 80-81"},
	{"ipBlocks are split exactly, exceptions left out", []string{"b/y"},
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 443}]}]}}", true, `
b/y[Pod] => 10.0.0.0-10.0.255.255 : TCP 443
b/y[Pod] => 10.2.0.0-10.255.255.255 : TCP 443`},
	{"the world is cut where blocks begin and end", []string{"a/x", "b/y"},
		closeB + "{metadata: {namespace: a, name: q}, spec: {podSelector: {}, policyTypes: [Egress]}}\n---\n" +
			"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}}", true, `
0.0.0.0-192.0.1.255 => a/x[Pod] : All Connections
192.0.2.0-192.0.2.255 => a/x[Pod] : All Connections
192.0.2.0-192.0.2.255 => b/y[Pod] : All Connections
192.0.3.0-255.255.255.255 => a/x[Pod] : All Connections`},
	{"the IPv6 world is listed once something is IPv6", []string{"b/y"},
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], egress: [{to: [{ipBlock: {cidr: '2001:db8::/32'}}]}]}}", true, `
b/y[Pod] => 2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff : All Connections`},
	{"an ipBlock includes pods whose address lies in it", []string{"a/in ip=10.0.0.5", "a/out ip=10.0.1.5", "b/y ip=10.9.0.1"},
		closeB + "{metadata: {namespace: a, name: q}, spec: {podSelector: {}}}\n---\n" +
			"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/16, except: [10.0.1.0/24]}}]}]}}", false,
		"a/in[Pod] => b/y[Pod] : All Connections"},
	{"blocks of two IP families do not add up to one connection", []string{"a/x ip=10.0.0.1 ip=fd00::1", "b/y ip=10.0.0.2 ip=fd00::2"},
		"{metadata: {namespace: a, name: q}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}}\n---\n" +
			"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{ipBlock: {cidr: 'fd00::/8'}}]}]}}", false, ""},
	{"an ipBlock lists a pod whose address is not known as doubtful", []string{"a/x", "b/y"},
		closeB + "{metadata: {namespace: a, name: q}, spec: {podSelector: {}}}\n---\n" +
			"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}}", false, "a/x[Pod] => b/y[Pod] : perhaps All Connections"},
	{"completed pods neither send nor receive", []string{"a/x phase=Succeeded", "a/f phase=Failed", "a/p phase=Pending", "b/y phase=Running"}, "", false,
		"a/p[Pod] => b/y[Pod] : All Connections\nb/y[Pod] => a/p[Pod] : All Connections"},
	{"no policy isolates a host-network pod", []string{"a/x host node=1", "b/y node=2"},
		"{metadata: {namespace: a, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}", false,
		"a/x[Pod] => b/y[Pod] : All Connections\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"a node and its pods always reach each other", []string{"a/x host node=1", "b/y node=1", "b/z node=2"},
		"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}", false,
		"a/x[Pod] => b/y[Pod] : All Connections\nb/y[Pod] => a/x[Pod] : All Connections"},
	{"a host-network pod is a peer by its labels and by its node's address", []string{"a/x app=x host node=1 ip=192.0.2.1", "b/y node=2"},
		closeB + "{metadata: {namespace: b, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: x}}}], ports: [{port: 1}]}, {from: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 2}]}]}}", false,
		"a/x[Pod] => b/y[Pod] : TCP 1-2"},
	{"workloads stand for their pods, and with themselves are no pair",
		[]string{"a/x-1 app=x owner=Deployment/x", "a/x-2 app=x track=new owner=Deployment/x", "b/y"},
		closeB + "{metadata: {namespace: a, name: q}, spec: {podSelector: {}}}\n---\n" +
			"{metadata: {namespace: b, name: p}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {track: new}}}], ports: [{port: 80}]}]}}", false,
		"a/x[Deployment] => b/y[Pod] : TCP 80"},
	{"a policy selects pods of its own namespace only", []string{"a/x app=x", "b/x app=x"},
		"{metadata: {namespace: c, name: p}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}", false,
		"a/x[Pod] => b/x[Pod] : All Connections\nb/x[Pod] => a/x[Pod] : All Connections"},
}

func TestSemantics(t *testing.T) {
	for _, c := range semantics {
		t.Run(c.promise, func(t *testing.T) {
			var lines []string
			for connection := range NewReach(build(t, c.pods, c.policies), 1).Connections() {
				isWorld := !strings.Contains(connection.From, "/") || !strings.Contains(connection.To, "/")
				if c.world || !isWorld {
					lines = append(lines, connection.String())
				}
			}
			if got, want := strings.Join(lines, "\n"), strings.TrimSpace(c.want); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestAPolicyThatTheAPIServerWouldRefuseLeavesADoubt: it isolates nothing, allows nothing, and no verdict is given.
func TestAPolicyThatTheAPIServerWouldRefuseLeavesADoubt(t *testing.T) {
	closed := "{metadata: {namespace: b, name: close}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}\n---\n" +
		"{metadata: {namespace: a, name: close}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}\n---\n"
	for spec, why := range map[string]string{
		"ingress: [{from: [{}]}]": "must have a podSelector",
		"ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]":                "ipBlock stands alone",
		"ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]":                                   "is not a range",
		"ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]":          "strictly within",
		"ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]":           "strictly within",
		"ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [x]}}]}]":                    "except \"x\" is not a range",
		"ingress: [{ports: [{port: 0}]}]":                                                    "not a range within",
		"ingress: [{ports: [{port: 65536}]}]":                                                "not a range within",
		"ingress: [{ports: [{port: 80, endPort: 79}]}]":                                      "not a range within",
		"ingress: [{ports: [{endPort: 79}]}]":                                                "needs a port",
		"ingress: [{ports: [{port: web, endPort: 79}]}]":                                     "has no endPort",
		"ingress: [{ports: [{protocol: ICMP}]}]":                                             "none of SCTP, TCP, UDP",
		"policyTypes: [Sideways]":                                                            "none of Ingress, Egress",
		"ingress: [{from: [{podSelector: {matchLabels: {app: 'not a value'}}}]}]":            "not a value",
		"egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: In}]}}]}]":    "values",
		"egress: [{to: [{namespaceSelector: {matchExpressions: [{key: a, operator: X}]}}]}]": "not a valid selector operator",
	} {
		s := build(t, twoPods, closed+"{metadata: {namespace: b, name: bad}, spec: {podSelector: {}, "+spec+"}}")
		pairs, err := NewReach(s, 1).TenantPairs(nil)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := pairs.Pair("a", "b")
		if err != nil {
			t.Fatal(err)
		}
		doubts := strings.Join(pair.Doubts, "; ")
		if pair.Verdict != PairUnknown || !strings.Contains(doubts, "NetworkPolicy b/bad is not valid") || !strings.Contains(doubts, why) {
			t.Errorf("%s: %s because of %q, want Unknown because of %q", spec, pair.Verdict, doubts, why)
		}
		back, err := pairs.Pair("b", "a")
		if err != nil {
			t.Fatal(err)
		}
		listed := 0
		for range pairs.With(PairUnknown) {
			listed++
		}
		if back.Verdict != PairUnknown || pairs.Count()[PairUnknown] != 2 || listed != 2 {
			t.Errorf("%s: the other way %s, count %v, listed %d, want 2 Unknown", spec, back.Verdict, pairs.Count(), listed)
		}
	}
}
