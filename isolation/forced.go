package isolation

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/network"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// forced are the labels that pods of workloads have when they are made.
type forced struct {
	// input is the same with pods as they would be stored.
	input *finding.Input
	// doubts are by tenant why labels of its pods are not known.
	doubts map[string]doubtful
}

// doubtful is a workload of which the pods' labels are not known.
type doubtful struct {
	workload snapshot.Ref
	why      string
}

// network is what the check finds of the pods with the labels that they will have.
func (p *proof) network() ([]finding.Finding, string) {
	findings, considered := network.Find(p.judged(), p.rights(), p.pods().ToCome)
	if !p.goesByPods() {
		return findings, considered
	}
	for _, t := range p.Tenants {
		if d, is := p.labels().doubts[t.Name]; is {
			findings = append(findings, finding.Finding{Code: "BH3002", Verdict: finding.Unknown, From: t.Name, To: finding.EveryTenant,
				What: fmt.Sprintf("which labels the pods of %s will have is not known: %s", d.workload, d.why), Blame: []snapshot.Ref{d.workload}})
		}
	}
	return findings, considered
}

// goesByPods reports whether a policy chooses pods by labels; if none does, no label of a pod matters.
func (p *proof) goesByPods() bool {
	chooses := func(s *metav1.LabelSelector) bool { return s != nil && len(s.MatchLabels)+len(s.MatchExpressions) > 0 }
	for _, o := range p.NetworkPolicies {
		var peers []networkingv1.NetworkPolicyPeer
		for i := range o.Spec.Ingress {
			peers = append(peers, o.Spec.Ingress[i].From...)
		}
		for i := range o.Spec.Egress {
			peers = append(peers, o.Spec.Egress[i].To...)
		}
		if chooses(&o.Spec.PodSelector) || slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool { return chooses(peer.PodSelector) }) {
			return true
		}
	}
	return len(p.AdminNetworkPolicies)+len(p.BaselineAdminNetworkPolicies)+len(p.ClusterNetworkPolicies) > 0
}

// forcedLabels asks how admission would store the pods of workloads that were read without their pods, where something may change labels.
func forcedLabels(in *finding.Input) *forced {
	f := &forced{input: in, doubts: map[string]doubtful{}}
	storing, can := in.Admission.(finding.Storing)
	if !can || len(in.MutatingWebhooks) == 0 && !slices.ContainsFunc(in.MutatingPolicies, writesLabels) {
		return f
	}
	pods := slices.Clone(in.Pods)
	made := make([]*snapshot.Pod, len(pods))
	doubts := make([]string, len(pods))
	in.Parallel(len(pods), func(i int) {
		if pod := pods[i]; in.Owner[pod.Namespace] != finding.ThePlatform && pod.Spec != nil && pod.Owner.Kind != "" && pod.Phase == "" && pod.Node == "" {
			made[i], doubts[i] = storedPod(storing, pod)
		}
	})
	changed := false
	for i := range pods {
		if made[i] != nil {
			pods[i], changed = made[i], true
		}
		tenant := in.Owner[pods[i].Namespace]
		if _, known := f.doubts[tenant]; doubts[i] != "" && !known {
			owner := pods[i].Workload()
			f.doubts[tenant] = doubtful{snapshot.Ref{Kind: owner.Kind, Namespace: pods[i].Namespace, Name: owner.Name}, doubts[i]}
		}
	}
	if changed {
		s, with := *in.Snapshot, *in
		s.Pods, with.Snapshot = pods, &s
		f.input = &with
	}
	return f
}

// writesLabels reports whether a mutating policy may write labels of a pod.
func writesLabels(p *admissionv1.MutatingAdmissionPolicy) bool {
	return slices.ContainsFunc(p.Spec.Mutations, func(m admissionv1.Mutation) bool {
		return m.JSONPatch != nil && strings.Contains(m.JSONPatch.Expression, "/metadata") ||
			m.ApplyConfiguration != nil && strings.Contains(m.ApplyConfiguration.Expression, "labels")
	})
}

// storedPod is a pod with the labels that it would be stored with; nil where they are its own.
func storedPod(storing finding.Storing, pod *snapshot.Pod) (stored *snapshot.Pod, doubt string) {
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Labels: map[string]string{}}, Spec: *pod.Spec}
	for _, l := range pod.Labels {
		o.Labels[l.Key] = l.Value
	}
	answer := storing.Stored(&finding.AdmissionRequest{Subject: rbac.ServiceAccount("kube-system", "replicaset-controller"), Operation: "CREATE",
		Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: corev1.SchemeGroupVersion.WithResource("pods"), Namespace: pod.Namespace, Name: pod.Name, Object: o})
	if len(answer.Unknown) > 0 {
		doubt = strings.Join(answer.Unknown, "; ")
	}
	after, is := answer.Object.(metav1.Object)
	if !is {
		return nil, doubt
	}
	labels := snapshot.LabelsOf(after.GetLabels())
	if slices.Equal(labels, pod.Labels) {
		return nil, doubt
	}
	with := *pod
	with.Labels = labels
	return &with, doubt
}
