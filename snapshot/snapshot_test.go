package snapshot_test

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	adminv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	adminv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func policy(namespace, name string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func contents() snapshot.Snapshot {
	return snapshot.Snapshot{
		Revision:        "5",
		Time:            time.Unix(5, 0),
		Tenants:         []snapshot.Tenant{{Name: "t", Namespaces: []string{"b", "a", "b"}}, {Name: "s", Namespaces: []string{"c"}}},
		Namespaces:      []*snapshot.Namespace{{Name: "b", Labels: snapshot.LabelsOf(map[string]string{"kubernetes.io/metadata.name": "spoofed", "z": "1"})}, {Name: "a"}},
		Pods:            []*snapshot.Pod{{Namespace: "b", Name: "y"}, {Namespace: "a", Name: "z"}, {Namespace: "b", Name: "x"}},
		NetworkPolicies: []*networkingv1.NetworkPolicy{policy("d", "p"), policy("a", "p")},
		Missing:         []snapshot.Missing{{Kind: "Role", Why: "forbidden"}, {Kind: "Pod", Why: "forbidden"}, {Kind: "Role", Why: "forbidden"}},
	}
}

func mustNew(t *testing.T, c snapshot.Snapshot) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheOrderOfReadingMakesNoDifference(t *testing.T) {
	want := mustNew(t, contents())
	for seed := range uint64(20) {
		c, r := contents(), rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(c.Pods), func(i, j int) { c.Pods[i], c.Pods[j] = c.Pods[j], c.Pods[i] })
		r.Shuffle(len(c.Namespaces), func(i, j int) { c.Namespaces[i], c.Namespaces[j] = c.Namespaces[j], c.Namespaces[i] })
		r.Shuffle(len(c.NetworkPolicies), func(i, j int) {
			c.NetworkPolicies[i], c.NetworkPolicies[j] = c.NetworkPolicies[j], c.NetworkPolicies[i]
		})
		r.Shuffle(len(c.Tenants), func(i, j int) { c.Tenants[i], c.Tenants[j] = c.Tenants[j], c.Tenants[i] })
		r.Shuffle(len(c.Missing), func(i, j int) { c.Missing[i], c.Missing[j] = c.Missing[j], c.Missing[i] })
		if got := mustNew(t, c); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %+v, want %+v", seed, got, want)
		}
	}
}

func TestNewLeavesItsArgumentAsItWas(t *testing.T) {
	c := contents()
	mustNew(t, c)
	if !reflect.DeepEqual(c, contents()) {
		t.Errorf("changed to %+v", c)
	}
}

func TestANamespaceIsLabelledWithItsNameWhateverItClaims(t *testing.T) {
	s := mustNew(t, contents())
	var names []string
	for _, ns := range s.Namespaces {
		name, _ := ns.Labels.Get("kubernetes.io/metadata.name")
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"a", "b", "d"}) {
		t.Errorf("named %v", names)
	}
	if z, has := s.Namespaces[1].Labels.Get("z"); !has || z != "1" {
		t.Errorf("other labels of b are lost: %v", s.Namespaces[1].Labels)
	}
}

func TestANamespaceThatNobodyListedIsImplied(t *testing.T) {
	for _, ns := range mustNew(t, contents()).Namespaces {
		if ns.Implied != (ns.Name == "d") {
			t.Errorf("%s implied: %v", ns.Name, ns.Implied)
		}
	}
}

