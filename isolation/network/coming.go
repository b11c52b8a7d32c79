package network

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Pods to come: a tenant that may have pods made in a namespace chooses their labels, and by them which policies of the namespace
// select them and which peers of other policies hold them. A connection rests on one allowance of either side, as policies
// only add up. So a namespace has one class for every selector of its policies, for pods that this selector matches and that
// may have any labels beyond, and one for either direction, for pods that no policy isolates. There are as many as policies,
// however many other namespaces select by label.

// expect adds the classes of pods to come. Their addresses are some of those that pods have; takes reports
// whether admission takes a label.
func (s *space) expect(used *used, takes func(key, value string) bool) {
	var isolating [2][]selector
	index := map[string]*class{}
	for _, p := range s.policies {
		for direction, isolates := range [2]bool{egress: p.egress, ingress: p.ingress} {
			if isolates {
				isolating[direction] = append(isolating[direction], p.pods)
			}
		}
		key := p.pods.key()
		if index[key] == nil {
			index[key] = s.toCome(used, choice{must: p.pods.requirements, takes: takes})
		}
		if c := index[key]; c != nil {
			c.selecting = append(c.selecting, p)
		}
	}
	for direction, avoid := range isolating {
		slices.SortStableFunc(avoid, func(a, b selector) int { return len(a.requirements) - len(b.requirements) })
		if c := s.toCome(used, choice{avoid: avoid, takes: takes}); c != nil {
			c.open[direction] = true
			if len(s.policies) == 0 {
				c.open[ingress] = true
				return
			}
		}
	}
}

// toCome adds a class of pods to come; nil if there are no such labels.
func (s *space) toCome(used *used, labels choice) *class {
	if !labels.may(selector{}) {
		return nil
	}
	c := &class{id: int32(len(s.classes)), choice: &labels, ports: []snapshot.NamedPort{{Name: anyName}}, cells: used.cells, families: used.families,
		first: &snapshot.Pod{Namespace: s.source.Name, Name: newPod}}
	s.classes = append(s.classes, c)
	return c
}

// used are the addresses that pods have.
type used struct {
	cells    []netip.Addr // sorted
	families families
}

func usedBy(spaces []*space) *used {
	u := &used{}
	for _, s := range spaces {
		for _, c := range s.classes {
			if !c.host {
				u.cells, u.families = append(u.cells, c.cells...), u.families|c.families
			}
		}
	}
	slices.SortFunc(u.cells, netip.Addr.Compare)
	u.cells = slices.Compact(u.cells)
	return u
}

// Labels that controllers give to pods, and that no template has.
const (
	labelPodIndex = appsv1.PodIndexLabel
	labelPodName  = appsv1.StatefulSetPodNameLabel
	labelJobName  = batchv1.JobNameLabel
	// the same in Kubernetes before 1.27, and still
	labelOldJobName = "job-name"
)

// labelled adds to pods that stand for those of a workload from a file the labels that its controller gives them, with a pod for
// every number that some selector names, and for another. Sources: updateIdentity in pkg/controller/statefulset, generateSelector in
// pkg/registry/batch/job. Where a selector names a hash that only the controller knows, it also returns a doubt.
func (r *Reach) labelled(pods []*snapshot.Pod) (list []*snapshot.Pod, doubts []string) {
	for _, pod := range pods {
		if pod.Owner.Kind == "" || pod.Phase != "" || len(pod.IPs) > 0 {
			list = append(list, pod)
			continue
		}
		hashes, given := r.given(pod.Owner)
		for _, labels := range given {
			one := *pod
			for _, l := range pod.Labels {
				labels[l.Key] = l.Value
			}
			one.Labels = snapshot.LabelsOf(labels)
			list = append(list, &one)
		}
		for _, key := range hashes {
			if _, has := pod.Labels.Get(key); !has && r.named[key] != nil {
				doubts = append(doubts, fmt.Sprintf("%s %s/%s: policies select by label %s, which its controller sets to a value that is not known", pod.Owner.Kind, pod.Namespace, pod.Owner.Name, key))
			}
		}
	}
	return list, doubts
}

