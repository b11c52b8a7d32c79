package agreement_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// touched are the caches of the API server that must have followed before anything is judged.
type touched uint

const (
	touchedRights touched = 1 << iota
	touchedPolicies
	touchedNamespaces
	touchedQuotas
	touchedLimits
	touchedFlows
)

// touches says through which cache the API server sees an object; 0 for one that it reads as it is.
func touches(o client.Object) touched {
	switch o.(type) {
	case *rbacv1.Role, *rbacv1.RoleBinding, *rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding:
		return touchedRights
	case *admissionv1.ValidatingAdmissionPolicy, *admissionv1.ValidatingAdmissionPolicyBinding,
		*admissionv1.MutatingAdmissionPolicy, *admissionv1.MutatingAdmissionPolicyBinding:
		return touchedPolicies
	case *corev1.Namespace:
		return touchedNamespaces
	case *corev1.ResourceQuota:
		return touchedQuotas
	case *corev1.LimitRange:
		return touchedLimits
	case *flowcontrolv1.FlowSchema:
		return touchedFlows
	}
	return 0
}

// marker tells when the API server has seen a change. Its caches follow one watch for each kind, in the order of changes: once a
// mark that was set later shows, everything before it is in force.
type marker struct {
	round int
	http  *http.Client
}

const (
	// markName names every mark, and the namespace of those that lie in one.
	markName = "agreement-mark"
	// settled bounds how long the API server may take to see a change by its own watches.
	settled = 30 * time.Second
)

func (m *marker) word() string { return fmt.Sprintf("round-%d", m.round) }

func newMarker(ctx context.Context) (*marker, error) {
	client, err := rest.HTTPClientFor(cluster.Config)
	if err != nil {
		return nil, err
	}
	m := &marker{http: client}
	for _, o := range m.marks() {
		if err := admin.Create(ctx, o); err != nil {
			return nil, fmt.Errorf("set the mark %T: %w", o, err)
		}
	}
	return m, m.settle(ctx, ^touched(0))
}

// settle sets the marks of what was touched and waits until they show.
func (m *marker) settle(ctx context.Context, what touched) error {
	if what == 0 {
		return nil
	}
	m.round++
	if what&touchedQuotas != 0 {
		// Quotas are in force once a controller has taken them over, in no order.
		if err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, settled, true, takenOver); err != nil {
			return fmt.Errorf("wait until every quota is taken over: %w", err)
		}
	}
	for _, o := range m.marks() {
		if touches(o)&what == 0 {
			continue
		}
		if err := m.set(ctx, o); err != nil {
			return err
		}
	}
	for _, show := range []struct {
		of    touched
		shows func(context.Context) (bool, error)
	}{
		{touchedRights, m.rightsShow}, {touchedNamespaces, m.namespaceShows}, {touchedQuotas, m.quotaShows}, {touchedLimits, m.limitShows},
		{touchedFlows, m.flowShows}, {touchedPolicies, m.policiesShow},
	} {
		if what&show.of == 0 {
			continue
		}
		if err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, settled, true, show.shows); err != nil {
			return fmt.Errorf("wait until mark %s of caches %b shows: %w", m.word(), show.of, err)
		}
	}
	return nil
}

// set replaces a mark by what it must be now.
func (m *marker) set(ctx context.Context, o client.Object) error {
	old, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object", o)
	}
	if err := admin.Get(ctx, client.ObjectKeyFromObject(o), old); err != nil {
		return fmt.Errorf("read the mark %T: %w", o, err)
	}
	o.SetResourceVersion(old.GetResourceVersion())
	if err := admin.Update(ctx, o); err != nil {
		return fmt.Errorf("set the mark %T: %w", o, err)
	}
	return nil
}

func (m *marker) marks() []client.Object {
	meta, inside := metav1.ObjectMeta{Name: markName}, metav1.ObjectMeta{Name: markName, Namespace: markName}
	rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}, ResourceNames: []string{m.word()}}
	nodes := rule
	nodes.Resources = []string{"nodes"}
	who := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: m.word()}}
	some := resource.MustParse(strconv.Itoa(100 * (m.round % 2)))
	labelled := metav1.ObjectMeta{Name: markName, Labels: map[string]string{"round": m.word()}}
	return append([]client.Object{
		&corev1.Namespace{ObjectMeta: labelled},
		&rbacv1.Role{ObjectMeta: inside, Rules: []rbacv1.PolicyRule{rule}},
		&rbacv1.RoleBinding{ObjectMeta: inside, Subjects: who, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: markName}},
		&rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{nodes}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: who, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: markName}},
		&corev1.ResourceQuota{ObjectMeta: inside, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/secrets": some}}},
		&corev1.LimitRange{ObjectMeta: inside, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypePersistentVolumeClaim,
			Max: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(fmt.Sprintf("%dMi", 1+m.round%2))}}}}},
		&flowcontrolv1.FlowSchema{ObjectMeta: meta, Spec: flowcontrolv1.FlowSchemaSpec{MatchingPrecedence: 500,
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "workload-low"},
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{Subjects: []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: m.word()}}},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/version"}}}}}}},
	}, m.policyMarks()...)
}

