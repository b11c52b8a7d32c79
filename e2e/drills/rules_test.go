package drills_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/placement"
)

// replay goes through the states in which the cluster was, and finds those in which a control was absent.
//
// From the revision on at which the owners of a namespace have rights in it, until the namespace is being deleted, there
// must be, as rendered for something that was declared up to then: its marks, quota, limits and default network policy,
// the tenant's FlowSchema with the namespace in it, and every policy, role and priority level of the cluster. Whatever
// else is Bulkhead's in such a namespace opens something, and must be as rendered as well.
type replay struct {
	state map[key]client.Object
	// rendered are all renderings of what was declared so far.
	rendered map[key][]client.Object
	// usable are the namespaces in which owners have or had rights, by UID, with the revision since when.
	usable map[string]int64
	// good remembers which revisions of objects were found to be as rendered.
	good map[client.Object]bool
	// absences that were found.
	absences []string
}

// check replays and fails the test for every instant without a control. It returns since when each namespace was usable.
func (r *recorder) check(t *testing.T) map[string]int64 {
	t.Helper()
	p := r.play(t)
	for i, absence := range p.absences {
		if i == 10 {
			t.Errorf("and %d more", len(p.absences)-i)
			break
		}
		t.Error(absence)
	}
	return p.since()
}

// play goes through what was recorded so far.
func (r *recorder) play(t *testing.T) *replay {
	t.Helper()
	p := &replay{state: map[key]client.Object{}, rendered: map[key][]client.Object{}, usable: map[string]int64{}, good: map[client.Object]bool{}}
	looked := false
	for _, now := range r.revisions(t) {
		if now.at > r.began && !looked {
			p.look(r.began) // at what there was when the recording began
			looked = true
		}
		if now.gone {
			delete(p.state, now.key)
		} else {
			p.state[now.key] = now.object
		}
		p.render(now.object)
		if looked {
			p.look(now.at)
		}
	}
	if !looked {
		p.look(r.began)
	}
	return p
}

// look at the state that came with a revision.
func (p *replay) look(at int64) {
	used := false
	for _, o := range p.state {
		if n, ok := o.(*corev1.Namespace); ok {
			used = p.lookInto(at, n) || used
		}
	}
	for k, o := range p.rendered {
		if used && k.namespace == "" && o[0].GetLabels()[v1alpha1.LabelTenant] == "" {
			p.demand(at, k)
		}
	}
}

// since is the revision from which on each namespace was usable, by name: the latest of that name.
func (p *replay) since() map[string]int64 {
	names := map[string]int64{}
	for id, at := range p.usable {
		name, _, _ := strings.Cut(id, " ")
		names[name] = max(names[name], at)
	}
	return names
}

// render adds what a change of what is declared makes to be rendered.
func (p *replay) render(changed client.Object) {
	platform, _ := p.state[key{"v1alpha1.Platform", "", v1alpha1.PlatformName}].(*v1alpha1.Platform)
	switch changed.(type) {
	case *v1alpha1.Platform:
		p.add(guardrail.Cluster(platform)...)
	case *v1alpha1.Tenant, *v1alpha1.Space, *v1alpha1.Waiver:
	default:
		return
	}
	for _, o := range p.state {
		switch o := o.(type) {
		case *v1alpha1.Tenant:
			p.add(guardrail.Tenant(o, nil)...)
		case *v1alpha1.Space:
			p.renderSpace(platform, o)
		}
	}
}

func (p *replay) renderSpace(platform *v1alpha1.Platform, space *v1alpha1.Space) {
	owner, _ := v1alpha1.TenantOfHome(space.Namespace)
	tenant, known := p.state[key{"v1alpha1.Tenant", "", owner}].(*v1alpha1.Tenant)
	if !known || platform == nil {
		return
	}
	in := guardrail.SpaceInput{Platform: platform, Tenant: tenant, Space: space}
	workload := tenant.Workload(space.Spec.Workload)
	if workload == nil {
		return
	}
	placed, err := placement.Of(platform, tenant, workload)
	if err != nil {
		return
	}
	in.Decision = placed.Decision.Outcome
	for _, o := range p.state {
		switch o := o.(type) {
		case *v1alpha1.Space:
			in.Peers = append(in.Peers, o)
		case *v1alpha1.Waiver:
			if o.Spec.Tenant == owner && o.Spec.Workload == workload.Name {
				waived := in
				waived.Waivers = []guardrail.ActiveWaiver{{Control: o.Spec.Control, Name: o.Name, Expires: o.Spec.Expires}}
				objects, _ := guardrail.Space(waived)
				p.add(objects...)
			}
		}
	}
	objects, _ := guardrail.Space(in)
	p.add(objects...)
}

func (p *replay) add(objects ...guardrail.Object) {
	for _, o := range objects {
		known := slices.ContainsFunc(p.rendered[keyOf(o)], func(have client.Object) bool { return apply.AsRendered(o, have) && apply.AsRendered(have, o) })
		if !known {
			p.rendered[keyOf(o)] = append(p.rendered[keyOf(o)], o)
			clear(p.good)
		}
	}
}

