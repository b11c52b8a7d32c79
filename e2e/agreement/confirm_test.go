package agreement_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// confirm tries, for real, what the prover says can be done. It gives the controls and pairs that no request shows.
func (w *world) confirm(ctx context.Context, p *proven) (*tally, error) {
	t := newTally()
	for i := range p.report.Findings {
		f := &p.report.Findings[i]
		if f.Verdict != finding.Exposed || f.Waiver != "" {
			continue
		}
		code, check, _ := isolation.CodeByID(f.Code)
		if len(f.Requests) == 0 {
			if unaskable()[check.ID] == "" {
				t.disagreements = append(t.disagreements, disagreement{code.Controls[0], f.From, f.To, fmt.Sprintf("the prover says Exposed and gives no request that shows it: %s: %s", f.Code, f.What)})
			}
			t.explained[unasked]++
			continue
		}
		for j := range f.Requests {
			w.untold |= touchedRights
			why, err := try(ctx, &f.Requests[j])
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", f.Code, f.What, err)
			}
			if why != "" {
				t.disagreements = append(t.disagreements, disagreement{code.Controls[0], f.From, f.To, fmt.Sprintf("the prover says Exposed and it is refused: %s: %s: %s", f.Code, f.What, why)})
				continue
			}
			t.pairs["a request of the prover's is let through"]++
		}
	}
	return t, nil
}

// anybody is as whom the prover asks what "whoever was given the right by mistake" could do.
const anybody = "bulkhead-probe"

// give makes the mistake that a finding is about: it gives anybody the right to this request and no other.
func give(ctx context.Context, a *finding.Attributes) (func(), error) {
	namespace := a.Namespace
	if a.Resource == "namespaces" {
		namespace = ""
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: anybody},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{a.Group}, Resources: []string{strings.Trim(a.Resource+"/"+a.Subresource, "/")}, Verbs: []string{a.Verb}}}}
	binding := bindingOf(namespace, "ClusterRole", anybody, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: anybody})
	binding.SetName(anybody)
	if err := errors.Join(admin.Create(ctx, role), admin.Create(ctx, binding)); err != nil {
		return nil, err
	}
	take := func() { // the comparison with before finds what stays
		_, _ = admin.Delete(context.WithoutCancel(ctx), binding), admin.Delete(context.WithoutCancel(ctx), role)
	}
	return take, wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, settled, true, func(ctx context.Context) (bool, error) {
		return mayAsk(ctx, anybody, nil, reviewOf(a))
	})
}

func reviewOf(a *finding.Attributes) *authorizationv1.SubjectAccessReviewSpec {
	if a.Path != "" {
		return &authorizationv1.SubjectAccessReviewSpec{NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: a.Verb, Path: a.Path}}
	}
	return &authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: a.Verb, Group: a.Group, Version: "*",
		Resource: a.Resource, Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name}}
}

// try sends a request; the answer is why it is refused, empty where it is not.
func try(ctx context.Context, r *finding.Request) (string, error) {
	a := &r.Attributes
	if r.Subject.User == anybody {
		take, err := give(ctx, a)
		if take != nil {
			defer take()
		}
		if err != nil {
			return "", err
		}
	}
	allowed, err := mayAsk(ctx, r.Subject.User, r.Subject.Groups, reviewOf(a))
	if err != nil {
		return "", err
	}
	if !allowed {
		return fmt.Sprintf("%s may not %+v", r.Subject.User, *a), nil
	}
	if r.Write == nil || r.Write.Operation == "CONNECT" {
		return "", nil
	}
	return write(ctx, r)
}

