package kubeadmission

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helper "k8s.io/component-helpers/resource"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// countAgainstQuota asks limit ranges and quotas. A quota refuses here what its bounds leave no room for even when
// nothing else is there: what is used now may be freed tomorrow.
func (e *Evaluator) countAgainstQuota(r *request, made *stage, answer *finding.AdmissionAnswer) {
	if made.object == nil || made.object.typed == nil && r.Operation != "CREATE" {
		return
	}
	e.checkLimits(r, made, answer)
	usage := usageOf(r, made)
	if len(usage) == 0 {
		return
	}
	for _, q := range r.space.quotas {
		hard := q.Status.Hard // the quota controller binds what is here
		if len(hard) == 0 {
			hard = q.Spec.Hard
		}
		words := exceeds(hard, usage)
		if words == "" && r.creates("pods") {
			words = unnamed(hard, made.object.typed)
		}
		if words == "" {
			continue
		}
		by := snapshot.Ref{Kind: "ResourceQuota", Namespace: q.Namespace, Name: q.Name}
		if len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil {
			answer.Unknown = append(answer.Unknown, fmt.Sprintf("%s has scopes, and would refuse what is in them: %s", by, words))
			continue
		}
		answer.RefusedBy = append(answer.RefusedBy, finding.Refusal{By: by, Control: "quota", Message: words})
	}
}

func exceeds(hard, usage corev1.ResourceList) string {
	for _, key := range sortedKeys(usage) {
		amount := usage[key]
		if bound, has := hard[key]; has && !amount.IsZero() && amount.Cmp(bound) > 0 {
			return fmt.Sprintf("exceeded quota: requested %s=%s, limited %s=%s", key, amount.String(), key, bound.String())
		}
	}
	return ""
}

// unnamed reports what a container must name because the quota counts it.
func unnamed(hard corev1.ResourceList, typed any) string {
	pod, is := typed.(*corev1.Pod)
	if !is {
		return ""
	}
	for _, key := range sortedKeys(hard) {
		name := strings.TrimPrefix(strings.TrimPrefix(string(key), "requests."), "limits.")
		if name != "cpu" && name != "memory" {
			continue
		}
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			list := c.Resources.Requests
			if strings.HasPrefix(string(key), "limits.") {
				list = c.Resources.Limits
			}
			if _, has := list[corev1.ResourceName(name)]; !has {
				return fmt.Sprintf("failed quota: must specify %s for: %s", key, c.Name)
			}
		}
	}
	return ""
}

func sortedKeys(list corev1.ResourceList) []corev1.ResourceName {
	keys := make([]corev1.ResourceName, 0, len(list))
	for key := range list {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// usageOf is what a creation adds to the quota, and an update of a Service, by key.
func usageOf(r *request, made *stage) corev1.ResourceList {
	updatesService := r.Operation == "UPDATE" && r.Resource.Resource == "services" && r.Resource.Group == ""
	if r.Subresource != "" || r.Operation != "CREATE" && !updatesService || r.Namespace == "" || r.isNamespace() {
		return nil
	}
	usage := corev1.ResourceList{}
	count := func(key string, n int64) {
		usage[corev1.ResourceName(key)] = *resource.NewQuantity(n, resource.DecimalSI)
	}
	if service, is := made.object.typed.(*corev1.Service); is {
		countService(service, count)
	}
	if updatesService {
		return usage
	}
	if r.Resource.Group == "" {
		count("count/"+r.Resource.Resource, 1)
		count(r.Resource.Resource, 1) // the older key, of some kinds
	} else {
		count("count/"+r.Resource.Resource+"."+r.Resource.Group, 1)
	}
	switch o := made.object.typed.(type) {
	case *corev1.Pod:
		for key, value := range helper.PodRequests(o, helper.PodResourcesOptions{}) {
			usage["requests."+key] = value
			if key == corev1.ResourceCPU || key == corev1.ResourceMemory || key == corev1.ResourceEphemeralStorage {
				usage[key] = value
			}
		}
		for key, value := range helper.PodLimits(o, helper.PodResourcesOptions{}) {
			usage["limits."+key] = value
		}
	case *corev1.PersistentVolumeClaim:
		countClaim(o, usage)
	}
	return usage
}

func countService(s *corev1.Service, count func(string, int64)) {
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		count("services.nodeports", int64(len(s.Spec.Ports)))
	case corev1.ServiceTypeLoadBalancer:
		count("services.loadbalancers", 1)
		ports := int64(len(s.Spec.Ports))
		if s.Spec.AllocateLoadBalancerNodePorts != nil && !*s.Spec.AllocateLoadBalancerNodePorts {
			ports = 0
			for _, p := range s.Spec.Ports {
				if p.NodePort != 0 {
					ports++
				}
			}
		}
		count("services.nodeports", ports)
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName:
	}
}

func countClaim(c *corev1.PersistentVolumeClaim, usage corev1.ResourceList) {
	storage, has := c.Spec.Resources.Requests[corev1.ResourceStorage]
	if has {
		usage[corev1.ResourceRequestsStorage] = storage
	}
	if c.Spec.StorageClassName != nil && *c.Spec.StorageClassName != "" {
		prefix := *c.Spec.StorageClassName + ".storageclass.storage.k8s.io/"
		usage[corev1.ResourceName(prefix+"persistentvolumeclaims")] = *resource.NewQuantity(1, resource.DecimalSI)
		if has {
			usage[corev1.ResourceName(prefix+"requests.storage")] = storage
		}
	}
}
