package guardrails

import (
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

func probeMeta() metav1.ObjectMeta { return metav1.ObjectMeta{Name: probeName} }

// identityProbes reach for an identity beyond the workload's own.
func identityProbes(s *Setting) []Probe {
	pods := Probe{Control: "token", Code: "BH4003", Severity: finding.Medium, Carriers: []string{v1alpha1.PolicyPrefix + "token-pods"}}
	list := s.podProbes(pods, []podChange{
		{id: "foreign-audience", does: "mount a token for an audience outside of the cluster", change: func(p *corev1.PodSpec) {
			p.Volumes = []corev1.Volume{{Name: "id", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: new(int32(0o644)),
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
					Audience: "sts.bulkhead-probe.invalid", ExpirationSeconds: new(int64(3600)), Path: "token"}}}}}}}
		}},
		{id: automountProbe, does: "mount an identity at the API server that its workload does not need", change: func(p *corev1.PodSpec) {
			p.AutomountServiceAccountToken = new(true)
		}},
	})
	secret := func(kind corev1.SecretType) *finding.AdmissionRequest {
		o := &corev1.Secret{ObjectMeta: probeMeta(), Type: kind}
		if kind == corev1.SecretTypeServiceAccountToken {
			o.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
		}
		return creation("", "v1", "Secret", "secrets", o)
	}
	token := creation("", "v1", "ServiceAccount", "serviceaccounts", &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"sts.bulkhead-probe.invalid"}, ExpirationSeconds: new(int64(3600))}})
	token.Subresource, token.Name = "token", "default"
	token.Kind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	credentials := []string{v1alpha1.PolicyPrefix + "token-credentials"}
	return append(list,
		Probe{ID: "token-secret", Control: "token", Code: "BH4003", Severity: finding.Medium, Carriers: credentials,
			Does: "make a Secret with a token that never expires", Request: secret(corev1.SecretTypeServiceAccountToken), Twin: secret(corev1.SecretTypeOpaque)},
		Probe{ID: "token-request", Control: "token", Code: "BH4003", Severity: finding.Medium, Carriers: credentials,
			Does: "ask for a token for an audience outside of the cluster", Request: token})
}

// automountProbe is harmless where the workload may have an identity.
const automountProbe = "automount"

// storageProbes reach for others' volumes.
func storageProbes(s *Setting) []Probe {
	claim := func(change func(*corev1.PersistentVolumeClaimSpec)) *finding.AdmissionRequest {
		o := &corev1.PersistentVolumeClaim{ObjectMeta: probeMeta(), Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &s.StorageClass,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
		}}
		change(&o.Spec)
		return creation("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", o)
	}
	twin := claim(func(*corev1.PersistentVolumeClaimSpec) {})
	if s.StorageClass == "" {
		twin = nil
	}
	common := Probe{Control: "storage", Code: "BH4008", Severity: finding.High, Carriers: []string{v1alpha1.PolicyPrefix + "claims"}, Twin: twin}
	volume, selector, class, source := common, common, common, common
	volume.ID, volume.Does, volume.Everywhere = "claim-volume", "claim a volume by name, which may hold another tenant's data", true
	volume.Request = claim(func(c *corev1.PersistentVolumeClaimSpec) { c.VolumeName = probeName })
	selector.ID, selector.Does = "claim-selector", "claim a volume by its labels, which may hold another tenant's data"
	selector.Request = claim(func(c *corev1.PersistentVolumeClaimSpec) {
		c.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"tenant": otherTenant}}
	})
	class.ID, class.Does, class.Severity = "claim-class", "claim from a StorageClass that nobody allowed", finding.Medium
	class.Request = claim(func(c *corev1.PersistentVolumeClaimSpec) { c.StorageClassName = new(probeName) })
	source.ID, source.Does = "claim-source", "copy a volume out of another namespace"
	source.Request = claim(func(c *corev1.PersistentVolumeClaimSpec) {
		c.DataSourceRef = &corev1.TypedObjectReference{Kind: "PersistentVolumeClaim", Name: "data", Namespace: new(otherTenant)}
	})
	list := []Probe{volume, selector, class, source}
	return append(list, s.podProbes(Probe{Control: "storage", Code: "BH4008", Severity: finding.Medium, Carriers: []string{v1alpha1.PolicyPrefix + "volumes"}}, []podChange{
		{id: "inline-volume", does: "mount a volume past every StorageClass", change: func(p *corev1.PodSpec) {
			p.Volumes = []corev1.Volume{{Name: "in", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "probe.bulkhead.invalid"}}}}
		}},
	})...)
}

