package scale_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/guardrail/quota"
	"github.com/bulkhead-dev/bulkhead/placement"
)

func platform() *v1alpha1.Platform {
	return &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment:    "Production",
			Registries:     []string{"registry.example.com"},
			ProofFreshness: metav1.Duration{Duration: time.Hour},
			Network:        v1alpha1.PlatformNetwork{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.0.0.0/24"}},
		},
	}
}

func newTenant(name string) *v1alpha1.Tenant {
	return &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TenantSpec{
			Owners:   []v1alpha1.Owner{{Kind: "Group", Name: name + "-developers"}},
			Boundary: "Inside",
			Quota: corev1.ResourceList{
				"requests.cpu": resource.MustParse("10"), "requests.memory": resource.MustParse("20Gi"),
				"limits.cpu": resource.MustParse("20"), "limits.memory": resource.MustParse("40Gi"), "pods": resource.MustParse("100"),
			},
			Workloads: []v1alpha1.Workload{{Name: "web", Code: "Audited", Environment: "Production"}},
		},
	}
}

func newSpace(tenant string) *v1alpha1.Space {
	return &v1alpha1.Space{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.HomeNamespace(tenant), Name: "web"},
		Spec:       v1alpha1.SpaceSpec{Workload: "web"},
	}
}

// objectsOf are what Bulkhead renders for a tenant with one Space, in the order in which they can be written.
func objectsOf(tb testing.TB, name string) []guardrail.Object {
	tb.Helper()
	p, t, s := platform(), newTenant(name), newSpace(name)
	placed, err := placement.Of(p, t, &t.Spec.Workloads[0])
	if err != nil {
		tb.Fatal(err)
	}
	division := quota.Split(guardrail.TenantQuota(p, t), nil, []quota.Share{{Space: s.Name}})
	objects, _ := guardrail.Space(guardrail.SpaceInput{
		Platform: p, Tenant: t, Space: s, Decision: placed.Decision.Outcome, Quota: division.Grants[0].Hard, Peers: []*v1alpha1.Space{},
	})
	return append(guardrail.Tenant(t, []string{v1alpha1.SpaceNamespace(name, s.Name)}), objects...)
}

// somebody is who the objects of the raw run belong to: as long a name as Bulkhead's.
const somebody = "rawwrite"

// raw writes all objects of n tenants as fast as the API server takes them. They are labelled as somebody else's, so
// that Bulkhead does not take them for its own afterwards; each is as large as the original.
func (s *stage) raw() {
	work := make([][]guardrail.Object, s.n)
	for i := range work {
		work[i] = objectsOf(s.tb, fmt.Sprintf("raw-%04d", i))
		for _, o := range work[i] {
			o.GetLabels()[v1alpha1.LabelManagedBy] = somebody
		}
	}
	before, begin := processorTime(), time.Now()
	s.inParallel(func(i int) error {
		for _, o := range work[i] {
			if err := s.apply(o); err != nil {
				return fmt.Errorf("apply %T %s/%s: %w", o, o.GetNamespace(), o.GetName(), err)
			}
		}
		return nil
	})
	s.f.raw = time.Since(begin)
	s.settle()
	s.f.rawSettled, s.f.rawCost = time.Since(begin), processorTime().since(before)
	s.must(s.admin.DeleteAllOf(s.ctx, &flowcontrolv1.FlowSchema{}, client.MatchingLabels{v1alpha1.LabelManagedBy: somebody}),
		"delete the FlowSchemas of the raw run, which the API server walks through on every request")
}

// apply writes one object by server-side apply, as Bulkhead does.
func (s *stage) apply(o client.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return err
	}
	delete(content, "status")
	body := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	return s.admin.Apply(s.ctx, client.ApplyConfigurationFromUnstructured(body), client.FieldOwner("raw"), client.ForceOwnership)
}

// settle waits until Kubernetes' own controllers have caught up with the raw run.
func (s *stage) settle() {
	theirs := client.MatchingLabels{v1alpha1.LabelManagedBy: somebody}
	s.eventually(5*time.Minute, "the quotas of the raw run bind", func() string {
		quotas := &corev1.ResourceQuotaList{}
		if err := s.admin.List(s.ctx, quotas, theirs); err != nil {
			return err.Error()
		}
		for i := range quotas.Items {
			if len(quotas.Items[i].Status.Hard) == 0 {
				return quotas.Items[i].Namespace
			}
		}
		return ""
	})
}
