package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Look sees, as the runner itself, what no tenant can read. Whatever it may not see stays empty, and the attacks that need it are
// then Unknown; only an API server that does not answer at all is an error. What it serves is taken from
// an earlier look; nil asks for that too.
func (s *Server) Look(ctx context.Context, tenant *v1alpha1.Tenant, before *hostile.Facts) (*hostile.Facts, error) {
	if err := s.Read(ctx, "/version", nil); err != nil {
		return nil, fmt.Errorf("ask the API server for its version: %w", err)
	}
	seen := &hostile.Facts{}
	if before != nil {
		seen.Resources, seen.Missing = before.Resources, before.Missing
	} else if resources, err := s.served(ctx); err != nil {
		seen.Missing = err.Error()
	} else {
		seen.Resources = resources
	}
	var nodes corev1.NodeList
	if err := s.Read(ctx, "/api/v1/nodes", &nodes); err == nil {
		seen.Node = nodeFor(&nodes, tenant)
	}
	var flows flowcontrolv1.FlowSchemaList
	if err := s.Read(ctx, "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", &flows); err == nil {
		seen.Flows, seen.Lists = map[string]string{}, map[string]string{}
		for i := range flows.Items {
			switch f := &flows.Items[i]; f.Spec.PriorityLevelConfiguration.Name {
			case v1alpha1.PriorityLevelName(tenant.Name):
				seen.Flows[string(f.UID)] = f.Name
			case v1alpha1.ListsLevelName:
				seen.Lists[string(f.UID)] = f.Name
			}
		}
	}
	var classes storagev1.StorageClassList
	if err := s.Read(ctx, "/apis/storage.k8s.io/v1/storageclasses", &classes); err == nil {
		seen.Reclaim = map[string]string{}
		for i := range classes.Items {
			if policy := classes.Items[i].ReclaimPolicy; policy != nil {
				seen.Reclaim[classes.Items[i].Name] = string(*policy)
			}
		}
	}
	var priorities schedulingv1.PriorityClassList
	if err := s.Read(ctx, "/apis/scheduling.k8s.io/v1/priorityclasses", &priorities); err == nil {
		seen.Preempts = preempting(&priorities)
	}
	seen.Runtimes = s.runtimes(ctx)
	var quotas corev1.ResourceQuotaList
	if err := s.Read(ctx, "/api/v1/namespaces/"+v1alpha1.HomeNamespace(tenant.Name)+"/resourcequotas", &quotas); err == nil {
		for i := range quotas.Items {
			for key, amount := range quotas.Items[i].Status.Hard {
				seen.HomeBounds = append(seen.HomeBounds, fmt.Sprintf("%s at most %s", key, amount.String()))
			}
		}
	}
	return seen, nil
}

// preempting returns for each class by name whether its pods may evict others.
func preempting(classes *schedulingv1.PriorityClassList) map[string]bool {
	preempts := make(map[string]bool, len(classes.Items))
	for i := range classes.Items {
		c := &classes.Items[i]
		never := c.PreemptionPolicy != nil && *c.PreemptionPolicy == corev1.PreemptNever
		preempts[c.Name] = c.Value > 0 && !never
	}
	return preempts
}

// nodeFor is a node that a DaemonSet of the tenant's would have a pod on: of its own group where it has one, and not one that a taint
// keeps it from.
func nodeFor(nodes *corev1.NodeList, tenant *v1alpha1.Tenant) string {
	name := ""
	for i := range nodes.Items {
		node := &nodes.Items[i]
		barred := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool {
			return t.Effect != corev1.TaintEffectPreferNoSchedule && (t.Key != v1alpha1.TaintNodeTenant || t.Value != tenant.Name)
		})
		switch {
		case barred:
		case node.Labels[v1alpha1.LabelNodeTenant] == tenant.Name:
			return node.Labels[corev1.LabelHostname]
		case node.Labels[v1alpha1.LabelNodeTenant] == "":
			name = node.Labels[corev1.LabelHostname]
		}
	}
	return name
}

// Read reads as the runner itself.
func (s *Server) Read(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	raw, err := RawOf(s.Rest.Get().AbsPath(path).Do(ctx))
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

// served is what the API server serves. A part that cannot be discovered makes it an error:
// what is not known to be there was not tried.
func (s *Server) served(ctx context.Context) ([]hostile.Served, error) {
	_, lists, err := discovery.NewDiscoveryClient(s.Rest).ServerGroupsAndResourcesWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("discover what the API server serves: %w", err)
	}
	return flatten(lists), nil
}

// flatten names every resource once: rights do not differ from version to version.
func flatten(lists []*metav1.APIResourceList) []hostile.Served {
	var all []hostile.Served
	known := map[string]bool{}
	for _, list := range lists {
		group, version, found := strings.Cut(list.GroupVersion, "/")
		if !found {
			group, version = "", list.GroupVersion
		}
		for i := range list.APIResources {
			resource, sub, _ := strings.Cut(list.APIResources[i].Name, "/")
			key := group + " " + list.APIResources[i].Name
			if known[key] {
				continue
			}
			known[key] = true
			r := &list.APIResources[i]
			body := metav1.GroupVersion{Group: group, Version: version}
			if r.Version != "" {
				body = metav1.GroupVersion{Group: r.Group, Version: r.Version}
			}
			all = append(all, hostile.Served{Group: group, Version: version, Resource: resource, Subresource: sub,
				Namespaced: r.Namespaced, Verbs: r.Verbs, APIVersion: body.String(), Kind: r.Kind})
		}
	}
	slices.SortFunc(all, func(a, b hostile.Served) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all
}

// runtimes are the names of the RuntimeClasses; nil where they cannot be listed.
func (s *Server) runtimes(ctx context.Context) []string {
	var classes nodev1.RuntimeClassList
	if err := s.Read(ctx, "/apis/node.k8s.io/v1/runtimeclasses", &classes); err != nil {
		return nil
	}
	names := make([]string, len(classes.Items))
	for i := range classes.Items {
		names[i] = classes.Items[i].Name
	}
	return names
}
