package agreement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mistake is something that somebody with every right did wrong.
type mistake struct {
	// what was done, in words.
	what string
	// controls of which attacks are tried most, and verbs that are tried on everything that is served.
	controls, verbs []string
	// tenant whose rights it is about; empty for all.
	tenant string
	// steps make it.
	steps []step
}

// step is one change of one object.
type step struct {
	object client.Object
	// change is made to the object; nil for an object that is made or taken away.
	change func(client.Object)
	// gone takes the object away.
	gone bool
	// shows says that a controller has done its part; nil where none has one.
	shows func(context.Context) (bool, error)
}

func make1(o client.Object) step { return step{object: o} }

func without(o client.Object) step { return step{object: o, gone: true} }

// changed is an object that is changed as its own type.
func changed[T client.Object](o T, change func(T)) step {
	return step{object: o, change: func(o client.Object) {
		if typed, is := o.(T); is {
			change(typed)
		}
	}}
}

// undo takes a step back.
type undo func(context.Context) error

// do makes the mistake and gives what takes it back, the last step first.
func (m *mistake) do(ctx context.Context) (undos []undo, what touched, err error) {
	for i := range m.steps {
		back, err := m.steps[i].do(ctx)
		if back != nil {
			undos = append([]undo{back}, undos...)
		}
		if err != nil {
			return undos, what, fmt.Errorf("%s: %w", m.what, err)
		}
		what |= touches(m.steps[i].object)
	}
	return undos, what, nil
}

func (s *step) do(ctx context.Context) (undo, error) {
	o, ok := s.object.DeepCopyObject().(client.Object)
	if !ok {
		return nil, errors.New("this is no object")
	}
	if s.change == nil && !s.gone {
		if err := admin.Create(ctx, o); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return admin.Delete(ctx, o) }, s.wait(ctx)
	}
	if err := admin.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return nil, err
	}
	was, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return nil, errors.New("this is no object")
	}
	if s.gone {
		if err := admin.Delete(ctx, o); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return bring(ctx, was) }, s.wait(ctx)
	}
	s.change(o)
	if err := admin.Update(ctx, o); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return restore(ctx, was) }, s.wait(ctx)
}

func (s *step) wait(ctx context.Context) error {
	if s.shows == nil {
		return nil
	}
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, settled, true, s.shows)
}

// bring makes an object anew as it was.
func bring(ctx context.Context, was client.Object) error {
	was.SetResourceVersion("")
	was.SetUID("")
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, settled, true, func(ctx context.Context) (bool, error) {
		err := admin.Create(ctx, was)
		return err == nil, client.IgnoreAlreadyExists(err) // the old one goes only when its finalizers are gone
	})
}

// restore writes what an object was. A controller may write it at the same time.
func restore(ctx context.Context, was client.Object) error {
	now, ok := was.DeepCopyObject().(client.Object)
	if !ok {
		return errors.New("this is no object")
	}
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, settled, true, func(ctx context.Context) (bool, error) {
		if err := admin.Get(ctx, client.ObjectKeyFromObject(was), now); err != nil {
			return false, err
		}
		was.SetResourceVersion(now.GetResourceVersion())
		err := admin.Update(ctx, was)
		if apierrors.IsConflict(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// generator makes a kind of mistake. They are chosen by weight: what changes admission policies takes the API server a second.
type generator struct {
	weight int
	make   func(r *rand.Rand) mistake
}

func generators() []generator {
	return []generator{
		{6, strayBinding}, {4, strayRole}, {2, widerOwners}, {1, aggregated}, {2, sharedOwners},
		{4, relabelled}, {3, loosePolicy}, {1, looseMutation}, {2, looseQuota}, {2, looseLimits}, {2, looseFlow},
		{1, looseCluster}, {2, looseNetwork},
	}
}

// mistakesOf a seed: one to three, of which no two touch the same object.
func mistakesOf(seed uint64) []mistake {
	r := rand.New(rand.NewPCG(seed, 4))
	all := generators()
	sum := 0
	for _, g := range all {
		sum += g.weight
	}
	var list []mistake
	taken := map[string]bool{}
	for range 1 + r.IntN(3) {
		at := r.IntN(sum)
		i := 0
		for ; at >= all[i].weight; i++ {
			at -= all[i].weight
		}
		m := all[i].make(r)
		free := true
		for _, s := range m.steps {
			key := fmt.Sprintf("%T %s/%s", s.object, s.object.GetNamespace(), s.object.GetName())
			free = free && !taken[key]
			taken[key] = true
		}
		if free {
			list = append(list, m)
		}
	}
	return list
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// someOf picks up to most of a list, each once.
func someOf(r *rand.Rand, most int, list []string) []string {
	var some []string
	for _, i := range r.Perm(len(list))[:1+r.IntN(most)] {
		some = append(some, list[i])
	}
	return some
}

// party is a subject and whose it is.
type party struct {
	tenant  string
	subject rbacv1.Subject
}

func parties() []party {
	user := func(tenant, kind, name string) party {
		return party{tenant, rbacv1.Subject{Kind: kind, APIGroup: rbacv1.GroupName, Name: name}}
	}
	account := func(tenant, namespace, name string) party {
		return party{tenant, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}}
	}
	return []party{
		user("newsroom", "User", "jane"), user("newsroom", "Group", "newsroom"), user("press", "User", "joe"), account("archive", "ci", "deployer"),
		account("newsroom", "newsroom--web", "default"), account("press", "press--web", "default"), account("archive", "archive--web", "default"),
		user("press", "Group", "system:serviceaccounts:press--web"), user("press", "User", "system:serviceaccount:press--web:default"),
	}
}

// everyone is a party that all tenants are of.
func everyone() []party {
	group := func(name string) party {
		return party{"", rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: name}}
	}
	return []party{group("system:authenticated"), group("system:serviceaccounts")}
}

func someParty(r *rand.Rand) party {
	if r.IntN(8) == 0 {
		return pick(r, everyone()...)
	}
	return pick(r, parties()...)
}

func tenants() []string { return []string{"newsroom", "press", "archive"} }

func someSpace(r *rand.Rand) string { return pick(r, tenants()...) + "--web" }

func (m *mistake) String() string {
	var words []string
	for _, s := range m.steps {
		words = append(words, fmt.Sprintf("%s %s/%s", strings.TrimPrefix(fmt.Sprintf("%T", s.object), "*"), s.object.GetNamespace(), s.object.GetName()))
	}
	return m.what + " (" + strings.Join(words, ", ") + ")"
}
