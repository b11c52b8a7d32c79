package engine

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Promise: what this run made is its own also when an attempt took away who wrote it; of other runs, and of what people named and marked alike, only
// what an attack wrote is swept.
func TestWhatASweepRemoves(t *testing.T) {
	written := []metav1.ManagedFieldsEntry{{Manager: v1alpha1.AttackName}}
	for name, c := range map[string]struct {
		object metav1.ObjectMeta
		want   bool
	}{
		"of this run":                       {metav1.ObjectMeta{Name: "bulkhead-attack-x", Labels: map[string]string{v1alpha1.LabelAttack: "mine"}, ManagedFields: written}, true},
		"of this run, without who wrote it": {metav1.ObjectMeta{Name: "bulkhead-attack-x", Labels: map[string]string{v1alpha1.LabelAttack: "mine"}}, true},
		"of another run":                    {metav1.ObjectMeta{Name: "bulkhead-attack-x", Labels: map[string]string{v1alpha1.LabelAttack: "other"}, ManagedFields: written}, true},
		"of another run, written by people": {metav1.ObjectMeta{Name: "bulkhead-attack-x", Labels: map[string]string{v1alpha1.LabelAttack: "other"}}, false},
		"of another name":                   {metav1.ObjectMeta{Name: "mine", Labels: map[string]string{v1alpha1.LabelAttack: "mine"}}, false},
		"without the mark":                  {metav1.ObjectMeta{Name: "bulkhead-attack-x", ManagedFields: written}, false},
	} {
		r := &Runner{Run: "mine"}
		if got := MadeByAttack(&c.object) || r.madeHere(&c.object); got != c.want {
			t.Errorf("%s: swept %t, want %t", name, got, c.want)
		}
	}
}
