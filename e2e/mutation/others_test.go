package mutation_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/internal/provertest"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
)

// writer is the tenant that writes, as a developer of its group, in two of its Spaces.
const writer = "newsroom"

var (
	developer  = finding.Subject{User: "mallory", Groups: []string{"magazine:newsroom", rbac.GroupAuthenticated}}
	writtenIn  = []string{"newsroom--site", "newsroom--drafts"}
	worldsSeen = 2
)

// colleague is of the platform's team: its rights become no tenant's because a tenant binds it.
const colleague = `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: platform-team}, ` +
	`roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, ` +
	`subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: carol}, {apiGroup: rbac.authorization.k8s.io, kind: Group, name: platform-team}]}`

// Promise: no object that a tenant may write changes the verdict on another tenant, unless one of the two reaches the other by it. Objects
// of every kind are made at random, with the names, labels, hosts and people of others; those that RBAC and admission let its
// developer make are on the platform when it is proven again. BULKHEAD_WRITES=n looks at n such platforms.
func TestNoTenantChangesTheVerdictOnOthers(t *testing.T) {
	if text := os.Getenv("BULKHEAD_WRITES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("BULKHEAD_WRITES is how many platforms to look at: %v", err)
		}
		worldsSeen = n
	}
	before, err := provertest.Magazine(colleague)
	if err != nil {
		t.Fatal(err)
	}
	clean, err := before.Prove(before.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	rights := rbac.New(before.Snapshot)
	admission, err := kubeadmission.New(before.Snapshot, rights, nil)
	if err != nil {
		t.Fatal(err)
	}
	kinds, own := map[string]bool{}, 0
	for seed := range uint64(worldsSeen) {
		random := rand.New(rand.NewPCG(seed, 0))
		var written []string
		for tries := 0; len(written) < 40 && tries < 4000; tries++ {
			text, o, q := write(t, random, len(written))
			if may, _ := rights.Allowed(developer, q.Attributes()); !may || !admission.Admit(q).Admitted {
				continue
			}
			kinds[o.GetKind()] = true
			written = append(written, text)
		}
		after, err := provertest.Magazine(append(written, colleague)...)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		report, err := after.Prove(after.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		for i := range report.Findings {
			if f := &report.Findings[i]; strings.HasPrefix(f.Code, "BH1") && f.To == writer && f.From != writer && f.Concerns(f.From) {
				t.Errorf("seed %d: %s is held against %s, which only got the rights: %s", seed, f.Code, f.From, f.What)
			}
		}
		own += len(differing(clean, report, func(f *finding.Finding) bool { return f.From == writer || f.To == writer }))
		for _, change := range differing(clean, report, func(f *finding.Finding) bool { return f.From != writer && f.To != writer }) {
			t.Errorf("seed %d: %s\n%s", seed, change, strings.Join(written, "\n---\n"))
		}
	}
	if len(kinds) < 14 {
		t.Errorf("only %d kinds of objects were let through: %v", len(kinds), kinds)
	}
	if own == 0 {
		t.Error("nothing that was written shows in a report, not even in the writer's own")
	}
}

// differing are the findings of some tenants that one of two reports has.
func differing(before, after *isolation.Report, concerns func(*finding.Finding) bool) []string {
	of := func(r *isolation.Report) map[string]bool {
		found := map[string]bool{}
		for i := range r.Findings {
			if f := &r.Findings[i]; concerns(f) {
				found[f.ID()] = true
			}
		}
		return found
	}
	was, is := of(before), of(after)
	var changes []string
	for id := range is {
		if !was[id] {
			changes = append(changes, "new: "+id)
		}
	}
	for id := range was {
		if !is[id] {
			changes = append(changes, "gone: "+id)
		}
	}
	slices.Sort(changes)
	return changes
}

// write invents an object, with the request that creates it.
func write(t *testing.T, r *rand.Rand, number int) (string, *unstructured.Unstructured, *finding.AdmissionRequest) {
	t.Helper()
	form := forms[r.IntN(len(forms))]
	text := form.text
	for strings.Contains(text, "<") {
		start := strings.Index(text, "<")
		end := start + strings.Index(text[start:], ">")
		values := words[text[start+1:end]]
		if len(values) == 0 {
			t.Fatalf("no words for %s", text[start:end+1])
		}
		text = text[:start] + values[r.IntN(len(values))] + text[end+1:]
	}
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	namespace := writtenIn[r.IntN(len(writtenIn))]
	o.SetNamespace(namespace)
	if o.GetName() == "" {
		o.SetName(fmt.Sprintf("%s-%d", words["name"][r.IntN(len(words["name"]))], number))
	}
	written, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	sent := o.DeepCopy()
	sent.SetNamespace("")
	kind := o.GroupVersionKind()
	return string(written), o, &finding.AdmissionRequest{Subject: developer, Operation: "CREATE", Kind: kind,
		Resource: schema.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: form.plural}, Namespace: namespace, Name: o.GetName(), Object: sent}
}

