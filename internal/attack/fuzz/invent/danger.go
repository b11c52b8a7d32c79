package invent

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Danger is something that a control must refuse where it judges.
type Danger struct {
	ID, Control string
	// Title reports what it would do: "mounts the host's root".
	Title string
	// In are the kinds whose objects it is put into, and Judged those of them of which the control must refuse it.
	In, Judged []string
	// edits that bring it into an object of a kind.
	edits func(kind string) []Edit
}

// Facts are what is dangerous on this platform.
type Facts struct {
	// Registry that is allowed, ForeignNamespace and ForeignTenant that are not the tenant's.
	Registry, ForeignNamespace, ForeignTenant string
}

// Edits that bring the danger into an object of a kind.
func (d *Danger) Edits(kind string) []Edit { return d.edits(kind) }

// workloads hold a pod spec each, at the path.
var workloads = func() map[string][]any {
	paths := map[string][]any{}
	for _, kind := range snapshot.Workloads() {
		path := make([]any, len(kind.PodSpec))
		for i, field := range kind.PodSpec {
			path[i] = field
		}
		paths[(&Kind{Group: kind.Group, Resource: kind.Resource}).String()] = path
	}
	return paths
}()

// PodSpecAt is where objects of a kind hold a pod spec; nil where they hold none.
func PodSpecAt(kind string) []any { return workloads[kind] }

