package policy_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// BenchmarkAdmission is what policies cost a pod's creation (server dry-run): half of the requests go to a plain
// namespace with the same Pod Security level, half to a Space, in turns, so that both see the same machine.
func BenchmarkAdmission(b *testing.B) {
	for name, labels := range map[string]map[string]string{
		"Soft":                   nil,
		"SoftAffinity-sandboxed": {v1alpha1.LabelPattern: "SoftAffinity", v1alpha1.LabelRuntimeClass: "gvisor"},
	} {
		b.Run(name, func(b *testing.B) { benchmark(b, name, labels) })
	}
}

func benchmark(b *testing.B, name string, labels map[string]string) {
	b.Helper()
	ctx := b.Context()
	tenant := map[string]string{"Soft": "fast", "SoftAffinity-sandboxed": "slow"}[name]
	space := v1alpha1.SpaceNamespace(tenant, "space")
	plain := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plain-" + tenant, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted",
	}}}
	if err := admin.Get(ctx, client.ObjectKeyFromObject(plain), plain); err != nil {
		if err := admin.Create(ctx, plain); err != nil {
			b.Fatal(err)
		}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: plain.Name, Name: "default"}}
		if err := client.IgnoreAlreadyExists(admin.Create(ctx, account)); err != nil {
			b.Fatal(err)
		}
		if err := makeSpace(ctx, tenant, "space", labels, nil); err != nil {
			b.Fatal(err)
		}
	}
	create := func(namespace string) time.Duration {
		p := pod(namespace, "p")
		start := time.Now()
		if err := admin.Create(ctx, p, client.DryRunAll); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	for range 200 { // both sides warm
		create(plain.Name)
		create(space)
	}
	var without, with []time.Duration
	for b.Loop() {
		without = append(without, create(plain.Name))
		with = append(with, create(space))
	}
	slices.Sort(without)
	slices.Sort(with)
	at := func(d []time.Duration, q float64) float64 {
		return float64(d[int(q*float64(len(d)-1))]) / float64(time.Millisecond)
	}
	b.ReportMetric(at(without, 0.50), "ms-p50-without")
	b.ReportMetric(at(with, 0.50), "ms-p50-with")
	b.ReportMetric(at(with, 0.50)/at(without, 0.50), "p50-ratio")
	b.ReportMetric(at(without, 0.99), "ms-p99-without")
	b.ReportMetric(at(with, 0.99), "ms-p99-with")
	b.ReportMetric(at(with, 0.99)/at(without, 0.99), "p99-ratio")
}
