package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// space is a namespace with its pods, grouped by what policies can tell apart.
type space struct {
	id     int
	source *snapshot.Namespace
	tenant int // -1: of no tenant
	// pods are those that run or will; classOf is parallel to it.
	pods    []*snapshot.Pod
	classOf []int32
	classes []*class
	// invalid reports what could not be understood here.
	invalid  []string
	policies []*policy
	// crossing allowances by class: few are the namespaces that a narrow one reaches, groups hold the wide ones. Those
	// for the own namespace only are in neither.
	narrowIn, narrowOut []carried
	wideIn, wideOut     []carried
	// hostNodes are the nodes of its host-network pods, sorted; empty is a node that is not known.
	hostNodes []string
}

// class is a set of pods of one namespace that no policy can tell apart: the same labels, named ports, and cells of
// addresses.
type class struct {
	id     int32 // in the namespace, by first pod
	labels snapshot.Labels
	// choice stands in for the labels of pods to come; nil for pods that are there.
	choice *choice
	// selecting are the policies that select it, and open the directions in which none isolates it; of pods to come.
	selecting []*policy
	open      [2]bool
	ports     []snapshot.NamedPort
	host      bool
	// cells that the addresses lie in, sorted; none: not known.
	cells    []netip.Addr
	families families
	first    *snapshot.Pod
	in, out  []*allowance
	// signature is what the policies of administrators tell it apart by; nil if there are none.
	signature *signature
}

// carried is an allowance that a class has.
type carried struct {
	class     *class
	allowance *allowance
	group     *group // nil: narrow
}

// group is the classes that carry the same wide allowance.
type group struct {
	key       groupKey
	allowance *allowance // one of them, all the same but for the policy
	spaces    []int32    // of tenants, sorted
}

// groupKey is the same for classes that a wide allowance and the tiers treat alike.
type groupKey struct {
	allowance string
	signature *signature
}

// regroup sorts pods into classes.
func (s *space) regroup(pods []*snapshot.Pod, cuts cuts) {
	s.pods, s.classOf, s.classes, s.hostNodes = nil, nil, nil, nil
	index := map[string]int32{}
	var key []byte
	for _, pod := range pods {
		if pod.Completed() {
			continue
		}
		cells, families := cellsOf(pod, cuts)
		key = appendClassKey(key[:0], pod, cells)
		i, known := index[string(key)]
		if !known {
			i = int32(len(s.classes))
			index[string(key)] = i
			s.classes = append(s.classes, &class{id: i, labels: pod.Labels, ports: pod.Ports, host: pod.HostNetwork, cells: cells, families: families, first: pod})
		}
		s.pods = append(s.pods, pod)
		s.classOf = append(s.classOf, i)
		if pod.HostNetwork {
			s.hostNodes = append(s.hostNodes, pod.Node)
		}
	}
	slices.Sort(s.hostNodes)
	s.hostNodes = slices.Compact(s.hostNodes)
}

func cellsOf(pod *snapshot.Pod, cuts cuts) ([]netip.Addr, families) {
	if len(pod.IPs) == 0 {
		return nil, 0
	}
	cells := make([]netip.Addr, 0, len(pod.IPs))
	var f families
	for _, ip := range pod.IPs {
		cells = append(cells, cuts.cell(ip))
		f |= familyOf(ip)
	}
	if len(cells) > 1 {
		slices.SortFunc(cells, netip.Addr.Compare)
		cells = slices.Compact(cells)
	}
	return cells, f
}

// appendClassKey writes what policies can tell pods apart by, each text with its length before it.
func appendClassKey(key []byte, pod *snapshot.Pod, cells []netip.Addr) []byte {
	text := func(s string) {
		key = append(binary.AppendUvarint(key, uint64(len(s))), s...)
	}
	host := byte(0)
	if pod.HostNetwork {
		host = 1
	}
	key = append(key, host, byte(len(cells)))
	for _, cell := range cells {
		bytes := cell.As16()
		key = append(append(key, byte(familyOf(cell))), bytes[:]...)
	}
	key = binary.AppendUvarint(key, uint64(len(pod.Ports)))
	for _, p := range pod.Ports {
		text(p.Name)
		text(string(p.Protocol))
		key = binary.BigEndian.AppendUint16(key, p.Port)
	}
	for _, l := range pod.Labels {
		text(l.Key)
		text(l.Value)
	}
	return key
}

// compile reads the namespace's policies. One that the API server would refuse isolates and allows nothing, and leaves
// a doubt.
func (s *space) compile(sources []*networkingv1.NetworkPolicy) {
	s.policies, s.invalid = make([]*policy, 0, len(sources)), nil
	for _, source := range sources {
		p, err := policyOf(source, s.id)
		if err != nil {
			s.invalid = append(s.invalid, fmt.Sprintf("%s is not valid: %v", snapshot.RefOf("NetworkPolicy", source), err))
			continue
		}
		s.policies = append(s.policies, p)
	}
}

// apply gives every class what the policies that select it allow. No policy isolates a host-network pod: what a
// network plugin does with one that is selected is undefined, so nothing is counted on.
func (s *space) apply(open *allowance) {
	for _, c := range s.classes {
		c.in, c.out = nil, nil
		isolatedIn, isolatedOut := c.choice != nil && !c.open[ingress], c.choice != nil && !c.open[egress]
		for _, p := range s.policies {
			if !c.selectedBy(p) {
				continue
			}
			if p.ingress {
				isolatedIn = true
				c.in = append(c.in, p.in...)
			}
			if p.egress {
				isolatedOut = true
				c.out = append(c.out, p.out...)
			}
		}
		c.in = c.complete(c.in, isolatedIn, ingress, open)
		c.out = c.complete(c.out, isolatedOut, egress, open)
	}
}

func (c *class) selectedBy(p *policy) bool {
	if c.choice != nil {
		return slices.Contains(c.selecting, p)
	}
	return !c.host && p.pods.matches(c.labels)
}

// complete adds what needs no NetworkPolicy: everything where none isolates, and what the Admin tier lets through.
func (c *class) complete(list []*allowance, isolated bool, direction int, open *allowance) []*allowance {
	switch {
	case !isolated:
		return []*allowance{open}
	case c.signature != nil && c.signature.admitted[direction] != nil:
		return append(list, c.signature.admitted[direction])
	}
	return list
}

// workloads returns the pods of each workload, as indices.
func (s *space) workloads() map[snapshot.Owner][]int {
	m := map[snapshot.Owner][]int{}
	for i, pod := range s.pods {
		m[pod.Workload()] = append(m[pod.Workload()], i)
	}
	return m
}