func workloadKinds() []string {
	kinds := make([]string, 0, len(workloads))
	for kind := range workloads {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// inPods is a danger in a pod spec. Judged in pods alone, or in everything that makes pods.
func inPods(control, id, title string, everywhere bool, edits ...Edit) Danger {
	d := Danger{ID: control + "/" + id, Control: control, Title: title, In: workloadKinds(), Judged: []string{"pods"}}
	if everywhere {
		d.Judged = d.In
	}
	d.edits = func(kind string) []Edit {
		placed := make([]Edit, len(edits))
		for i, e := range edits {
			placed[i] = Edit{Path: slices.Concat(workloads[kind], e.Path), Value: e.Value, Remove: e.Remove}
		}
		return placed
	}
	return d
}

// within is a danger in objects of the kinds.
func within(control, id, title string, kinds []string, edits ...Edit) Danger {
	return Danger{ID: control + "/" + id, Control: control, Title: title, In: kinds, Judged: kinds, edits: func(string) []Edit { return edits }}
}

// Dangers is the dictionary: for each control that an API server can answer for, what it must refuse in objects of the tenant's own.
func Dangers(facts Facts) []Danger {
	return slices.Concat(hostDangers(), podDangers(facts), placementDangers(facts), objectDangers(facts), rightsDangers(facts), markDangers(facts))
}

func volume(source string, value map[string]any) Edit {
	return set(map[string]any{"name": "in", source: value}, "volumes", end)
}

// hostDangers are those of Pod Security, which judges pods and not what makes them.
func hostDangers() []Danger {
	const control = "pod-security"
	secure := func(value any, field ...any) Edit {
		return set(value, slices.Concat([]any{"containers", 0, "securityContext"}, field)...)
	}
	return []Danger{
		inPods(control, "host-network", "uses the host's network", false, set(true, "hostNetwork")),
		inPods(control, "host-pid", "sees the host's processes", false, set(true, "hostPID")),
		inPods(control, "host-ipc", "uses the host's shared memory", false, set(true, "hostIPC")),
		inPods(control, "host-port", "listens on a port of its node", false, set([]any{map[string]any{"containerPort": 8080, "hostPort": 8080}}, "containers", 0, "ports")),
		inPods(control, "privileged", "runs privileged", false, secure(true, "privileged"), secure(true, "allowPrivilegeEscalation")),
		inPods(control, "privilege-escalation", "may gain rights by setuid programs", false, secure(true, "allowPrivilegeEscalation")),
		inPods(control, "capability", "has the capability SYS_ADMIN", false, secure([]any{"SYS_ADMIN"}, "capabilities", "add"), secure(true, "allowPrivilegeEscalation")),
		inPods(control, "capabilities-kept", "keeps default capabilities but one", false, secure([]any{"NET_RAW"}, "capabilities", "drop")),
		inPods(control, "root", "runs as root", false, secure(false, "runAsNonRoot")),
		inPods(control, "seccomp", "runs without a seccomp profile", false, secure(map[string]any{"type": "Unconfined"}, "seccompProfile")),
		inPods(control, "sysctl", "changes a kernel setting of the node", false, set([]any{map[string]any{"name": "kernel.msgmax", "value": "65536"}}, "securityContext", "sysctls")),
	}
}

// podDangers are what Bulkhead's policies refuse in pods and in all that makes pods.
func podDangers(facts Facts) []Danger {
	own := map[string]any{"sources": []any{map[string]any{"serviceAccountToken": map[string]any{"path": "token"}}}}
	return []Danger{
		inPods("storage", "host-path", "mounts the host's root", true, volume("hostPath", map[string]any{"path": "/"})),
		inPods("storage", "csi", "mounts a volume of a driver, past every claim", true, volume("csi", map[string]any{"driver": "driver.invalid"})),
		inPods("images", "foreign", "runs an image of a registry that is not allowed", true, set("registry.invalid/attack:foreign", "containers", 0, "image")),
		inPods("images", "prefix", "runs an image of a registry whose name begins like an allowed one", true, set(facts.Registry+".invalid/attack", "containers", 0, "image")),
		inPods("images", "init", "runs an init container of a registry that is not allowed", true,
			set([]any{map[string]any{"name": "init", "image": "registry.invalid/attack", "imagePullPolicy": "Always"}}, "initContainers")),
		inPods("images", "volume", "mounts an image of a registry that is not allowed", true, volume("image", map[string]any{"reference": "registry.invalid/attack"})),
		inPods("token", "mount", "gives pods an identity that the workload does not declare", true, set(true, "automountServiceAccountToken")),
		inPods("token", "projected", "projects a token that the workload does not declare", true, volume("projected", own)),
		inPods("runtime", "other", "runs outside the sandboxed RuntimeClass", true, set("attack", "runtimeClassName")),
		inPods("defaults", "huge", "may use more than the whole tenant has", false, set(map[string]any{"cpu": "1000000", "memory": "1Pi"}, "containers", 0, "resources", "limits")),
	}
}

// placementDangers choose a node, a scheduler or a rank.
func placementDangers(facts Facts) []Danger {
	const nodes = v1alpha1.LabelNodeTenant
	terms := []any{map[string]any{"matchExpressions": []any{map[string]any{"key": nodes, "operator": "Exists"}}}}
	company := []any{map[string]any{"topologyKey": "kubernetes.io/hostname", "labelSelector": map[string]any{}, "namespaceSelector": map[string]any{}}}
	return []Danger{
		inPods("priority", "system", "takes the priority of the cluster's own parts", true, set("system-cluster-critical", "priorityClassName")),
		inPods("scheduling", "scheduler", "names a scheduler that is not allowed", true, set("attack.invalid", "schedulerName")),
		inPods("node-affinity", "tolerate-all", "tolerates every taint", true, set(map[string]any{"operator": "Exists"}, "tolerations", end)),
		inPods("node-affinity", "tolerate-tenant", "tolerates the taint of another tenant's nodes", true,
			set(map[string]any{"key": v1alpha1.TaintNodeTenant, "operator": "Equal", "value": facts.ForeignTenant, "effect": "NoSchedule"}, "tolerations", end)),
		inPods("node-affinity", "node-name", "names its node", true, set("attack", "nodeName"), drop("schedulingGates")),
		inPods("node-affinity", "selector", "selects another tenant's nodes", true, set(facts.ForeignTenant, "nodeSelector", nodes)),
		inPods("node-affinity", "affinity", "has an affinity to other tenants' nodes", true,
			set(terms, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")),
		inPods("node-affinity", "company", "seeks the company of other tenants' pods", true,
			set(company, "affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution")),
	}
}

// objectDangers stand in objects other than pods.
func objectDangers(facts Facts) []Danger {
	services, claims := []string{"services"}, []string{"persistentvolumeclaims"}
	policies, ingresses := []string{"networkpolicies.networking.k8s.io"}, []string{"ingresses.networking.k8s.io"}
	peer := func(field string, p map[string]any) Edit { return set([]any{p}, "spec", field) }
	block := func(cidr string) map[string]any { return map[string]any{"ipBlock": map[string]any{"cidr": cidr}} }
	egress := func(to map[string]any) []Edit {
		return []Edit{set([]any{"Egress"}, "spec", "policyTypes"), peer("egress", map[string]any{"to": []any{to}})}
	}
	ingress := []any{map[string]any{"host": "foreign.invalid", "http": map[string]any{"paths": []any{map[string]any{"path": "/", "pathType": "Prefix",
		"backend": map[string]any{"service": map[string]any{"name": "attack", "port": map[string]any{"number": 80}}}}}}}}
	alias := []Edit{set("ExternalName", "spec", "type"), set("api."+facts.ForeignNamespace+".svc.cluster.local", "spec", "externalName")}
	return []Danger{
		within("service-expose", "node-port", "opens a port on every node", services, set("NodePort", "spec", "type")),
		within("service-expose", "external-ips", "captures the traffic to an external address", services, set([]any{"192.0.2.1"}, "spec", "externalIPs")),
		within("service-expose", "alias", "stands for a Service of another namespace", services, alias...),
		within("service-expose", "balancer", "opens a port on every node by a load balancer", services, set("LoadBalancer", "spec", "type"),
			set([]any{map[string]any{"port": 80, "nodePort": 30080}}, "spec", "ports")),
		within("service-expose", "ingress-host", "serves a host of another tenant's", ingresses, set(ingress, "spec", "rules")),
		within("service-expose", "ingress-default", "answers for every host", ingresses,
			set(map[string]any{"service": map[string]any{"name": "attack", "port": map[string]any{"number": 80}}}, "spec", "defaultBackend")),
		within("network-default", "from-namespaces", "opens its pods to every namespace", policies,
			peer("ingress", map[string]any{"from": []any{map[string]any{"namespaceSelector": map[string]any{}}}})),
		within("network-default", "from-anybody", "opens its pods to every peer", policies, peer("ingress", map[string]any{})),
		within("network-default", "to-anywhere", "opens the way to every address", policies, egress(block("0.0.0.0/0"))...),
		within("network-metadata", "to-metadata", "opens the way to the cloud's metadata service", policies, egress(block("169.254.169.254/32"))...),
		within("storage", "class", "names a StorageClass that is not allowed", claims, set("attack", "spec", "storageClassName")),
		within("storage", "volume", "picks a volume that may hold data of others", claims, set("attack", "spec", "volumeName")),
		within("storage", "source", "reads from a claim of another namespace", claims,
			set(map[string]any{"kind": "PersistentVolumeClaim", "name": "attack", "namespace": facts.ForeignNamespace}, "spec", "dataSourceRef")),
	}
}

// rightsDangers raise rights.
func rightsDangers(facts Facts) []Danger {
	bindings, roles := []string{"rolebindings.rbac.authorization.k8s.io"}, []string{"roles.rbac.authorization.k8s.io"}
	subject := func(kind, name string) Edit {
		s := map[string]any{"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}
		if kind == "ServiceAccount" {
			s["apiGroup"], s["namespace"] = "", facts.ForeignNamespace
		}
		return set([]any{s}, "subjects")
	}
	rule := func(verb, group, resource string) Edit {
		return set([]any{map[string]any{"verbs": []any{verb}, "apiGroups": []any{group}, "resources": []any{resource}}}, "rules")
	}
	return []Danger{
		within("rbac-escalate", "bind-admin", "binds cluster-admin", bindings, set("cluster-admin", "roleRef", "name")),
		within("rbac-escalate", "bind-everybody", "gives its rights to every user", bindings, subject("Group", "system:authenticated")),
		within("rbac-escalate", "bind-foreign", "gives its rights to another tenant's service account", bindings, subject("ServiceAccount", "default")),
		within("rbac-escalate", "role-all", "makes a role of all rights", roles, rule("*", "*", "*")),
		within("rbac-escalate", "role-escalate", "makes a role that raises itself", roles, rule("escalate", "rbac.authorization.k8s.io", "roles")),
		within("rbac-escalate", "role-impersonate", "makes a role that acts as others", roles, rule("impersonate", "", "users")),
		within("token", "secret", "makes a token that never expires", []string{"secrets"}, set("kubernetes.io/service-account-token", "type"),
			set("default", "metadata", "annotations", "kubernetes.io/service-account.name")),
	}
}

// markDangers claim marks that the platform's own controls go by.
func markDangers(facts Facts) []Danger {
	kinds := []string{"configmaps", "secrets", "services", "serviceaccounts", "networkpolicies.networking.k8s.io", "rolebindings.rbac.authorization.k8s.io", "deployments.apps"}
	return []Danger{
		within("guardrail", "managed", "passes an object off as Bulkhead's", kinds, set("bulkhead", "metadata", "labels", "app.kubernetes.io/managed-by")),
		within("guardrail", "tenant", "passes an object off as another tenant's", kinds, set(facts.ForeignTenant, "metadata", "labels", v1alpha1.LabelTenant)),
	}
}