func TestWhatNoClusterCanBeIsRefused(t *testing.T) {
	for want, spoil := range map[string]func(*snapshot.Snapshot){
		"pod b/y is there twice":           func(c *snapshot.Snapshot) { c.Pods = append(c.Pods, &snapshot.Pod{Namespace: "b", Name: "y"}) },
		"NetworkPolicy a/p is there twice": func(c *snapshot.Snapshot) { c.NetworkPolicies = append(c.NetworkPolicies, policy("a", "p")) },
		"namespace a is there twice":       func(c *snapshot.Snapshot) { c.Namespaces = append(c.Namespaces, &snapshot.Namespace{Name: "a"}) },
		"tenant s is there twice":          func(c *snapshot.Snapshot) { c.Tenants = append(c.Tenants, snapshot.Tenant{Name: "s"}) },
		"namespace a belongs to tenants t and u": func(c *snapshot.Snapshot) {
			c.Tenants = append(c.Tenants, snapshot.Tenant{Name: "u", Namespaces: []string{"a"}})
		},
	} {
		c := contents()
		spoil(&c)
		if _, err := snapshot.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestPoliciesOfAdministratorsAreSortedAndEachNameIsThereOnce(t *testing.T) {
	admin := func(name string) *adminv1alpha1.AdminNetworkPolicy {
		return &adminv1alpha1.AdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	cluster := func(name string) *adminv1alpha2.ClusterNetworkPolicy {
		return &adminv1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	c := contents()
	c.AdminNetworkPolicies = []*adminv1alpha1.AdminNetworkPolicy{admin("b"), admin("a")}
	c.ClusterNetworkPolicies = []*adminv1alpha2.ClusterNetworkPolicy{cluster("d"), cluster("c")}
	s := mustNew(t, c)
	var names []string
	for _, p := range s.AdminNetworkPolicies {
		names = append(names, p.Name)
	}
	for _, p := range s.ClusterNetworkPolicies {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "c", "d"}) {
		t.Errorf("%v", names)
	}
	c.ClusterNetworkPolicies = append(c.ClusterNetworkPolicies, cluster("c"))
	if _, err := snapshot.New(c); err == nil || !strings.Contains(err.Error(), "ClusterNetworkPolicy c is there twice") {
		t.Errorf("one name twice: %v", err)
	}
}

func TestPodOfKeepsWhatAProofNeeds(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "x-1", Labels: map[string]string{"b": "2", "a": "1"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Other", Name: "o"}, {Kind: "ReplicaSet", Name: "x", Controller: new(true)}}},
		Spec: corev1.PodSpec{NodeName: "n", HostNetwork: true,
			InitContainers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "side", ContainerPort: 9, Protocol: "UDP"}}}},
			Containers:     []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 80}, {ContainerPort: 81}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodFailed, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "::ffff:10.0.0.2"}, {IP: "fd00::1"}}},
	}
	want := &snapshot.Pod{Namespace: "a", Name: "x-1", Owner: snapshot.Owner{Kind: "ReplicaSet", Name: "x"},
		Labels: snapshot.Labels{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}, Node: "n", HostNetwork: true, Phase: corev1.PodFailed,
		IPs:   []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::1")},
		Ports: []snapshot.NamedPort{{Name: "side", Protocol: "UDP", Port: 9}, {Name: "web", Protocol: "TCP", Port: 80}}, Spec: &pod.Spec}
	if got := snapshot.PodOf(pod); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !snapshot.PodOf(pod).Completed() {
		t.Error("a failed pod is completed")
	}
	pod.Status.PodIPs[2].IP = "what"
	if ips := snapshot.PodOf(pod).IPs; len(ips) != 0 {
		t.Errorf("with an address that cannot be parsed, all are unknown; got %v", ips)
	}
}

func TestPodOfTemplateStandsForItsWorkload(t *testing.T) {
	p := snapshot.PodOfTemplate("a", snapshot.Owner{Kind: "Deployment", Name: "x"}, &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "1"}}})
	if p.Name != "x" || p.Workload() != (snapshot.Owner{Kind: "Deployment", Name: "x"}) || len(p.IPs) != 0 || p.Completed() {
		t.Errorf("%+v", p)
	}
	if w := (&snapshot.Pod{Name: "lone"}).Workload(); w != (snapshot.Owner{Kind: "Pod", Name: "lone"}) {
		t.Errorf("a pod of its own: %+v", w)
	}
}
