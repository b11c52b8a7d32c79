package run

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/status"
)

// followAudit gives the writer the trail of the API server's audit log: of who wrote what Bulkhead manages, but Bulkhead.
func followAudit(mgr ctrl.Manager, o *Options, writer *status.Writer) error {
	resources := []schema.GroupResource{{Resource: "nodes"}}
	for _, kind := range apply.Kinds() {
		gvk, err := apiutil.GVKForObject(kind.Object, mgr.GetScheme())
		if err != nil {
			return fmt.Errorf("follow the audit log: %w", err)
		}
		resource, _ := meta.UnsafeGuessKindToResource(gvk)
		resources = append(resources, resource.GroupResource())
	}
	trail := observe.NewTrail(o.Clock, resources, func(user string, groups []string) bool {
		return user == "system:serviceaccount:"+v1alpha1.SystemNamespace+":"+v1alpha1.ManagedBy || slices.Contains(groups, guardrail.ControllerGroup)
	})
	writer.Trail = trail
	return mgr.Add(&observe.AuditLog{Path: o.AuditLog, Trail: trail, Log: o.Log})
}
