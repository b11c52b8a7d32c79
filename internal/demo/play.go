package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/parallel"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

const (
	// fieldOwner is what server-side apply knows the example's files by.
	fieldOwner = v1alpha1.NamePrefix + "example"
	pollEvery  = 100 * time.Millisecond
	// patience is for one thing that takes well below a second on an idle machine.
	patience = 2 * time.Minute
)

// Play is an example on a cluster.
type Play struct {
	Example *Example
	Admin   *Person
	// Developers by tenant.
	Developers map[string]*Person
}

// Declare applies what the administrator declares, and then every Space as its owner does: as soon as its home
// namespace lets it. It returns what it left as a user changed it.
func (p *Play) Declare(ctx context.Context) ([]string, error) {
	kept, err := p.Admin.apply(ctx, slices.Concat(p.Example.Cluster, p.Example.Declared))
	if err != nil {
		return nil, err
	}
	for _, space := range p.Example.Spaces {
		tenant, _ := v1alpha1.TenantOfHome(space.GetNamespace())
		owner, ok := p.Developers[tenant]
		if !ok {
			return nil, fmt.Errorf("space %s: there is no tenant %s in the example", space.GetName(), tenant)
		}
		more, err := owner.applyWhenAllowed(ctx, space)
		if err != nil {
			return nil, err
		}
		kept = append(kept, more...)
	}
	return kept, nil
}

// Deploy applies the workloads as their owners, in those namespaces whose Space is ready.
func (p *Play) Deploy(ctx context.Context, spaces []SpaceState) ([]string, error) {
	var (
		mu    sync.Mutex
		kept  []string
		fault error
	)
	for _, workloads := range p.Example.Workloads {
		isReady := slices.ContainsFunc(spaces, func(s SpaceState) bool { return s.Namespace == workloads.Namespace && s.Ready })
		if !isReady {
			return nil, fmt.Errorf("workloads/%s: no Space that is ready has this namespace", workloads.Namespace)
		}
	}
	n := len(p.Example.Workloads)
	parallel.Each(n, n, 1, func(i int) {
		workloads := p.Example.Workloads[i]
		more, err := p.Developers[tenantOf(workloads.Namespace)].apply(ctx, workloads.Objects)
		mu.Lock()
		defer mu.Unlock()
		kept, fault = append(kept, more...), errors.Join(fault, err)
	})
	slices.Sort(kept)
	return kept, fault
}

// immutable reports whether an object is there from an older example and lets its difference to this one not be written.
func immutable(err error) bool {
	return apierrors.IsInvalid(err) &&
		(strings.Contains(err.Error(), "field is immutable") || strings.Contains(err.Error(), "updates to statefulset spec"))
}

// apply writes objects by server-side apply. What another user has changed since is left as it is and reported.
func (p *Person) apply(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	var kept []string
	for _, object := range objects {
		err := p.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()), client.FieldOwner(fieldOwner))
		switch {
		case apierrors.IsConflict(err), immutable(err):
			kept = append(kept, snapshot.RefOf(object.GetKind(), object).String())
		case err != nil:
			return nil, fmt.Errorf("%s applies %s: %w", p.Name, snapshot.RefOf(object.GetKind(), object), err)
		}
	}
	return kept, nil
}

// applyWhenAllowed repeats while the owner's rights are being set up.
func (p *Person) applyWhenAllowed(ctx context.Context, object *unstructured.Unstructured) ([]string, error) {
	var kept []string
	var refusal error
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		var err error
		kept, err = p.apply(ctx, []*unstructured.Unstructured{object})
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			refusal = err
			return false, nil
		}
		return true, err
	})
	if wait.Interrupted(err) && refusal != nil {
		return nil, fmt.Errorf("after %v still: %w", patience, refusal)
	}
	return kept, err
}

// poll repeats check until it is done, fails, or patience or ctx ends.
func poll(ctx context.Context, check wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextTimeout(ctx, pollEvery, patience, true, check)
}
