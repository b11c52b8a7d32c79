package pods

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// elsewhere are the tenant's own pods outside its nodes: those that run there, those that may be scheduled there, and a
// plain pod as admission stores it.
func (n *nodeFindings) elsewhere(g *nodeGroup) {
	t := &n.Tenants[g.tenant]
	outside := func(class int) bool { _, in := slices.BinarySearch(g.classes, class); return !in }
	for _, c := range n.classes {
		i := slices.IndexFunc(c.where, outside)
		if c.tenant != t.Name {
			continue
		}
		for _, pod := range c.pods {
			class, known := n.place.byNode[pod.Node]
			runs := known && outside(class)
			if !n.mustStay(g.tenant, pod.Namespace) || i < 0 && !runs {
				continue
			}
			where := c.where
			if spec := n.stored(pod); spec != nil && !runs {
				where = n.place.where(spec, false)
			}
			at := slices.IndexFunc(where, outside)
			if at < 0 && !runs {
				continue
			}
			what, node := "may be scheduled to", pod.Node
			if !runs {
				node = n.place.classes[where[at]].nodes[0].Name
			} else {
				what = "runs on"
			}
			n.list = append(n.list, finding.Finding{Code: "BH2014", Verdict: finding.Exposed, From: t.Name, To: finding.ThePlatform,
				What:    fmt.Sprintf("%s of tenant %s %s node %s, which is none of its own", podObject(pod), t.Name, what, node),
				Witness: []finding.Step{{Object: podObject(pod), Does: what + " node " + node}}, Blame: []snapshot.Ref{podObject(pod), {Kind: "Namespace", Name: pod.Namespace}}})
			break
		}
	}
	n.plainElsewhere(g, outside)
}

// stored is the spec of a pod as admission would store it, where only the template of its workload was read; nil where that
// is not so, or not known.
func (n *nodeFindings) stored(pod *snapshot.Pod) *corev1.PodSpec {
	if n.Admission == nil || pod.Spec == nil || pod.Owner.Kind == "" || pod.Node != "" || pod.Phase != "" {
		return nil
	}
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Spec: *pod.Spec}
	made := podOfUnstructured(n.Admission.Admit(&finding.AdmissionRequest{Subject: rbac.ServiceAccount("kube-system", "replicaset-controller"), Operation: "CREATE",
		Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: corev1.SchemeGroupVersion.WithResource("pods"),
		Namespace: pod.Namespace, Name: pod.Name, Object: o}).Object)
	if made == nil {
		return nil
	}
	return &made.Spec
}

func (n *nodeFindings) plainElsewhere(g *nodeGroup, outside func(int) bool) {
	t := &n.Tenants[g.tenant]
	for _, c := range n.creators() {
		if c.tenant != g.tenant || !n.mustStay(g.tenant, c.namespace) {
			continue
		}
		got := n.try(&c, n.plain)
		i := -1
		if got.verdict != finding.Isolated && got.spec != nil {
			i = slices.IndexFunc(n.place.where(got.spec, false), outside)
		}
		switch {
		case got.verdict == finding.Unknown:
			n.list = append(n.list, finding.Finding{Code: "BH2018", Verdict: finding.Unknown, From: t.Name, To: finding.ThePlatform,
				What:  fmt.Sprintf("where pods of namespace %s will run cannot be said: %s", c.namespace, got.why),
				Blame: []snapshot.Ref{{Kind: "Namespace", Name: c.namespace}}})
			return
		case i >= 0:
			node := n.place.classes[n.place.where(got.spec, false)[i]].nodes[0].Name
			f := finding.Finding{Code: "BH2014", Verdict: finding.Exposed, From: t.Name, To: finding.ThePlatform,
				What:    fmt.Sprintf("a plain pod in namespace %s may be scheduled to node %s, which is none of tenant %s's own", c.namespace, node, t.Name),
				Blame:   append(n.expected("node-affinity"), snapshot.Ref{Kind: "Namespace", Name: c.namespace}),
				Witness: append(slices.Clone(got.way.path), finding.Step{Object: snapshot.Ref{Kind: "Node", Name: node}, Does: "takes the pod as admission stores it: nothing gives it a selector of " + n.labelText(g.tenant)})}
			n.list = append(n.list, f)
			return
		}
	}
}