// networkProbes open the namespace to others.
func networkProbes() []Probe {
	policy := func(change func(*networkingv1.NetworkPolicySpec)) *finding.AdmissionRequest {
		o := &networkingv1.NetworkPolicy{ObjectMeta: probeMeta()}
		change(&o.Spec)
		return creation("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", o)
	}
	from := func(peers ...networkingv1.NetworkPolicyPeer) func(*networkingv1.NetworkPolicySpec) {
		return func(s *networkingv1.NetworkPolicySpec) {
			s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			s.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers}}
		}
	}
	to := func(peers ...networkingv1.NetworkPolicyPeer) func(*networkingv1.NetworkPolicySpec) {
		return func(s *networkingv1.NetworkPolicySpec) {
			s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
			s.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers}}
		}
	}
	everyNamespace := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
	block := func(cidr string) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}}
	}
	inside := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
	common := Probe{Control: "network-default", Code: "BH4009", Severity: finding.Medium, Everywhere: true, Carriers: []string{v1alpha1.PolicyPrefix + "network-policies"}}
	var list []Probe
	for _, c := range []struct {
		id, does       string
		severity       finding.Severity
		hostile, twins func(*networkingv1.NetworkPolicySpec)
	}{
		{"open-ingress-namespaces", "let every namespace in", finding.Medium, from(everyNamespace), from(inside)},
		{"open-ingress-world", "let every address in", finding.Medium, from(block("0.0.0.0/0")), from(inside)},
		{"open-ingress-all", "let everything in, without naming peers", finding.Medium, from(), from(inside)},
		{"open-egress-namespaces", "reach every namespace", finding.Medium, to(everyNamespace), to(inside)},
		{"open-egress-all", "reach everything, without naming peers", finding.Medium, to(), to(inside)},
		{"open-egress-metadata", "reach the node's credentials at the metadata address", finding.High, to(block("169.254.169.254/32")), to(inside)},
	} {
		p := common
		p.ID, p.Does, p.Severity, p.Request, p.Twin = c.id, c.does+" by a NetworkPolicy of its own", c.severity, policy(c.hostile), policy(c.twins)
		if p.ID == "open-egress-metadata" {
			p.Control, p.Code = "network-metadata", "BH4023"
		}
		list = append(list, p)
	}
	return list
}

// exposeProbes expose, or take what is meant for others.
func exposeProbes(s *Setting) []Probe {
	service := func(change func(*corev1.ServiceSpec)) *finding.AdmissionRequest {
		o := &corev1.Service{ObjectMeta: probeMeta(), Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}}}
		change(&o.Spec)
		return creation("", "v1", "Service", "services", o)
	}
	plain := service(func(*corev1.ServiceSpec) {})
	common := Probe{Control: "service-expose", Code: "BH4010", Severity: finding.Medium, Carriers: []string{v1alpha1.PolicyPrefix + "services"}, Twin: plain}
	var list []Probe
	for _, c := range []struct {
		id, does   string
		severity   finding.Severity
		everywhere bool
		change     func(*corev1.ServiceSpec)
	}{
		{"node-port", "open a port on every node", finding.Medium, true, func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort }},
		{"load-balancer", "open node ports with a load balancer", finding.Medium, false, func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeLoadBalancer }},
		{"external-ips", "take others' traffic by externalIPs", finding.High, true, func(s *corev1.ServiceSpec) { s.ExternalIPs = []string{"203.0.113.7"} }},
		{"external-name", "alias a name inside the cluster", finding.Medium, false, func(s *corev1.ServiceSpec) {
			*s = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "api." + otherTenant + ".svc.cluster.local"}
		}},
	} {
		p := common
		p.ID, p.Does, p.Severity, p.Everywhere, p.Request = c.id, c.does, c.severity, c.everywhere, service(c.change)
		list = append(list, p)
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: probeMeta(), AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}}}}
	list = append(list, Probe{ID: "endpoints", Control: "service-expose", Code: "BH4010", Severity: finding.Low, Unfenced: true, Carriers: []string{v1alpha1.PolicyPrefix + "endpoints"},
		Does: "send a Service's traffic to any address", Request: creation("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", slice)})
	return append(list, ingressProbes(s)...)
}

func ingressProbes(s *Setting) []Probe {
	ingress := func(host string) *finding.AdmissionRequest {
		backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}}
		o := &networkingv1.Ingress{ObjectMeta: probeMeta(), Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: host,
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{
				{Path: "/", PathType: new(networkingv1.PathTypePrefix), Backend: backend}}}}}}}}
		return creation("networking.k8s.io", "v1", "Ingress", "ingresses", o)
	}
	common := Probe{Control: "service-expose", Code: "BH4010", Severity: finding.High, Carriers: []string{v1alpha1.PolicyPrefix + "ingresses"}}
	if s.Host != "" {
		common.Twin = ingress(s.Host)
	}
	foreign, none := common, common
	foreign.ID, foreign.Does, foreign.Request = "ingress-host", "serve another tenant's host name", ingress(v1alpha1.NamePrefix+"probe.invalid")
	none.ID, none.Does, none.Request = "ingress-every-host", "serve every host name", ingress("")
	return []Probe{foreign, none}
}

