package drills_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// Promise: from the instant at which owners have rights in a namespace until it goes, no control is absent there, at no
// revision of the store: while declarations change to something else and back and to something else again, the
// controllers are stopped and started in the middle of it, Spaces come and go.
func TestNoControlIsEverAbsent(t *testing.T) {
	s, calm := use(t), undisturbed(t)
	controllers := s.start(t, nil)
	recorder := s.record(t)
	steady := &life{site: s, name: "steady", like: calm, disturb: func(t *testing.T, stage string) {
		if stage == "settled" || stage == "changed" || stage == "shrunk" {
			controllers.stop(t)
			controllers = s.start(t, nil)
		}
	}}
	steady.live(t)
	since := recorder.check(t)
	for _, namespace := range []string{"tenant-steady", "steady--a", "steady--b"} {
		if since[namespace] == 0 {
			t.Errorf("namespace %s was never seen usable: the test holds nothing", namespace)
		}
	}
}

// Promise: the recorder is no check that cannot fail: whichever managed object is deleted or loosened, it says so.
func TestRecorderFindsEveryAbsence(t *testing.T) {
	s := use(t)
	controllers := s.start(t, nil)
	tenant, space := newTenant("watched"), newSpace("watched", "a")
	must(t, s.admin.Create(t.Context(), tenant))
	s.ready(t, tenant)
	must(t, s.admin.Create(t.Context(), space))
	s.ready(t, space)
	controllers.stop(t)
	recorder := s.record(t)
	if found := recorder.play(t).absences; len(found) > 0 {
		t.Fatalf("before anything is done: %v", found)
	}
	var removed []client.Object
	for _, o := range s.guardrails(t, "watched") {
		removed = append(removed, o.DeepCopyObject().(client.Object))
		if _, isNamespace := o.(*corev1.Namespace); isNamespace {
			o.(*corev1.Namespace).Labels["pod-security.kubernetes.io/enforce"] = "privileged"
			must(t, s.admin.Update(t.Context(), o))
		} else {
			must(t, s.admin.Delete(t.Context(), o))
		}
	}
	if len(removed) < 60 {
		t.Errorf("only %d objects: the test holds little", len(removed))
	}
	found := recorder.play(t).absences
	for _, was := range removed {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, fmt.Sprint(keyOf(was))) }) {
			t.Errorf("%v was removed, and the recorder did not find it absent", keyOf(was))
		}
	}
	for _, was := range removed {
		if was.GetName() == guardrail.PolicyController { // what confines Bulkhead itself, an administrator installs
			again := was.DeepCopyObject().(client.Object)
			again.SetResourceVersion("")
			again.SetUID("")
			must(t, s.admin.Create(t.Context(), again))
		}
	}
	s.start(t, nil)
	for _, was := range removed {
		eventually(t, fmt.Sprintf("%v is as it was", keyOf(was)), func() string {
			now := was.DeepCopyObject().(client.Object)
			if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(was), now); err != nil || !apply.AsRendered(was, now) {
				return fmt.Sprint("it is not: ", err)
			}
			return ""
		})
	}
	must(t, s.admin.Delete(t.Context(), tenant))
	s.gone(t, tenant) // the next drill notes what there is
}

// guardrails are all managed objects of the cluster and of one tenant, but for what only opens something, and what is in
// Bulkhead's own namespace.
func (s *site) guardrails(t *testing.T, tenant string) []client.Object {
	t.Helper()
	var found []client.Object
	for _, kind := range apply.Kinds() {
		list := kind.List.DeepCopyObject().(client.ObjectList)
		must(t, s.admin.List(t.Context(), list, client.MatchingLabelsSelector{Selector: apply.Managed()}))
		_ = meta.EachListItem(list, func(item runtime.Object) error {
			o := item.(client.Object)
			_, opens := o.(*rbacv1.RoleBinding)
			owner := o.GetLabels()[v1alpha1.LabelTenant]
			if !opens && o.GetNamespace() != v1alpha1.SystemNamespace && o.GetName() != run.RoleName && (owner == "" || owner == tenant) {
				found = append(found, o)
			}
			return nil
		})
	}
	return found
}

// Promise: an owner can use a new Space only once every guardrail is in place. From before the instant of creation owners
// try without a pause to make something in the namespaces of their Spaces, while the controllers are stopped and started
// again; the first success of each is of a later revision than every guardrail, and than the owners' rights.
func TestNothingSucceedsBeforeGuardrails(t *testing.T) {
	s := use(t)
	controllers := s.start(t, nil)
	s.ready(t, platform())
	recorder := s.record(t)
	tenant := newTenant("eager")
	must(t, s.admin.Create(t.Context(), tenant))
	s.ready(t, tenant)
	config, err := s.as("eager-owner")
	must(t, err)
	owner, err := client.New(config, client.Options{Scheme: run.Scheme()})
	must(t, err)
	names := []string{"s1", "s2", "s3", "s4", "s5", "s6"}
	var tries sync.WaitGroup
	var mu sync.Mutex
	first := map[string]int64{}
	refused := map[string]int{}
	for _, name := range names {
		namespace := v1alpha1.SpaceNamespace("eager", name)
		for _, made := range usables(namespace) {
			tries.Go(func() {
				at, failures, err := insist(t.Context(), owner, made)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				first[namespace+" "+keyOf(made).kind], refused[namespace] = at, refused[namespace]+failures
			})
		}
	}
	for i, name := range names {
		must(t, owner.Create(t.Context(), newSpace("eager", name)))
		if i == len(names)/2 {
			controllers.stop(t)
			s.start(t, nil)
		}
	}
	tries.Wait()
	since := recorder.check(t)
	for what, at := range first {
		namespace, _, _ := strings.Cut(what, " ")
		if since[namespace] == 0 || at <= since[namespace] {
			t.Errorf("%s succeeded at revision %d; the namespace was in order, and its owners let in, at %d", what, at, since[namespace])
		}
		if refused[namespace] == 0 {
			t.Errorf("nobody was refused in %s: the tries began too late", namespace)
		}
	}
	t.Logf("refused before the first success: %v", refused)
	must(t, s.admin.Delete(t.Context(), tenant))
	s.gone(t, tenant) // the next drill notes what there is
}

// usables are what an owner might make.
func usables(namespace string) []client.Object {
	name := metav1.ObjectMeta{Namespace: namespace, Name: "eager"}
	return []client.Object{
		&corev1.ConfigMap{ObjectMeta: name},
		&corev1.ServiceAccount{ObjectMeta: name},
		&rbacv1.Role{ObjectMeta: name},
		&networkingv1.NetworkPolicy{ObjectMeta: name, Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Ingress"}}},
	}
}

// insist tries until it succeeds, and returns the revision at which it did and how often it was refused before. A refusal
// is one by RBAC; the namespace, which does not exist at first, is nothing that the owner is told of.
func insist(ctx context.Context, owner client.Client, o client.Object) (at int64, refused int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		made := o.DeepCopyObject().(client.Object)
		err := owner.Create(ctx, made)
		switch {
		case err == nil:
			return versionOf(made), refused, nil
		case errors.Is(err, context.DeadlineExceeded):
			return 0, refused, fmt.Errorf("no success with %v after %d refusals: %w", keyOf(o), refused, err)
		case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "eager-owner" cannot create resource`):
			return 0, refused, fmt.Errorf("refused by somebody else than RBAC: %w", err)
		}
		refused++
	}
}