// words stand for the names in angle brackets: the writer's own, and those of others.
var words = map[string][]string{
	"name":  {"web", "default", "bulkhead", "probe", "kubernetes", "bulkhead-quota", "editor", "archive--search"},
	"label": {`{app: web}`, `{app: search}`, `{app: probe}`, `{kubernetes.io/metadata.name: archive--search}`, `{app.kubernetes.io/name: editor, app: web}`, `{}`},
	"own":   {`{app: web}`, `{}`, `{app: search}`, `{job-name: x}`},
	"group": {"magazine:newsroom", "magazine:archive", "magazine:cms", "system:authenticated", "system:serviceaccounts", "system:serviceaccounts:archive--search", "strangers", "platform-team"},
	"user":  {"mallory", "alice", "system:serviceaccount:archive--search:default", "bulkhead-probe", "system:kube-scheduler", "system:node:n1", "carol"},
	"space": {"newsroom--site", "newsroom--drafts", "newsroom--media", "archive--search", "kube-system", "cms--editor"},
	"verb":  {"get", "list", "create", "delete", "*", "bind", "escalate", "impersonate", "update"},
	"what":  {"pods", "secrets", "configmaps", "services", "roles", "rolebindings", "networkpolicies", "pods/exec", "serviceaccounts/token", "*"},
	"host":  {"www.magazine.example", "shop.gazette.example", "*.gazette.example", "archive.example"},
	"peer":  {`{podSelector: {}}`, `{namespaceSelector: {}}`, `{podSelector: {matchLabels: {app: web}}}`, `{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: archive--search}}}`, `{ipBlock: {cidr: 0.0.0.0/0}}`, `{ipBlock: {cidr: 10.0.0.0/8}}`},
	"type":  {"ClusterIP", "NodePort", "LoadBalancer"},
	"data":  {`{key: value}`, `{ca.crt: x, token: y}`},
	"image": {"registry.magazine.example/web:1@sha256:0000000000000000000000000000000000000000000000000000000000000000", "registry.magazine.example/web:1", "docker.io/library/nginx:1", "harbor.magazine.example/web:1"},
	"class": {"bulkhead-tenant", "fast", "standard", "magazine-business", "system-cluster-critical"},
	"pod": {`{automountServiceAccountToken: false, securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: c, image: "<image>", ` +
		`resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 10m, memory: 16Mi}}, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}`},
}

// forms are objects with words to fill in, each with its plural.
var forms = []struct{ plural, text string }{
	{"configmaps", `{apiVersion: v1, kind: ConfigMap, metadata: {labels: <label>}, data: <data>}`},
	{"secrets", `{apiVersion: v1, kind: Secret, metadata: {labels: <label>}, stringData: <data>}`},
	{"serviceaccounts", `{apiVersion: v1, kind: ServiceAccount, metadata: {labels: <label>}, automountServiceAccountToken: false}`},
	{"services", `{apiVersion: v1, kind: Service, metadata: {labels: <label>}, spec: {type: <type>, selector: <own>, ports: [{port: 80}]}}`},
	{"services", `{apiVersion: v1, kind: Service, spec: {type: ExternalName, externalName: "<host>"}}`},
	{"pods", `{apiVersion: v1, kind: Pod, metadata: {labels: <label>}, spec: <pod>}`},
	{"deployments", `{apiVersion: apps/v1, kind: Deployment, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: <pod>}}}`},
	{"daemonsets", `{apiVersion: apps/v1, kind: DaemonSet, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: <pod>}}}`},
	{"statefulsets", `{apiVersion: apps/v1, kind: StatefulSet, spec: {selector: {matchLabels: {app: search}}, template: {metadata: {labels: {app: search}}, spec: <pod>}}}`},
	{"jobs", `{apiVersion: batch/v1, kind: Job, spec: {template: {metadata: {labels: <label>}, spec: {restartPolicy: Never, automountServiceAccountToken: false, ` +
		`securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: c, image: "<image>", resources: {limits: {cpu: 10m, memory: 16Mi}}, ` +
		`securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}}}`},
	{"roles", `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, rules: [{apiGroups: ["", "apps"], resources: ["<what>", "<what>"], verbs: ["<verb>", "<verb>"]}]}`},
	{"rolebindings", `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "bulkhead:space-owner"}, ` +
		`subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "<group>"}]}`},
	{"rolebindings", `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "bulkhead:space-owner"}, ` +
		`subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "<user>"}]}`},
	{"rolebindings", `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "bulkhead:space-owner"}, ` +
		`subjects: [{kind: ServiceAccount, name: default, namespace: <space>}]}`},
	{"networkpolicies", `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {matchLabels: <own>}, policyTypes: [Ingress], ingress: [{from: [<peer>]}]}}`},
	{"networkpolicies", `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [<peer>]}]}}`},
	{"networkpolicies", `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}`},
	{"ingresses", `{apiVersion: networking.k8s.io/v1, kind: Ingress, spec: {rules: [{host: "<host>", http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}`},
	{"persistentvolumeclaims", `{apiVersion: v1, kind: PersistentVolumeClaim, spec: {accessModes: [ReadWriteOnce], storageClassName: <class>, resources: {requests: {storage: 1Mi}}}}`},
	{"poddisruptionbudgets", `{apiVersion: policy/v1, kind: PodDisruptionBudget, spec: {maxUnavailable: 1, selector: {matchLabels: <own>}, unhealthyPodEvictionPolicy: AlwaysAllow}}`},
	{"horizontalpodautoscalers", `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}`},
	{"leases", `{apiVersion: coordination.k8s.io/v1, kind: Lease, spec: {holderIdentity: "<user>"}}`},
}
