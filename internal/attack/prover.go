package attack

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
)

// Prover asks the API server, as a tenant's identities, what the Proven condition rests on. It stores nothing, keeps no
// state and may be used by many goroutines at once.
type Prover struct {
	// Complete asks every question in all its forms, as all owners, in all Spaces, instead of the choice that keeps a
	// routine proof cheap.
	Complete bool

	clock  clock.PassiveClock
	server *apiServer
}

// New makes a Prover. The identity of config needs [Rights].
func New(config *rest.Config, clock clock.PassiveClock) (*Prover, error) {
	s, err := newAPIServer(config, false)
	if err != nil {
		return nil, err
	}
	return &Prover{clock: clock, server: s}, nil
}

// Prove asks the questions for a tenant and its Spaces; those without status.namespace are passed over. The neighbours are
// namespaces in which the tenant must have no right: of tenants that share no owner with it. Without any, kube-system
// stands in.
//
// The proof is always valid. Its verdict is Isolated only if every question was answered as it must be; whatever else
// happens, the end of ctx included, makes it Unknown and is among its findings. The error is not nil when nothing could be
// asked at all.
func (p *Prover) Prove(ctx context.Context, tenant *v1alpha1.Tenant, spaces []v1alpha1.Space, neighbours []string) (v1alpha1.Proof, error) {
	results, covers, err := p.results(ctx, tenant, spaces, neighbours)
	proof := sum(results)
	proof.Time, proof.Covers = metav1.NewTime(p.clock.Now()), covers
	if err != nil {
		proof.Verdict = v1alpha1.Unknown
		proof.Findings = []string{wholeProof + ": tenant " + tenant.Name + ": Unknown: " + err.Error()}
		return proof, fmt.Errorf("prove tenant %s: %w", tenant.Name, err)
	}
	return proof, nil
}

func (p *Prover) results(ctx context.Context, tenant *v1alpha1.Tenant, spaces []v1alpha1.Space, neighbours []string) ([]Result, []string, error) {
	platform, err := p.server.platform(ctx)
	if err != nil {
		return nil, nil, err
	}
	w := &world{platform: platform, tenant: tenant, spaces: placed(spaces), foreign: foreignTo(tenant, neighbours)}
	tasks, err := plan(w, p.clock.Now(), p.Complete)
	if err != nil {
		return nil, nil, err
	}
	asked := &interview{server: p.server, twins: map[string]hostile.Answer{}}
	results := make([]Result, 0, len(tasks))
	for _, t := range tasks {
		results = append(results, asked.run(ctx, t))
	}
	return results, w.covers(), nil
}

// placed are the Spaces that have a namespace.
func placed(spaces []v1alpha1.Space) []v1alpha1.Space {
	return slices.DeleteFunc(slices.Clone(spaces), func(s v1alpha1.Space) bool { return s.Status.Namespace == "" })
}

// foreignTo leaves out what is the tenant's own, in which it has rights.
func foreignTo(tenant *v1alpha1.Tenant, neighbours []string) []string {
	others := slices.DeleteFunc(slices.Clone(neighbours), func(namespace string) bool {
		return namespace == "" || namespace == v1alpha1.HomeNamespace(tenant.Name) ||
			strings.HasPrefix(namespace, v1alpha1.SpaceNamespace(tenant.Name, ""))
	})
	if len(others) == 0 {
		return []string{metav1.NamespaceSystem}
	}
	return others
}

// interview is one proof under way. It asks every positive control once per subject and place, however many attempts share it.
type interview struct {
	server *apiServer
	twins  map[string]hostile.Answer
}

func (i *interview) run(ctx context.Context, t task) Result {
	result := Result{Case: t.attack, Scene: t.scene}
	if ctx.Err() != nil {
		result.Verdict, result.Detail = v1alpha1.Unknown, fmt.Sprintf("attack %s was not tried: %v", t.attack.ID, context.Cause(ctx))
		return result
	}
	key := strings.Join([]string{t.scene.Subject.String(), t.scene.Namespace(), t.attack.Twin.Title}, "\x00")
	twin, known := i.twins[key]
	if !known {
		twin = i.step(ctx, &t.scene, &t.attack.Twin)
		i.twins[key] = twin
	}
	result.Verdict, result.Detail = judge(&t.attack, twin, i.step(ctx, &t.scene, &t.attack.Attempt))
	return result
}

func (i *interview) step(ctx context.Context, scene *hostile.Scene, step *hostile.Step) hostile.Answer {
	question, err := step.Ask(*scene)
	if err != nil {
		return hostile.Unclear("cannot %s: %v", step.Title, err)
	}
	return i.server.ask(ctx, &scene.Subject, question)
}
