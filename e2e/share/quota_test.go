package share_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

var rounds = flag.Int("rounds", 12, "rounds of the quota race; 100 is the whole of it")

const racers = 64

// Promise: the tenant's quota is never exceeded, at no revision of the store, while 64 writers race for it over 8 Spaces
// and the owner moves shares between these all the time. That something is refused, and something accepted, shows that
// the race was one.
func TestQuotaRaceIsNeverWon(t *testing.T) {
	const spaces = 8
	quota := corev1.ResourceList{"requests.cpu": amount("4"), "requests.memory": amount("64Gi"),
		"limits.cpu": amount("64"), "limits.memory": amount("64Gi"), "pods": amount("40")}
	tenant, list := tenantWith(t, "racer", spaces, quota)
	owner := as(t, "racer-owner")
	sum := follow(t, tenant)
	refused, accepted, contended := 0, 0, 0
	for round := range *rounds {
		r := rand.New(rand.NewPCG(uint64(round), 7)) // the same rounds every time
		answers := make(chan error, racers)
		var group sync.WaitGroup
		seed := r.Uint64()
		group.Go(func() { moveShares(t, owner, list, seed) })
		for i := range racers {
			pod := racingPod(list[r.IntN(spaces)].Status.Namespace, fmt.Sprintf("r%d-%d", round, i), 50*(1+r.IntN(8)))
			group.Go(func() { answers <- owner.Create(t.Context(), pod) })
		}
		group.Wait()
		for range racers {
			switch err := <-answers; {
			case err == nil:
				accepted++
			case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
				refused++
			case apierrors.IsConflict(err) && strings.Contains(err.Error(), `resourcequotas "bulkhead"`):
				contended++ // the quota's admission gave up after its third attempt to write down what is used: nothing was made
			default:
				t.Errorf("round %d: neither accepted nor refused by the quota: %v", round, err)
			}
		}
		for _, s := range list {
			must(t, owner.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(s.Status.Namespace)))
		}
	}
	most := sum.stop(t)
	t.Logf("%d rounds: %d pods accepted, %d refused, %d given up; at most %s of %s CPUs and %d of 40 pods at any revision", *rounds, accepted, refused,
		contended, most.cpu.String(), "4", most.pods)
	if accepted == 0 || refused == 0 {
		t.Errorf("%d accepted and %d refused: that was no race", accepted, refused)
	}
}

// moveShares has the owner take from one Space and give to another, a few times.
func moveShares(t *testing.T, owner client.Client, list []*v1alpha1.Space, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 11))
	for range 4 {
		s := list[r.IntN(len(list))].DeepCopy()
		patch := fmt.Appendf(nil, `{"spec":{"quota":{"requests.cpu":"%dm","pods":"%d"}}}`, 100*r.IntN(20), r.IntN(20))
		if err := owner.Patch(t.Context(), s, client.RawPatch("application/merge-patch+json", patch)); err != nil {
			t.Errorf("move a share to %s: %v", s.Name, err)
		}
	}
}

func racingPod(namespace, name string, milliCPU int) *corev1.Pod {
	no, yes := false, true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "main", Image: "registry.example.com/app:1",
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{"cpu": *resource.NewMilliQuantity(int64(milliCPU), resource.DecimalSI), "memory": amount("16Mi")},
					Limits:   corev1.ResourceList{"cpu": amount("500m"), "memory": amount("64Mi")},
				},
			}},
		},
	}
}

// usage is what a tenant's pods request together.
type usage struct {
	cpu  resource.Quantity
	pods int
}

// follower adds up, event by event in the order of the store, what a tenant's pods request.
type follower struct {
	cancel context.CancelFunc
	ended  chan usage
}

// lastSeen is a pod whose creation tells the follower that it has seen everything.
const lastSeen = "last-to-be-seen"

// follow fails the test at the first revision at which the tenant has more than its quota. It counts what is really
// there, not what anybody's books say.
func follow(t *testing.T, tenant *v1alpha1.Tenant) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	pods := &corev1.PodList{}
	must(t, admin.List(ctx, pods))
	w, err := admin.Watch(ctx, &corev1.PodList{}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: pods.ResourceVersion}})
	must(t, err)
	f := &follower{cancel: cancel, ended: make(chan usage, 1)}
	go func() {
		var most usage
		defer func() { f.ended <- most }()
		there := map[string]resource.Quantity{}
		for event := range w.ResultChan() {
			pod, isPod := event.Object.(*corev1.Pod)
			if !isPod {
				t.Errorf("the watch of pods broke off: %v", event.Object)
				return
			}
			if pod.Name == lastSeen {
				return
			}
			if !strings.HasPrefix(pod.Namespace, tenant.Name+"--") {
				continue
			}
			if key := pod.Namespace + "/" + pod.Name; event.Type == watch.Deleted {
				delete(there, key)
			} else {
				there[key] = pod.Spec.Containers[0].Resources.Requests["cpu"]
			}
			var cpu resource.Quantity
			for _, q := range there {
				cpu.Add(q)
			}
			if limit := tenant.Spec.Quota["requests.cpu"]; cpu.Cmp(limit) > 0 {
				t.Errorf("at revision %s the pods of %s request %s of %s CPUs", pod.ResourceVersion, tenant.Name, cpu.String(), limit.String())
			}
			if limit := tenant.Spec.Quota["pods"]; int64(len(there)) > limit.Value() {
				t.Errorf("at revision %s %s has %d of %s pods", pod.ResourceVersion, tenant.Name, len(there), limit.String())
			}
			if cpu.Cmp(most.cpu) > 0 {
				most.cpu = cpu
			}
			most.pods = max(most.pods, len(there))
		}
	}()
	return f
}

// stop ends the following once everything up to now was seen, and returns the most of it.
func (f *follower) stop(t *testing.T) usage {
	t.Helper()
	defer f.cancel()
	must(t, admin.Create(t.Context(), racingPod(metav1.NamespaceDefault, lastSeen, 1)))
	return <-f.ended
}
