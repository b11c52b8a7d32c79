package check

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/guardrail/fields"
	"github.com/bulkhead-dev/bulkhead/internal/observe/openapi"
)

// minimumVersion is the first with both admission policies in v1.
const minimumVersion = "1.36"

func clusterChecks() []Check {
	return []Check{
		{
			Code: "BHC101", Group: GroupCluster, Title: "Kubernetes version", Required: true, run: checkVersion,
			Why: "Bulkhead enforces with ValidatingAdmissionPolicy v1 and MutatingAdmissionPolicy v1. Kubernetes " + minimumVersion + " is the first version with both.",
			Fix: "Upgrade the cluster to Kubernetes " + minimumVersion + " or later.",
		},
		{
			Code: "BHC102", Group: GroupCluster, Title: "ValidatingAdmissionPolicy v1", Required: true, run: checkValidating,
			Controls: controlsBy("ValidatingAdmissionPolicy"),
			Why:      "Every refusal that RBAC and quota cannot express is a ValidatingAdmissionPolicy in the API server itself.",
			Fix:      "Have the API server serve admissionregistration.k8s.io/v1 validatingadmissionpolicies, with the admission plugin ValidatingAdmissionPolicy on (it is by default).",
		},
		{
			Code: "BHC103", Group: GroupCluster, Title: "MutatingAdmissionPolicy v1", Required: true, run: checkMutating,
			Controls: controlsBy("MutatingAdmissionPolicy"),
			Why:      "Pods get their node group's selector and toleration, and managed objects the name of who changed them, from a MutatingAdmissionPolicy.",
			Fix:      "Have the API server serve admissionregistration.k8s.io/v1 mutatingadmissionpolicies, with the admission plugin MutatingAdmissionPolicy on (it is by default).",
		},
		{
			Code: "BHC104", Group: GroupCluster, Title: "API priority and fairness", run: checkFairness,
			Controls: []string{"api-fairness"},
			Why:      "One tenant's flood of requests is kept from the others by a FlowSchema per tenant. It has no effect where the API server's priority and fairness is off.",
			Fix:      "Start the API server with --enable-priority-and-fairness=true (the default).",
		},
		{
			Code: "BHC105", Group: GroupCluster, Title: "Authorization by RBAC", Required: true, run: checkAuthorizer,
			Controls: []string{"rbac-own", "rbac-enumerate", "rbac-escalate", "guardrail"},
			Why:      "If the API server allows strangers everything (AlwaysAllow, a binding for system:authenticated or system:unauthenticated), no right that Bulkhead withholds is withheld.",
			Fix:      "Start the API server with --authorization-mode=Node,RBAC, and remove bindings that give rights to every user.",
		},
		{
			Code: "BHC106", Group: GroupCluster, Title: "Pod Security admission", run: checkPodSecurity,
			Controls: []string{"pod-security"},
			Why:      "The labels that keep pods from the node are honoured by the admission plugin PodSecurity. Without it they have no effect.",
			Fix:      "Start the API server with the admission plugin PodSecurity on (it is by default).",
		},
		{
			Code: "BHC107", Group: GroupCluster, Title: "NodeRestriction admission", run: checkNodeRestriction,
			Controls: []string{"node-affinity"},
			Why:      "A kubelet that may label its own node can put itself into another tenant's node group; the admission plugin NodeRestriction forbids that for the prefix that Bulkhead uses.",
			Fix:      "Start the API server with --enable-admission-plugins=NodeRestriction and --authorization-mode=Node,RBAC.",
		},
		{
			Code: "BHC108", Group: GroupCluster, Title: "NetworkPolicy enforcement", run: checkNetwork,
			Controls: []string{"network-default", "network-metadata"},
			Why:      "The API server stores a NetworkPolicy whether or not anything enforces it. No API reports whether the network plugin does: only a canary on real nodes can prove it.",
			Fix:      "Use a network plugin that enforces NetworkPolicy both ways (Cilium, Calico, Antrea, OVN-Kubernetes, ...), and try it with two pods. Then run check with --accept BHC108.",
		},
		{
			Code: "BHC110", Group: GroupCluster, Title: "Fields that tenants can write", run: checkFields,
			Why: "Every field that a tenant can write is classified (docs/fields.md). What a newer Kubernetes or a feature gate adds, no control of this version of Bulkhead has looked at.",
			Fix: "Upgrade Bulkhead to a version that classifies these fields. Until then, keep the feature gates off that serve them, or refuse the fields by an admission policy of your own.",
		},
	}
}

// checkFields names what this API server lets owners write and the ledger of fields does not classify.
func checkFields(_ context.Context, s *session) ([]Finding, error) {
	api, err := openapi.Fields(s.discovery.OpenAPIV3(), fields.Rights())
	if err != nil {
		return nil, err
	}
	return judgeFields(fields.Classify(fields.Ledger(), api, fields.Rights()))
}

