package tenant

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

const (
	// askAgainSoon is when to ask again after an answer that was not good and is new: on a cluster where policies were
	// just written, an API server may not have seen them yet. askAgain is for one that stays.
	askAgainSoon, askAgain = 5 * time.Second, 30 * time.Second
)

// skew is how far ahead a clock may be of which a proof bears the time. One that is further ahead was made before the clock
// was set back, and nobody knows how old it is.
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
		return unknown(v1alpha1.ReasonProofStale, "the last proof is of %s, older than %s: unknown is never safe",
			proof.Time.UTC().Format(time.RFC3339), freshness)
	case !covers(proof, p.tenant, p.platform, p.spaces):
		return unknown(v1alpha1.ReasonProofPending, "the API server has not been asked since the last change")
	case proof.Verdict == v1alpha1.Isolated:
		return r.checkReport(p)
	case proof.Verdict == v1alpha1.Exposed:
		return status.Waiting(v1alpha1.ConditionProven, v1alpha1.ReasonExposed, "%v", proof.Findings)
	default:
		return unknown(v1alpha1.ReasonProofFailed, "%v", proof.Findings)
	}
}

// checkReport lets the exact proof take away what the direct answers gave. One that was never made takes nothing away:
// it follows within seconds, and says so itself. It judges all that the cluster holds, also what nobody asks about.
func (r *Reconciler) checkReport(p *pass) error {
	if p.exact == nil {
		p.Messages[v1alpha1.ConditionProven] += "; the exact proof is still to come"
		return nil
	}
	freshness, age := p.platform.Spec.ProofFreshness.Duration, r.Clock.Since(p.exact.Time.Time)
	p.RequeueAfter(freshness - age)
	switch {
	case age >= freshness || age < -skew:
		return unknown(v1alpha1.ReasonProofStale, "the last exact proof is of %s, and counts for %s: unknown is never safe",
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

// covers tells whether the proof is about what is enforced now: this generation of the Tenant and of the Platform, and
// every Space as it is.
func covers(proof *v1alpha1.Proof, t *v1alpha1.Tenant, platform *v1alpha1.Platform, spaces []v1alpha1.Space) bool {
	if proof == nil || !slices.Contains(proof.Covers, fmt.Sprintf("tenant/%d/%d", t.Generation, platform.Generation)) {
		return false
	}
	for _, space := range enforced(spaces) {
		if !slices.Contains(proof.Covers, space.Name+"/"+space.Status.Revision) {
			return false
		}
	}
	return true
}

// enforced Spaces are those that have a fenced namespace.
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
