package controller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/crds"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// Promise: a tenant and its Space come to be, are Ready with proof, and go without leaving anything but a record that
// says what was removed and that a search found no residue.
func TestLifeOfATenant(t *testing.T) {
	start(t, nil)
	tenant := newTenant("life")
	create(t, tenant)
	ready(t, tenant)
	space := newSpace("life", "shop")
	create(t, space)
	ready(t, tenant, space)
	eventually(t, patience, "the proof covers the Space", func() string {
		_ = admin.Get(t.Context(), client.ObjectKeyFromObject(tenant), tenant)
		if tenant.Status.Proof == nil || !tenant.Status.Proof.Scope.CoversSpace(space) {
			return fmt.Sprint(tenant.Status.Proof)
		}
		return ""
	})
	if tenant.Status.Proof == nil || tenant.Status.Proof.Verdict != v1alpha1.Isolated || tenant.Status.Proof.Asked < 12 {
		t.Errorf("proof %+v, want Isolated after at least 12 questions", tenant.Status.Proof)
	}
	if space.Status.Namespace != "life--shop" || space.Status.Pattern != "Soft" {
		t.Errorf("status %+v", space.Status)
	}
	eventually(t, patience, "the Tenant counts its Space", func() string {
		_ = admin.Get(t.Context(), client.ObjectKeyFromObject(tenant), tenant)
		if tenant.Status.Spaces != "1/1" {
			return tenant.Status.Spaces
		}
		return ""
	})
	withEvent(t, space, "Ready", "tenant life")
	create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "life--shop", Name: "theirs"}})

	if err := admin.Delete(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	uid := tenant.UID
	gone(t, space)
	gone(t, tenant)
	if left := managed(t, "life"); slices.ContainsFunc(left, func(o client.Object) bool { return o.GetLabels()[v1alpha1.LabelTenant] == "life" }) {
		t.Errorf("left behind: %v", left)
	}
	record, err := get(t, &corev1.ConfigMap{}, v1alpha1.SystemNamespace, "offboarded-life-"+string(uid)[:8])
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"removed": "Namespace life--shop", "residue": "none", "tenant": "life", "finished": "20"} {
		if !strings.Contains(record.Data[key], want) {
			t.Errorf("record: %s is %q, want it to contain %q", key, record.Data[key], want)
		}
	}
}

// Promise: what this cluster may not hold is decided, waits visibly for what it needs, and gets no namespace.
func TestWaiting(t *testing.T) {
	start(t, nil)
	tenant := newTenant("waiting", func(s *v1alpha1.TenantSpec) {
		s.Workloads = append(s.Workloads,
			v1alpha1.Workload{Name: "runner", Code: "Arbitrary", Environment: "Production"},
			v1alpha1.Workload{Name: "test", Code: "Audited", Environment: "NonProduction"})
	})
	create(t, tenant)
	conditionIs(t, tenant, v1alpha1.ConditionPlaced, "False", v1alpha1.ReasonNeedsDedicatedCluster)
	conditionIs(t, tenant, v1alpha1.ConditionProven, "True", v1alpha1.ReasonProven)
	for _, c := range []struct{ workload, condition, reason, says string }{
		{"runner", v1alpha1.ConditionPlaced, v1alpha1.ReasonNeedsDedicatedCluster, "escape from the shared kernel"},
		{"test", v1alpha1.ConditionPlaced, v1alpha1.ReasonNeedsOtherEnvironment, "NonProduction"},
		{"nothing", v1alpha1.ConditionDecided, v1alpha1.ReasonWorkloadUnknown, "web runner test"},
	} {
		space := newSpace("waiting", c.workload, func(s *v1alpha1.SpaceSpec) { s.Workload = c.workload })
		create(t, space)
		conditionIs(t, space, c.condition, "False", c.reason)
		conditionIs(t, space, v1alpha1.ConditionReady, "False", c.reason)
		if message := messageOf(space, c.condition); !strings.Contains(message, c.says) {
			t.Errorf("%s: message %q, want it to contain %q", c.workload, message, c.says)
		}
		if _, err := get(t, &corev1.Namespace{}, "", "waiting--"+c.workload); !apierrors.IsNotFound(err) {
			t.Errorf("%s: a namespace was made: %v", c.workload, err)
		}
		if err := admin.Delete(t.Context(), space); err != nil {
			t.Fatal(err)
		}
		gone(t, space)
	}
}

