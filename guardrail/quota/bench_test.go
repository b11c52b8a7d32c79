package quota

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func BenchmarkSplit(b *testing.B) {
	total := list("requests.cpu", "80", "limits.cpu", "160", "requests.memory", "160Gi", "limits.memory", "320Gi", "pods", "1000")
	for i := range 25 {
		total[corev1.ResourceName(fmt.Sprintf("count/kind%d.example.com", i))] = *resource.NewQuantity(500, resource.DecimalSI)
	}
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			shares := make([]Share, n)
			for i := range shares {
				shares[i] = Share{Space: fmt.Sprintf("s%03d", i)}
				if i%4 == 0 {
					shares[i].Wanted = list("requests.cpu", "2", "pods", "20")
				}
			}
			d := Split(total, nil, shares)
			for i := range shares {
				shares[i].Quota = &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: d.Grants[i].Hard},
					Status: corev1.ResourceQuotaStatus{Hard: d.Grants[i].Hard, Used: d.Grants[i].Hard}}
			}
			b.ReportAllocs()
			for b.Loop() {
				Split(total, d.Ledger, shares)
			}
		})
	}
}
