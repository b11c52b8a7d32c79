package tenant

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// Prover asks the API server, as the tenant's own identities, whether its isolation holds.
type Prover interface {
	// Prove always returns a valid proof; one with an error is Unknown. The neighbours are namespaces in which the
	// tenant must have no right.
	Prove(ctx context.Context, tenant *v1alpha1.Tenant, spaces []v1alpha1.Space, neighbours []string) (v1alpha1.Proof, error)
}

const (
	// proofTimeout bounds one proof; what could not be asked by then is Unknown.
	proofTimeout = time.Minute
	// settling is how long a new tenant's first proof waits for its first Space to be declared, and fencing how long for
	// those that were declared to be fenced: one proof then serves them all, and a proof is dozens of requests.
	settling, fencing = time.Second, 30 * time.Second
)

// Proofs has tenants proven in the background, so that nobody's guardrails wait for somebody else's proof. It writes
// nothing: the Reconciler takes the latest proof over into the Tenant's status, with all else that there is to tell.
type Proofs struct {
	// Client reads from the cache.
	Client client.Client
	Prover Prover
	Clock  clock.PassiveClock

	// tell wakes the Reconciler; nil when nobody is to be woken.
	tell func(ctx context.Context, tenant string)

	mu sync.Mutex
	// made since this process started, by the Tenant's name.
	made map[string]made
}

// made is the latest proof of a tenant.
type made struct {
	tenant types.UID
	proof  v1alpha1.Proof
	// repeats the verdict of the proof before.
	repeats bool
}

// latest proof of a tenant: of those in its status and in memory, the newer that is not of a time to come.
func (r *Proofs) latest(t *v1alpha1.Tenant) *v1alpha1.Proof {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.made[t.Name]
	if known := t.Status.Proof; known != nil && r.Clock.Since(known.Time.Time) < -skew {
		if !ok || m.tenant != t.UID || r.Clock.Since(m.proof.Time.Time) < -skew {
			return nil
		}
		return m.proof.DeepCopy()
	}
	if !ok || m.tenant != t.UID || t.Status.Proof != nil && m.proof.Time.Before(&t.Status.Proof.Time) {
		return t.Status.Proof
	}
	return m.proof.DeepCopy()
}

func (r *Proofs) keep(t *v1alpha1.Tenant, proof *v1alpha1.Proof) {
	proof.Time = metav1.NewTime(proof.Time.Truncate(time.Second)) // as the status will hold it
	previous := r.latest(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made == nil {
		r.made = map[string]made{}
	}
	r.made[t.Name] = made{tenant: t.UID, proof: *proof, repeats: previous != nil && previous.Verdict == proof.Verdict}
}

// Reconcile has the API server asked about one tenant when something changed since it was last asked, and in good time
// before the last proof grows stale.
func (r *Proofs) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	t, platform, spaces := &v1alpha1.Tenant{}, &v1alpha1.Platform{}, &v1alpha1.SpaceList{}
	if err := r.Client.Get(ctx, req.NamespacedName, t); err != nil {
		r.forget(req.Name)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if err := r.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.PlatformName}, platform); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	leaving := !t.DeletionTimestamp.IsZero() && !t.Spec.Protected
	if leaving || !status.IsTrue(t.Status.Conditions, v1alpha1.ConditionEnforced, t.Generation) {
		return ctrl.Result{}, nil // its status will tell
	}
	if err := r.Client.List(ctx, spaces, client.InNamespace(v1alpha1.HomeNamespace(t.Name))); err != nil {
		return ctrl.Result{}, fmt.Errorf("list the spaces of tenant %s: %w", t.Name, err)
	}
	if due := max(r.due(t, platform, spaces.Items), r.early(t, spaces.Items)); due > 0 {
		return ctrl.Result{RequeueAfter: due}, nil
	}
	neighbours, err := r.neighbours(ctx, t)
	if err != nil {
		return ctrl.Result{}, err
	}
	limited, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	proof, err := r.Prover.Prove(limited, t, enforced(spaces.Items), neighbours)
	if err != nil {
		ctrl.LoggerFrom(ctx).Info("the proof could not be made", "tenant", t.Name, "reason", err.Error())
	}
	r.keep(t, &proof)
	if r.tell != nil {
		r.tell(ctx, t.Name)
	}
	return ctrl.Result{RequeueAfter: max(r.due(t, platform, spaces.Items), time.Second)}, nil
}

