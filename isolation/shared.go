package isolation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Shared objects: what the cluster has once and several tenants use, one after the other or together. Volumes and their
// classes, priority classes, and the hosts of Ingresses. Check guardrails judges whether a tenant may name them; this check judges what the tenant
// would find there.
//
// Two risks stay whatever is configured, and no verdict hides them: the cluster's DNS gives every pod the names of every
// namespace's Services (control dns-enumerate; its remedy is a DNS for each tenant), and whether refusals leave a trace
// depends on the API server's audit policy and log, which cannot be seen through the API (control audit). Both are named
// in what was considered; they make no finding, since no object of the cluster could be blamed or fixed.
func sharedCheck() check {
	return check{Check: finding.Check{
		ID: "shared", Title: "Shared objects leave nothing of a tenant to others",
		Needs: []string{"StorageClass", "PersistentVolume", "PriorityClass", "Ingress", "Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute"},
		Codes: []finding.Code{
			{ID: "BH6001", Title: "A volume may hand one tenant's data to another", Severity: finding.High, Controls: []string{"storage"}, Mappings: []string{"K04"},
				Why: "A volume that was released and made available again still holds what its former owner wrote.",
				Fix: "Delete or wipe the volume, and bind it to one claim by its claimRef."},
			{ID: "BH6002", Title: "A volume is a path of its node", Severity: finding.High, Controls: []string{"storage"}, Mappings: []string{"K04", "K01"},
				Why: "A pod that claims it reads and writes the node's file system, past every rule for pods.",
				Fix: "Replace hostPath volumes by those of a CSI driver."},
			{ID: "BH6003", Title: "A StorageClass keeps volumes after their claims", Severity: finding.Low, Controls: []string{"storage"}, Mappings: []string{"K04"},
				Why: "With reclaimPolicy Retain a tenant's data stays when the tenant is removed, for any tenant that gets the volume.",
				Fix: "Use reclaimPolicy Delete for the classes of tenants."},
			{ID: "BH6004", Title: "Pods preempt others by default", Severity: finding.Medium, Controls: []string{"priority"}, Mappings: []string{"K04"},
				Why: "A class that is the default and preempts lets every tenant's pods evict those of a lower class.",
				Fix: "Set globalDefault: false, or preemptionPolicy: Never."},
			{ID: "BH6005", Title: "It is not known whose a volume is", Severity: finding.Medium, Controls: []string{"storage"}, Mappings: []string{"K04"},
				Why: "A volume that is being bound or failed to be reclaimed may hold data.", Fix: "Look at the volume's status; reclaim the volume or delete it."},
			{ID: "BH6006", Title: "Ingresses or routes of two tenants take the same host", Severity: finding.High, Controls: []string{"service-expose"}, Mappings: []string{"K01"},
				Why: "All namespaces share the hosts of an ingress controller, and all routes those of their Gateway: the one with the longer path gets the other tenant's requests, with the passwords and cookies in them.",
				Fix: "Give each host to one tenant, and let an admission policy hold tenants to their hosts."},
			{ID: "BH6007", Title: "A tenant's pods are preempted by another tenant's", Severity: finding.Medium, Controls: []string{"priority"}, Mappings: []string{"K04"},
				Why: "Where a node is full, the scheduler evicts pods of a lower priority for those of a higher one, whosever they are.",
				Fix: "Give all tenants' pods the same priority, or classes with preemptionPolicy Never; a class below that of pods that name none is evicted by them."},
			{ID: "BH6008", Title: "A tenant's Gateway takes routes of another tenant", Severity: finding.Medium, Controls: []string{"service-expose"}, Mappings: []string{"K01"},
				Why: "A route of another tenant answers at the Gateway's addresses, with its certificates, and for its hosts.",
				Fix: "Let allowedRoutes of every listener take routes of the same namespace, or of the tenant's own."},
		},
	},
		run: func(p *proof) ([]finding.Finding, string) {
			var findings []finding.Finding
			for _, v := range p.PersistentVolumes {
				findings = append(findings, volumeFindings(v)...)
			}
			for _, c := range p.StorageClasses {
				findings = append(findings, classFindings(c)...)
			}
			for _, c := range p.PriorityClasses {
				findings = append(findings, priorityFindings(c)...)
			}
			findings = append(findings, hostFindings(p)...)
			findings = append(findings, gatewayFindings(p)...)
			findings = append(findings, p.pods().FindPreemption()...)
			return findings, fmt.Sprintf("%d volumes, %d storage classes, %d priority classes, %d Ingresses, %d routes of Gateways. Residual risks, whatever is configured: "+
				"the cluster's DNS names every namespace's Services to every pod (dns-enumerate). Not visible through the API, and so not considered: "+
				"the API server's audit policy and log (audit)", len(p.PersistentVolumes), len(p.StorageClasses), len(p.PriorityClasses), len(p.Ingresses), len(p.Routes))
		},
	}
}

func inCommon(code string, o snapshot.Ref, words string) []finding.Finding {
	return []finding.Finding{{Code: code, Verdict: finding.Exposed, From: finding.EveryTenant, To: finding.EveryTenant, What: o.String() + " " + words,
		Witness: []finding.Step{{Object: o, Does: words}}, Blame: []snapshot.Ref{o}}}
}

func volumeFindings(v *corev1.PersistentVolume) []finding.Finding {
	o := snapshot.Ref{Kind: "PersistentVolume", Name: v.Name}
	var findings []finding.Finding
	if v.Spec.HostPath != nil {
		findings = append(findings, inCommon("BH6002", o, "is path "+v.Spec.HostPath.Path+" of its node")...)
	}
	switch {
	case v.Status.Phase == corev1.VolumeFailed:
		findings = append(findings, finding.Finding{Code: "BH6005", Verdict: finding.Unknown, From: finding.EveryTenant, To: finding.EveryTenant,
			What: o.String() + " could not be reclaimed: what it holds, and for whom, is not known", Blame: []snapshot.Ref{o}})
	case v.Spec.ClaimRef == nil && v.Spec.HostPath == nil: // as long as a released volume has it, no claim can bind the volume
		findings = append(findings, inCommon("BH6001", o, "is available to the first tenant that claims it: it has no claimRef, and what it holds is not known")...)
	}
	return findings
}

func classFindings(c *storagev1.StorageClass) []finding.Finding {
	o := snapshot.Ref{Kind: "StorageClass", Name: c.Name}
	var findings []finding.Finding
	if c.ReclaimPolicy != nil && *c.ReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
		findings = append(findings, inCommon("BH6003", o, "keeps volumes when their claims go (reclaimPolicy Retain)")...)
	}
	if strings.Contains(c.Provisioner, "host-path") || strings.Contains(c.Provisioner, "hostpath") {
		findings = append(findings, inCommon("BH6002", o, "makes volumes of paths of the node ("+c.Provisioner+")")...)
	}
	return findings
}

func priorityFindings(c *schedulingv1.PriorityClass) []finding.Finding {
	if !c.GlobalDefault || c.Value <= 0 || c.PreemptionPolicy != nil && *c.PreemptionPolicy == corev1.PreemptNever {
		return nil
	}
	return inCommon("BH6004", snapshot.Ref{Kind: "PriorityClass", Name: c.Name},
		fmt.Sprintf("is the default of every pod, with value %d, and preempts", c.Value))
}
