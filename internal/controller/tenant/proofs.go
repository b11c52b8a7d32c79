package tenant

import (
	"context"
	"fmt"
	"hash/fnv"
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
	// Prove always returns a valid proof; one with an error is Unknown. The foreign namespaces are those in which the
	// tenant must have no right.
	Prove(ctx context.Context, tenant *v1alpha1.Tenant, spaces []v1alpha1.Space, foreign []string) (v1alpha1.Proof, error)
}

const (
	// proofTimeout bounds one proof; what could not be asked by then is Unknown.
	proofTimeout = time.Minute
	// settling is how long a new tenant's first proof waits for its first Space to be declared, and guarding how long for
	// declared ones to get their guardrails: one proof then serves them all, and a proof is dozens of requests.
	settling, guarding = time.Second, 30 * time.Second
)

// Proofs has tenants proven in the background, so that no tenant's guardrails wait for another's proof. It writes
// nothing: the Reconciler writes the latest proof into the Tenant's status, with the rest of it.
type Proofs struct {
	// Client reads from the cache.
	Client client.Client
	Prover Prover
	Clock  clock.PassiveClock

	// requeue the tenant for the Reconciler; nil when no Reconciler runs.
	requeue func(ctx context.Context, tenant string)

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
		return ctrl.Result{}, nil // its status requeues it
	}
	if err := r.Client.List(ctx, spaces, client.InNamespace(v1alpha1.HomeNamespace(t.Name))); err != nil {
		return ctrl.Result{}, fmt.Errorf("list the spaces of tenant %s: %w", t.Name, err)
	}
	if due := max(r.due(t, platform, spaces.Items), r.early(t, spaces.Items)); due > 0 {
		return ctrl.Result{RequeueAfter: due}, nil
	}
	foreign, err := r.foreignNamespaces(ctx, t)
	if err != nil {
		return ctrl.Result{}, err
	}
	limited, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	proof, err := r.Prover.Prove(limited, t, enforced(spaces.Items), foreign)
	if err != nil {
		ctrl.LoggerFrom(ctx).Info("the proof could not be made", "tenant", t.Name, "reason", err.Error())
	}
	r.keep(t, &proof)
	if r.requeue != nil {
		r.requeue(ctx, t.Name)
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

// repeats reports whether the latest proof had the verdict of the one before it.
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
	enforced := find(t.Status.Conditions, v1alpha1.ConditionEnforced)
	if len(spaces) == 0 && enforced != nil {
		return settling - r.Clock.Since(enforced.LastTransitionTime.Time)
	}
	wait := time.Duration(0)
	for i := range spaces {
		s := &spaces[i]
		ready := find(s.Status.Conditions, v1alpha1.ConditionReady)
		young := ready == nil || ready.Reason == v1alpha1.ReasonPending || ready.Reason == v1alpha1.ReasonEnforcing
		coming := young && s.Status.Revision == "" && s.DeletionTimestamp.IsZero()
		if coming {
			wait = max(wait, guarding-r.Clock.Since(s.CreationTimestamp.Time))
		}
	}
	return wait
}

// enough foreign namespaces for a proof: a right in a foreign namespace that is not found in a few is found by the exact
// proof, not by asking in thousands.
const enoughForeign = 2

// foreignNamespaces are those of tenants that share no owner with this one. Only a few tenants are looked at.
func (r *Proofs) foreignNamespaces(ctx context.Context, t *v1alpha1.Tenant) ([]string, error) {
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
		if len(found) >= enoughForeign {
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

const (
	// askAgainSoon is when to ask again after an answer that was not good and is new: on a cluster where policies were
	// just written, an API server may not have seen them yet. askAgain is for one that stays.
	askAgainSoon, askAgain = 5 * time.Second, 30 * time.Second
)

// skew is how far ahead a clock may be of which a proof bears the time. One that is further ahead was made before the clock
// was set back, and its age is not known.
const skew = time.Minute

// readReport reads the exact proof, unless it is about a Tenant of the same name that was there before.
func (r *Reconciler) readReport(ctx context.Context, p *pass) error {
	exact := &v1alpha1.IsolationReport{}
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(p.tenant), exact)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get the isolation report of tenant %s: %w", p.tenant.Name, err)
	}
	ofThis := func(o metav1.OwnerReference) bool { return o.UID == p.tenant.UID }
	if err == nil && slices.ContainsFunc(exact.OwnerReferences, ofThis) {
		p.exact = exact
	}
	return nil
}

