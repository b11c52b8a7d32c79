package cli

import (
	"context"
	"fmt"

	"github.com/bulkhead-dev/bulkhead/internal/demo"
	"github.com/bulkhead-dev/bulkhead/internal/localcluster"
)

// told is the whole story of one `up`.
type told struct {
	Tenants     []demo.TenantState `json:"tenants"`
	Spaces      []demo.SpaceState  `json:"spaces"`
	Waivers     []demo.WaiverState `json:"waivers,omitempty"`
	Enforcement demo.Enforcement   `json:"enforcement"`
	Allowed     []demo.Outcome     `json:"allowed"`
	Refused     []demo.Outcome     `json:"refused"`
	Drill       *demo.Drill        `json:"drill,omitempty"`
	// Kept is what the user had changed and the example did not overwrite.
	Kept []string `json:"kept,omitempty"`
	// AdminKubeconfig and Kubeconfigs, by tenant, are paths.
	AdminKubeconfig string            `json:"adminKubeconfig"`
	Kubeconfigs     map[string]string `json:"kubeconfigs"`

	empty   bool
	seconds float64
}

func (t *told) failed() []demo.Outcome {
	failed := append(demo.Failed(t.Allowed), demo.Failed(t.Refused)...)
	if t.Drill != nil {
		failed = append(failed, t.Drill.Failed()...)
	}
	return failed
}

func (t *told) failures() int { return len(t.failed()) }

func (t *told) tried() int {
	n := len(t.Allowed) + len(t.Refused)
	if t.Drill != nil {
		n += len(t.Drill.Allowed) + len(t.Drill.Refused) + len(t.Drill.Rest)
	}
	return n
}

// tell plays the example and collects its story.
func (o *upOptions) tell(ctx context.Context, cluster *localcluster.Cluster, program *localcluster.Program,
	example *demo.Example, steps *steps,
) (*told, error) {
	t := &told{empty: o.empty, Kubeconfigs: map[string]string{}}
	play, err := people(cluster, o.dir, example)
	if err != nil {
		return nil, err
	}
	t.AdminKubeconfig = play.Admin.Kubeconfig
	for tenant, developer := range play.Developers {
		t.Kubeconfigs[tenant] = developer.Kubeconfig
	}
	if o.empty {
		return t, nil
	}
	if err := o.converge(ctx, play, t, steps); err != nil {
		return nil, err
	}
	if err := o.try(ctx, play, t, steps); err != nil {
		return nil, err
	}
	if o.drill {
		err := steps.do("kill the controller, and try everything without it", func() error {
			t.Drill, err = play.Drill(ctx, controller{cluster, program}, o.outcomes(steps))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// converge declares the example and waits until it is enforced and runs.
func (o *upOptions) converge(ctx context.Context, play *demo.Play, t *told, steps *steps) error {
	progress := func(settled, all int) { steps.note(fmt.Sprintf("%d of %d Spaces", settled, all)) }
	err := steps.do(fmt.Sprintf("declare %d tenants; their owners ask for %d Spaces", len(play.Example.Tenants), len(play.Example.Spaces)), func() error {
		var err error
		t.Kept, err = play.Declare(ctx)
		return err
	})
	if err != nil {
		return err
	}
	err = steps.do("decide, enforce and prove", func() error {
		var err error
		t.Spaces, err = play.Settle(ctx, progress)
		return err
	})
	if err != nil {
		return err
	}
	err = steps.do("deploy the tenants' applications as their owners", func() error {
		kept, err := play.Deploy(ctx, t.Spaces)
		if err != nil {
			return err
		}
		t.Kept = append(t.Kept, kept...)
		return play.Run(ctx, t.Spaces)
	})
	if err != nil {
		return err
	}
	if t.Tenants, err = play.Tenants(ctx); err != nil {
		return err
	}
	if t.Waivers, err = play.Waivers(ctx); err != nil {
		return err
	}
	t.Enforcement, err = play.Enforcement(ctx)
	return err
}

// try what must work and what must not.
func (o *upOptions) try(ctx context.Context, play *demo.Play, t *told, steps *steps) error {
	err := steps.do("work as a tenant's developer", func() error {
		var err error
		t.Allowed, err = play.Allowed(ctx, o.outcomes(steps))
		return err
	})
	if err != nil {
		return err
	}
	return steps.do("try what must be refused", func() error {
		var err error
		t.Refused, err = play.Refused(ctx, o.outcomes(steps))
		return err
	})
}

func (o *upOptions) outcomes(steps *steps) func(demo.Outcome) {
	return func(outcome demo.Outcome) { steps.note(outcome.What) }
}

// controller lets the story kill and start Bulkhead's process.
type controller struct {
	cluster *localcluster.Cluster
	program *localcluster.Program
}

// Kill ends the controller by SIGKILL; it is not restarted by itself.
func (c controller) Kill() error { return c.cluster.Kill(c.program.Name) }

// Start runs it again and waits until it is ready.
func (c controller) Start(ctx context.Context) error { return c.cluster.Run(ctx, c.program) }
