package observe

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/guardrail/quota"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/placement"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// rendered are the objects that Bulkhead makes of its own objects that were read; none without a Platform.
func (c *Contents) rendered() []guardrail.Object {
	if c.platform == nil || len(c.tenants) == 0 {
		return nil
	}
	objects := guardrail.Cluster(c.platform)
	for _, t := range c.tenants {
		var namespaces []string
		var ofSpaces []guardrail.Object
		for _, in := range c.spaceInputs(t) {
			made, _ := guardrail.Space(in)
			ofSpaces = append(ofSpaces, made...)
			namespaces = append(namespaces, v1alpha1.SpaceNamespace(t.Name, in.Space.Name))
		}
		objects = append(append(objects, guardrail.Tenant(t, namespaces)...), ofSpaces...)
	}
	return objects
}

// spaceInputs are what the objects of a tenant's Spaces depend on, for those that have, or are to have, a namespace here.
func (c *Contents) spaceInputs(t *v1alpha1.Tenant) []guardrail.SpaceInput {
	var inputs []guardrail.SpaceInput
	var shares []quota.Share
	for _, s := range c.spaces {
		workload := t.Workload(s.Spec.Workload)
		if s.Namespace != v1alpha1.HomeNamespace(t.Name) || workload == nil {
			continue
		}
		where, err := placement.Of(c.platform, t, workload)
		if err != nil || !c.placed(s, where.Wait) {
			continue
		}
		in := guardrail.SpaceInput{Platform: c.platform, Tenant: t, Space: s, Decision: where.Decision.Outcome, Peers: c.spaces}
		for _, w := range c.inForce(t.Name, s.Spec.Workload, c.Time) {
			in.Waivers = append(in.Waivers, guardrail.ActiveWaiver{Control: w.Spec.Control, Name: w.Name, Expires: w.Spec.Expires})
		}
		inputs = append(inputs, in)
		shares = append(shares, quota.Share{Space: s.Name, Wanted: s.Spec.Quota})
	}
	division := quota.Split(guardrail.TenantQuota(c.platform, t), nil, shares)
	for i := range inputs {
		inputs[i].Quota = division.Grants[i].Hard
	}
	return inputs
}

// placed reports whether a Space has a namespace on this cluster, or would have one: where only files are read, it is not
// known which nodes are free, and a group of them is enough.
func (c *Contents) placed(s *v1alpha1.Space, wait *placement.Wait) bool {
	switch {
	case wait != nil && wait.Reason == v1alpha1.ReasonNeedsOtherEnvironment:
		return false
	case !c.Offline:
		return s.Status.Namespace != ""
	case wait != nil && wait.Reason == v1alpha1.ReasonNodeGroupMissing:
		return len(c.platform.Spec.NodeGroups) > 0
	}
	return wait == nil
}

// managed reports whether something that Bulkhead made was read.
func (c *Contents) managed() bool {
	for _, ns := range c.Namespaces {
		if value, _ := ns.Labels.Get(v1alpha1.LabelManagedBy); value == v1alpha1.ManagedBy {
			return true
		}
	}
	return slices.ContainsFunc(c.ValidatingPolicies, func(p *admissionv1.ValidatingAdmissionPolicy) bool { return isManaged(p) }) ||
		slices.ContainsFunc(c.NetworkPolicies, func(p *networkingv1.NetworkPolicy) bool { return isManaged(p) })
}

func isManaged(o metav1.Object) bool {
	return o.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy
}

// addRendered adds objects that Bulkhead makes. One that was read as well is kept as it was read.
func (c *Contents) addRendered(objects []guardrail.Object) {
	kinds := Kinds()
	for _, object := range objects {
		gvk := object.GetObjectKind().GroupVersionKind()
		k, known := kinds[gvk.GroupKind()]
		if _, read := c.Declared[snapshot.RefOf(gvk.Kind, object)]; known && !read {
			k.Put(c, object)
		}
	}
}

// expectedOf says for each object which controls need it.
func expectedOf(objects []guardrail.Object) []finding.Expected {
	controls := guardrail.Controls()
	var list []finding.Expected
	for _, object := range objects {
		ref := snapshot.RefOf(object.GetObjectKind().GroupVersionKind().Kind, object)
		if id := object.GetLabels()[v1alpha1.LabelControl]; id != "" {
			e := finding.Expected{Control: id, Object: ref}
			if object.GetObjectKind().GroupVersionKind().Group == admissionv1.GroupName {
				e.Rendered = object
			}
			list = append(list, e)
			continue
		}
		for i := range controls {
			if slices.ContainsFunc(controls[i].Objects, func(named string) bool { return names(named, ref) }) {
				e := finding.Expected{Control: controls[i].ID, Object: ref}
				if ref.Kind == "Namespace" {
					e.Labels, e.Annotations = object.GetLabels(), object.GetAnnotations()
				}
				list = append(list, e)
			}
		}
	}
	return list
}

// names reports whether a control's words for an object mean this one: "Namespace labels ...", "NetworkPolicy NAME*",
// "FlowSchema bulkhead-tenant-NAME".
func names(words string, ref snapshot.Ref) bool {
	kind, name, _ := strings.Cut(words, " ")
	switch {
	case kind != ref.Kind:
		return false
	case kind == "Namespace":
		return true
	case strings.HasSuffix(name, "*"):
		return strings.HasPrefix(ref.Name, strings.TrimSuffix(name, "*"))
	case strings.HasSuffix(name, "NAME"):
		return strings.HasPrefix(ref.Name, strings.TrimSuffix(name, "NAME"))
	}
	return name == ref.Name
}
