package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// TenantState is one line about a tenant.
type TenantState struct {
	Name     string   `json:"tenant"`
	Owners   []string `json:"owners"`
	Boundary string   `json:"boundary"`
	Declared string   `json:"declared,omitempty"`
	// DedicatedHosts are a trait of the tenant as a whole.
	DedicatedHosts bool                        `json:"dedicatedHosts,omitempty"`
	Workloads      []v1alpha1.Workload         `json:"workloads"`
	Decisions      []v1alpha1.WorkloadDecision `json:"decisions"`
}

// Tenants reads all tenants with their decisions.
func (p *Play) Tenants(ctx context.Context) ([]TenantState, error) {
	var list v1alpha1.TenantList
	if err := p.Admin.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list Tenants: %w", err)
	}
	states := make([]TenantState, 0, len(list.Items))
	for i := range list.Items {
		t := &list.Items[i]
		state := TenantState{
			Name: t.Name, Boundary: string(t.Spec.Boundary), Declared: string(t.Spec.Declared), DedicatedHosts: t.Spec.DedicatedHosts,
			Workloads: t.Spec.Workloads, Decisions: t.Status.Decisions,
		}
		for _, owner := range t.Spec.Owners {
			state.Owners = append(state.Owners, owner.Name)
		}
		states = append(states, state)
	}
	slices.SortFunc(states, func(a, b TenantState) int { return strings.Compare(a.Name, b.Name) })
	return states, nil
}

// Enforcement counts what holds the tenants, by kind.
type Enforcement struct {
	ValidatingPolicies int `json:"validatingAdmissionPolicies"`
	MutatingPolicies   int `json:"mutatingAdmissionPolicies"`
	NetworkPolicies    int `json:"networkPolicies"`
	Quotas             int `json:"resourceQuotas"`
	FlowSchemas        int `json:"flowSchemas"`
	// Webhooks is 0: nothing of Bulkhead stands in anybody's path.
	Webhooks int `json:"webhooks"`
}

// Enforcement counts the live objects that Bulkhead manages, and the cluster's webhooks.
func (p *Play) Enforcement(ctx context.Context) (Enforcement, error) {
	var e Enforcement
	managed := client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	for _, kind := range []struct {
		group, version, kind string
		into                 *int
		options              []client.ListOption
	}{
		{"admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", &e.ValidatingPolicies, []client.ListOption{managed}},
		{"admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy", &e.MutatingPolicies, []client.ListOption{managed}},
		{"networking.k8s.io", "v1", "NetworkPolicy", &e.NetworkPolicies, []client.ListOption{managed}},
		{"", "v1", "ResourceQuota", &e.Quotas, []client.ListOption{managed}},
		{"flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", &e.FlowSchemas, []client.ListOption{managed}},
		{"admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", &e.Webhooks, nil},
		{"admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", &e.Webhooks, nil},
	} {
		list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{
			APIVersion: metav1.GroupVersion{Group: kind.group, Version: kind.version}.String(), Kind: kind.kind + "List",
		}}
		if err := p.Admin.client.List(ctx, list, kind.options...); err != nil {
			return e, fmt.Errorf("list %s: %w", kind.kind, err)
		}
		*kind.into += len(list.Items)
	}
	return e, nil
}

// WaiverState is one line about an exception.
type WaiverState struct {
	v1alpha1.WaiverSpec `json:",inline"`

	Name   string `json:"name"`
	Active bool   `json:"active"`
}

// Waivers reads all exceptions, those in force first.
func (p *Play) Waivers(ctx context.Context) ([]WaiverState, error) {
	var list v1alpha1.WaiverList
	if err := p.Admin.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list Waivers: %w", err)
	}
	states := make([]WaiverState, 0, len(list.Items))
	for i := range list.Items {
		w := &list.Items[i]
		states = append(states, WaiverState{
			WaiverSpec: w.Spec, Name: w.Name,
			Active: meta.IsStatusConditionTrue(w.Status.Conditions, v1alpha1.ConditionActive),
		})
	}
	slices.SortFunc(states, func(a, b WaiverState) int {
		if a.Active != b.Active {
			if a.Active {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return states, nil
}
