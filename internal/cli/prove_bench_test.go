//go:build unix

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// BenchmarkProve is the whole command as a user runs it, from the start of its process to its end, on a folder of YAML
// with 1,000 tenants in 2,000 namespaces and 30,000 pods, a file for each tenant: reading, understanding, proving and
// printing. Five in a hundred tenants have a mistake, and the command must find every one. It reports the processor time
// and the memory of the process.
func BenchmarkProve(b *testing.B) {
	const tenants = 1_000
	folder := b.TempDir()
	mistakes := 0
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	write("platform.yaml", platformYAML(tenants))
	for i := range tenants {
		text, wrong := tenantYAML(i)
		write(fmt.Sprintf("team-%04d.yaml", i), text)
		mistakes += wrong
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	bulkhead := filepath.Join(b.TempDir(), "bulkhead") // by this name the test's own binary is the command
	if err := os.Symlink(self, bulkhead); err != nil {
		b.Fatal(err)
	}
	var used time.Duration
	var memory int64
	for b.Loop() {
		command := exec.Command(bulkhead, "prove", "-f", folder, "--tenant-label", "team", "-q", "-o", "json")
		var answer, problems bytes.Buffer
		command.Stdout, command.Stderr = &answer, &problems
		var exit *exec.ExitError
		if err := command.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			b.Fatalf("%v, want exit 1: %s", err, &problems)
		}
		if found := blamedPolicies(b, answer.Bytes(), "open"); found != mistakes {
			b.Fatalf("%d mistakes were made, and %d found", mistakes, found)
		}
		used += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
		if usage, is := command.ProcessState.SysUsage().(*syscall.Rusage); is {
			memory = max(memory, usage.Maxrss) // kilobytes
		}
	}
	b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(memory)/1024, "MiB")
}

// blamedPolicies counts the NetworkPolicies of a name that a report blames.
func blamedPolicies(b *testing.B, answer []byte, name string) int {
	b.Helper()
	var report isolation.Report
	if err := json.Unmarshal(answer, &report); err != nil {
		b.Fatal(err)
	}
	blamed := map[snapshot.Ref]bool{}
	for _, f := range report.Findings {
		for _, o := range f.Blame {
			if o.Kind == "NetworkPolicy" && o.Name == name {
				blamed[o] = true
			}
		}
	}
	return len(blamed)
}

const (
	podsPerTenant = 30
	podsPerNode   = 100
)

// platformYAML is what tenants share: nodes, the DNS, and a hundred cluster roles for operators.
func platformYAML(tenants int) string {
	var text strings.Builder
	for i := range tenants * podsPerTenant / podsPerNode {
		fmt.Fprintf(&text, "---\n{apiVersion: v1, kind: Node, metadata: {name: node-%d}, status: {nodeInfo: {kubeletVersion: v1.37.2}}}\n", i)
	}
	for _, role := range []string{"developer", "viewer"} {
		verbs := map[string]string{"developer": "get, list, watch, create, update, patch, delete", "viewer": "get, list, watch"}[role]
		fmt.Fprintf(&text, `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: %s}
rules:
- {apiGroups: ["", apps, batch], resources: [services, configmaps, deployments, jobs], verbs: [%s]}
`, role, verbs)
	}
	for i := range 100 {
		fmt.Fprintf(&text, `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: operator-%[1]d}
rules:
- {apiGroups: [""], resources: [pods, nodes, namespaces], verbs: [get, list, watch]}
- {apiGroups: [group-%[1]d.example.com], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: operator-%[1]d}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: operator-%[1]d}
subjects: [{kind: ServiceAccount, namespace: kube-system, name: operator-%[1]d}]
`, i)
	}
	return text.String()
}

// tenantYAML is a tenant of one to three namespaces, with policies, rights, budgets and pods, and with how many mistakes
// were made in it.
func tenantYAML(i int) (text string, mistakes int) {
	var out strings.Builder
	namespaces := 1 + i%3
	for n := range namespaces {
		ns := fmt.Sprintf("team-%04d-%s", i, []string{"web", "data", "jobs"}[n])
		fmt.Fprintf(&out, namespaceYAML, ns, fmt.Sprintf("team-%04d", i))
		for a := range 10 / namespaces {
			fmt.Fprintf(&out, "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: %s, name: app-%d}, automountServiceAccountToken: false}\n", ns, a)
		}
		for p := range podsPerTenant / namespaces {
			fmt.Fprintf(&out, podYAML, ns, p, []string{"web", "api", "worker"}[p%3], p%(10/namespaces), (i*podsPerTenant+n*10+p)%300,
				i/250+1, i%250, n*10+p+1)
		}
	}
	if i%20 == 0 { // who was to reach it from the same tenant only, is reached by everybody
		fmt.Fprintf(&out, `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: team-%04d-web, name: open}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: team-%04d-web, name: wide}
spec: {podSelector: {matchLabels: {app: worker}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}]}]}
`, i, i)
		mistakes = 1
	}
	return out.String(), mistakes
}

const namespaceYAML = `---
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {team: %[2]s, kubernetes.io/metadata.name: %[1]s, pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: %[1]s, name: default}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: %[1]s, name: same-tenant}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {team: %[2]s}}}]}]
  egress: [{to: [{namespaceSelector: {matchLabels: {team: %[2]s}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: %[1]s, name: dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {namespace: %[1]s, name: budget}
spec: {hard: {pods: "100", requests.cpu: "20", requests.memory: 40Gi, limits.memory: 80Gi, requests.ephemeral-storage: 100Gi, services.nodeports: "0"}}
---
apiVersion: v1
kind: LimitRange
metadata: {namespace: %[1]s, name: defaults}
spec: {limits: [{type: Container, default: {memory: 128Mi, cpu: 200m}, defaultRequest: {memory: 128Mi, cpu: 50m}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: %[1]s, name: deployer}
rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: %[1]s, name: config-reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: %[1]s, name: deployer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}
subjects: [{kind: ServiceAccount, namespace: %[1]s, name: app-0}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: %[1]s, name: config-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: config-reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:serviceaccounts:%[1]s"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: %[1]s, name: developers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: developer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: %[2]s}]
`

const podYAML = `---
apiVersion: v1
kind: Pod
metadata: {namespace: %[1]s, name: app-%[2]d, labels: {app: %[3]s, app.kubernetes.io/instance: %[1]s}}
spec:
  nodeName: node-%[5]d
  serviceAccountName: app-%[4]d
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: app
    image: registry.example.com/%[3]s:1.4
    ports: [{name: http, containerPort: 8080}]
    resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 128Mi}}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
status: {phase: Running, podIP: 10.%[6]d.%[7]d.%[8]d}
`
