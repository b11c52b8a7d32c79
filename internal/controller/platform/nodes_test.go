package platform

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Promise: a tenant gets the group that is kept for it, or else the first free one that is kept for no tenant; the oldest
// tenant comes first; no tenant gets two; and no group has two tenants.
func TestAssign(t *testing.T) {
	specs := []v1alpha1.NodeGroup{{Name: "a"}, {Name: "b", Tenant: "kept"}, {Name: "c"}}
	for _, c := range []struct {
		name    string
		held    []string
		needing []string
		want    []string
	}{
		{"no tenant needs one", []string{"", "", ""}, nil, []string{"", "", ""}},
		{"the first free", []string{"", "", ""}, []string{"x"}, []string{"x", "", ""}},
		{"the kept one", []string{"", "", ""}, []string{"x", "kept"}, []string{"x", "kept", ""}},
		{"a kept group is for no other tenant", []string{"", "", ""}, []string{"x", "y", "z"}, []string{"x", "", "y"}},
		{"held groups stay", []string{"", "", "x"}, []string{"x", "y"}, []string{"y", "", "x"}},
	} {
		groups, served := make([]v1alpha1.NodeGroupStatus, 3), map[string]bool{}
		for i, holder := range c.held {
			groups[i].Tenant = holder
			served[holder] = holder != ""
		}
		assign(specs, groups, c.needing, served)
		var got []string
		for _, g := range groups {
			got = append(got, g.Tenant)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// Promise: nodes carry exactly the marks of their group's tenant; nodes of a free group keep all pods off, so that no
// pod of others is there when a tenant gets them; other taints and labels are left alone.
func TestRemark(t *testing.T) {
	ours := func(value string) corev1.Taint {
		return corev1.Taint{Key: v1alpha1.TaintNodeTenant, Value: value, Effect: corev1.TaintEffectNoSchedule}
	}
	theirs := corev1.Taint{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}
	for _, c := range []struct {
		name    string
		label   string
		taints  []corev1.Taint
		grouped bool
		tenant  string
		changes int
		want    string
	}{
		{"no group, no marks", "", []corev1.Taint{theirs}, false, "", 0, " [gpu=]"},
		{"assigned", "", []corev1.Taint{theirs}, true, "t", 2, "t [gpu= bulkhead.dev/tenant=t]"},
		{"assigned and marked", "t", []corev1.Taint{ours("t"), theirs}, true, "t", 0, "t [bulkhead.dev/tenant=t gpu=]"},
		{"another tenant's", "u", []corev1.Taint{ours("u")}, true, "t", 2, "t [bulkhead.dev/tenant=t]"},
		{"taint taken off", "t", nil, true, "t", 1, "t [bulkhead.dev/tenant=t]"},
		{"a second taint", "t", []corev1.Taint{ours("t"), ours("u")}, true, "t", 1, "t [bulkhead.dev/tenant=t]"},
		{"free", "t", []corev1.Taint{ours("t")}, true, "", 2, " [bulkhead.dev/tenant=]"},
		{"out of every group", "t", []corev1.Taint{ours("t"), theirs}, false, "", 2, " [gpu=]"},
	} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"pool": "p"}}, Spec: corev1.NodeSpec{Taints: c.taints}}
		if c.label != "" {
			node.Labels[v1alpha1.LabelNodeTenant] = c.label
		}
		fields := remark(node, c.grouped, c.tenant)
		var taints []string
		for _, taint := range node.Spec.Taints {
			taints = append(taints, taint.Key+"="+taint.Value)
		}
		got := fmt.Sprint(node.Labels[v1alpha1.LabelNodeTenant], " ", taints)
		if got != c.want || len(fields) != c.changes || node.Labels["pool"] != "p" {
			t.Errorf("%s: got %q after changing %v, want %q and %d changes", c.name, got, fields, c.want, c.changes)
		}
		if again := remark(node, c.grouped, c.tenant); len(again) > 0 {
			t.Errorf("%s: a second look changes %v", c.name, again)
		}
	}
}
