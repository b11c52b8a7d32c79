package clustergen

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// nodesAndSpecs gives the cluster its nodes, and every pod the spec of its workload's template, which its pods share:
// tenants' are restricted, the platform's agents are not.
func (g *generator) nodesAndSpecs() {
	for i := range g.nodes {
		g.contents.Nodes = append(g.contents.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node(i), Labels: map[string]string{
			corev1.LabelHostname: node(i), corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%3)}}})
	}
	specs := map[snapshot.Owner]*corev1.PodSpec{}
	for _, p := range g.contents.Pods {
		key := p.Workload()
		if specs[key] == nil {
			specs[key] = template(key.Name, p.HostNetwork)
		}
		p.Spec = specs[key]
	}
}

func template(app string, agent bool) *corev1.PodSpec {
	c := corev1.Container{Name: app, Image: "registry.example.com/" + app + ":1", SecurityContext: &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}
	if agent {
		c.SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		return &corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{c}, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}}
	}
	return &corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers:      []corev1.Container{c},
	}
}