func messageOf(space *v1alpha1.Space, condition string) string {
	for _, c := range space.Status.Conditions {
		if c.Type == condition {
			return c.Message
		}
	}
	return ""
}

// Promise: when the decision becomes one that the namespace cannot serve, what runs is left alone behind the
// guardrails that it had, and the Space says so.
func TestPatternChange(t *testing.T) {
	start(t, nil)
	tenant := newTenant("pattern")
	create(t, tenant)
	ready(t, tenant)
	space := newSpace("pattern", "shop")
	create(t, space)
	ready(t, space)
	create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "pattern--shop", Name: "theirs"}})
	was := managed(t, "pattern")
	edit(t, tenant, func() { tenant.Spec.Workloads[0].Code = "Arbitrary" })
	conditionIs(t, space, v1alpha1.ConditionPlaced, "False", v1alpha1.ReasonPatternChanged)
	conditionIs(t, space, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	if _, err := get(t, &corev1.ConfigMap{}, "pattern--shop", "theirs"); err != nil {
		t.Errorf("what the tenant had in its namespace: %v", err)
	}
	for _, o := range was {
		if o.GetLabels()[v1alpha1.LabelSpace] == "shop" {
			repaired(t, o, time.Now())
		}
	}
	binding, err := get(t, &rbacv1.RoleBinding{}, "pattern--shop", v1alpha1.OwnersName)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	repaired(t, binding, time.Now())
	edit(t, tenant, func() { tenant.Spec.Workloads[0].Code = "Audited" })
	ready(t, space, tenant)
}

// edit changes an object on its newest version.
func edit(t *testing.T, o client.Object, change func()) {
	t.Helper()
	eventually(t, patience, "edit of "+o.GetName(), func() string {
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err.Error()
		}
		change()
		if err := admin.Update(t.Context(), o); err != nil {
			return err.Error()
		}
		return ""
	})
}

// Promise: SoftAffinity gets a free node group, whose nodes are labelled and tainted before the Space is Ready; a
// second tenant waits and says for what; and the nodes are free of marks when the tenant is gone.
func TestNodeGroups(t *testing.T) {
	start(t, nil)
	guaranteed := func(s *v1alpha1.TenantSpec) { s.Workloads[0].Performance = "Guaranteed" }
	first := newTenant("nodes-first", guaranteed)
	create(t, first)
	ready(t, first)
	space := newSpace("nodes-first", "shop")
	create(t, space)
	ready(t, space)
	if first.Status.NodeGroup != "a" {
		t.Errorf("node group %q, want a: b is kept for another tenant", first.Status.NodeGroup)
	}
	node, err := get(t, &corev1.Node{}, "", "node-pool-a")
	if err != nil {
		t.Fatal(err)
	}
	labels, taint := guardrail.NodeDedication("nodes-first")
	for key, value := range labels {
		if node.Labels[key] != value {
			t.Errorf("label %s is %q, want %q", key, node.Labels[key], value)
		}
	}
	if !slices.ContainsFunc(node.Spec.Taints, func(have corev1.Taint) bool { return have.MatchTaint(&taint) && have.Value == taint.Value }) {
		t.Errorf("taints %v lack %v", node.Spec.Taints, taint)
	}
	second := newTenant("nodes-second", guaranteed)
	create(t, second)
	conditionIs(t, second, v1alpha1.ConditionPlaced, "False", v1alpha1.ReasonNodeGroupMissing)
	conditionIs(t, second, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	waiting := newSpace("nodes-second", "shop")
	create(t, waiting)
	conditionIs(t, waiting, v1alpha1.ConditionPlaced, "False", v1alpha1.ReasonNodeGroupMissing)

	node.Spec.Taints = nil
	if err := admin.Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the taint is back", func() string {
		_ = admin.Get(t.Context(), client.ObjectKeyFromObject(node), node)
		for _, have := range node.Spec.Taints {
			if have.MatchTaint(&taint) {
				return ""
			}
		}
		return fmt.Sprint(node.Spec.Taints)
	})
	if err := admin.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	gone(t, first)
	ready(t, second, waiting)
	if second.Status.NodeGroup != "a" {
		t.Errorf("node group %q, want a, which is free again", second.Status.NodeGroup)
	}
	if err := admin.Delete(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	gone(t, second)
	eventually(t, patience, "the label is gone", func() string {
		_ = admin.Get(t.Context(), client.ObjectKeyFromObject(node), node)
		return node.Labels[v1alpha1.LabelNodeTenant]
	})
}