// policyMarks are a mutation that writes the round on a ConfigMap, and a refusal of those that bear it: both bound by a label.
func (m *marker) policyMarks() []client.Object {
	meta := metav1.ObjectMeta{Name: markName}
	match := &admissionv1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: markName}},
		ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}}}}},
	}
	bound := &admissionv1.MatchResources{ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"round": m.word()}}}
	// A namespace's label is seen through the object of the namespace.
	refuse := fmt.Sprintf("object.metadata.?annotations[?'round'].orValue('') != '%s'", m.word())
	seen := "object.metadata.name != 'seen-' + namespaceObject.metadata.?labels[?'round'].orValue('')"
	namespaces := metav1.ObjectMeta{Name: markName + "-namespace"}
	return []client.Object{
		&admissionv1.MutatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionv1.MutatingAdmissionPolicySpec{MatchConstraints: match, ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			Mutations: []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeApplyConfiguration, ApplyConfiguration: &admissionv1.ApplyConfiguration{
				Expression: fmt.Sprintf("Object{metadata: Object.metadata{annotations: {'round': '%s'}}}", m.word())}}}}},
		&admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: markName, MatchResources: bound}},
		&admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicySpec{MatchConstraints: match,
			Validations: []admissionv1.Validation{{Expression: refuse}}}},
		&admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: markName, MatchResources: bound,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}},
		&admissionv1.ValidatingAdmissionPolicy{ObjectMeta: namespaces, Spec: admissionv1.ValidatingAdmissionPolicySpec{MatchConstraints: match,
			Validations: []admissionv1.Validation{{Expression: seen}}}},
		&admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: namespaces, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: namespaces.Name,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}},
	}
}

func (m *marker) rightsShow(ctx context.Context) (bool, error) {
	for _, a := range []authorizationv1.ResourceAttributes{
		{Verb: "get", Resource: "configmaps", Namespace: markName, Name: m.word()}, {Verb: "get", Resource: "nodes", Name: m.word()},
	} {
		if allowed, err := mayAsk(ctx, m.word(), nil, &authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: &a}); err != nil || !allowed {
			return false, err
		}
	}
	return true, nil
}

// mayAsk asks the authorizer.
func mayAsk(ctx context.Context, user string, groups []string, spec *authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	spec.User, spec.Groups = user, groups
	review := &authorizationv1.SubjectAccessReview{Spec: *spec}
	if err := admin.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask whether %s may: %w", user, err)
	}
	return review.Status.Allowed, nil
}

// refused says whether the API server would refuse to create an object in the namespace of marks.
func refused(ctx context.Context, o client.Object) (bool, error) {
	err := admin.Create(ctx, o, client.DryRunAll)
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		return true, nil
	}
	return false, err
}

func (m *marker) policiesShow(ctx context.Context) (bool, error) {
	return refused(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: markName, Name: "probe", Labels: map[string]string{"round": m.word()}}})
}

func (m *marker) namespaceShows(ctx context.Context) (bool, error) {
	return refused(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: markName, Name: "seen-" + m.word()}})
}

func claimOf(size string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: markName, Name: "probe"}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: new("fast"),
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}}}}
}

// takenOver says whether the status of every quota is as its spec.
func takenOver(ctx context.Context) (bool, error) {
	var all corev1.ResourceQuotaList
	if err := admin.List(ctx, &all); err != nil {
		return false, err
	}
	for i := range all.Items {
		if q := &all.Items[i]; !equality.Semantic.DeepEqual(q.Spec.Hard, q.Status.Hard) {
			return false, nil
		}
	}
	return true, nil
}

func (m *marker) quotaShows(ctx context.Context) (bool, error) {
	if done, err := takenOver(ctx); err != nil || !done {
		return false, err
	}
	no, err := refused(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: markName, Name: "probe"}})
	return no == (m.round%2 == 0), err
}

func (m *marker) limitShows(ctx context.Context) (bool, error) {
	no, err := refused(ctx, claimOf("2Mi"))
	return no == (m.round%2 == 0), err
}

var errNoAnswer = errors.New("the API server does not say which FlowSchema took a request")

func (m *marker) flowShows(ctx context.Context) (bool, error) {
	var mark flowcontrolv1.FlowSchema
	if err := admin.Get(ctx, client.ObjectKey{Name: markName}, &mark); err != nil {
		return false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(cluster.Config.Host, "/")+"/version", nil)
	if err != nil {
		return false, err
	}
	request.Header.Set(transport.ImpersonateUserHeader, m.word())
	response, err := m.http.Do(request)
	if err != nil {
		return false, err
	}
	if err := response.Body.Close(); err != nil {
		return false, err
	}
	took := response.Header.Get("X-Kubernetes-Pf-Flowschema-Uid")
	if took == "" {
		return false, errNoAnswer
	}
	return took == string(mark.UID), nil
}