// due is how long the present proof serves; zero or less when the API server is to be asked now.
func (r *Proofs) due(t *v1alpha1.Tenant, platform *v1alpha1.Platform, spaces []v1alpha1.Space) time.Duration {
	proof, freshness := r.latest(t), platform.Spec.ProofFreshness.Duration
	if !covers(proof, t, platform, spaces) {
		return 0
	}
	age := r.Clock.Since(proof.Time.Time)
	switch {
	case proof.Verdict == v1alpha1.Isolated:
		return renewal(t.Name, freshness) - age
	case r.repeats(t):
		return askAgain - age
	default:
		return min(askAgainSoon, freshness/2) - age
	}
}

// repeats tells whether the latest proof had the verdict of the one before it.
func (r *Proofs) repeats(t *v1alpha1.Tenant) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made[t.Name].tenant == t.UID && r.made[t.Name].repeats
}

func (r *Proofs) forget(tenant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.made, tenant)
}

// early is how long a tenant's first proof waits for its first Spaces: until then nothing is said to be proven. Later proofs
// are never put off.
func (r *Proofs) early(t *v1alpha1.Tenant, spaces []v1alpha1.Space) time.Duration {
	if r.latest(t) != nil {
		return 0
	}
	told := find(t.Status.Conditions, v1alpha1.ConditionEnforced)
	if len(spaces) == 0 && told != nil {
		return settling - r.Clock.Since(told.LastTransitionTime.Time)
	}
	wait := time.Duration(0)
	for i := range spaces {
		s := &spaces[i]
		ready := find(s.Status.Conditions, v1alpha1.ConditionReady)
		young := ready == nil || ready.Reason == v1alpha1.ReasonPending || ready.Reason == v1alpha1.ReasonEnforcing
		coming := young && s.Status.Revision == "" && s.DeletionTimestamp.IsZero()
		if coming {
			wait = max(wait, fencing-r.Clock.Since(s.CreationTimestamp.Time))
		}
	}
	return wait
}

// enough neighbours for a proof: a right in a foreign namespace that is not found in a few is found by the exact
// proof, not by asking in thousands.
const enoughNeighbours = 2

// neighbours are namespaces of tenants that share no owner with this one. Only a handful of tenants is looked at.
func (r *Proofs) neighbours(ctx context.Context, t *v1alpha1.Tenant) ([]string, error) {
	const handful = 20
	tenants := &v1alpha1.TenantList{}
	if err := r.Client.List(ctx, tenants, client.Limit(handful)); err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	slices.SortFunc(tenants.Items, func(a, b v1alpha1.Tenant) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	var found []string
	for i := range tenants.Items {
		other := &tenants.Items[i]
		if other.Name == t.Name || !other.DeletionTimestamp.IsZero() || sharesOwner(other, t) {
			continue
		}
		namespaces := &corev1.NamespaceList{}
		if err := r.Client.List(ctx, namespaces, client.MatchingFields{indexSpaceNamespace: other.Name}, client.Limit(1)); err != nil {
			return nil, fmt.Errorf("list the namespaces of tenant %s: %w", other.Name, err)
		}
		for j := range namespaces.Items {
			found = append(found, namespaces.Items[j].Name)
		}
		if len(namespaces.Items) == 0 && find(other.Status.Conditions, v1alpha1.ConditionEnforced) != nil {
			found = append(found, v1alpha1.HomeNamespace(other.Name))
		}
		if len(found) >= enoughNeighbours {
			break
		}
	}
	return found, nil
}

func sharesOwner(a, b *v1alpha1.Tenant) bool {
	return slices.ContainsFunc(a.Spec.Owners, func(o v1alpha1.Owner) bool { return slices.Contains(b.Spec.Owners, o) })
}

func find(conditions []metav1.Condition, name string) *metav1.Condition {
	return meta.FindStatusCondition(conditions, name)
}
