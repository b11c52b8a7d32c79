package observe

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Contents gather what is read, from files or from a cluster, until a World can be made of it.
type Contents struct {
	snapshot.Snapshot

	// Declared names where the objects of files were declared; nil for a cluster.
	Declared map[snapshot.Ref]Source
	// Passed counts the objects that no proof reads, by "Kind apiVersion".
	Passed map[string]int

	pods      []*corev1.Pod
	workloads []*Workload

	// Bulkhead's own objects.
	platform *v1alpha1.Platform
	tenants  []*v1alpha1.Tenant
	spaces   []*v1alpha1.Space
	waivers  []*v1alpha1.Waiver
}

// AddOwn adds an object of Bulkhead's.
func (c *Contents) AddOwn(object any) {
	switch o := object.(type) {
	case *v1alpha1.Platform:
		c.platform = o
	case *v1alpha1.Tenant:
		c.tenants = append(c.tenants, o)
	case *v1alpha1.Space:
		c.spaces = append(c.spaces, o)
	case *v1alpha1.Waiver:
		c.waivers = append(c.waivers, o)
	}
}

// ParameterKinds are the kinds of objects that the bindings of admission policies may refer to, and that are read: Secrets
// never are.
func (c *Contents) ParameterKinds() map[schema.GroupVersionKind]bool {
	wanted := map[schema.GroupVersionKind]bool{}
	want := func(k *admissionv1.ParamKind) {
		if k != nil {
			wanted[schema.FromAPIVersionAndKind(k.APIVersion, k.Kind)] = true
		}
	}
	for _, p := range c.ValidatingPolicies {
		want(p.Spec.ParamKind)
	}
	for _, p := range c.MutatingPolicies {
		want(p.Spec.ParamKind)
	}
	delete(wanted, schema.GroupVersionKind{Version: "v1", Kind: "Secret"})
	return wanted
}

// World makes the snapshot and what belongs to it.
func (c *Contents) World(source TenantSource) (*World, error) {
	w := &World{Sources: c.Declared, Passed: c.Passed}
	if c.platform != nil {
		w.Freshness = c.platform.Spec.ProofFreshness.Duration
	}
	slices.SortFunc(c.tenants, func(a, b *v1alpha1.Tenant) int { return cmp.Compare(a.Name, b.Name) })
	if rendered := c.rendered(); source.bulkheads() && len(rendered) > 0 {
		if c.Offline && !c.managed() {
			w.Rendered = len(rendered)
			c.addRendered(rendered)
		}
		w.Expected = expectedOf(rendered)
	}
	c.standIns()
	c.nameTenants(source)
	if source.bulkheads() {
		c.Flows = flowsOf(c.platform, c.spaces)
		c.Waivers = waiversOf(c.waivers, c.spaces)
	}
	s, err := snapshot.New(c.Snapshot)
	if err != nil {
		return nil, fmt.Errorf("what was read is no state of a cluster: %w", err)
	}
	w.Snapshot = s
	return w, nil
}

func flowsOf(p *v1alpha1.Platform, spaces []*v1alpha1.Space) []snapshot.Flow {
	var flows []snapshot.Flow
	for _, f := range guardrail.OpenFlows(p, spaces) {
		flows = append(flows, snapshot.Flow{From: f.From, To: f.To, FromPods: f.FromPods, ToPods: f.ToPods, Ports: f.Ports})
	}
	return flows
}

// waiversOf are the waivers with the namespaces in which they count: those of the workload's Spaces.
func waiversOf(waivers []*v1alpha1.Waiver, spaces []*v1alpha1.Space) []snapshot.Waiver {
	list := make([]snapshot.Waiver, 0, len(waivers))
	for _, w := range waivers {
		if !w.DeletionTimestamp.IsZero() {
			continue
		}
		waiver := snapshot.Waiver{
			Name: w.Name, Control: w.Spec.Control, Tenant: w.Spec.Tenant, Workload: w.Spec.Workload,
			Reason: w.Spec.Reason, Approver: w.Spec.Approver, Expires: w.Spec.Expires.Time,
		}
		for _, s := range spaces {
			if tenant, ok := v1alpha1.TenantOfHome(s.Namespace); ok && tenant == w.Spec.Tenant && s.Spec.Workload == w.Spec.Workload {
				waiver.Namespaces = append(waiver.Namespaces, v1alpha1.SpaceNamespace(tenant, s.Name))
			}
		}
		list = append(list, waiver)
	}
	return list
}

// inForce are the waivers of a Space's workload that have not expired.
func (c *Contents) inForce(tenant, workload string, now time.Time) []*v1alpha1.Waiver {
	var list []*v1alpha1.Waiver
	for _, w := range c.waivers {
		if w.Spec.Tenant == tenant && w.Spec.Workload == workload && w.DeletionTimestamp.IsZero() && now.Before(w.Spec.Expires.Time) {
			list = append(list, w)
		}
	}
	return list
}
