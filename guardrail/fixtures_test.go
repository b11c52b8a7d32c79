package guardrail

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/guardrail/quota"
)

// list of quantities from key, value, key, value, ...
func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

func testPlatform() *v1alpha1.Platform {
	return &v1alpha1.Platform{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlatformName},
		Spec: v1alpha1.PlatformSpec{
			Environment: "Production",
			Network: v1alpha1.PlatformNetwork{
				PodCIDRs:      []string{"10.244.0.0/16", "fd00:10:244::/56"},
				ServiceCIDRs:  []string{"10.96.0.0/12", "fd00:10:96::/112"},
				NodeCIDRs:     []string{"10.9.0.0/24"},
				ExternalCIDRs: []string{"0.0.0.0/0", "2000::/3", "64:ff9b::/96"},
			},
			Services: []v1alpha1.PlatformService{
				{Name: "ingress", Namespace: "ingress-nginx", PodLabels: map[string]string{"app": "ingress"}},
				{Name: "bus", Namespace: "messaging", PodLabels: map[string]string{"app": "nats"}},
			},
			Flows: []v1alpha1.TenantFlow{{From: "shop", To: "payments"}},
			TenantResources: []v1alpha1.TenantResource{
				{Group: "acid.zalan.do", Resources: []string{"postgresqls"}},
			},
		},
	}
}

func testTenant(name string) *v1alpha1.Tenant {
	return &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TenantSpec{
			Owners: []v1alpha1.Owner{
				{Kind: "User", Name: "zoe@" + name + ".example"},
				{Kind: "Group", Name: name + "-developers"},
				{Kind: "ServiceAccount", Name: "deployer", Namespace: name + "--ci"},
			},
			Boundary: "Inside",
			Quota: list("requests.cpu", "8", "limits.cpu", "16", "requests.memory", "16Gi", "limits.memory", "32Gi",
				"requests.storage", "100Gi", "pods", "100"),
			IngressHosts: []string{"www." + name + ".example", "*.api." + name + ".example"},
			Workloads: []v1alpha1.Workload{
				{Name: "web", Code: "Audited", Environment: "Production"},
				{Name: "operator", Code: "Audited", Environment: "Production", APIAccess: "OwnNamespaces"},
			},
			Protected: name == "payments",
		},
	}
}

func testSpace(tenant, name, workload string) *v1alpha1.Space {
	return &v1alpha1.Space{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: v1alpha1.HomeNamespace(tenant)},
		Spec:       v1alpha1.SpaceSpec{Workload: workload, Internal: "Open"},
	}
}

func port(n int32) v1alpha1.FlowPort {
	return v1alpha1.FlowPort{Protocol: corev1.ProtocolTCP, Port: intstr.FromInt32(n)}
}

func portRange(first, last int32) v1alpha1.FlowPort {
	p := port(first)
	p.EndPort = &last
	return p
}

func named(protocol corev1.Protocol, name string) v1alpha1.FlowPort {
	return v1alpha1.FlowPort{Protocol: protocol, Port: intstr.FromString(name)}
}

var testExpiry = metav1.NewTime(time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC))

// grantOf what a tenant with this many Spaces gives each of them.
func grantOf(p *v1alpha1.Platform, t *v1alpha1.Tenant, spaces int) corev1.ResourceList {
	shares := make([]quota.Share, spaces)
	for i := range shares {
		shares[i].Space = string(rune('a' + i))
	}
	return quota.Split(TenantQuota(p, t), nil, shares).Grants[0].Hard
}

// fullSpace uses every feature at once: sandbox, token, waivers, flows of every kind, open and closed.
func fullSpace() SpaceInput {
	p, t := testPlatform(), testTenant("shop")
	s := testSpace("shop", "front", "operator")
	s.Spec.To = []v1alpha1.Flow{
		{Space: "back", Ports: []v1alpha1.FlowPort{port(8080), portRange(9000, 9010), named("UDP", "metrics")}},
		{Space: "back", Pods: map[string]string{"app": "admin"}},
		{Tenant: "payments", Space: "api", Ports: []v1alpha1.FlowPort{port(443), port(80)}},
		{Tenant: "search", Space: "api"},
		{Service: "bus", Ports: []v1alpha1.FlowPort{port(4222)}},
		{CIDR: "0.0.0.0/0", Ports: []v1alpha1.FlowPort{port(443)}},
		{CIDR: "10.244.7.0/24"},
		{Space: "missing"},
	}
	s.Spec.From = []v1alpha1.Flow{
		{Service: "ingress", Ports: []v1alpha1.FlowPort{port(8080)}, Pods: map[string]string{"app": "web"}},
		{Service: "monitoring"},
		{Space: "back", Ports: []v1alpha1.FlowPort{port(8443)}},
	}
	back := testSpace("shop", "back", "web")
	back.Spec.To = []v1alpha1.Flow{{Space: "front", Ports: []v1alpha1.FlowPort{port(8443)}}}
	api := testSpace("payments", "api", "web")
	api.Spec.From = []v1alpha1.Flow{{
		Tenant: "shop", Space: "front", Ports: []v1alpha1.FlowPort{port(443)}, Pods: map[string]string{"app": "gate"},
	}}
	return SpaceInput{
		Platform: p, Tenant: t, Space: s,
		Decision: tenancy.Outcome{
			Pattern: tenancy.PatternSoftAffinity, Sandboxed: true, RuntimeClass: "gvisor",
		},
		Quota: grantOf(p, t, 3),
		Peers: []*v1alpha1.Space{back, api},
		Waivers: []ActiveWaiver{
			{Control: "pod-security", Name: "legacy-agent", Expires: testExpiry},
			{Control: "images", Name: "vendor-image", Expires: testExpiry},
			{Control: "network-default", Name: "never", Expires: testExpiry},
		},
	}
}

// plainSpace declares nothing beyond what it must.
func plainSpace() SpaceInput {
	p, t := testPlatform(), testTenant("shop")
	return SpaceInput{
		Platform: p, Tenant: t, Space: testSpace("shop", "plain", "web"),
		Decision: tenancy.Outcome{Pattern: tenancy.PatternSoft}, Quota: grantOf(p, t, 1),
	}
}

// closedSpace has the smallest quota and nothing inside open.
func closedSpace() SpaceInput {
	in := plainSpace()
	in.Space = testSpace("shop", "closed", "web")
	in.Space.Spec.Internal = "Closed"
	in.Tenant.Spec.Quota = list("requests.cpu", "100m", "limits.cpu", "200m", "limits.memory", "64Mi", "pods", "4",
		"requests.storage", "0", "services.loadbalancers", "1", "count/configmaps", "3")
	in.Tenant.Spec.IngressHosts = nil
	in.Quota = grantOf(in.Platform, in.Tenant, 1)
	return in
}
