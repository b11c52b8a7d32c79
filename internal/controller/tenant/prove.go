package tenant

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/report"
)

const (
	// proofTimeout bounds one proof; what could not be asked by then is Unknown.
	proofTimeout = time.Minute
	// askAgainSoon is when to ask again after an answer that was not good and is new: on a cluster where policies were
	// just written, an API server may not have seen them yet. askAgain is for one that stays.
	askAgainSoon, askAgain = 5 * time.Second, 30 * time.Second
)

// prove has the API server asked when something changed since it was last asked, and in good time before the last
// proof grows stale.
func (r *Reconciler) prove(ctx context.Context, p *pass) error {
	if due := r.proofDue(p); due > 0 {
		p.lookAgain(due)
		return r.verdict(p)
	}
	neighbours, err := r.neighbours(ctx, p)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	proof, err := r.Prover.Prove(limited, p.tenant, p.enforcedSpaces(), neighbours)
	if err != nil {
		ctrl.LoggerFrom(ctx).Info("the proof could not be made", "tenant", p.tenant.Name, "reason", err.Error())
	}
	p.tenant.Status.Proof = &proof
	p.lookAgain(max(r.proofDue(p), time.Second))
	return r.verdict(p)
}

// proofDue is how long the present proof serves; zero or less when the API server is to be asked now.
func (r *Reconciler) proofDue(p *pass) time.Duration {
	proof := p.tenant.Status.Proof
	if proof == nil || !p.covered(proof) {
		return 0
	}
	age := r.Clock.Since(proof.Time.Time)
	previous := p.before.Status.Proof
	switch {
	case proof.Verdict == v1alpha1.Isolated:
		return renewal(p.tenant.Name, p.platform.Spec.ProofFreshness.Duration) - age
	case previous != nil && previous.Verdict == proof.Verdict && !previous.Time.Equal(&proof.Time):
		return askAgain - age
	default:
		return min(askAgainSoon, p.platform.Spec.ProofFreshness.Duration/2) - age
	}
}

// covered tells whether the proof is about what is enforced now: this generation of the Tenant and of the Platform,
// and every Space as it is.
func (p *pass) covered(proof *v1alpha1.Proof) bool {
	if !slices.Contains(proof.Covers, fmt.Sprintf("tenant/%d/%d", p.tenant.Generation, p.platform.Generation)) {
		return false
	}
	for _, space := range p.enforcedSpaces() {
		if !slices.Contains(proof.Covers, space.Name+"/"+space.Status.Revision) {
			return false
		}
	}
	return true
}

// enforcedSpaces are those that have a fenced namespace.
func (p *pass) enforcedSpaces() []v1alpha1.Space {
	return slices.DeleteFunc(slices.Clone(p.spaces), func(s v1alpha1.Space) bool {
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

// verdict turns the proof into the condition.
func (r *Reconciler) verdict(p *pass) error {
	proof := p.tenant.Status.Proof
	p.messages[v1alpha1.ConditionProven] = fmt.Sprintf("%d questions asked as the tenant", proof.Asked)
	unknown := func(reason, format string, args ...any) error {
		wait := report.Waiting(v1alpha1.ConditionProven, reason, format, args...)
		wait.Unknown = true
		return wait
	}
	switch {
	case r.Clock.Since(proof.Time.Time) >= p.platform.Spec.ProofFreshness.Duration:
		return unknown(v1alpha1.ReasonProofStale, "the last proof is of %s, older than %s: unknown is never safe",
			proof.Time.UTC().Format(time.RFC3339), p.platform.Spec.ProofFreshness.Duration)
	case proof.Verdict == v1alpha1.Isolated:
		return nil
	case proof.Verdict == v1alpha1.Exposed:
		return report.Waiting(v1alpha1.ConditionProven, v1alpha1.ReasonExposed, "%v", proof.Findings)
	default:
		return unknown(v1alpha1.ReasonProofFailed, "%v", proof.Findings)
	}
}

// enough neighbours for a proof: a right in a foreign namespace that is not found in a few is found by the exact
// proof, not by asking in thousands.
const enoughNeighbours = 2

// neighbours are namespaces of tenants that share no owner with this one. Only a handful of tenants is looked at.
func (r *Reconciler) neighbours(ctx context.Context, p *pass) ([]string, error) {
	const handful = 20
	tenants := &v1alpha1.TenantList{}
	if err := r.Client.List(ctx, tenants, client.Limit(handful)); err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	slices.SortFunc(tenants.Items, func(a, b v1alpha1.Tenant) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	var found []string
	for i := range tenants.Items {
		other := &tenants.Items[i]
		if other.Name == p.tenant.Name || !other.DeletionTimestamp.IsZero() || sharesOwner(other, p.tenant) {
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
	for i := range conditions {
		if conditions[i].Type == name {
			return &conditions[i]
		}
	}
	return nil
}
