package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// newsroom is whose developer most is tried as, in the Space site.
const newsroom, site = "newsroom", "newsroom--site"

// Allowed tries what a tenant's developer must be able to do, alone and at once.
func (p *Play) Allowed(ctx context.Context, report func(Outcome)) ([]Outcome, error) {
	defer p.tidy(context.WithoutCancel(ctx))
	return p.try(ctx, append(daily(), attempt{
		tenant: newsroom, what: "make a Space, and use it seconds later", do: newSpace,
	}), report)
}

// daily is what works with or without a controller.
func daily() []attempt {
	return []attempt{
		{tenant: newsroom, what: "deploy an application", do: deploy},
		{tenant: newsroom, what: "scale it to three", do: scale},
		{tenant: newsroom, what: "read the log of a pod", do: readLog},
		{tenant: newsroom, what: "give a colleague the right to read pods", do: grant},
		{tenant: newsroom, what: "write a NetworkPolicy inside the declared flows", do: narrow},
		{tenant: newsroom, what: "see its own Spaces, and only those", do: ownSpaces},
		{tenant: newsroom, what: "delete the application", do: undeploy},
	}
}

func deploy(ctx context.Context, p *Person) (string, error) {
	err := p.client.Create(ctx, goodDeployment(site, "hello"))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	return p.waitAvailable(ctx, 1)
}

func scale(ctx context.Context, p *Person) (string, error) {
	target := &appsv1.Deployment{ObjectMeta: named(site, "hello")}
	size := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
	if err := p.client.SubResource("scale").Update(ctx, target, client.WithSubResourceBody(size)); err != nil {
		return "", err
	}
	return p.waitAvailable(ctx, 3)
}

// waitAvailable watches the application until so many of its pods run.
func (p *Person) waitAvailable(ctx context.Context, replicas int32) (string, error) {
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		var live appsv1.Deployment
		err := p.client.Get(ctx, client.ObjectKey{Namespace: site, Name: "hello"}, &live)
		return err == nil && live.Status.ObservedGeneration == live.Generation && live.Status.AvailableReplicas == replicas, err
	})
	if err != nil {
		return "", fmt.Errorf("wait for %d available pods: %w", replicas, err)
	}
	if replicas == 1 {
		return "1 pod runs in " + site, nil
	}
	return fmt.Sprintf("%d pods run in %s", replicas, site), nil
}

func readLog(ctx context.Context, p *Person) (string, error) {
	var pods corev1.PodList
	if err := p.client.List(ctx, &pods, client.InNamespace(site), client.MatchingLabels{"app": "hello"}); err != nil {
		return "", err
	}
	if len(pods.Items) == 0 {
		return "", errors.New("the application has no pod")
	}
	lines := int64(1)
	text, err := p.typed.CoreV1().Pods(site).GetLogs(pods.Items[0].Name, &corev1.PodLogOptions{TailLines: &lines}).DoRaw(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%q", strings.TrimSpace(string(text))), nil
}

func grant(ctx context.Context, p *Person) (string, error) {
	role := &rbacv1.Role{
		ObjectMeta: named(site, "read-pods"),
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: named(site, "read-pods"),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "intern@magazine.example"}},
	}
	if err := p.replace(ctx, role, binding); err != nil {
		return "", err
	}
	return "own Role and RoleBinding, up to one's own rights", nil
}

func narrow(ctx context.Context, p *Person) (string, error) {
	port := intstr.FromInt32(8080)
	policy := &networkingv1.NetworkPolicy{
		ObjectMeta: named(site, "hello-from-web"),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "hello"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{
					PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
				}},
				Ports: []networkingv1.NetworkPolicyPort{{Port: &port}},
			}},
		},
	}
	if err := p.replace(ctx, policy); err != nil {
		return "", err
	}
	return "only web reaches hello", nil
}

// replace creates objects, in the place of those that an interrupted run left.
func (p *Person) replace(ctx context.Context, objects ...client.Object) error {
	for _, object := range objects {
		err := p.client.Create(ctx, object)
		if apierrors.IsAlreadyExists(err) {
			err = errors.Join(p.client.Delete(ctx, object))
			object.SetResourceVersion("")
			err = errors.Join(err, p.client.Create(ctx, object))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func ownSpaces(ctx context.Context, p *Person) (string, error) {
	var spaces v1alpha1.SpaceList
	if err := p.client.List(ctx, &spaces, client.InNamespace(v1alpha1.HomeNamespace(newsroom))); err != nil {
		return "", err
	}
	names := make([]string, len(spaces.Items))
	for i := range spaces.Items {
		names[i] = spaces.Items[i].Name
	}
	return strings.Join(names, ", "), nil
}

func undeploy(ctx context.Context, p *Person) (string, error) {
	if err := p.client.Delete(ctx, goodDeployment(site, "hello")); err != nil {
		return "", err
	}
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		err := p.client.List(ctx, &pods, client.InNamespace(site), client.MatchingLabels{"app": "hello"})
		return len(pods.Items) == 0, err
	})
	return "its pods are gone", err
}

// newSpace shows self-service: a Space is asked for, used, and given back.
func newSpace(ctx context.Context, p *Person) (string, error) {
	const name = "scratch"
	space := &v1alpha1.Space{
		ObjectMeta: named(v1alpha1.HomeNamespace(newsroom), name),
		Spec:       v1alpha1.SpaceSpec{Workload: "website"},
	}
	if err := p.forget(ctx, space.DeepCopy()); err != nil {
		return "", err
	}
	began := time.Now()
	if err := p.client.Create(ctx, space); err != nil {
		return "", err
	}
	if err := p.waitSpaceReady(ctx, space); err != nil {
		return "", err
	}
	took := time.Since(began)
	note := &corev1.ConfigMap{ObjectMeta: named(v1alpha1.SpaceNamespace(newsroom, name), "note")}
	if err := p.client.Create(ctx, note); err != nil {
		return "", err
	}
	if err := p.client.Delete(ctx, space); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s was ready after %.1f s; it is being given back", note.Namespace, took.Seconds()), nil
}

func (p *Person) waitSpaceReady(ctx context.Context, space *v1alpha1.Space) error {
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		if err := p.client.Get(ctx, client.ObjectKeyFromObject(space), space); err != nil {
			return false, err
		}
		ready := current(space, v1alpha1.ConditionReady)
		return ready != nil && ready.Status == metav1.ConditionTrue, nil
	})
	if err != nil {
		return fmt.Errorf("wait until Space %s is ready (%s): %w", space.Name, conditionsText(space.Status.Conditions), err)
	}
	return nil
}

// tidy removes what the allowed attempts made. What cannot be removed harms nothing: the next run replaces it.
func (p *Play) tidy(ctx context.Context) {
	developer := p.Developers[newsroom]
	for _, object := range []client.Object{
		goodDeployment(site, "hello"),
		&rbacv1.RoleBinding{ObjectMeta: named(site, "read-pods")},
		&rbacv1.Role{ObjectMeta: named(site, "read-pods")},
		&networkingv1.NetworkPolicy{ObjectMeta: named(site, "hello-from-web")},
	} {
		_ = developer.client.Delete(ctx, object)
	}
}
