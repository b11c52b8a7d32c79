package testdecision

import (
	"bytes"
	"fmt"
)

// Tenants declares n Tenants with three workloads each in one stream of YAML, about 1 KB a Tenant.
func Tenants(n int) []byte {
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
