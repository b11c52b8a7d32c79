package workloads

import (
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
)

// Says is the API server's refusal of a pod or a claim out of the message of a controller's Event: the control, what it refuses, and what to do.
// False where the creation failed for another reason.
func Says(message string) (string, bool) {
	what, said, forbidden := strings.Cut(message, " is forbidden: ")
	if !forbidden {
		return "", false
	}
	by := hostile.Refusal{}.Read(said)
	if by.By == "" {
		return said, true
	}
	switch {
	case by.By == hostile.Policy && strings.HasPrefix(by.Name, v1alpha1.PolicyPrefix):
		return by.Says, true // it begins with the control, and ends with what to do
	case by.By == hostile.PodSecurity:
		return "pod-security: " + by.Says, true
	case by.By == hostile.Limits:
		return "defaults: " + by.Says, true
	case by.By == hostile.Quota:
		says := "quota: exceeded: " + by.Says + "; free something, or move shares between your Spaces by their spec.quota"
		if strings.Contains(what, "pods ") && strings.Contains(by.Says, "requested: count/pods=") {
			says += "; pods that are finished count until they are deleted"
		}
		return says, true
	}
	return by.String() + ": " + by.Says, true
}
