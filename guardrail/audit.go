package guardrail

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// auditControl writes who was refused into the audit log.
var auditControl = Control{
	ID: "audit", Title: "Every refusal leaves a trace",
	Threat: "an attempt that goes unnoticed",
	How: "Refusals by admission policies are written into the audit events of the requests that they refuse, with " +
		"the policy's name; a change of a managed object records who made it on the object itself. Who deleted one, or changed an " +
		"admission policy, is known from the API server's audit log alone, which `bulkhead run --audit-log` follows.",
	Needs:    "an audit policy and a log or webhook backend on the API server, which are the platform's",
	Fix:      "Platform: give the API server an audit policy that keeps at least Metadata of writes in Spaces.",
	Mappings: []string{"K10"},
	cases:    []string{"events", "new-events"},
	validations: func(_ *v1alpha1.PlatformSpec) []validation {
		return []validation{audit()}
	},
}

// audit (control audit) writes the tenant and the Space into the audit event of every write in a tenant's namespaces.
// What was refused, and by which policy, every binding adds by its action Audit. It refuses nothing, so it is the one
// policy that must not stop anything if it fails.
func audit() validation {
	label := func(key string) string {
		return "namespaceObject == null ? '' : " + celNamespaceLabel(key)
	}
	return validation{
		name:  "audit",
		about: "Audit events of writes in tenants' namespaces name the tenant and the Space.",
		match: match{
			rules:      []admissionv1.NamedRuleWithOperations{on("*", []string{"*/*"}, onCreate, onUpdate, onDelete, onConnect)},
			except:     []admissionv1.NamedRuleWithOperations{allNamespaces()},
			namespaces: ofTenants(),
		},
		audit: []admissionv1.AuditAnnotation{
			{Key: "tenant", ValueExpression: label(v1alpha1.LabelTenant)},
			{Key: "space", ValueExpression: label(v1alpha1.LabelSpace)},
		},
	}
}