// Promise: a namespace that is not Bulkhead's is never adopted, changed or removed, neither for a home nor for a Space.
func TestNamespaceTaken(t *testing.T) {
	start(t, nil)
	ready(t, platform())
	theirs := []*corev1.Namespace{
		{ObjectMeta: metav1.ObjectMeta{Name: "tenant-taken", Labels: map[string]string{"team": "other"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "taker--shop", Labels: map[string]string{"team": "other"}}},
	}
	create(t, theirs[0], theirs[1])
	home := newTenant("taken")
	create(t, home)
	conditionIs(t, home, v1alpha1.ConditionPlaced, "False", v1alpha1.ReasonNamespaceTaken)
	inTheirs := newSpace("taken", "shop") // whoever has that namespace may write this, and gets nothing by it
	create(t, inTheirs)
	conditionIs(t, inTheirs, v1alpha1.ConditionDecided, "False", v1alpha1.ReasonTenantMissing)

	taker := newTenant("taker")
	create(t, taker)
	ready(t, taker)
	space := newSpace("taker", "shop")
	create(t, space)
	conditionIs(t, space, v1alpha1.ConditionPlaced, "False", v1alpha1.ReasonNamespaceTaken)
	for _, o := range []client.Object{inTheirs, space, home, taker} {
		if err := admin.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		gone(t, o)
	}
	for _, was := range theirs {
		now, err := get(t, &corev1.Namespace{}, "", was.Name)
		if err != nil || !now.DeletionTimestamp.IsZero() || !equality.Semantic.DeepEqual(now.Labels, was.Labels) {
			t.Errorf("namespace %s was touched: %v, %v", was.Name, now.Labels, err)
		}
	}
}

// Promise: a waiver opens its control in the Spaces of its workload and nowhere else, is told of everywhere, and ends
// by itself.
func TestWaiverComesAndGoes(t *testing.T) {
	start(t, nil)
	tenant := newTenant("waived", func(s *v1alpha1.TenantSpec) {
		s.Workloads = append(s.Workloads, v1alpha1.Workload{Name: "other", Code: "Audited", Environment: "Production"})
	})
	create(t, tenant)
	ready(t, tenant)
	space := newSpace("waived", "shop")
	other := newSpace("waived", "other", func(s *v1alpha1.SpaceSpec) { s.Workload = "other" })
	create(t, space, other)
	ready(t, space, other)
	const life = 20 * time.Second
	expires := metav1.NewTime(time.Now().Add(life).Truncate(time.Second))
	waiver := &v1alpha1.Waiver{
		ObjectMeta: metav1.ObjectMeta{Name: "waived-images"},
		Spec: v1alpha1.WaiverSpec{
			Control: "pod-security", Tenant: "waived", Workload: "web", Reason: "migration of the old VPN", Approver: "sec", Expires: expires,
		},
	}
	create(t, waiver)
	conditionIs(t, waiver, v1alpha1.ConditionActive, "True", v1alpha1.ReasonActive)
	level := func(namespace string) string {
		n, err := get(t, &corev1.Namespace{}, "", namespace)
		if err != nil {
			t.Fatal(err)
		}
		return n.Labels["pod-security.kubernetes.io/enforce"] + " " + n.Labels[v1alpha1.WaiverPrefix+"pod-security"]
	}
	is := func(namespace, want string) func() string {
		return func() string {
			if have := level(namespace); have != want {
				return fmt.Sprintf("%q, want %q", have, want)
			}
			return ""
		}
	}
	eventually(t, patience, "the waiver is in force", is("waived--shop", "baseline waived-images"))
	if have := level("waived--other"); have != "restricted " {
		t.Errorf("the other workload has %q", have)
	}
	eventually(t, time.Until(expires.Time), "the waiver is told of", func() string {
		for _, o := range []client.Object{waiver, space, tenant} {
			_ = admin.Get(t.Context(), client.ObjectKeyFromObject(o), o)
		}
		have := fmt.Sprint(waiver.Status.Namespaces, space.Status.Waived, tenant.Status.Waivers)
		if have != "[waived--shop] [pod-security/waived-images] [pod-security/web]" {
			return have
		}
		return ""
	})
	eventually(t, patience, "the waiver has ended", is("waived--shop", "restricted "))
	if early := time.Until(expires.Time); early > 0 {
		t.Errorf("it ended %s early", early)
	}
	conditionIs(t, waiver, v1alpha1.ConditionActive, "False", v1alpha1.ReasonExpired)
	eventually(t, patience, "it is told of no more", func() string {
		for _, o := range []client.Object{waiver, space, tenant} {
			_ = admin.Get(t.Context(), client.ObjectKeyFromObject(o), o)
		}
		return strings.Trim(fmt.Sprint(waiver.Status.Namespaces, space.Status.Waived, tenant.Status.Waivers), "[] ")
	})
}

// Promise: a flow between tenants opens when both sides declare it and the Platform allows it, and closes with any of
// the three; until then each side is told why it is closed.
func TestFlowsOpenWhenBothSidesDeclare(t *testing.T) {
	start(t, nil)
	p := platform()
	ready(t, p)
	edit(t, p, func() { p.Spec.Flows = []v1alpha1.TenantFlow{{From: "flow-a", To: "flow-b"}} })
	a, b := newTenant("flow-a"), newTenant("flow-b")
	create(t, a, b)
	ready(t, a, b)
	port := []v1alpha1.FlowPort{{Protocol: "TCP"}}
	port[0].Port.IntVal = 8443
	client1 := newSpace("flow-a", "client", func(s *v1alpha1.SpaceSpec) {
		s.To = []v1alpha1.Flow{{Tenant: "flow-b", Space: "server", Ports: port}}
	})
	server := newSpace("flow-b", "server")
	create(t, client1)
	conditionIs(t, client1, v1alpha1.ConditionEnforced, "True", v1alpha1.ReasonEnforced)
	closed := func(s *v1alpha1.Space, want int) func() string {
		return func() string {
			_ = admin.Get(t.Context(), client.ObjectKeyFromObject(s), s)
			if len(s.Status.ClosedFlows) != want {
				return fmt.Sprintf("%d closed: %v", len(s.Status.ClosedFlows), s.Status.ClosedFlows)
			}
			return ""
		}
	}
	eventually(t, patience, "closed: there is no server", closed(client1, 1))
	create(t, server)
	ready(t, server)
	eventually(t, patience, "closed: the server does not agree", closed(client1, 1))
	edit(t, server, func() {
		server.Spec.From = []v1alpha1.Flow{{Tenant: "flow-a", Space: "client", Ports: port}}
	})
	eventually(t, patience, "open", closed(client1, 0))
	eventually(t, patience, "open", closed(server, 0))
	opened := func(namespace, peer string) bool {
		list := &networkingv1.NetworkPolicyList{}
		if err := admin.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(fmt.Sprint(list.Items), peer)
	}
	if !opened("flow-a--client", "flow-b--server") || !opened("flow-b--server", "flow-a--client") {
		t.Error("no policy names the peer although the flow is told to be open")
	}
	edit(t, p, func() { p.Spec.Flows = nil })
	eventually(t, patience, "closed: the Platform does not allow it", closed(client1, 1))
	eventually(t, patience, "closed on both sides", closed(server, 1))
	eventually(t, patience, "no policy names the peer", func() string {
		if opened("flow-a--client", "flow-b--server") || opened("flow-b--server", "flow-a--client") {
			return "one does"
		}
		return ""
	})
}

// Promise: a protected tenant is not deleted: admission refuses, and says what to change.
func TestProtected(t *testing.T) {
	start(t, nil)
	tenant := newTenant("protected", func(s *v1alpha1.TenantSpec) { s.Protected = true })
	create(t, tenant)
	ready(t, tenant)
	space := newSpace("protected", "shop")
	create(t, space)
	ready(t, space)
	for _, o := range []client.Object{tenant, space} {
		err := admin.Delete(t.Context(), o)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "bulkhead-protected") || !strings.Contains(err.Error(), "spec.protected: false") {
			t.Errorf("delete %T: %v, want a refusal by policy bulkhead-protected that says what to change", o, err)
		}
	}
}

