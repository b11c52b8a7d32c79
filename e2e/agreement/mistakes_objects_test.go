package agreement_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
)

// relabelled changes a mark that policies go by.
func relabelled(r *rand.Rand) mistake {
	const security = "pod-security.kubernetes.io/enforce"
	tenant := pick(r, tenants()...)
	namespace := pick(r, tenant+"--web", tenant+"--web", tenant+"--web", v1alpha1.HomeNamespace(tenant))
	m := pick(r, []struct{ control, key, value string }{
		{"pod-security", security, ""}, {"pod-security", security, "privileged"}, {"pod-security", security, "baseline"}, {"pod-security", security + "-version", "latest"},
		{"pod-security", security + "-version", "v1.20"},
		{"guardrail", v1alpha1.LabelPattern, ""}, {"guardrail", v1alpha1.LabelTenant, ""}, {"guardrail", v1alpha1.LabelTenant, "archive"}, {"guardrail", v1alpha1.LabelManagedBy, ""},
		{"token", v1alpha1.LabelToken, v1alpha1.TokenAllowed}, {"runtime", v1alpha1.LabelRuntimeClass, ""}, {"runtime", v1alpha1.LabelRuntimeClass, "native"},
		{"node-affinity", v1alpha1.LabelPattern, "Soft"}, {"node-affinity", v1alpha1.LabelPattern, "SoftAffinity"},
	}...)
	set := func(all map[string]string, key, value string) {
		if all[key] = value; value == "" {
			delete(all, key)
		}
	}
	done := mistake{what: fmt.Sprintf("label %s=%q on %s", m.key, m.value, namespace), controls: []string{m.control}, tenant: tenant}
	change := func(ns *corev1.Namespace) { set(ns.Labels, m.key, m.value) }
	if r.IntN(5) == 0 {
		control := pick(r, "images", "storage", "priority", "pod-security", "runtime")
		done.what, done.controls = fmt.Sprintf("a waiver of %s on %s that nobody gave", control, namespace), []string{control}
		change = func(ns *corev1.Namespace) {
			if ns.Annotations == nil {
				ns.Annotations = map[string]string{}
			}
			ns.Annotations[v1alpha1.WaiverPrefix+control] = "2130-01-01T00:00:00Z"
		}
	}
	done.steps = []step{changed(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, change)}
	return done
}

// controlLabel names the control that a policy carries.
const controlLabel = "bulkhead.dev/control"

// policies that can be loosened, with their controls.
func policies() map[string]string {
	all := map[string]string{}
	for _, o := range guardrail.Cluster(&v1alpha1.Platform{}) {
		if p, is := o.(*admissionv1.ValidatingAdmissionPolicy); is {
			all[p.Name] = p.Labels[controlLabel]
		}
	}
	return all
}

func keysOf(all map[string]string) []string {
	var keys []string
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// nowhere selects no namespace.
func nowhere() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"nobody.example": "has-this"}}
}

// onlySpaceOf selects the Space of one tenant.
func onlySpaceOf(tenant string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: tenant + "--web"}}
}

