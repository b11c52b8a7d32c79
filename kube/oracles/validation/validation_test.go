// Package validation compares the objects that Bulkhead counts as refused with those that Kubernetes' own validation refuses.
package validation

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	admissionvalidation "k8s.io/kubernetes/pkg/apis/admissionregistration/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/rbac"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	rbacvalidation "k8s.io/kubernetes/pkg/apis/rbac/validation"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/internal/kubevalidation"
)

// objectsPerKind are many; of a policy's expressions each compiler takes tens of milliseconds.
const objectsPerKind, policies = 4000, 150

// Promise: Bulkhead refuses of every kind that it validates what the API server refuses, and nothing else: objects that have
// everything, and those that a random change or three make of them.
func TestBulkheadAndTheAPIServerRefuseTheSame(t *testing.T) {
	for _, base := range objects(t) {
		kind := reflect.TypeOf(base).Elem().Name()
		legacyscheme.Scheme.Default(base)
		if faults := byKubernetes(t, base); len(faults) > 0 {
			t.Fatalf("%s: the object that is changed is refused itself: %v", kind, faults)
		}
		refused, differ, tried := 0, 0, objectsPerKind
		if strings.HasSuffix(kind, "AdmissionPolicy") {
			tried = policies
		}
		for seed := range uint64(tried) {
			object := base.DeepCopyObject()
			g := rand.New(rand.NewPCG(seed, 7))
			for range 1 + g.IntN(3) {
				change(g, reflect.ValueOf(object).Elem())
			}
			want := byKubernetes(t, object)
			got := kubevalidation.Refusals(object.(metav1.Object), namespaced(object))
			if len(want) > 0 {
				refused++
			}
			if (len(want) > 0) != (len(got) > 0) && differ < 5 {
				differ++
				t.Errorf("%s %d: the API server says %v, Bulkhead %v", kind, seed, want, got)
			}
		}
		if refused < tried/10 || refused > tried*99/100 {
			t.Errorf("%s: %d of %d were refused: the changes say little", kind, refused, tried)
		}
		t.Logf("%s: %d of %d refused", kind, refused, tried)
	}
}

func namespaced(object runtime.Object) bool {
	switch object.(type) {
	case *networkingv1.NetworkPolicy, *rbacv1.Role, *rbacv1.RoleBinding, *corev1.ResourceQuota, *corev1.LimitRange:
		return true
	}
	return false
}

// byKubernetes returns what Kubernetes' own validation says.
func byKubernetes(t *testing.T, object runtime.Object) field.ErrorList {
	t.Helper()
	internal := func(into runtime.Object) {
		if err := legacyscheme.Scheme.Convert(object, into, nil); err != nil {
			t.Fatal(err)
		}
	}
	switch object.(type) {
	case *networkingv1.NetworkPolicy:
		o := &networking.NetworkPolicy{}
		internal(o)
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{})
	case *rbacv1.Role:
		o := &rbac.Role{}
		internal(o)
		return rbacvalidation.ValidateRole(o)
	case *rbacv1.ClusterRole:
		o := &rbac.ClusterRole{}
		internal(o)
		return rbacvalidation.ValidateClusterRole(o, rbacvalidation.ClusterRoleValidationOptions{})
	case *rbacv1.RoleBinding:
		o := &rbac.RoleBinding{}
		internal(o)
		return rbacvalidation.ValidateRoleBinding(o)
	case *rbacv1.ClusterRoleBinding:
		o := &rbac.ClusterRoleBinding{}
		internal(o)
		return rbacvalidation.ValidateClusterRoleBinding(o)
	case *corev1.ResourceQuota:
		o := &core.ResourceQuota{}
		internal(o)
		return corevalidation.ValidateResourceQuota(o)
	case *corev1.LimitRange:
		o := &core.LimitRange{}
		internal(o)
		return corevalidation.ValidateLimitRange(o)
	case *admissionv1.ValidatingAdmissionPolicy:
		o := &admissionregistration.ValidatingAdmissionPolicy{}
		internal(o)
		return admissionvalidation.ValidateValidatingAdmissionPolicy(o)
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		o := &admissionregistration.ValidatingAdmissionPolicyBinding{}
		internal(o)
		return admissionvalidation.ValidateValidatingAdmissionPolicyBinding(o)
	case *admissionv1.MutatingAdmissionPolicy:
		o := &admissionregistration.MutatingAdmissionPolicy{}
		internal(o)
		return admissionvalidation.ValidateMutatingAdmissionPolicy(o)
	case *admissionv1.MutatingAdmissionPolicyBinding:
		o := &admissionregistration.MutatingAdmissionPolicyBinding{}
		internal(o)
		return admissionvalidation.ValidateMutatingAdmissionPolicyBinding(o)
	}
	t.Fatalf("no validation of a %T", object)
	return nil
}