// write makes a request by dry-run, as its subject, upon an object that is made for it where it is not there.
func write(ctx context.Context, r *finding.Request) (string, error) {
	config := rest.CopyConfig(cluster.Config)
	own, err := dynamic.NewForConfig(config)
	if err != nil {
		return "", err
	}
	config.Impersonate = rest.ImpersonationConfig{UserName: r.Subject.User, Groups: r.Subject.Groups}
	theirs, err := dynamic.NewForConfig(config)
	if err != nil {
		return "", err
	}
	q, dry := r.Write, []string{metav1.DryRunAll}
	of := func(c dynamic.Interface) dynamic.ResourceInterface {
		if q.Namespace == "" || q.Resource.Resource == "namespaces" {
			return c.Resource(q.Resource)
		}
		return c.Resource(q.Resource).Namespace(q.Namespace)
	}
	if q.Operation == "CREATE" {
		object, err := plain(q, q.Object)
		if err != nil {
			return "", err
		}
		if binding, is := q.Object.(*rbacv1.RoleBinding); is && binding.RoleRef.Kind == "Role" {
			role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: q.Namespace, Name: binding.RoleRef.Name}} // which tenants make as they like
			if err := admin.Create(ctx, role); err != nil {
				return "", err
			}
			defer func() { _ = admin.Delete(context.WithoutCancel(ctx), role) }() // the comparison with before finds what stays
			if err := roleSeen(ctx, role); err != nil {
				return "", err
			}
		}
		var sub []string
		if q.Subresource != "" {
			sub = []string{q.Subresource}
			object.SetName(q.Name)
		}
		if q.Subresource == "eviction" {
			pod, err := podToEvict(q)
			if err == nil {
				err = admin.Create(ctx, pod)
			}
			if err != nil {
				return "", fmt.Errorf("make pod %s/%s to evict: %w", q.Namespace, q.Name, err)
			}
			defer func() { _ = admin.Delete(context.WithoutCancel(ctx), pod, client.GracePeriodSeconds(0)) }() // the comparison with before finds what stays
		}
		return words1(of(theirs).Create(ctx, object, metav1.CreateOptions{DryRun: dry}, sub...))
	}
	there, err := of(own).Get(ctx, q.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		old, convertErr := plain(q, q.OldObject)
		if convertErr != nil {
			return "", convertErr
		}
		if err := prioritize(old); err != nil {
			return "", err
		}
		// Quotas are counted anew for every object: then they are written by others at the same time.
		err = retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) {
			there, err = of(own).Create(ctx, old, metav1.CreateOptions{})
			return err
		})
		if err == nil {
			defer func() { _ = of(own).Delete(context.WithoutCancel(ctx), q.Name, metav1.DeleteOptions{}) }() // the comparison with before finds what stays
		}
	}
	if err != nil {
		return "", fmt.Errorf("make %s %s/%s to try it on: %w", q.Kind.Kind, q.Namespace, q.Name, err)
	}
	if q.Operation == "DELETE" {
		return words1(nil, of(theirs).Delete(ctx, q.Name, metav1.DeleteOptions{DryRun: dry}))
	}
	before, err := plain(q, q.OldObject)
	if err != nil {
		return "", err
	}
	after, err := plain(q, q.Object)
	if err != nil {
		return "", err
	}
	var sub []string
	if q.Subresource != "" {
		sub = []string{q.Subresource}
	}
	var refused error
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) { // its controller writes to it meanwhile
		if there, err = of(own).Get(ctx, q.Name, metav1.GetOptions{}); err != nil {
			return err
		}
		overlay(there.Object, before.Object, after.Object, q.Kind.Kind == "Pod")
		_, refused = of(theirs).Update(ctx, there, metav1.UpdateOptions{DryRun: dry}, sub...)
		return refused
	})
	if err != nil && refused == nil {
		return "", fmt.Errorf("get %s %s/%s to change it: %w", q.Kind.Kind, q.Namespace, q.Name, err)
	}
	return words1(nil, refused)
}

// podToEvict is a harmless pod of the name that an eviction names.
func podToEvict(q *finding.AdmissionRequest) (*corev1.Pod, error) {
	space := &v1alpha1.Space{}
	space.Status.Namespace = q.Namespace
	pod, err := hostile.Pod(hostile.Scene{Platform: &v1alpha1.Platform{}, Tenant: &v1alpha1.Tenant{}, Space: space, Image: "registry.example.com/harmless:1"})
	if err != nil {
		return nil, err
	}
	pod.Namespace, pod.Name, pod.GenerateName, pod.Spec.PriorityClassName = q.Namespace, q.Name, "", "business"
	return pod, nil
}