// Promise: our objects or definitions vanishing removes nothing: neither when somebody takes the finalizer off, nor
// when a definition is deleted with all its objects. What comes back takes its namespaces back.
func TestVanishingRemovesNothing(t *testing.T) {
	stop := start(t, nil)
	tenant := newTenant("vanish")
	create(t, tenant)
	ready(t, tenant)
	space := newSpace("vanish", "shop")
	create(t, space)
	ready(t, space)
	create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "vanish--shop", Name: "theirs"}})
	uid := func() string {
		n, err := get(t, &corev1.Namespace{}, "", "vanish--shop")
		if err != nil || !n.DeletionTimestamp.IsZero() {
			t.Fatalf("namespace vanish--shop: deletion %v, %v", n.DeletionTimestamp, err)
		}
		return string(n.UID)
	}
	was := uid()

	t.Run("finalizer of the Space taken off", func(t *testing.T) {
		// The controller puts it back at once: what is deleted with it is off-boarded, as it should be.
		eventually(t, patience, "deleted before the finalizer is back", func() string {
			edit(t, space, func() { space.Finalizers = nil })
			err := admin.Delete(t.Context(), space, client.Preconditions{ResourceVersion: &space.ResourceVersion})
			if apierrors.IsConflict(err) {
				return err.Error()
			}
			if err != nil {
				t.Fatal(err)
			}
			return ""
		})
		eventually(t, patience, "the tenant tells of the orphan", func() string {
			_ = admin.Get(t.Context(), client.ObjectKeyFromObject(tenant), tenant)
			for _, c := range tenant.Status.Conditions {
				if strings.Contains(c.Message, "vanish--shop") {
					return ""
				}
			}
			return fmt.Sprint(tenant.Status.Conditions)
		})
		if now := uid(); now != was {
			t.Errorf("namespace has UID %s, want %s", now, was)
		}
		space = newSpace("vanish", "shop")
		create(t, space)
		ready(t, space)
		if now := uid(); now != was {
			t.Errorf("taken back as UID %s, want %s", now, was)
		}
	})
	whole := t // the controllers live longer than a subtest
	for _, name := range []string{"spaces.bulkhead.dev", "tenants.bulkhead.dev"} {
		t.Run(name+" removed", func(t *testing.T) {
			definition := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}
			edit(t, definition, func() {
				definition.Annotations[guardrail.AnnotationAllowDeletion] = "true"
			})
			if err := admin.Delete(t.Context(), definition); err != nil {
				t.Fatal(err)
			}
			gone(t, definition)
			if now := uid(); now != was {
				t.Errorf("namespace has UID %s, want %s", now, was)
			}
			stop() // its watches look for a kind that is not there
			all, err := crds.All()
			if err != nil {
				t.Fatal(err)
			}
			for _, crd := range all {
				if crd.Name == name {
					create(t, crd)
				}
			}
			eventually(t, patience, name+" is served", func() string {
				return errorText(admin.List(t.Context(), &v1alpha1.TenantList{})) + errorText(admin.List(t.Context(), &v1alpha1.SpaceList{}))
			})
			stop = start(whole, nil)
			if strings.HasPrefix(name, "tenants") {
				tenant = newTenant("vanish")
				create(t, tenant)
			} else {
				space = newSpace("vanish", "shop")
				create(t, space)
			}
			ready(t, tenant, space)
			if now := uid(); now != was {
				t.Errorf("taken back as UID %s, want %s", now, was)
			}
		})
	}
	if _, err := get(t, &corev1.ConfigMap{}, "vanish--shop", "theirs"); err != nil {
		t.Errorf("what the tenant had in its namespace: %v", err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Promise: an owner has no right in a Space's namespace before every guardrail is in force there: from the instant of
// its creation somebody tries without pause to do what the guardrails refuse, as the owner.
func TestNoRightsBeforeGuardrails(t *testing.T) {
	start(t, nil)
	tenant := newTenant("eager", func(s *v1alpha1.TenantSpec) { s.Quota["pods"] = resource.MustParse("1") })
	create(t, tenant)
	ready(t, tenant)
	identity, err := cluster.User("eager-owner")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := client.New(identity, client.Options{Scheme: run.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	privileged, outside := eagerPod("privileged"), eagerPod("image")
	privileged.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
	outside.Spec.Containers[0].Image = "elsewhere.example.com/x"
	hungry := eagerPod("hungry")
	hungry.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("15")} // of 10
	hungry.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("15")}   // of 10
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	var mu sync.Mutex
	refusedBy := map[string]map[string]int{}
	for _, pod := range []*corev1.Pod{privileged, outside, hungry} {
		group.Go(func() {
			for ctx.Err() == nil {
				err := owner.Create(ctx, pod.DeepCopy())
				if err == nil {
					t.Errorf("pod %s was let in", pod.Name)
					return
				}
				mu.Lock()
				if refusedBy[pod.Name] == nil {
					refusedBy[pod.Name] = map[string]int{}
				}
				refusedBy[pod.Name][refusal(err)]++
				mu.Unlock()
			}
		})
	}
	space := newSpace("eager", "shop")
	if err := owner.Create(t.Context(), space); err != nil {
		t.Fatalf("the owner creates a Space: %v", err)
	}
	ready(t, space)
	good := eagerPod("good")
	eventually(t, patience, "the owner creates a decent pod", func() string { return errorText(owner.Create(t.Context(), good.DeepCopy())) })
	cancel()
	group.Wait()
	for pod, want := range map[string]string{"privileged": "policy or pod security", "image": "policy or pod security", "hungry": "quota"} {
		if refusedBy[pod][want] == 0 || refusedBy[pod]["RBAC"] == 0 {
			t.Errorf("pod %s was refused by %v; want first by RBAC and then by %s", pod, refusedBy[pod], want)
		}
	}
}

func refusal(err error) string {
	switch text := err.Error(); {
	case errors.Is(err, context.Canceled):
		return "end of test"
	case strings.Contains(text, "exceeded quota"):
		return "quota"
	case strings.Contains(text, "ValidatingAdmissionPolicy"), strings.Contains(text, "violates PodSecurity"):
		return "policy or pod security"
	case strings.Contains(text, "cannot create resource"):
		return "RBAC"
	default:
		return text
	}
}

func eagerPod(name string) *corev1.Pod {
	quantity := func(s string) corev1.ResourceList {
		return corev1.ResourceList{"cpu": resource.MustParse(s), "memory": resource.MustParse("16Mi")}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "eager--shop", Name: name},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(1000)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "c", Image: "registry.example.com/x", ImagePullPolicy: corev1.PullAlways,
				Resources:       corev1.ResourceRequirements{Requests: quantity("10m"), Limits: quantity("10m")},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		},
	}
}

