package kubeadmission

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helper "k8s.io/component-helpers/resource"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// defaultResources gives every container that names none the requests and limits of a LimitRange.
func defaultResources(pod *corev1.Pod, l *corev1.LimitRange) {
	for i := range l.Spec.Limits {
		item := &l.Spec.Limits[i]
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		requests, limits := defaultsOf(item)
		for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for j := range containers {
				c := &containers[j].Resources
				c.Limits, c.Requests = merged(c.Limits, limits), merged(c.Requests, requests)
			}
		}
	}
}

// defaultsOf an item as the API server completes it when it is written: maxima are default limits, limits default
// requests, minima default requests.
func defaultsOf(item *corev1.LimitRangeItem) (requests, limits corev1.ResourceList) {
	limits = merged(item.Default, item.Max)
	requests = merged(merged(item.DefaultRequest, limits), item.Min)
	return requests, limits
}

func merged(into, more corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for key, value := range more {
		out[key] = value
	}
	for key, value := range into {
		out[key] = value
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// checkLimits asks the LimitRanges of the namespace.
func (e *Evaluator) checkLimits(r *request, made *stage, answer *finding.AdmissionAnswer) {
	for _, l := range r.space.limits {
		for i := range l.Spec.Limits {
			if words := beyond(r, made, &l.Spec.Limits[i]); words != "" {
				answer.RefusedBy = append(answer.RefusedBy, finding.Refusal{
					By:      snapshot.Ref{Kind: "LimitRange", Namespace: l.Namespace, Name: l.Name},
					Control: "defaults", Message: words,
				})
				break
			}
		}
	}
}

func beyond(r *request, made *stage, item *corev1.LimitRangeItem) string {
	switch {
	case item.Type == corev1.LimitTypePersistentVolumeClaim && r.creates("persistentvolumeclaims"):
		if claim, is := made.object.typed.(*corev1.PersistentVolumeClaim); is {
			return outside(item, claim.Spec.Resources.Requests, nil, "claim")
		}
	case item.Type == corev1.LimitTypeContainer && r.creates("pods"):
		if pod, is := made.object.typed.(*corev1.Pod); is {
			for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
				if words := outside(item, c.Resources.Requests, c.Resources.Limits, "container "+c.Name); words != "" {
					return words
				}
			}
		}
	case item.Type == corev1.LimitTypePod && r.creates("pods"):
		if pod, is := made.object.typed.(*corev1.Pod); is {
			requests, limits := helper.PodRequests(pod, helper.PodResourcesOptions{}), helper.PodLimits(pod, helper.PodResourcesOptions{})
			return outside(item, requests, limits, "pod")
		}
	}
	return ""
}

// outside reports what of requests and limits is below the minimum, above the maximum, or too far apart. A claim has no limits.
func outside(item *corev1.LimitRangeItem, requests, limits corev1.ResourceList, what string) string {
	isClaim := item.Type == corev1.LimitTypePersistentVolumeClaim
	for key, least := range item.Min {
		request, has := requests[key]
		if !has || request.Cmp(least) < 0 {
			return fmt.Sprintf("minimum %s usage per %s is %s", key, what, least.String())
		}
		if limit, limited := limits[key]; limited && limit.Cmp(least) < 0 {
			return fmt.Sprintf("minimum %s usage per %s is %s, but limit is %s", key, what, least.String(), limit.String())
		}
	}
	for key, most := range item.Max {
		limit, has := limits[key]
		request := requests[key]
		if !isClaim && !has || has && limit.Cmp(most) > 0 || request.Cmp(most) > 0 {
			return fmt.Sprintf("maximum %s usage per %s is %s", key, what, most.String())
		}
	}
	for key, ratio := range item.MaxLimitRequestRatio {
		request, limit := requests[key], limits[key]
		if request.IsZero() || limit.IsZero() || float64(limit.MilliValue()) > ratioOf(ratio)*float64(request.MilliValue()) {
			return fmt.Sprintf("%s max limit to request ratio per %s is %s", key, what, ratio.String())
		}
	}
	return ""
}

func ratioOf(q resource.Quantity) float64 { return float64(q.MilliValue()) / 1000 }