// checkProof turns the latest proof into the condition. Proofs are made in the background, one for all that changed.
func (r *Reconciler) checkProof(_ context.Context, p *pass) error {
	p.tenant.Status.Proof = r.Proofs.latest(p.tenant)
	proof, freshness := p.tenant.Status.Proof, p.platform.Spec.ProofFreshness.Duration
	if proof == nil {
		return unknown(v1alpha1.ReasonProofPending, "the API server has not been asked yet")
	}
	p.Messages[v1alpha1.ConditionProven] = fmt.Sprintf("%d questions asked as the tenant", proof.Asked)
	left := freshness - r.Clock.Since(proof.Time.Time)
	p.RequeueAfter(left)
	switch {
	case left <= 0:
		return unknown(v1alpha1.ReasonProofStale, "the last proof is of %s, older than the proofFreshness of %s: the controller makes the next one; see `bulkhead check`",
			proof.Time.UTC().Format(time.RFC3339), freshness)
	case !covers(proof, p.tenant, p.platform, p.spaces):
		return unknown(v1alpha1.ReasonProofPending, "the API server has not been asked since the last change")
	case proof.Verdict == v1alpha1.Isolated:
		return r.checkReport(p)
	case proof.Verdict == v1alpha1.Exposed:
		return status.Waiting(v1alpha1.ConditionProven, v1alpha1.ReasonExposed, "%v", proof.Failures)
	default:
		return unknown(v1alpha1.ReasonProofFailed, "%v", proof.Failures)
	}
}

// checkReport lets the exact proof take away what the direct answers gave. One that was never made takes nothing away:
// it follows within seconds. It judges all that the cluster holds, also what no question is about.
func (r *Reconciler) checkReport(p *pass) error {
	if p.exact == nil {
		p.Messages[v1alpha1.ConditionProven] += "; the exact proof is still to come"
		return nil
	}
	freshness, age := p.platform.Spec.ProofFreshness.Duration, r.Clock.Since(p.exact.Time.Time)
	p.RequeueAfter(freshness - age)
	switch {
	case age >= freshness || age < -skew:
		return unknown(v1alpha1.ReasonProofStale, "the last exact proof is of %s, and counts for %s: the controller makes the next one; see `bulkhead check`",
			p.exact.Time.UTC().Format(time.RFC3339), freshness).RequeueAfter(status.Recheck)
	case p.exact.Verdict == v1alpha1.Isolated:
		p.Messages[v1alpha1.ConditionProven] += "; nothing exposed in the exact proof of all that the cluster holds"
		return nil
	case p.exact.Verdict == v1alpha1.Exposed:
		return status.Waiting(v1alpha1.ConditionProven, v1alpha1.ReasonExposed, "exact proof: %s", p.exact.Summary())
	default:
		return unknown(v1alpha1.ReasonProofFailed, "exact proof: %s", p.exact.Summary())
	}
}

func unknown(reason, format string, args ...any) *status.Wait {
	wait := status.Waiting(v1alpha1.ConditionProven, reason, format, args...)
	wait.Unknown = true
	return wait
}

// covers reports whether the proof is about what is enforced now: this generation of the Tenant and of the Platform, and
// every Space as it is.
func covers(proof *v1alpha1.Proof, t *v1alpha1.Tenant, platform *v1alpha1.Platform, spaces []v1alpha1.Space) bool {
	if proof == nil || !proof.Scope.CoversTenant(t, platform) {
		return false
	}
	uncovered := func(s v1alpha1.Space) bool { return !proof.Scope.CoversSpace(&s) }
	return !slices.ContainsFunc(enforced(spaces), uncovered)
}

// enforced Spaces are those whose namespace has its guardrails.
func enforced(spaces []v1alpha1.Space) []v1alpha1.Space {
	return slices.DeleteFunc(slices.Clone(spaces), func(s v1alpha1.Space) bool {
		return s.Status.Namespace == "" || s.Status.Revision == "" || !s.DeletionTimestamp.IsZero()
	})
}

// renewal is when a good proof is renewed: after half to three quarters of its freshness, at a point of the tenant's
// own, so that a thousand tenants that were proven together spread out.
func renewal(tenant string, freshness time.Duration) time.Duration {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(tenant)) // a hash takes every byte
	return freshness/2 + freshness/4*time.Duration(hash.Sum32()%1024)/1024
}
