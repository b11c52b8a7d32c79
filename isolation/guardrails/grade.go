package guardrails

import (
	"path"

	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// grade is what a proof adds to a case.
type grade struct {
	// code of the finding when nothing refuses it.
	code     string
	severity finding.Severity
	// everywhere is true where every platform with tenants needs it refused; the others count where the control is in use.
	everywhere bool
}

// gradeOf a case is the grade of its control, but for what the first row that it is like has.
func gradeOf(c *hostile.Case) grade {
	g := controlGrades[c.Control]
	for _, row := range caseGrades {
		if like, err := path.Match(row.like, c.ID); err != nil || !like {
			continue
		}
		g.severity, g.everywhere = row.severity, g.everywhere || row.everywhere
		break
	}
	if c.Control == "pod-security" && c.Refusal.By == hostile.Policy {
		g.everywhere = false // every platform has Pod Security; what a policy refuses beyond it counts where there is one
	}
	if c.Refusal.By == hostile.RBAC {
		g.severity = finding.Low // it takes a mistake in rights first
	}
	return g
}

var controlGrades = map[string]grade{
	"pod-security":     {"BH4001", finding.Medium, true},
	"images":           {"BH4002", finding.Medium, false},
	"token":            {"BH4003", finding.Medium, false},
	"runtime":          {"BH4004", finding.High, false},
	"node-affinity":    {"BH4005", finding.High, false},
	"scheduling":       {"BH4006", finding.Medium, false},
	"priority":         {"BH4007", finding.Medium, false},
	"storage":          {"BH4008", finding.High, false},
	"network-default":  {"BH4009", finding.Medium, true},
	"network-metadata": {"BH4023", finding.High, true},
	"service-expose":   {"BH4010", finding.Medium, false},
	"guardrail":        {"BH4011", finding.Medium, false},
	"rbac-escalate":    {"BH4012", finding.Medium, false},
	"quota":            {"BH4024", finding.Medium, false},
}

// caseGrades are the cases that weigh otherwise than their control, by pattern. In pod-security they are those that become the node or
// see into it.
var caseGrades = []struct {
	like       string
	severity   finding.Severity
	everywhere bool
}{
	{"pod-security/*privileged", finding.Critical, true},
	{"pod-security/host-path*", finding.Critical, true},
	{"pod-security/host-network", finding.Critical, true},
	{"pod-security/host-pid", finding.Critical, true},
	{"pod-security/host-ipc", finding.Critical, true},
	{"pod-security/windows-host-process", finding.Critical, true},
	{"pod-security/*capability-*", finding.Critical, true},
	{"pod-security/proc-unmasked", finding.High, true},
	{"node-affinity/node-name", finding.High, true},
	{"priority/system-critical", finding.Medium, true},
	{"storage/existing-volume", finding.High, true},
	{"storage/foreign-class", finding.Medium, false},
	{"storage/old-annotation", finding.Medium, false},
	{"storage/csi-volume*", finding.Medium, false},
	{"service-expose/node-port", finding.Medium, true},
	{"service-expose/external-ips", finding.High, true},
	{"service-expose/external-ips-*", finding.High, false},
	{"service-expose/ingress-*", finding.High, false},
	{"rbac-escalate/share-with-everybody", finding.Medium, true},
}