// loosePolicy takes a validating policy away, or has it see or refuse less.
func loosePolicy(r *rand.Rand) mistake {
	all := policies()
	name := pick(r, keysOf(all)...)
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	type loosening struct {
		what string
		step step
	}
	ofPolicy := func(what string, change func(*admissionv1.ValidatingAdmissionPolicySpec)) loosening {
		return loosening{what, changed(policy, func(p *admissionv1.ValidatingAdmissionPolicy) { change(&p.Spec) })}
	}
	ofBinding := func(what string, change func(*admissionv1.ValidatingAdmissionPolicyBindingSpec)) loosening {
		return loosening{what, changed(binding, func(b *admissionv1.ValidatingAdmissionPolicyBinding) { change(&b.Spec) })}
	}
	tenant := pick(r, tenants()...)
	excluded := admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{"*"},
		Rule: admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{pick(r, "pods", "services", "deployments", "secrets", "networkpolicies", "*")}}}}
	m := pick(r,
		loosening{"removed", without(policy)}, loosening{"its binding removed", without(binding)},
		ofPolicy("fails open", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.FailurePolicy = new(admissionv1.Ignore) }),
		ofPolicy("never looks", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConditions = append(s.MatchConditions, admissionv1.MatchCondition{Name: "never", Expression: "false"})
		}),
		ofPolicy("passes updates over", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConditions = append(s.MatchConditions, admissionv1.MatchCondition{Name: "creations", Expression: "request.operation == 'CREATE'"})
		}),
		ofPolicy("passes jane over", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConditions = append(s.MatchConditions, admissionv1.MatchCondition{Name: "not-jane", Expression: "request.userInfo.username != 'jane'"})
		}),
		ofPolicy("lets all pass", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			for i := range s.Validations {
				s.Validations[i].Expression = "true"
			}
		}),
		ofPolicy("without its first check", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			if len(s.Validations) > 0 {
				s.Validations[0].Expression = "true"
			}
		}),
		ofPolicy("selects no namespace", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.MatchConstraints.NamespaceSelector = nowhere() }),
		ofPolicy("leaves out "+excluded.Resources[0], func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.ExcludeResourceRules = append(s.MatchConstraints.ExcludeResourceRules, excluded)
		}),
		ofBinding("is bound in the Space of "+tenant+" alone", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) {
			s.MatchResources = &admissionv1.MatchResources{NamespaceSelector: onlySpaceOf(tenant)}
		}),
		ofBinding("is bound nowhere", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) {
			s.MatchResources = &admissionv1.MatchResources{NamespaceSelector: nowhere()}
		}),
		ofBinding("audits only", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) {
			s.ValidationActions = []admissionv1.ValidationAction{admissionv1.Audit}
		}),
		ofBinding("another policy is bound", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) { s.PolicyName = "something-else" }),
	)
	return mistake{what: "policy " + name + " " + m.what, controls: []string{all[name]}, steps: []step{m.step}}
}

// looseMutation loosens what completes pods.
func looseMutation(r *rand.Rand) mistake {
	controls := map[string]string{}
	for _, o := range guardrail.Cluster(&v1alpha1.Platform{}) {
		if p, is := o.(*admissionv1.MutatingAdmissionPolicy); is {
			controls[p.Name] = p.Labels[controlLabel]
		}
	}
	name := pick(r, keysOf(controls)...)
	policy := &admissionv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	done := mistake{what: "policy " + name, controls: []string{controls[name]}}
	switch r.IntN(4) {
	case 0:
		done.what, done.steps = done.what+" removed", []step{without(policy)}
	case 1:
		done.what, done.steps = done.what+" not bound", []step{without(binding)}
	case 2:
		done.what, done.steps = done.what+" bound nowhere", []step{changed(binding, func(b *admissionv1.MutatingAdmissionPolicyBinding) {
			b.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: nowhere()}
		})}
	default:
		done.what, done.steps = done.what+" never looks", []step{changed(policy, func(p *admissionv1.MutatingAdmissionPolicy) {
			p.Spec.MatchConditions = append(p.Spec.MatchConditions, admissionv1.MatchCondition{Name: "never", Expression: "false"})
		})}
	}
	return done
}

func looseQuota(r *rand.Rand) mistake {
	tenant := pick(r, tenants()...)
	namespace := pick(r, tenant+"--web", tenant+"--web", v1alpha1.HomeNamespace(tenant))
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.QuotaName}}
	done := mistake{what: "quota of " + namespace, controls: []string{"quota"}, tenant: tenant}
	which := r.IntN(1000)
	key := func(q *corev1.ResourceQuota) corev1.ResourceName {
		var keys []corev1.ResourceName
		for k := range q.Spec.Hard {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		return keys[which%len(keys)]
	}
	switch r.IntN(3) {
	case 0:
		done.what, done.steps = done.what+" removed", []step{without(quota)}
	case 1:
		done.what = fmt.Sprintf("%s without its key %d", done.what, which)
		done.steps = []step{changed(quota, func(q *corev1.ResourceQuota) { delete(q.Spec.Hard, key(q)) })}
	default:
		done.what = fmt.Sprintf("%s with a raised key %d", done.what, which)
		done.steps = []step{changed(quota, func(q *corev1.ResourceQuota) { q.Spec.Hard[key(q)] = resource.MustParse("1000000Gi") })}
	}
	return done
}

func looseLimits(r *rand.Rand) mistake {
	tenant := pick(r, tenants()...)
	limits := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: tenant + "--web", Name: "bulkhead"}}
	done := mistake{what: "limits of " + tenant + "--web", controls: []string{"defaults"}, tenant: tenant}
	change := func(what string, do func(*corev1.LimitRangeItem)) {
		done.what, done.steps = done.what+what, []step{changed(limits, func(l *corev1.LimitRange) { do(&l.Spec.Limits[0]) })}
	}
	switch r.IntN(4) {
	case 0:
		done.what, done.steps = done.what+" removed", []step{without(limits)}
	case 1:
		change(" without a minimum", func(i *corev1.LimitRangeItem) { i.Min = nil })
	case 2:
		change(" without a maximum", func(i *corev1.LimitRangeItem) { i.Max = nil })
	default:
		change(" of pods instead of containers", func(i *corev1.LimitRangeItem) {
			i.Type, i.Default, i.DefaultRequest = corev1.LimitTypePod, nil, nil
		})
	}
	return done
}