// lookInto one namespace. It answers whether owners have rights there.
func (p *replay) lookInto(at int64, namespace *corev1.Namespace) bool {
	name, id := namespace.Name, namespace.Name+" "+string(namespace.UID)
	if p.state[key{"v1.RoleBinding", name, v1alpha1.OwnersName}] != nil && p.usable[id] == 0 {
		p.usable[id] = at
		p.admission(at, name)
	}
	if p.usable[id] == 0 || namespace.DeletionTimestamp != nil {
		return false
	}
	tenant, isHome := v1alpha1.TenantOfHome(name)
	if !isHome {
		tenant, _, _ = strings.Cut(name, "--")
		p.demand(at, key{"v1.LimitRange", name, v1alpha1.LimitsName})
	}
	p.demand(at, key{"v1.Namespace", "", name}, key{"v1.NetworkPolicy", name, v1alpha1.NetworkDefaultName})
	p.quota(at, key{"v1.ResourceQuota", name, v1alpha1.QuotaName})
	p.flow(at, tenant, name)
	for k, o := range p.state {
		if k.namespace == name && o.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && k.kind != "v1.ResourceQuota" && k.kind != "v1alpha1.Space" {
			p.demand(at, k)
		}
	}
	return true
}

func (p *replay) absent(at int64, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.ContainsFunc(p.absences, func(a string) bool { return strings.HasSuffix(a, ": "+text) }) {
		p.absences = append(p.absences, fmt.Sprintf("from revision %d on: %s", at, text))
	}
}

// demand that objects be there, and be as rendered.
func (p *replay) demand(at int64, keys ...key) {
	for _, k := range keys {
		have := p.state[k]
		if have == nil {
			p.absent(at, "%v is not there", k)
			continue
		}
		good, known := p.good[have]
		if !known {
			good = slices.ContainsFunc(p.rendered[k], func(want client.Object) bool { return alike(want, have) })
			p.good[have] = good
		}
		if !good {
			p.absent(at, "%v is, at version %s, as it was never rendered", k, have.GetResourceVersion())
		}
	}
}

// alike tells whether an object is as rendered. What a LimitRange gives to containers that name nothing depends on the
// Space's share: it must be there, and no more than without a share.
func alike(want, have client.Object) bool {
	limits, ok := have.DeepCopyObject().(*corev1.LimitRange)
	if !ok {
		return apply.AsRendered(want, have)
	}
	for i, item := range want.(*corev1.LimitRange).Spec.Limits {
		if i == len(limits.Spec.Limits) {
			break
		}
		for _, given := range []struct{ most, have corev1.ResourceList }{
			{item.Default, limits.Spec.Limits[i].Default}, {item.DefaultRequest, limits.Spec.Limits[i].DefaultRequest},
		} {
			for name, most := range given.most {
				if amount := given.have[name]; amount.Sign() > 0 && amount.Cmp(most) <= 0 {
					given.have[name] = most
				}
			}
		}
	}
	return apply.AsRendered(want, limits)
}

// admission is the instant at which owners get their rights: the quota must be counted by then.
func (p *replay) admission(at int64, name string) {
	quota, _ := p.state[key{"v1.ResourceQuota", name, v1alpha1.QuotaName}].(*corev1.ResourceQuota)
	if quota == nil || !equality.Semantic.DeepEqual(quota.Spec.Hard, quota.Status.Hard) {
		p.absent(at, "namespace %s was opened to its owners with a quota that did not bind yet", name)
	}
}

// quota must be there, bind, and bound everything that it is rendered for. How much is the ledger's matter, but never
// more than the tenant's quota for all of its namespaces.
func (p *replay) quota(at int64, k key) {
	quota, _ := p.state[k].(*corev1.ResourceQuota)
	if quota == nil {
		p.absent(at, "%v is not there", k)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.bounds(k.namespace))) {
		if _, binds := quota.Status.Hard[name]; !binds {
			p.absent(at, "%v does not bound %s", k, name)
		}
	}
}

// bounds are what a namespace's quota is to bound; of several declarations what all of them ask for.
func (p *replay) bounds(namespace string) corev1.ResourceList {
	platform, _ := p.state[key{"v1alpha1.Platform", "", v1alpha1.PlatformName}].(*v1alpha1.Platform)
	if _, isHome := v1alpha1.TenantOfHome(namespace); isHome {
		return corev1.ResourceList{v1alpha1.CountSpaces: resource.Quantity{}, "pods": resource.Quantity{}}
	}
	owner, _, _ := strings.Cut(namespace, "--")
	tenant, _ := p.state[key{"v1alpha1.Tenant", "", owner}].(*v1alpha1.Tenant)
	if tenant == nil {
		return nil
	}
	return guardrail.TenantQuota(platform, tenant)
}

// flow demands that all who act in a namespace count as the tenant when they call the API server.
func (p *replay) flow(at int64, tenant, namespace string) {
	p.flowTo(at, v1alpha1.FlowSchemaName(tenant), v1alpha1.PriorityLevelName(tenant), namespace)
	p.flowTo(at, v1alpha1.ListsFlowSchemaName(tenant), v1alpha1.ListsLevelName, namespace)
}

// flowTo demands that a FlowSchema takes them to its level.
func (p *replay) flowTo(at int64, name, level, namespace string) {
	schema, _ := p.state[key{"v1.FlowSchema", "", name}].(*flowcontrolv1.FlowSchema)
	if schema == nil || schema.Spec.PriorityLevelConfiguration.Name != level {
		p.absent(at, "%v is not there", key{"v1.FlowSchema", "", name})
		return
	}
	for _, rule := range schema.Spec.Rules {
		for _, s := range rule.Subjects {
			if s.ServiceAccount != nil && s.ServiceAccount.Namespace == namespace && s.ServiceAccount.Name == flowcontrolv1.NameAll {
				return
			}
		}
	}
	p.absent(at, "namespace %s is not in FlowSchema %s", namespace, name)
}
