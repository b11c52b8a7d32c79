package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Waiver is an exception to one control for one workload, until it expires. The security team writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=wv,categories=bulkhead
// +kubebuilder:printcolumn:name="Control",type=string,JSONPath=`.spec.control`
// +kubebuilder:printcolumn:name="Tenant",type=string,JSONPath=`.spec.tenant`
// +kubebuilder:printcolumn:name="Workload",type=string,JSONPath=`.spec.workload`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expires`
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.conditions[?(@.type=="Active")].status`
// +kubebuilder:printcolumn:name="Approver",type=string,JSONPath=`.spec.approver`,priority=1
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$') && size(self.metadata.name) <= 63",message="a waiver's name has at most 63 lower-case letters, digits, hyphens and dots: it becomes a label's value"
type Waiver struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec WaiverSpec `json:"spec"`
	// +kubebuilder:default={conditions: {{type: "Active", status: "Unknown", reason: "Pending", message: "waiting for Bulkhead's controller", lastTransitionTime: "1970-01-01T00:00:00Z"}}}
	Status WaiverStatus `json:"status,omitempty"`
}

// WaiverSpec cannot be changed: a longer or wider exception is another Waiver.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Waiver cannot be changed: delete it, or write another one"
type WaiverSpec struct {
	// Control that is suspended. Controls that keep tenants apart (rbac-own, network-default, guardrail, quota, ...)
	// cannot be waived. Waiving pod-security lowers the level from restricted to baseline, never to privileged.
	// +required
	// +kubebuilder:validation:Enum=images;pod-security;priority;runtime;scheduling;service-expose;storage;token
	Control string `json:"control"`
	// Tenant concerned.
	// +required
	Tenant TenantName `json:"tenant"`
	// Workload of the tenant concerned.
	// +required
	Workload Label `json:"workload"`
	// Reason, for the readers of reports.
	// +required
	// +kubebuilder:validation:MinLength=10
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="size(self.trim()) >= 10",message="the reason is for the readers of reports: give at least 10 characters"
	Reason string `json:"reason"`
	// Approver is who answers for it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]([ -~]*[!-~])?$')",message="the approver is named in printable ASCII without spaces around it: letters that only look like others are refused"
	Approver string `json:"approver"`
	// Expires is when the exception ends by itself.
	// +required
	Expires metav1.Time `json:"expires"`
}

// WaiverStatus is Bulkhead's answer.
type WaiverStatus struct {
	// Conditions: Active.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Namespaces in which the control is suspended now.
	// +optional
	// +listType=set
	Namespaces []string `json:"namespaces,omitempty"`
}

// WaiverList is a list of Waivers.
//
// +kubebuilder:object:root=true
type WaiverList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Waiver `json:"items"`
}