// guardrailProbes loosen what fences tenants in.
func guardrailProbes() []Probe {
	binding := func(role rbacv1.RoleRef, subject rbacv1.Subject) *finding.AdmissionRequest {
		role.APIGroup = rbacv1.GroupName
		return creation(rbacv1.GroupName, "v1", "RoleBinding", "rolebindings",
			&rbacv1.RoleBinding{ObjectMeta: probeMeta(), RoleRef: role, Subjects: []rbacv1.Subject{subject}})
	}
	own, person := rbacv1.RoleRef{Kind: "Role", Name: probeName}, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: probeName}
	config := func(labels map[string]string) *finding.AdmissionRequest {
		o := &corev1.ConfigMap{ObjectMeta: probeMeta()}
		o.Labels = labels
		return creation("", "v1", "ConfigMap", "configmaps", o)
	}
	share := Probe{Control: "rbac-escalate", Code: "BH4012", Severity: finding.Medium, Carriers: []string{v1alpha1.PolicyPrefix + "role-bindings"}, Twin: binding(own, person)}
	everybody, stranger, role := share, share, share
	everybody.ID, everybody.Does, everybody.Everywhere = "bind-everybody", "give its rights to everybody who can log in", true
	everybody.Request = binding(own, rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: rbac.GroupAuthenticated})
	stranger.ID, stranger.Does = "bind-stranger", "give its rights to a service account of another namespace"
	stranger.Request = binding(own, rbacv1.Subject{Kind: "ServiceAccount", Namespace: otherTenant, Name: "default"})
	role.ID, role.Does = "bind-cluster-role", "bind a role of the cluster that is not for tenants"
	role.Request = binding(rbacv1.RoleRef{Kind: "ClusterRole", Name: "system:basic-user"}, person) // everybody has it, so that RBAC has nothing against it
	marks := Probe{Control: "guardrail", Code: "BH4011", Severity: finding.Medium, Twin: config(nil)}
	managed, foreign := marks, marks
	managed.ID, managed.Does, managed.Carriers = "forge-managed", "forge an object of the platform's", []string{v1alpha1.PolicyPrefix + "managed-objects"}
	managed.Request = config(map[string]string{"app.kubernetes.io/managed-by": "bulkhead"})
	foreign.ID, foreign.Does, foreign.Carriers = "forge-owner", "mark an object as another tenant's", []string{v1alpha1.PolicyPrefix + "owned-labels"}
	foreign.Request = config(map[string]string{v1alpha1.TaintNodeTenant: otherTenant})
	return []Probe{everybody, stranger, role, managed, foreign}
}

// deletion of an object.
func deletion(q *finding.AdmissionRequest, name string) *finding.AdmissionRequest {
	gone := *q
	gone.Operation, gone.Name, gone.OldObject, gone.Object = "DELETE", name, q.Object, nil
	return &gone
}

// update of an object to another.
func update(q *finding.AdmissionRequest, name string, before, after runtime.Object) *finding.AdmissionRequest {
	changed := *q
	changed.Operation, changed.Name, changed.OldObject, changed.Object = "UPDATE", name, before, after
	return &changed
}

// managedProbes change what the platform made in a namespace.
func managedProbes() []Probe {
	meta := metav1.ObjectMeta{Name: v1alpha1.NetworkDefaultName, Labels: map[string]string{"app.kubernetes.io/managed-by": "bulkhead"}}
	policy := &networkingv1.NetworkPolicy{ObjectMeta: meta, Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}}}
	gone := deletion(creation("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", policy), meta.Name)
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: v1alpha1.RoleOwner}}
	more := binding.DeepCopy()
	more.Subjects = []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: probeName}}
	shared := update(creation(rbacv1.GroupName, "v1", "RoleBinding", "rolebindings", binding), meta.Name, binding, more)
	common := Probe{Control: "guardrail", Code: "BH4011", Severity: finding.High, Carriers: []string{v1alpha1.PolicyPrefix + "managed-objects"}}
	network, rights := common, common
	network.ID, network.Does, network.Request = "delete-managed", "delete the NetworkPolicy that closes its namespace", gone
	rights.ID, rights.Does, rights.Request = "change-managed", "change the RoleBinding that the platform made", shared
	return []Probe{network, rights, spaceProbe(true), spaceProbe(false)}
}

