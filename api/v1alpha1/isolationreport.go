package v1alpha1

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IsolationReport is the latest exact proof about one tenant: what it can reach, of all that the cluster holds. Bulkhead
// writes it, under the Tenant's name, and it goes with the Tenant.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=isr,categories=bulkhead
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.verdict`
// +kubebuilder:printcolumn:name="Exposed",type=integer,JSONPath=`.exposed`
// +kubebuilder:printcolumn:name="Unknown",type=integer,JSONPath=`.unknown`
// +kubebuilder:printcolumn:name="Waived",type=integer,JSONPath=`.waived`
// +kubebuilder:printcolumn:name="Proven",type=date,JSONPath=`.time`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.revision`,priority=1
type IsolationReport struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Verdict over all checks: Exposed if any is, else Unknown if any is, else Isolated.
	// +required
	Verdict Verdict `json:"verdict"`
	// Revision of the store that was judged, as a range where the lists that were read are of several.
	// +optional
	Revision string `json:"revision,omitempty"`
	// Time before which reading began: nothing that was judged is older.
	// +required
	Time metav1.Time `json:"time"`
	// Checks, one for each kind of proof, in their fixed order.
	// +optional
	// +listType=map
	// +listMapKey=check
	Checks []CheckResult `json:"checks,omitempty"`
	// Exposed, Unknown and Waived count the findings that concern the tenant, also those that Findings leaves out.
	// +optional
	Exposed int32 `json:"exposed"`
	// +optional
	Unknown int32 `json:"unknown"`
	// +optional
	Waived int32 `json:"waived"`
	// Findings, the worst first, at most 50 of them: `bulkhead prove` shows all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	Findings []IsolationFinding `json:"findings,omitempty"`
}

// CheckResult is what one check says about the tenant.
type CheckResult struct {
	// Check by its id, such as rbac or network.
	Check string `json:"check"`
	// Verdict of the check.
	Verdict Verdict `json:"verdict"`
	// Considered lists what the check looked at: Isolated means no more than this.
	// +optional
	Considered string `json:"considered,omitempty"`
}

// IsolationFinding is one thing that does not hold, or that cannot be decided.
type IsolationFinding struct {
	// Code is stable, such as BH1001: `bulkhead explain CODE` has its meaning.
	Code string `json:"code"`
	// Verdict is Exposed or Unknown.
	Verdict Verdict `json:"verdict"`
	// Severity: Critical, High, Medium or Low.
	Severity string `json:"severity"`
	// From is the tenant that may do it; * for every tenant, empty for the platform.
	// +optional
	From string `json:"from,omitempty"`
	// To is the tenant to whom it is done; * for every tenant, empty for the platform.
	// +optional
	To string `json:"to,omitempty"`
	// What is the finding in one sentence.
	What string `json:"what"`
	// Steps are the shortest way there.
	// +optional
	// +listType=atomic
	Steps []FindingStep `json:"steps,omitempty"`
	// Objects that let it happen.
	// +optional
	// +listType=atomic
	Objects []ObjectReference `json:"objects,omitempty"`
	// Fix is the least change that ends it.
	// +optional
	Fix string `json:"fix,omitempty"`
	// Waiver that accepts the finding; it is then not held against the tenant.
	// +optional
	Waiver string `json:"waiver,omitempty"`
}

// FindingStep is one step of the way to what a finding is about.
type FindingStep struct {
	// Object concerned, if any.
	// +optional
	Object *ObjectReference `json:"object,omitempty"`
	// Does is what the object does, or what happens.
	Does string `json:"does"`
}

// String is "Kind namespace/name: does".
func (s FindingStep) String() string {
	if s.Object == nil {
		return s.Does
	}
	return s.Object.String() + ": " + s.Does
}

// ObjectReference names an object.
type ObjectReference struct {
	// Kind of the object.
	Kind string `json:"kind"`
	// Namespace of the object; empty for one of the cluster.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
}

// String returns the object as "Kind namespace/name", or "Kind name" for one that lies in no namespace.
func (o ObjectReference) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// IsolationReportList is a list of IsolationReports.
//
// +kubebuilder:object:root=true
type IsolationReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IsolationReport `json:"items"`
}

// Summary is the report in one line: how much was found, and the worst of it.
func (r *IsolationReport) Summary() string {
	text := fmt.Sprintf("%s: %d exposed, %d unknown, %d waived", r.Verdict, r.Exposed, r.Unknown, r.Waived)
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Waiver == "" {
			return text + "; first " + f.Code + ": " + f.What
		}
	}
	return text
}