// prioritize gives a pod that names no class one that is allowed: by mistake the cluster's default may be one that is not,
// and then no pod can be made to try anything on.
func prioritize(o *unstructured.Unstructured) error {
	if o.GetKind() != "Pod" {
		return nil
	}
	if _, named, err := unstructured.NestedString(o.Object, "spec", "priorityClassName"); named || err != nil {
		return err
	}
	return unstructured.SetNestedField(o.Object, "business", "spec", "priorityClassName")
}

// roleSeen waits until the API server's RBAC knows a role: nobody binds what it does not know.
func roleSeen(ctx context.Context, role *rbacv1.Role) error {
	binding, is := bindingOf(role.Namespace, "Role", role.Name, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: anybody}).(*rbacv1.RoleBinding)
	if !is {
		return errors.New("this is no RoleBinding")
	}
	binding.Name = anybody
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, settled, true, func(ctx context.Context) (bool, error) {
		err := admin.Create(ctx, binding.DeepCopy(), client.DryRunAll)
		return err == nil, client.IgnoreNotFound(err)
	})
}

// words1 is a refusal in the API server's words.
func words1(_ *unstructured.Unstructured, err error) (string, error) {
	if err == nil {
		return "", nil
	}
	return err.Error(), nil
}

// plain is an object of a request as it is sent.
func plain(q *finding.AdmissionRequest, o runtime.Object) (*unstructured.Unstructured, error) {
	value, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("write %s down: %w", q.Kind.Kind, err)
	}
	u := &unstructured.Unstructured{Object: value}
	u.SetGroupVersionKind(q.Kind)
	if q.Resource.Resource != "namespaces" {
		u.SetNamespace(q.Namespace)
	}
	if u.GetName() == "" && q.Subresource == "" {
		u.SetName(q.Name)
	}
	return u, nil
}

// overlay makes the difference between before and after on an object. In its lists it leaves what defaults and admission have
// added, if it is to: of a pod, the API server lets nothing else change.
func overlay(on, before, after map[string]any, leave bool) {
	for key, value := range after {
		was, has := before[key]
		if has && reflect.DeepEqual(was, value) {
			continue
		}
		inner, isMap := value.(map[string]any)
		wasInner, wasMap := was.(map[string]any)
		onInner, onMap := on[key].(map[string]any)
		if isMap && onMap && (wasMap || !has) {
			overlay(onInner, wasInner, inner, leave)
			continue
		}
		list, isList := value.([]any)
		wasList, wasAList := was.([]any)
		onList, onAList := on[key].([]any)
		if leave && isList && onAList && (wasAList || !has) {
			value = overlayList(onList, wasList, list)
		}
		on[key] = value
	}
	for key := range before {
		if _, has := after[key]; !has {
			delete(on, key)
		}
	}
}

// overlayList is what is there with what the list after has more than the list before. Elements with names, as containers,
// are changed one by one; where an element is to go, the list after replaces what is there.
func overlayList(on, before, after []any) []any {
	list := slices.Clone(on)
	for _, value := range after {
		if slices.ContainsFunc(before, func(was any) bool { return reflect.DeepEqual(was, value) }) {
			continue
		}
		at, was := named(list, value), named(before, value)
		if at < 0 || was < 0 {
			list = append(list, value)
			continue
		}
		overlay(list[at].(map[string]any), before[was].(map[string]any), value.(map[string]any), true)
	}
	for _, was := range before {
		if !slices.ContainsFunc(after, func(value any) bool { return reflect.DeepEqual(was, value) }) && named(after, was) < 0 {
			return after
		}
	}
	return list
}

// named returns where in a list the element with the name of this one is; -1 where none is.
func named(list []any, element any) int {
	fields, _ := element.(map[string]any)
	name, is := fields["name"].(string)
	if !is {
		return -1
	}
	return slices.IndexFunc(list, func(other any) bool {
		fields, _ := other.(map[string]any)
		return fields["name"] == name
	})
}
