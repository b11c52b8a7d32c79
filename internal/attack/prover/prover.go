package prover

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// Prover asks the API server, as a tenant's identities, what the Proven condition rests on. It stores nothing, keeps no
// state and may be used by many goroutines at once.
type Prover struct {
	// Complete asks every question in all its forms, as all owners, in all Spaces, instead of the choice that keeps a
	// routine proof cheap.
	Complete bool

	clock  clock.PassiveClock
	server *engine.Server
}

// New makes a Prover. The identity of config needs [Rights].
func New(config *rest.Config, clock clock.PassiveClock) (*Prover, error) {
	s, err := engine.NewServer(config, false)
	if err != nil {
		return nil, err
	}
	return &Prover{clock: clock, server: s}, nil
}

// Prove asks the questions for a tenant and its Spaces; those without status.namespace are skipped. The foreign namespaces are
// namespaces in which the tenant must have no right: of tenants that share no owner with it. Without any, kube-system
// stands in.
//
// The proof is always valid. Its verdict is Isolated only if every question was answered as it must be; whatever else
// happens, the end of ctx included, makes it Unknown and is among its failures. The error is not nil when nothing could be
// asked at all.
func (p *Prover) Prove(ctx context.Context, tenant *v1alpha1.Tenant, spaces []v1alpha1.Space, foreign []string) (v1alpha1.Proof, error) {
	results, scope, err := p.results(ctx, tenant, spaces, foreign)
	proof := sum(results)
	proof.Time, proof.Scope = metav1.NewTime(p.clock.Now()), scope
	if err != nil {
		proof.Verdict = v1alpha1.Unknown
		proof.Failures = []v1alpha1.ProofFailure{{
			Control: wholeProof, Subject: "tenant " + tenant.Name, Verdict: v1alpha1.Unknown, Detail: err.Error(),
		}}
		return proof, fmt.Errorf("prove tenant %s: %w", tenant.Name, err)
	}
	return proof, nil
}

func (p *Prover) results(ctx context.Context, tenant *v1alpha1.Tenant, spaces []v1alpha1.Space, foreign []string) ([]engine.Result, v1alpha1.ProofScope, error) {
	platform, err := p.server.Platform(ctx)
	if err != nil {
		return nil, v1alpha1.ProofScope{}, err
	}
	w := &engine.World{Platform: platform, Tenant: tenant, Spaces: engine.Placed(spaces), Foreign: foreignTo(tenant, foreign)}
	tasks, err := plan(w, p.clock.Now(), p.Complete)
	if err != nil {
		return nil, v1alpha1.ProofScope{}, err
	}
	asked := &interview{server: p.server, twins: map[string]hostile.Answer{}}
	results := make([]engine.Result, 0, len(tasks))
	for _, t := range tasks {
		results = append(results, asked.run(ctx, t))
	}
	return results, scope(w), nil
}

// foreignTo leaves out what is the tenant's own, in which it has rights.
func foreignTo(tenant *v1alpha1.Tenant, namespaces []string) []string {
	others := slices.DeleteFunc(slices.Clone(namespaces), func(namespace string) bool {
		return namespace == "" || namespace == v1alpha1.HomeNamespace(tenant.Name) ||
			strings.HasPrefix(namespace, v1alpha1.SpaceNamespace(tenant.Name, ""))
	})
	if len(others) == 0 {
		return []string{metav1.NamespaceSystem}
	}
	return others
}

// interview is one proof under way. It asks every harmless twin once per subject and place, however many attempts share it.
type interview struct {
	server *engine.Server
	twins  map[string]hostile.Answer
}

func (i *interview) run(ctx context.Context, t engine.Task) engine.Result {
	result := engine.Result{Case: t.Attack, Scene: t.Scene}
	if ctx.Err() != nil {
		result.Verdict, result.Detail = v1alpha1.Unknown, fmt.Sprintf("attack %s was not tried: %v", t.Attack.ID, context.Cause(ctx))
		return result
	}
	key := strings.Join([]string{t.Scene.Subject.String(), t.Scene.Namespace(), t.Attack.Twin.Title}, "\x00")
	twin, known := i.twins[key]
	if !known {
		twin = i.step(ctx, &t.Scene, &t.Attack.Twin)
		i.twins[key] = twin
	}
	result.Verdict, result.Detail = engine.Judge(&t.Attack, twin, i.step(ctx, &t.Scene, &t.Attack.Attempt))
	return result
}

func (i *interview) step(ctx context.Context, scene *hostile.Scene, step *hostile.Step) hostile.Answer {
	question, err := step.Ask(*scene)
	if err != nil {
		return hostile.Unclear("cannot %s: %v", step.Title, err)
	}
	return i.server.Ask(ctx, &scene.Subject, question)
}