func judgeFields(c fields.Coverage) ([]Finding, error) {
	total := 0
	for _, n := range c.Fields {
		total += n
	}
	switch {
	case len(c.Unclassified) > 0:
		return one(Unknown, "%d are not classified: %s", len(c.Unclassified), strings.Join(c.Unclassified, ", "))
	case total == 0:
		return one(Unknown, "the API server's OpenAPI has none")
	}
	return one(OK, "all %d are classified", total)
}

// controlsBy lists the controls that policies of a kind enforce, by the label on each.
func controlsBy(kind string) []string {
	var controls []string
	for _, object := range guardrail.Policies(nil) {
		control := object.GetLabels()[v1alpha1.LabelControl]
		if object.GetObjectKind().GroupVersionKind().Kind == kind && !slices.Contains(controls, control) {
			controls = append(controls, control)
		}
	}
	slices.Sort(controls)
	return controls
}

func checkVersion(_ context.Context, s *session) ([]Finding, error) {
	info, err := s.discovery.ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("ask the API server for its version: %w", err)
	}
	return judgeVersion(info.GitVersion)
}

func judgeVersion(gitVersion string) ([]Finding, error) {
	has, err := version.ParseGeneric(gitVersion)
	if err != nil {
		return nil, fmt.Errorf("read the API server's version %q: %w", gitVersion, err)
	}
	if has.LessThan(version.MustParseGeneric(minimumVersion)) {
		return one(Problem, "%s is older than %s", gitVersion, minimumVersion)
	}
	return one(OK, "%s", gitVersion)
}

func checkValidating(_ context.Context, s *session) ([]Finding, error) {
	return s.served("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", "validatingadmissionpolicybindings")
}

func checkMutating(_ context.Context, s *session) ([]Finding, error) {
	return s.served("admissionregistration.k8s.io/v1", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings")
}

// served reports whether the API server serves every one of the resources.
func (s *session) served(groupVersion string, resources ...string) ([]Finding, error) {
	list, err := s.discovery.ServerResourcesForGroupVersion(groupVersion)
	if apierrors.IsNotFound(err) {
		return one(Problem, "%s is not served", groupVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the API server what it serves of %s: %w", groupVersion, err)
	}
	names := map[string]bool{}
	for _, resource := range list.APIResources {
		names[resource.Name] = true
	}
	for _, resource := range resources {
		if !names[resource] {
			return one(Problem, "%s of %s is not served", resource, groupVersion)
		}
	}
	return one(OK, "served")
}

// checkFairness asks for the resource and then for its effect: an API server whose priority and fairness is on names
// the FlowSchema that it sorted a request into in a header of the response.
func checkFairness(ctx context.Context, s *session) ([]Finding, error) {
	findings, err := s.served("flowcontrol.apiserver.k8s.io/v1", "flowschemas", "prioritylevelconfigurations")
	if err != nil || findings[0].State != OK {
		return findings, err
	}
	header, err := s.header(ctx)
	if err != nil {
		return nil, err
	}
	if header.Get(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID) == "" {
		return one(Problem, "served, but off: responses name no FlowSchema")
	}
	return one(OK, "on")
}

// header is that of the API server's answer to a request that every user may make.
func (s *session) header(ctx context.Context) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	response, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // nothing of it is read
	return response.Header, nil
}

// serverTime is the API server's clock, to the second.
func (s *session) serverTime(ctx context.Context) (time.Time, error) {
	header, err := s.header(ctx)
	if err != nil {
		return time.Time{}, err
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("read the time in its answer: %w", err)
	}
	return now, nil
}

// networkPlugins are DaemonSets of network plugins that enforce NetworkPolicy both ways, by the names that their own
// manifests give them.
var networkPlugins = map[string]string{
	"anetd": "Cilium (GKE Dataplane V2)", "antrea-agent": "Antrea", "aws-node": "Amazon VPC CNI (only with its network policy agent)",
	"azure-npm": "Azure NPM", "calico-node": "Calico", "canal": "Canal", "cilium": "Cilium", "kindnet": "kindnet",
	"kube-router": "kube-router", "ovnkube-node": "OVN-Kubernetes",
}

// checkNetwork never finds OK: it names what it sees, and what it cannot see.
func checkNetwork(ctx context.Context, s *session) ([]Finding, error) {
	sets := &appsv1.DaemonSetList{}
	if err := s.client.List(ctx, sets); err != nil {
		return nil, fmt.Errorf("look for a network plugin: %w", err)
	}
	var seen []string
	flannel := false
	for _, set := range sets.Items {
		if plugin, ok := networkPlugins[set.Name]; ok {
			seen = append(seen, fmt.Sprintf("%s (%s/%s, %d of %d nodes ready)", plugin, set.Namespace, set.Name,
				set.Status.NumberReady, set.Status.DesiredNumberScheduled))
		}
		flannel = flannel || strings.HasPrefix(set.Name, "kube-flannel")
	}
	switch {
	case len(seen) > 0:
		return one(Unknown, "%s is there; that it enforces, only a canary on real nodes can prove", strings.Join(seen, ", "))
	case flannel:
		return one(Problem, "Flannel alone does not enforce NetworkPolicy")
	}
	return one(Unknown, "no network plugin that enforces was recognised; only a canary on real nodes can prove it")
}