// Promise: however many Spaces ask at once, what their ResourceQuotas grant together never exceeds the tenant's quota,
// and what one gives back another gets.
func TestQuotaIsNeverExceeded(t *testing.T) {
	start(t, nil)
	tenant := newTenant("ledger")
	create(t, tenant)
	ready(t, tenant)
	total := tenant.Spec.Quota["requests.cpu"]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for ctx.Err() == nil {
			quotas := &corev1.ResourceQuotaList{}
			if err := admin.List(ctx, quotas, client.MatchingLabels{v1alpha1.LabelTenant: "ledger"}); err != nil {
				continue
			}
			sum := resource.Quantity{}
			for _, q := range quotas.Items {
				sum.Add(q.Spec.Hard["requests.cpu"])
			}
			if sum.Cmp(total) > 0 {
				t.Errorf("the Spaces are granted %s of %s CPUs", sum.String(), total.String())
				return
			}
		}
	})
	want := func(n string) func(*v1alpha1.SpaceSpec) {
		return func(s *v1alpha1.SpaceSpec) { s.Quota = corev1.ResourceList{"requests.cpu": resource.MustParse(n)} }
	}
	var spaces []client.Object
	for i := range 6 {
		spaces = append(spaces, newSpace("ledger", fmt.Sprintf("s%d", i), want("3")))
	}
	var creators sync.WaitGroup
	for _, s := range spaces {
		creators.Go(func() { create(t, s) })
	}
	creators.Wait()
	granted := func() (sum resource.Quantity) {
		for _, s := range spaces {
			if err := admin.Get(t.Context(), client.ObjectKeyFromObject(s), s); err == nil {
				sum.Add(s.(*v1alpha1.Space).Status.Quota["requests.cpu"])
			}
		}
		return sum
	}
	eventually(t, patience, "all of the quota is granted", func() string {
		if sum := granted(); sum.Cmp(total) != 0 {
			return sum.String()
		}
		return ""
	})
	exhausted := 0
	for _, s := range spaces {
		if c := messageOf(s.(*v1alpha1.Space), v1alpha1.ConditionEnforced); strings.Contains(c, "leaves nothing of") {
			exhausted++
		}
	}
	if exhausted != 2 { // 3+3+3+1 of 10
		t.Logf("%d Spaces say that nothing is left; 2 are expected once all is told", exhausted)
	}
	first := spaces[0].(*v1alpha1.Space)
	edit(t, first, func() { first.Spec.Quota = corev1.ResourceList{"requests.cpu": resource.MustParse("1")} })
	eventually(t, patience, "what one gives back another gets", func() string {
		if sum := granted(); sum.Cmp(total) != 0 || first.Status.Quota.Name("requests.cpu", resource.DecimalSI).Value() != 1 {
			return fmt.Sprint(sum.String(), first.Status.Quota)
		}
		return ""
	})
	last := spaces[1].(*v1alpha1.Space)
	if err := admin.Delete(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	gone(t, last)
	eventually(t, patience, "what a Space leaves another gets", func() string {
		if sum := granted(); sum.Cmp(total) != 0 {
			return sum.String()
		}
		return ""
	})
	cancel()
	watcher.Wait()
}
