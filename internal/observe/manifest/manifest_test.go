package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

var testTime = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func readManifests(t *testing.T, content string) *observe.World {
	t.Helper()
	w, err := Read([]string{"-"}, strings.NewReader(content), Options{Now: testTime, Tenants: observe.TenantSource{Key: "tenant"}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func podNames(s *snapshot.Snapshot) string {
	var names []string
	for _, p := range s.Pods {
		names = append(names, p.Namespace+"/"+p.Name+"["+p.Workload().Kind+" "+p.Workload().Name+"]")
	}
	return strings.Join(names, " ")
}

const deploymentAndPods = `
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: shop, uid: a}
  spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}
- apiVersion: apps/v1
  kind: ReplicaSet
  metadata:
    {name: web-6d4cf56db6, namespace: shop, uid: b, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: a, controller: true}]}
  spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}
- apiVersion: v1
  kind: Pod
  metadata:
    {name: web-6d4cf56db6-x, namespace: shop, labels: {pod-template-hash: 6d4cf56db6}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-6d4cf56db6, uid: b, controller: true}]}
  spec: {containers: [{name: c, image: i}]}
  status: {phase: Running, podIP: 10.0.0.1, somethingNew: 1}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: api, namespace: shop}
  spec: {template: {metadata: {labels: {app: api}}, spec: {containers: [{name: c, image: i}]}}, progressNewly: 1}
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: api, namespace: shop}
  spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {hostNetwork: yes, containers: [{name: c, ports: [{containerPort: 80, name: http}]}]}}}}}
`

// Promise: workloads stand for their pods, and pods that are there are not counted twice.
func TestWorkloadsStandForTheirPods(t *testing.T) {
	s := readManifests(t, deploymentAndPods).Snapshot
	if got, want := podNames(s), "shop/api[Deployment api] shop/api.cronjob[CronJob api] shop/web-6d4cf56db6-x[Deployment web]"; got != want {
		t.Errorf("pods are\n%s, want\n%s", got, want)
	}
	if len(s.Missing) > 0 {
		t.Errorf("missing %v: a status and a Deployment's own fields hide nothing", s.Missing)
	}
	if job := s.Pods[1]; !job.HostNetwork || job.Spec.Containers[0].Ports[0].HostPort != 80 || job.Spec.ServiceAccountName != "default" {
		t.Errorf("the CronJob's pod is not defaulted as the API server does: %+v", job.Spec)
	}
}

// Promise: what could not be understood is Missing, with its place, and never ignored.
func TestWhatIsNotUnderstoodIsMissing(t *testing.T) {
	for name, c := range map[string]struct{ content, kind, why string }{
		"a field of a policy": {"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: b}\nspec:\n  podSelector: {}\n  ingres: []\n",
			"NetworkPolicy", "<stdin>:6:3: NetworkPolicy b/a has field spec.ingres, which is not known here"},
		"a field of a template": {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: b}\nspec:\n  template:\n    spec:\n      hostNetwrk: true\n",
			"Pod", "<stdin>:7:19: Deployment b/a has field spec.template.spec.hostNetwrk, which is not known here"},
		"a version": {"apiVersion: rbac.authorization.k8s.io/v1beta1\nkind: ClusterRole\nmetadata: {name: a}\n",
			"ClusterRole", "<stdin>:1:1: ClusterRole a is of version v1beta1, which is not understood: give v1"},
		"a type": {"apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {ports: [{port: http}]}\n",
			"Service", "<stdin>:4:23: Service b/a cannot be decoded: spec.ports[0].port: "},
		"a workload without a template": {"apiVersion: batch/v1\nkind: Job\nmetadata: {name: a, namespace: b}\n", "Pod", "<stdin>:1:1: Job b/a cannot be decoded: it has no template for its pods"},
	} {
		s := readManifests(t, c.content).Snapshot
		if len(s.Missing) != 1 || s.Missing[0].Kind != c.kind || !strings.HasPrefix(s.Missing[0].Why, c.why) {
			t.Errorf("%s: missing is %q, want %s: %s", name, s.Missing, c.kind, c.why)
		}
	}
}

// Promise: what is malformed gives its place, and no snapshot where that is asked for.
func TestMalformedManifestsAreFaults(t *testing.T) {
	for content, want := range map[string]string{
		"a: [":                                   "<stdin>:1:1: not valid YAML",
		"a: 1\n---\nb:\n\tc: 1\n":                "<stdin>:4:1: not valid YAML: a tab in the indentation",
		"kind: NetworkPolicy\nmetadata: {}\n":    "<stdin>:1:1: NetworkPolicy: apiVersion is missing",
		"words":                                  "<stdin>:1:1: not an object",
		"apiVersion: v1\nkind: Pod\nkind: Pod\n": `<stdin>:3:1: key "kind" is given twice`,
		"apiVersion: v1\nkind: Namespace\nmetadata: {labels: {a: b}}\n":                                                                     "<stdin>:1:1: Namespace: metadata.name is missing",
		"apiVersion: v1\nkind: {{ .Values.kind }}\n":                                                                                        "render it first",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {b: c}}\n": "<stdin>:5:1: Namespace a: already declared, and differently, at <stdin>:1:1",
	} {
		_, err := Read([]string{"-"}, strings.NewReader(content), Options{Strict: true})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
}

// Promise: one malformed file among many is named, and the rest is proven; where nothing else is there, it is refused.
func TestOneMalformedFileAmongMany(t *testing.T) {
	const good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {tenant: shop}}\n"
	s := readManifests(t, good+"---\na: [\n---\nwords\n").Snapshot
	if len(s.Tenants) != 1 || len(s.Missing) != 1 || s.Missing[0].Kind != "*" || !strings.HasPrefix(s.Missing[0].Why, "<stdin>:5:1: not valid YAML") ||
		!strings.HasSuffix(s.Missing[0].Why, ", and 1 faults more in this file") {
		t.Errorf("tenants %v, missing %q", s.Tenants, s.Missing)
	}
	var faults *FaultsError
	for _, c := range []struct {
		content string
		strict  bool
	}{{"a: [\n", false}, {good + "---\na: [\n", true}} {
		if _, err := Read([]string{"-"}, strings.NewReader(c.content), Options{Strict: c.strict}); !errors.As(err, &faults) {
			t.Errorf("%q: %v, want its faults", c.content, err)
		}
	}
}

// workloadsOfEveryKind are manifests of one workload each, by its kind.
func workloadsOfEveryKind() map[string]string {
	const template = "template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: registry.example/web:1, resources: {requests: {cpu: 1}}}]}}"
	of := func(version, kind, spec string) string {
		return "apiVersion: " + version + "\nkind: " + kind + "\nmetadata: {name: web, namespace: shop}\nspec: {" + spec + "}\n"
	}
	return map[string]string{
		"Pod":                   of("v1", "Pod", "containers: [{name: c, image: registry.example/web:1, resources: {requests: {cpu: 1}}}], priority: 1"),
		"Deployment":            of("apps/v1", "Deployment", "replicas: 1, "+template),
		"StatefulSet":           of("apps/v1", "StatefulSet", "replicas: 1, "+template),
		"DaemonSet":             of("apps/v1", "DaemonSet", "minReadySeconds: 1, "+template),
		"ReplicaSet":            of("apps/v1", "ReplicaSet", "replicas: 1, "+template),
		"ReplicationController": of("v1", "ReplicationController", "replicas: 1, "+template),
		"Job":                   of("batch/v1", "Job", "parallelism: 1, "+template),
		"CronJob":               of("batch/v1", "CronJob", "startingDeadlineSeconds: 1, jobTemplate: {spec: {"+template+"}}"),
	}
}

// Promise: a workload that is declared twice in the same way is one workload; one that is declared twice in different ways
// is refused, with both places.
func TestWorkloadsThatAreDeclaredTwice(t *testing.T) {
	for kind, content := range workloadsOfEveryKind() {
		for _, same := range []string{content, strings.Replace(content, "cpu: 1", `cpu: "1000m"`, 1)} {
			if pods := readManifests(t, content+"---\n"+same).Snapshot.Pods; len(pods) != 1 {
				t.Errorf("%s: two equal copies make %d pods", kind, len(pods))
			}
		}
		const want = "<stdin>:6:1: %s shop/web: already declared, and differently, at <stdin>:1:1: a cluster holds one; give one of them"
		for _, differs := range []string{
			strings.Replace(content, "web:1", "web:2", 1), strings.Replace(content, ": 1, ", ": 2, ", 1),
			strings.Replace(content, "priority: 1", "priority: 2", 1), strings.Replace(content, "metadata: {", "metadata: {labels: {a: b}, ", 1),
		} {
			if differs == content {
				continue
			}
			_, err := Read([]string{"-"}, strings.NewReader(content+"---\n"+differs), Options{Strict: true})
			if err == nil || err.Error() != fmt.Sprintf(want, kind) {
				t.Errorf("%s: %v, want the fault of two copies that differ:\n%s", kind, err, differs)
			}
		}
	}
}

// Promise: files are read as Kubernetes' own tools read them, whatever their form; what holds no object is skipped.
func TestManifestsOfEveryForm(t *testing.T) {
	const policy = `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"a","namespace":"b"},"spec":{"podSelector":{},"egress":[{"ports":[{"port":53}]}]}}`
	for name, content := range map[string]string{
		"JSON":              policy,
		"JSON array":        "[" + policy + "]",
		"typed list":        `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicyList","items":[` + strings.Replace(policy, `"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",`, "", 1) + `]}`,
		"list of lists":     `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"List","items":[` + policy + `]}]}`,
		"twice the same":    policy + "\n---\n" + policy,
		"byte order mark":   "\ufeff" + policy,
		"CRLF and comments": "---\r\n# Source: chart/templates/empty.yaml\r\n---\r\n# Source: chart\r\napiVersion: networking.k8s.io/v1\r\nkind: NetworkPolicy\r\nmetadata:\r\n  name: a\r\n  namespace: b\r\nspec:\r\n  podSelector: {}\r\n  egress:\r\n  - ports:\r\n    - port: 53\r\n---\r\n",
		"anchors and merge": "x: &p {ports: [{port: 53}]}\nkind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: a, namespace: b}\nspec: {podSelector: {}, egress: [{<<: *p}]}\n",
		"values beside it":  "replicas: 1\n---\n" + policy,
	} {
		s := readManifests(t, content).Snapshot
		if name == "anchors and merge" {
			if len(s.Missing) != 1 { // x is a field that nobody knows
				t.Errorf("%s: missing %v", name, s.Missing)
			}
		} else if len(s.Missing) > 0 {
			t.Errorf("%s: missing %v", name, s.Missing)
		}
		if len(s.NetworkPolicies) != 1 {
			t.Errorf("%s: %d policies", name, len(s.NetworkPolicies))
			continue
		}
		spec := s.NetworkPolicies[0].Spec
		if len(spec.PolicyTypes) != 2 || spec.PolicyTypes[1] != networkingv1.PolicyTypeEgress || *spec.Egress[0].Ports[0].Protocol != corev1.ProtocolTCP || spec.Egress[0].Ports[0].Port.IntVal != 53 {
			t.Errorf("%s: spec is %+v", name, spec)
		}
	}
}

// Promise: Secrets are never read, not even where an admission policy names them as its parameters; other parameters are.
func TestParametersAreReadAndSecretsAreNot(t *testing.T) {
	policy := func(name, kind string) string {
		return "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: " + name + "}\nspec: {paramKind: {apiVersion: v1, kind: " + kind +
			"}, matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}, validations: [{expression: 'true'}]}\n---\n"
	}
	w := readManifests(t, policy("a", "Secret")+policy("b", "ConfigMap")+
		"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: !!binary aGVsbG8=}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: b}\n")
	if p := w.Snapshot.Parameters; len(p) != 1 || p[0].GetKind() != "ConfigMap" || p[0].GetNamespace() != "default" {
		t.Errorf("parameters are %v", p)
	}
}

// Promise: tenants come from a label, or from a file, as asked.
func TestTenantsOfLabelsAndFiles(t *testing.T) {
	const namespaces = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {tenant: shop}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: {tenant: bank}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n"
	if got := readManifests(t, namespaces).Snapshot.Tenants; len(got) != 2 || got[1].Name != "shop" || got[1].Namespaces[0] != "a" || got[0].Owners != nil {
		t.Errorf("tenants are %v", got)
	}
	declared := []snapshot.Tenant{{Name: "z", Namespaces: []string{"c", "gone"}}}
	w, err := Read([]string{"-"}, strings.NewReader(namespaces), Options{Tenants: observe.TenantSource{Declared: declared}})
	if err != nil || len(w.Snapshot.Tenants) != 1 || len(w.Snapshot.Missing) != 1 {
		t.Errorf("%v, %v", w, err)
	}
}

// Promise: a folder of Bulkhead's own declarations is proven as Bulkhead will enforce it.
func TestBulkheadsDeclarationsAreRendered(t *testing.T) {
	w, err := Read([]string{"../../../examples/magazine"}, nil, Options{Now: testTime})
	if err != nil {
		t.Fatal(err)
	}
	s := w.Snapshot
	if len(s.Tenants) != 10 || w.Rendered == 0 || len(w.Expected) == 0 || len(s.Missing) > 0 || len(s.Flows) == 0 || len(s.Waivers) != 1 {
		t.Errorf("%d tenants, %d rendered, %d expected, missing %v, flows %v, waivers %v", len(s.Tenants), w.Rendered, len(w.Expected), s.Missing, s.Flows, s.Waivers)
	}
	for _, waiver := range s.Waivers {
		if len(waiver.Namespaces) == 0 {
			t.Errorf("waiver %s holds nowhere", waiver.Name)
		}
	}
	for _, ns := range s.Namespaces {
		if ns.Implied {
			t.Errorf("namespace %s is implied", ns.Name)
		}
	}
}

// Promise: the revision is that of the contents.
func TestRevisionFollowsTheContents(t *testing.T) {
	a, b, c := readManifests(t, "a: 1"), readManifests(t, "a: 1"), readManifests(t, "a: 2")
	if a.Snapshot.Revision != b.Snapshot.Revision || a.Snapshot.Revision == c.Snapshot.Revision || !a.Snapshot.Offline {
		t.Errorf("revisions are %s, %s and %s", a.Snapshot.Revision, b.Snapshot.Revision, c.Snapshot.Revision)
	}
}