// labelTrust: NodeRestriction keeps kubelets from setting labels of one prefix only.
func (n *nodeFindings) labelTrust(g *nodeGroup) {
	label := n.Tenants[g.tenant].Nodes
	domain, _, _ := strings.Cut(label.Key, "/")
	if domain == "node-restriction.kubernetes.io" || strings.HasSuffix(domain, ".node-restriction.kubernetes.io") {
		return
	}
	node := snapshot.Ref{Kind: "Node", Name: n.Nodes[g.nodes[0]].Name}
	n.list = append(n.list, finding.Finding{Code: "BH2016", Verdict: finding.Exposed, From: finding.ThePlatform, To: n.Tenants[g.tenant].Name,
		What:    fmt.Sprintf("label %s, which dedicates nodes to tenant %s, is one that every kubelet may set for its own node", label.Key, n.Tenants[g.tenant].Name),
		Witness: []finding.Step{{Object: node, Does: "bears label " + n.labelText(g.tenant)}}, Blame: []snapshot.Ref{node}})
}

// disagreeing are nodes whose taint names one tenant and whose label another one, or none. A taint names a tenant if its
// value is that of a tenant's label.
func (n *nodeFindings) disagreeing() {
	byValue := map[string]int{}
	for i := range n.Tenants {
		if label := n.Tenants[i].Nodes; label.Key != "" {
			byValue[label.Value] = i
		}
	}
	for _, node := range n.Nodes {
		for _, taint := range node.Spec.Taints {
			tenant, names := byValue[taint.Value]
			if !names || taint.Value == "" || node.Labels[n.Tenants[tenant].Nodes.Key] == n.Tenants[tenant].Nodes.Value {
				continue
			}
			n.list = append(n.list, finding.Finding{Code: "BH2015", Verdict: finding.Exposed, From: finding.ThePlatform, To: n.Tenants[tenant].Name,
				What:    fmt.Sprintf("node %s has taint %s=%s of tenant %s, and not its label %s", node.Name, taint.Key, taint.Value, n.Tenants[tenant].Name, n.labelText(tenant)),
				Witness: []finding.Step{{Object: snapshot.Ref{Kind: "Node", Name: node.Name}, Does: "is tainted for one and labelled for another, or none"}}, Blame: []snapshot.Ref{{Kind: "Node", Name: node.Name}}})
		}
	}
}

// sandboxes are the pods without the runtime that their namespace demands, one finding for each namespace, and demanded
// RuntimeClasses whose handler is an ordinary runtime.
func (n *nodeFindings) sandboxes() {
	done := map[string]bool{}
	for _, pod := range n.Pods {
		tenant := n.Owner[pod.Namespace]
		demanded, _ := n.labelOf(pod.Namespace, v1alpha1.LabelRuntimeClass)
		if tenant == finding.ThePlatform || demanded == "" || pod.Completed() || pod.Spec == nil || done[pod.Namespace] {
			continue
		}
		has := ""
		if pod.Spec.RuntimeClassName != nil {
			has = *pod.Spec.RuntimeClassName
		}
		// A template may leave it out: its pods get it, or are judged themselves.
		if has == demanded || has == "" && n.Offline && pod.Workload().Kind != "Pod" {
			continue
		}
		done[pod.Namespace] = true
		n.list = append(n.list, finding.Finding{Code: "BH2017", Verdict: finding.Exposed, From: tenant, To: finding.ThePlatform,
			What:    fmt.Sprintf("pod %s/%s has runtimeClassName %q, and its namespace demands %q", pod.Namespace, pod.Name, has, demanded),
			Witness: []finding.Step{{Object: snapshot.Ref{Kind: "Namespace", Name: pod.Namespace}, Does: "demands runtime class " + demanded}, {Object: podObject(pod), Does: fmt.Sprintf("has %q", has)}},
			Blame:   []snapshot.Ref{podObject(pod), {Kind: "Namespace", Name: pod.Namespace}}})
	}
	n.ordinaryRuntimes()
}

func (n *nodeFindings) ordinaryRuntimes() {
	demanding := map[string]string{} // class to the first namespace
	for _, ns := range n.Namespaces {
		if class, has := ns.Labels.Get(v1alpha1.LabelRuntimeClass); has && n.Owner[ns.Name] != finding.ThePlatform && demanding[class] == "" {
			demanding[class] = ns.Name
		}
	}
	for _, class := range n.RuntimeClasses {
		ns, wanted := demanding[class.Name]
		if !wanted || !slices.Contains([]string{"runc", "crun", "youki"}, class.Handler) {
			continue
		}
		o := snapshot.Ref{Kind: "RuntimeClass", Name: class.Name}
		n.list = append(n.list, finding.Finding{Code: "BH2017", Verdict: finding.Exposed, From: n.Owner[ns], To: finding.ThePlatform,
			What:    fmt.Sprintf("namespace %s demands runtime class %s, whose handler %s is no sandbox", ns, class.Name, class.Handler),
			Witness: []finding.Step{{Object: snapshot.Ref{Kind: "Namespace", Name: ns}, Does: "demands it"}, {Object: o, Does: "has handler " + class.Handler}}, Blame: []snapshot.Ref{o}})
	}
}
