package observe

import (
	"bytes"
	"fmt"
	"testing"
)

// manyTenants is n Tenants in one stream, about 1 KB each, as a platform of real teams has.
func manyTenants(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `---
# Team %[1]d of the platform.
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata:
  name: team-%[1]d
spec:
  owners:
    - {kind: Group, name: "teams:%[1]d"}
    - {kind: ServiceAccount, namespace: deploy, name: team-%[1]d}
  boundary: Inside
  unit: products
  quota:
    requests.cpu: "8"
    requests.memory: 16Gi
    limits.memory: 32Gi
    pods: "40"
  ingressHosts: [team-%[1]d.example.com]
  workloads:
    - {name: site, code: Audited, environment: Production}
    - {name: jobs, code: ThirdParty, environment: Production, performance: Guaranteed}
    - {name: plugins, code: Arbitrary, environment: Production, lifetime: Ephemeral}
`, i)
	}
	return b.Bytes()
}

// BenchmarkReadFiles reads 10,000 Tenants with three workloads each, with all that an API server checks.
func BenchmarkReadFiles(b *testing.B) {
	data := manyTenants(10_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		files, err := ReadFiles([]string{"-"}, bytes.NewReader(data))
		if err != nil || len(files.Tenants) != 10_000 {
			b.Fatalf("%d tenants, %v", len(files.Tenants), err)
		}
	}
}