func looseFlow(r *rand.Rand) mistake {
	tenant := pick(r, tenants()...)
	schema := &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: pick(r, v1alpha1.FlowSchemaName(tenant), v1alpha1.ListsFlowSchemaName(tenant))}}
	done := mistake{what: "FlowSchema " + schema.Name, controls: []string{"api-fairness"}, tenant: tenant}
	change := func(what string, do func(*flowcontrolv1.FlowSchemaSpec)) {
		done.what, done.steps = done.what+what, []step{changed(schema, func(f *flowcontrolv1.FlowSchema) { do(&f.Spec) })}
	}
	switch r.IntN(7) {
	case 0:
		done.what, done.steps = done.what+" removed", []step{without(schema)}
	case 1:
		change(" asked last", func(s *flowcontrolv1.FlowSchemaSpec) { s.MatchingPrecedence = 9990 })
	case 2:
		change(" on the level of the exempt", func(s *flowcontrolv1.FlowSchemaSpec) { s.PriorityLevelConfiguration.Name = "exempt" })
	case 3:
		change(" on the level of everybody", func(s *flowcontrolv1.FlowSchemaSpec) { s.PriorityLevelConfiguration.Name = "global-default" })
	case 4:
		change(" with a flow for each user", func(s *flowcontrolv1.FlowSchemaSpec) {
			s.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType}
		})
	case 5:
		change(" for its first subject alone", func(s *flowcontrolv1.FlowSchemaSpec) { s.Rules[0].Subjects = s.Rules[0].Subjects[:1] })
	default:
		change(" with no rules", func(s *flowcontrolv1.FlowSchemaSpec) { s.Rules = nil })
	}
	return done
}

// looseCluster changes what the cluster has once.
func looseCluster(r *rand.Rand) mistake {
	switch r.IntN(4) {
	case 0:
		retain := corev1.PersistentVolumeReclaimRetain
		old := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}}
		kept := &storagev1.StorageClass{ObjectMeta: old.ObjectMeta, Provisioner: "example.invalid/none", ReclaimPolicy: &retain}
		return mistake{what: "StorageClass fast retains", controls: []string{"storage"}, steps: []step{without(old), make1(kept)}}
	case 1:
		volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: mistakeName}}
		volume.Spec.HostPath = &corev1.HostPathVolumeSource{Path: "/etc"}
		volume.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		volume.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
		return mistake{what: "a volume of a node's path", controls: []string{"storage"}, steps: []step{make1(volume)}}
	case 2:
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: mistakeName}, Value: 100000, GlobalDefault: true}
		return mistake{what: "a PriorityClass for all", controls: []string{"priority"}, steps: []step{make1(class)}}
	default:
		return mistake{what: "the dedicated node without its taint", controls: []string{"node-affinity"}, tenant: "press",
			steps: []step{changed(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "dedicated"}}, func(n *corev1.Node) { n.Spec.Taints = nil })}}
	}
}

func looseNetwork(r *rand.Rand) mistake {
	tenant := pick(r, tenants()...)
	done := mistake{what: "network policies of " + tenant + "--web", controls: []string{"network-default", "network-metadata"}, tenant: tenant}
	fence := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: tenant + "--web", Name: v1alpha1.NetworkDefaultName}}
	everywhere := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	switch r.IntN(4) {
	case 0:
		done.what, done.steps = done.what+": the default is removed", []step{without(fence)}
	case 1:
		done.what, done.steps = done.what+": ingress from every namespace", []step{changed(fence, func(p *networkingv1.NetworkPolicy) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: everywhere})
		})}
	case 2:
		done.what, done.steps = done.what+": no longer managed", []step{changed(fence, func(p *networkingv1.NetworkPolicy) { delete(p.Labels, v1alpha1.LabelManagedBy) })}
	default:
		open := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: tenant + "--web", Name: mistakeName}}
		open.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: everywhere}}
		open.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		done.what, done.steps = done.what+": one more, which opens", []step{make1(open)}
	}
	done.what = strings.TrimSpace(done.what)
	return done
}
