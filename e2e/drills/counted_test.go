package drills_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Promise: a Tenant that is Ready takes Spaces at once, also on a cluster that had begun to count before it knew of them.
// Kubernetes would otherwise refuse every Space ("status unknown for quota") until its next full round, minutes later.
func TestCounted(t *testing.T) {
	t.Parallel()
	const countConfigMaps corev1.ResourceName = "count/configmaps"
	g := newGroundAfter(t, func(admin client.Client) {
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "counted"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{countConfigMaps: resource.MustParse("10")}},
		}
		eventually(t, "there is a default namespace", func() string { return complaint(admin.Create(t.Context(), quota)) })
		eventually(t, "the quota controller counts", func() string {
			must(t, admin.Get(t.Context(), client.ObjectKeyFromObject(quota), quota))
			if _, counted := quota.Status.Used[countConfigMaps]; !counted {
				return "nothing is counted"
			}
			return ""
		})
	})
	controllers := g.start(t, nil)
	tenant, space := newTenant("early"), newSpace("early", "a")
	must(t, g.admin.Create(t.Context(), tenant))
	g.ready(t, tenant)
	must(t, g.admin.Create(t.Context(), space))
	g.ready(t, space)
	controllers.stop(t)
}