// homeOnly are the probes of home namespaces; protectedSpace of those of protected tenants.
const (
	protectedSpace = "delete-protected-space"
	releasedSpace  = "release-space"
)

func spaceProbe(protected bool) Probe {
	space := func(finalizers ...any) *unstructured.Unstructured {
		metadata := map[string]any{"name": probeName}
		if len(finalizers) > 0 {
			metadata["finalizers"] = finalizers
		}
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Space", "metadata": metadata,
			"spec": map[string]any{"workload": probeName}}}
	}
	kept := creation(v1alpha1.GroupVersion.Group, "v1alpha1", "Space", "spaces", space(v1alpha1.Finalizer))
	p := Probe{Control: "guardrail", Code: "BH4011", Severity: finding.Medium, Carriers: []string{v1alpha1.PolicyPrefix + "protected"}}
	if protected {
		p.ID, p.Does, p.Request = protectedSpace, "delete a Space of a protected tenant", deletion(kept, probeName)
		return p
	}
	p.ID, p.Does = releasedSpace, "let a Space slip away without being off-boarded"
	p.Request = update(kept, probeName, kept.Object, space())
	return p
}

// definitionProbe deletes every Space of every tenant at once. It is about no namespace.
func definitionProbe() Probe {
	definition := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": v1alpha1.DefinitionName("spaces")}}}
	q := deletion(creation("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", definition), v1alpha1.DefinitionName("spaces"))
	return Probe{ID: "delete-definition", Control: "guardrail", Code: "BH4011", Severity: finding.Low, Unfenced: true,
		Carriers: []string{v1alpha1.PolicyPrefix + "definitions"}, Does: "delete the definition of Spaces, and with it every Space", Request: q}
}

// waiverProbe makes a record of an exception that never was. It is about no namespace.
func waiverProbe() Probe {
	waiver := &unstructured.Unstructured{Object: map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Waiver",
		"metadata": map[string]any{"name": probeName}, "spec": map[string]any{"control": "images", "tenant": "probe", "workload": "probe",
			"reason": "an exception that never was", "approver": "nobody", "expires": "2000-01-01T00:00:00Z"}}}
	return Probe{ID: "waiver-of-the-past", Control: "guardrail", Code: "BH4011", Severity: finding.Low, Unfenced: true, Carriers: []string{v1alpha1.PolicyPrefix + "waivers"},
		Does: "make a Waiver that is over already", Request: creation(v1alpha1.GroupVersion.Group, "v1alpha1", "Waiver", "waivers", waiver)}
}

// lapsedWaiver is the probe of what a waiver of Pod Security lets in, one minute after it is over; false where there is none.
func lapsedWaiver(ns *snapshot.Namespace, s *Setting) (Probe, bool) {
	text, has := ns.Annotations.Get(v1alpha1.WaiverPrefix + "pod-security")
	over, err := time.Parse(time.RFC3339, text)
	if !has || err != nil {
		return Probe{}, false
	}
	q := s.harmlessPod(func(p *corev1.PodSpec) { p.SecurityContext, p.Containers[0].SecurityContext = nil, nil })
	q.At = over.Add(time.Minute)
	return Probe{ID: lapsedProbe, Control: "pod-security", Code: "BH4001", Severity: finding.Medium, Carriers: []string{v1alpha1.PolicyPrefix + "pod-security"},
		Does: "run as root after the waiver of Pod Security is over", Request: q}, true
}

const lapsedProbe = "lapsed-waiver"

// namespaceProbes loosen or delete one namespace.
func namespaceProbes(ns *snapshot.Namespace) []Probe {
	before := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns.Name, Labels: map[string]string{}}}
	for _, l := range ns.Labels {
		before.Labels[l.Key] = l.Value
	}
	looser, chained := before.DeepCopy(), before.DeepCopy()
	looser.Labels["pod-security.kubernetes.io/enforce"] = "privileged"
	chained.Finalizers = []string{v1alpha1.NamePrefix + "probe.invalid/never"}
	base := creation("", "v1", "Namespace", "namespaces", before)
	common := Probe{Control: "guardrail", Code: "BH4011", Severity: finding.Low, Unfenced: true, Carriers: []string{v1alpha1.PolicyPrefix + "namespaces"}}
	labels, finalizers, gone := common, common, common
	labels.ID, labels.Does, labels.Request = "loosen-namespace", "switch Pod Security off by a label of the namespace", update(base, ns.Name, before, looser)
	finalizers.ID, finalizers.Does, finalizers.Request = "chain-namespace", "keep the namespace from ever going", update(base, ns.Name, before, chained)
	gone.ID, gone.Does, gone.Request = "delete-namespace", "delete the namespace behind the back of its Space", deletion(base, ns.Name)
	return []Probe{labels, finalizers, gone}
}