// objects are one of every kind that has everything.
func objects(t *testing.T) []runtime.Object {
	t.Helper()
	var list []runtime.Object
	for _, text := range strings.Split(manifests, "---\n") {
		meta := metav1.TypeMeta{}
		if err := yaml.Unmarshal([]byte(text), &meta); err != nil {
			t.Fatal(err)
		}
		object, err := legacyscheme.Scheme.New(meta.GroupVersionKind())
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
			t.Fatal(err)
		}
		list = append(list, object)
	}
	return list
}

const manifests = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: b, labels: {app: c}}
spec:
  podSelector: {matchLabels: {app: c}, matchExpressions: [{key: d, operator: In, values: [e]}]}
  policyTypes: [Ingress, Egress]
  ingress:
  - {from: [{podSelector: {matchLabels: {app: c}}}, {namespaceSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90, protocol: TCP}, {port: web}]}
  egress: [{to: [{ipBlock: {cidr: "fd00::/8"}}], ports: [{protocol: UDP}]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "a:b", namespace: b}
rules: [{apiGroups: [""], resources: [pods], verbs: [get], resourceNames: [a]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "a:b"}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}, {nonResourceURLs: [/healthz], verbs: [get]}]
aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a, namespace: b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}
subjects: [{kind: User, name: u, apiGroup: rbac.authorization.k8s.io}, {kind: ServiceAccount, name: s, namespace: b}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: a}
subjects: [{kind: Group, name: g, apiGroup: rbac.authorization.k8s.io}, {kind: ServiceAccount, name: s, namespace: b}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: a, namespace: b}
spec:
  hard: {pods: 1, requests.cpu: 500m}
  scopes: [NotTerminating]
  scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high]}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: a, namespace: b}
