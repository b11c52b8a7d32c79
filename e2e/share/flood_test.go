package share_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// BenchmarkFlood measures a get and a create of one tenant while nobody else does anything, while another tenant floods the
// API server, and while it floods with the fairness controls taken away. With them, p99 should stay within twice the
// quiet one. Each phase lasts 30 s, with -short three, and figures are of all rounds (-benchtime) together. There are two
// floods of 64 clients: in one, every client sends all kinds in turn, and soon most wait for lists; in the other, every
// kind has senders of its own, who never let up.
// One tenant in eight is on the flood's priority level: how that one fares is measured too ("same-level").
func BenchmarkFlood(b *testing.B) {
	quota := corev1.ResourceList{"requests.cpu": amount("4"), "requests.memory": amount("8Gi"), "limits.cpu": amount("8"),
		"limits.memory": amount("8Gi"), "pods": amount("40"), "configmaps": amount("400"), "secrets": amount("40")}
	_, greedy := tenantWith(b, "greedy", 1, quota)
	fill(b, as(b, "greedy-owner"), greedy[0].Status.Namespace)
	apart, sameLevel := victimOf(b, "greedy", false, quota), victimOf(b, "greedy", true, quota)
	phase := 30 * time.Second
	if testing.Short() {
		phase = 3 * time.Second
	}
	for _, kind := range []struct {
		name   string
		inTurn bool
	}{{"all-kinds-in-turn", true}, {"senders-for-each-kind", false}} {
		b.Run(kind.name, func(b *testing.B) {
			var quiet [2][]time.Duration
			floods := map[string]*[2][]time.Duration{"flooded": {}, "flooded-same-level": {}, "flooded-unfair": {}}
			for round := range b.N {
				phaseOver := func(name string) {
					testcluster.Progress(b, "round %d of %d: %s of %s is over", round+1, b.N, name, phase)
				}
				add(&quiet, apart.measure(b, phase))
				phaseOver("quiet")
				add(floods["flooded"], flooded(b, apart, greedy[0].Status.Namespace, kind.inTurn, phase))
				phaseOver("flooded")
				add(floods["flooded-same-level"], flooded(b, sameLevel, greedy[0].Status.Namespace, kind.inTurn, phase))
				phaseOver("flooded-same-level")
				giveFairnessBack := takeFairnessAway(b)
				add(floods["flooded-unfair"], flooded(b, apart, greedy[0].Status.Namespace, kind.inTurn, phase))
				giveFairnessBack()
				phaseOver("flooded-unfair")
			}
			for i, what := range []string{"get", "create"} {
				for flood, times := range floods {
					report(b, what, flood, quiet[i], times[i])
				}
			}
		})
	}
}

// add puts times with those that were taken before: a 99th percentile of many is a steadier one.
func add(to *[2][]time.Duration, times [2][]time.Duration) {
	for i := range to {
		to[i] = append(to[i], times[i]...)
	}
}

func report(b *testing.B, what, flood string, quiet, times []time.Duration) {
	b.Helper()
	at := func(list []time.Duration, q float64) float64 {
		slices.Sort(list)
		return float64(list[int(q*float64(len(list)-1))]) / float64(time.Millisecond)
	}
	for name, q := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		b.ReportMetric(at(quiet, q), "ms-"+name+"-"+what+"-quiet")
		b.ReportMetric(at(times, q)/at(quiet, q), "x-"+name+"-"+what+"-"+flood)
	}
}

// victim is a tenant whose times are taken.
type victim struct {
	owner     client.Client
	namespace string
}

// victimOf makes a tenant that is on another's priority level, or is not.
func victimOf(b *testing.B, other string, sameLevel bool, quota corev1.ResourceList) *victim {
	b.Helper()
	level := func(n int) string { return v1alpha1.PriorityLevelName(fmt.Sprintf("modest-%d", n)) }
	n := 0
	for (level(n) == v1alpha1.PriorityLevelName(other)) != sameLevel {
		n++
	}
	tenant, spaces := tenantWith(b, fmt.Sprintf("modest-%d", n), 1, quota)
	return &victim{as(b, tenant.Spec.Owners[0].Name), spaces[0].Status.Namespace}
}

// fill gives the flooding tenant what makes its lists expensive: 200 objects of 100 kB.
func fill(b *testing.B, owner client.Client, namespace string) {
	b.Helper()
	for i := range 200 {
		must(b, owner.Create(b.Context(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("large-%d", i)},
			Data:       map[string]string{"text": strings.Repeat("x", 100_000)},
		}))
	}
}

// measure takes the times of gets and creates, one after the other, as a modest tenant asks.
func (v *victim) measure(b *testing.B, phase time.Duration) (times [2][]time.Duration) {
	b.Helper()
	own := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: v.namespace, Name: "kube-root-ca.crt"}
	for end := time.Now().Add(phase); time.Now().Before(end); {
		begin := time.Now()
		must(b, v.owner.Get(b.Context(), key, own))
		times[0] = append(times[0], time.Since(begin))
		begin = time.Now()
		must(b, v.owner.Create(b.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v.namespace, Name: "one"}}, client.DryRunAll))
		times[1] = append(times[1], time.Since(begin))
		time.Sleep(5 * time.Millisecond)
	}
	return times
}

// flooded measures while the greedy tenant floods, and says how much it got through: a flood of requests that were all
// refused would show nothing, so of each kind some must have been answered with success.
func flooded(b *testing.B, v *victim, greedy string, inTurn bool, phase time.Duration) [2][]time.Duration {
	b.Helper()
	stop := startFlood(b, greedy, inTurn)
	time.Sleep(2 * time.Second) // the flood has risen
	times := v.measure(b, phase)
	result := stop()
	for _, t := range torrents {
		b.Logf("the flood's %s by status: %v", t.kind, result[t.kind])
		if result[t.kind][http.StatusOK]+result[t.kind][http.StatusCreated] == 0 {
			b.Errorf("no %s of the flood were answered with success", t.kind)
		}
	}
	return times
}

// takeFairnessAway puts every tenant where Kubernetes puts workloads: on one level with everybody, each user a flow of its
// own, of which a tenant has as many as it makes service accounts. Bulkhead is there and repairs what it made, so its
// FlowSchemas are overruled rather than deleted, until giveBack.
func takeFairnessAway(b *testing.B) (giveBack func()) {
	b.Helper()
	everybody := []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: "system:authenticated"}}}
	all := []string{flowcontrolv1.NameAll}
	schema := &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: "overrule"},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "workload-low"},
			DistinguisherMethod:        &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			MatchingPrecedence:         7500,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{Subjects: everybody, ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
				Verbs: all, APIGroups: all, Resources: all, ClusterScope: true, Namespaces: all}}}},
		},
	}
	must(b, admin.Create(b.Context(), schema))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		must(b, admin.Get(b.Context(), client.ObjectKeyFromObject(schema), schema))
		if time.Now().After(deadline) {
			b.Fatal("the API server does not take the FlowSchema up that takes fairness away: what follows would be measured with it")
		}
		if len(schema.Status.Conditions) > 0 {
			return func() { must(b, admin.Delete(b.Context(), schema)) }
		}
	}
}