// given are the labels that a workload's controller may give a pod, and those of which the value cannot be known.
func (r *Reach) given(owner snapshot.Owner) (hashes []string, given []map[string]string) {
	named := func(keys ...string) []string {
		set := map[string]bool{}
		for _, key := range keys {
			for value := range r.named[key] {
				if rest, of := strings.CutPrefix(value, owner.Name+"-"); of && key != labelPodIndex {
					set[rest] = true
				} else if key == labelPodIndex {
					set[value] = true
				}
			}
		}
		other := 0
		for set[strconv.Itoa(other)] {
			other++
		}
		return append(slices.Sorted(maps.Keys(set)), strconv.Itoa(other))
	}
	switch owner.Kind {
	case "StatefulSet":
		for _, ordinal := range named(labelPodIndex, labelPodName) {
			given = append(given, map[string]string{labelPodIndex: ordinal, labelPodName: owner.Name + "-" + ordinal})
		}
		return []string{appsv1.ControllerRevisionHashLabelKey}, given
	case "Job":
		return []string{batchv1.ControllerUidLabel, "controller-uid"}, []map[string]string{{labelJobName: owner.Name, labelOldJobName: owner.Name}}
	case "CronJob":
		for _, run := range named(labelJobName, labelOldJobName) {
			name := owner.Name + "-" + run
			given = append(given, map[string]string{labelJobName: name, labelOldJobName: name})
		}
		return []string{batchv1.ControllerUidLabel, "controller-uid"}, given
	case "Deployment", "ReplicaSet":
		hashes = []string{appsv1.DefaultDeploymentUniqueLabelKey}
	case "DaemonSet":
		hashes = []string{appsv1.ControllerRevisionHashLabelKey}
	}
	return hashes, []map[string]string{{}}
}

// namedLabels are the values that some selector of pods names, by label.
func (r *Reach) namedLabels() map[string]map[string]bool {
	named := map[string]map[string]bool{}
	add := func(s selector) {
		for _, q := range s.requirements {
			if named[q.key] == nil {
				named[q.key] = map[string]bool{}
			}
			for _, v := range q.values {
				named[q.key][v] = true
			}
		}
	}
	for _, s := range r.spaces {
		for _, p := range s.policies {
			add(p.pods)
		}
		s.eachAllowance(func(a *allowance) { add(a.peer.pods) })
	}
	if r.tiers != nil {
		for _, p := range r.tiers.policies {
			add(p.pods)
		}
		for i := range r.tiers.rules {
			for j := range r.tiers.rules[i].peers {
				add(r.tiers.rules[i].peers[j].pods)
			}
		}
	}
	return named
}

// may reports whether a selector matches the pods of the class, or can match some that are to come.
func (c *class) may(s selector) bool {
	if c.choice != nil {
		return len(s.requirements) == 0 || c.choice.may(s)
	}
	return s.matches(c.labels)
}

// always reports whether a selector matches all pods of the class that a peer holds; nil holds all.
func (c *class) always(s selector, held *peer) bool {
	switch {
	case c.choice == nil:
		return s.matches(c.labels)
	case held == nil || held.kind != podsIn:
		return c.choice.always(s)
	}
	narrowed := choice{append(slices.Clip(c.choice.must), held.pods.requirements...), c.choice.avoid, c.choice.takes}
	return narrowed.always(s)
}

// sample is a pod of the class that a peer holds.
func (c *class) sample(held *peer) *snapshot.Pod {
	if c.choice == nil {
		return c.first
	}
	pod := *c.first
	if held.kind == podsIn {
		pod.Labels, _ = c.choice.with(held.pods)
	} else {
		pod.Labels, _ = c.choice.with(selector{})
	}
	return &pod
}

// inBlock reports whether addresses of the class lie in a block: some, or of pods to come, whose address is not chosen,
// all of the family; if loose, some suffices there as well.
func (c *class) inBlock(b *ipBlock, loose bool) bool {
	if len(c.cells) == 0 {
		return loose
	}
	in, of := 0, 0
	for _, cell := range c.cells {
		if familyOf(cell) == b.family() {
			of++
			if b.has(cell) {
				in++
			}
		}
	}
	return in > 0 && (in == of || loose || c.choice == nil)
}