spec: {hard: {count/pods: 1, requests.example.com/gpu: 1, limits.memory: 2Gi, hugepages-2Mi: 4Mi}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: a, namespace: b}
spec:
  limits:
  - {type: Container, max: {cpu: 2, example.com/gpu: 1}, min: {cpu: 500m}, default: {cpu: 1}, defaultRequest: {cpu: 1}, maxLimitRequestRatio: {cpu: 2}}
  - {type: Pod, max: {memory: 2Gi}}
  - {type: PersistentVolumeClaim, max: {storage: 2Gi}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: a}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/status], resourceNames: [n]}]
    excludeResourceRules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*"]}]
  matchConditions: [{name: own, expression: "object.metadata.name != 'x'"}]
  variables: [{name: first, expression: "object.spec"}]
  validations: [{expression: "has(variables.first.x)", message: no, reason: Invalid, messageExpression: "'a'"}]
  auditAnnotations: [{key: k, valueExpression: "'v'"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: a}
spec:
  policyName: a
  paramRef: {name: p, parameterNotFoundAction: Deny}
  validationActions: [Deny, Audit]
  matchResources: {namespaceSelector: {matchLabels: {a: b}}, resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: a}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  variables: [{name: first, expression: "object.spec"}]
  reinvocationPolicy: IfNeeded
  mutations:
  - {patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "remove", path: "/spec/nodeName"}]'}}
  - {patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{spec: Object.spec{hostNetwork: false}}'}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: a}
spec:
  policyName: a
  paramRef: {selector: {matchLabels: {a: b}}, parameterNotFoundAction: Allow}
  matchResources: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
`

var (
	texts = []string{
		"", "*", "a", "A", "a b", "a_b", "a\nb", "80", "web", "tcp", "TCP", "SCTP", "v1", "10.0.0.0/8", "10.0.0.1/8", "010.0.0.0/8", "10.1.0.0/16", "::/0", "fd00::/8",
		"10.0.0.0", "Ingress", "pods", "pods/*", "*/*", "*/status", "pods/status", "CREATE", "DELETE", "Deny", "Warn", "Audit", "Allow", "Fail", "Equivalent",
		"User", "Group", "ServiceAccount", "Role", "ClusterRole", "rbac.authorization.k8s.io", "In", "NotIn", "Exists", "DoesNotExist", "Namespaced",
		"PriorityClass", "BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity", "VolumeAttributesClass",
		"Pod", "Container", "PersistentVolumeClaim", "example.com/Other", "true", "1", "'a'", "object.x", "variables.first == 1", "params.x == 1", "objekt", "Never",
		"JSONPatch", "ApplyConfiguration", "Forbidden", "Unauthorized", "if", "../a", "group/v1", "group/v1/x", strings.Repeat("a", 64), strings.Repeat("a", 254),
	}
	names = []string{
		"cpu", "memory", "storage", "pods", "services", "requests.cpu", "limits.memory", "requests.storage", "count/pods", "example.com/gpu", "requests.example.com/gpu",
		"kubernetes.io/x", "hugepages-2Mi", "requests.hugepages-2Mi", "persistentvolumeclaims", "other", "a b", "ephemeral-storage", "",
	}
	amounts = []string{"-1", "0", "1", "2", "500m", "1500m", "2Gi", "1n"}
)

// change changes one value of an object: a word, a number, an element, or whether something is there at all.
func change(g *rand.Rand, object reflect.Value) {
	var places []func()
	collect(g, object, "", &places)
	if len(places) > 0 {
		places[g.IntN(len(places))]()
	}
}

func collect(g *rand.Rand, v reflect.Value, name string, places *[]func()) {
	add := func(do func()) { *places = append(*places, do) }
	switch at := v.Addr().Interface().(type) {
	case *metav1.Time, *metav1.TypeMeta:
		return
	case *resource.Quantity:
		add(func() { *at = resource.MustParse(amounts[g.IntN(len(amounts))]) })
		return
	case *intstr.IntOrString:
		add(func() { *at = intstr.FromString(texts[g.IntN(len(texts))]) })
		add(func() { *at = intstr.FromInt32([]int32{-1, 0, 1, 80, 65535, 65536}[g.IntN(6)]) })
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "Status" {
				collect(g, v.Field(i), f.Name, places)
			}
		}
	case reflect.Pointer:
		if v.IsNil() {
			add(func() { v.Set(reflect.New(v.Type().Elem())) })
			return
		}
		add(func() { v.SetZero() })
		collect(g, v.Elem(), name, places)
	case reflect.Slice:
		if v.Len() == 0 {
			return
		}
		add(func() { v.SetZero() })
		add(func() { v.Set(reflect.Append(v, v.Index(g.IntN(v.Len())))) })
		for i := range v.Len() {
			collect(g, v.Index(i), name, places)
		}
	case reflect.Map:
		add(func() { v.SetZero() })
		if v.Len() > 0 {
			add(func() { changeEntry(g, v) })
		}
	case reflect.String:
		add(func() { v.SetString(texts[g.IntN(len(texts))]) })
	case reflect.Int32, reflect.Int64:
		if name != "Generation" && name != "DeletionGracePeriodSeconds" {
			add(func() { v.SetInt([]int64{-1, 0, 1, 80, 65536}[g.IntN(5)]) })
		}
	}
}

func changeEntry(g *rand.Rand, m reflect.Value) {
	key, value := reflect.New(m.Type().Key()).Elem(), reflect.New(m.Type().Elem()).Elem()
	key.SetString(names[g.IntN(len(names))])
	switch at := value.Addr().Interface().(type) {
	case *resource.Quantity:
		*at = resource.MustParse(amounts[g.IntN(len(amounts))])
	case *string:
		*at = texts[g.IntN(len(texts))]
	default:
		panic(fmt.Sprintf("an entry of %s", m.Type()))
	}
	m.SetMapIndex(key, value)
}
