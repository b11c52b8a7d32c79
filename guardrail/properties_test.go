package guardrail

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
)

func text(t *testing.T, objects []Object, closed []ClosedFlow) string {
	t.Helper()
	var b bytes.Buffer
	for _, o := range objects {
		raw, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(raw)
	}
	fmt.Fprint(&b, closed)
	return b.String()
}

// Promise: every object says what it is, who manages it and for whom, and lies where it belongs; no two are the same;
// and owners get their rights last.
func TestObjectsAreLabelledAndPlaced(t *testing.T) {
	type rendered struct {
		name      string
		objects   []Object
		namespace string
		want      map[string]string
	}
	with := func(pairs ...string) map[string]string {
		m := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	cases := []rendered{
		{"cluster", Cluster(testPlatform()), "", with()},
		{"tenant", Tenant(testTenant("shop"), []string{"shop--a"}), "tenant-shop", with(v1alpha1.LabelTenant, "shop")},
	}
	for seed := range uint64(20) {
		w := randomWorld(rand.New(rand.NewPCG(seed, 3)))
		for _, s := range w.spaces {
			in := w.input(s)
			objects, _ := Space(in)
			cases = append(cases, rendered{"space", objects, v1alpha1.SpaceNamespace(in.Tenant.Name, s.Name),
				with(v1alpha1.LabelTenant, in.Tenant.Name, v1alpha1.LabelSpace, s.Name)})
		}
	}
	for _, c := range cases {
		seen := map[string]bool{}
		for _, o := range c.objects {
			kind := o.GetObjectKind().GroupVersionKind()
			id := kind.String() + "/" + o.GetNamespace() + "/" + o.GetName()
			if kind.Kind != reflect.TypeOf(o).Elem().Name() || kind.Version == "" || seen[id] {
				t.Errorf("%s: %s is not a kind of %T, or there twice", c.name, id, o)
			}
			seen[id] = true
			for key, value := range c.want {
				if o.GetLabels()[key] != value {
					t.Errorf("%s: %s has label %s=%q, want %q", c.name, id, key, o.GetLabels()[key], value)
				}
			}
			want := c.namespace
			if kind.Kind == "Namespace" || kind.Kind == "FlowSchema" || c.namespace == "" {
				want = ""
			}
			if o.GetNamespace() != want || kind.Kind == "Namespace" && o.GetName() != c.namespace {
				t.Errorf("%s: %s does not lie in %q", c.name, id, c.namespace)
			}
			if msgs := apivalidation.NameIsDNSSubdomain(o.GetName(), false); len(msgs) > 0 && kind.Group != rbacv1.GroupName {
				t.Errorf("%s: %s: %v", c.name, id, msgs)
			}
		}
		if _, last := c.objects[len(c.objects)-1].(*rbacv1.RoleBinding); c.namespace != "" && !last {
			t.Errorf("%s: the last object is a %T", c.name, c.objects[len(c.objects)-1])
		}
		if _, first := c.objects[0].(*corev1.Namespace); c.namespace != "" && !first {
			t.Errorf("%s: the first object is a %T", c.name, c.objects[0])
		}
	}
}

// Promise: what is rendered depends on nothing but the input, and not on the order of what has none.
func TestRenderingIsDeterministic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	objects, closed := Space(fullSpace())
	want := text(t, objects, closed)
	tenant := text(t, Tenant(testTenant("shop"), []string{"shop--a", "shop--b"}), nil)
	for range 8 {
		in := fullSpace()
		r.Shuffle(len(in.Peers), func(i, j int) { in.Peers[i], in.Peers[j] = in.Peers[j], in.Peers[i] })
		r.Shuffle(len(in.Waivers), func(i, j int) { in.Waivers[i], in.Waivers[j] = in.Waivers[j], in.Waivers[i] })
		owners := in.Tenant.Spec.Owners
		r.Shuffle(len(owners), func(i, j int) { owners[i], owners[j] = owners[j], owners[i] })
		in.Tenant.Spec.Owners = slices.Concat(owners, owners[:1])
		before := text(t, []Object{in.Tenant, in.Platform, in.Space}, nil)
		objects, closed := Space(in)
		if diff := cmp.Diff(want, text(t, objects, closed)); diff != "" {
			t.Fatal(diff)
		}
		shuffled := testTenant("shop")
		shuffled.Spec.Owners = in.Tenant.Spec.Owners
		if diff := cmp.Diff(tenant, text(t, Tenant(shuffled, []string{"shop--b", "shop--a"}), nil)); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(before, text(t, []Object{in.Tenant, in.Platform, in.Space}, nil)); diff != "" {
			t.Fatalf("rendering changed its input: %s", diff)
		}
	}
}

// Promise: an ordinary Space costs few writes.
func TestFewObjects(t *testing.T) {
	for want, in := range map[int]SpaceInput{5: plainSpace(), 8: fullSpace()} {
		if objects, _ := Space(in); len(objects) != want {
			t.Errorf("%s: %d objects, want %d", in.Space.Name, len(objects), want)
		}
	}
}

// Promise: nothing is rendered for what has no place in a shared cluster.
func TestNoSpaceForHard(t *testing.T) {
	for _, p := range []tenancy.Pattern{tenancy.PatternHard, "", "soft"} {
		in := plainSpace()
		in.Decision.Pattern = p
		if objects, closed := Space(in); len(objects)+len(closed) > 0 {
			t.Errorf("pattern %q: %d objects", p, len(objects))
		}
	}
}

// Promise: a namespace's labels say what the decision says, and a waiver changes its own control and no other.
func TestSpaceNamespace(t *testing.T) {
	const enforce = "pod-security.kubernetes.io/enforce"
	cases := map[string]struct {
		change func(*SpaceInput)
		want   map[string]string // a label's value; empty means that it is not there
	}{
		"plain": {func(*SpaceInput) {}, map[string]string{
			enforce: "restricted", v1alpha1.LabelPattern: "Soft", v1alpha1.LabelToken: "", v1alpha1.LabelRuntimeClass: "",
			v1alpha1.WaiverPrefix + "images": "",
		}},
		"sandbox that is there": {func(in *SpaceInput) { in.Decision.Sandboxed, in.Decision.RuntimeClass = true, "kata" },
			map[string]string{v1alpha1.LabelRuntimeClass: "kata"}},
		"sandbox that is not":             {func(in *SpaceInput) { in.Decision.Sandboxed = true }, map[string]string{v1alpha1.LabelRuntimeClass: ""}},
		"a workload that calls the API":   {func(in *SpaceInput) { in.Space.Spec.Workload = "operator" }, map[string]string{v1alpha1.LabelToken: "allowed"}},
		"a workload that is not declared": {func(in *SpaceInput) { in.Space.Spec.Workload = "?" }, map[string]string{v1alpha1.LabelToken: ""}},
		"waiver of images": {func(in *SpaceInput) { in.Waivers = []ActiveWaiver{{"images", "w", testExpiry}} },
			map[string]string{enforce: "restricted", v1alpha1.WaiverPrefix + "images": "w"}},
		"waiver of pod security": {func(in *SpaceInput) { in.Waivers = []ActiveWaiver{{"pod-security", "w", testExpiry}} },
			map[string]string{enforce: "baseline", v1alpha1.WaiverPrefix + "pod-security": "w"}},
		"waiver of what cannot be waived": {func(in *SpaceInput) { in.Waivers = []ActiveWaiver{{"guardrail", "w", testExpiry}} },
			map[string]string{v1alpha1.WaiverPrefix + "guardrail": ""}},
		"waiver of what is no control": {func(in *SpaceInput) { in.Waivers = []ActiveWaiver{{"../x", "w", testExpiry}} },
			map[string]string{v1alpha1.WaiverPrefix + "../x": ""}},
		"two waivers": {func(in *SpaceInput) {
			in.Waivers = []ActiveWaiver{{"token", "short", testExpiry}, {"token", "long", testExpiry}}
			in.Waivers[1].Expires.Time = testExpiry.AddDate(1, 0, 0)
		}, map[string]string{v1alpha1.WaiverPrefix + "token": "long"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := plainSpace()
			c.change(&in)
			objects, _ := Space(in)
			labels := objects[0].GetLabels()
			for key, want := range c.want {
				if got := labels[key]; got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
			if labels["pod-security.kubernetes.io/warn"] != "restricted" {
				t.Error("warnings do not tell of restricted")
			}
		})
	}
}

// Promise: a waiver's name of any length is told apart by its label.
func TestLabelValue(t *testing.T) {
	long := strings.Repeat("a", 45) + "." + strings.Repeat("b", 207)
	seen := map[string]bool{}
	for _, name := range []string{"w", strings.Repeat("x", 63), strings.Repeat("x", 64), strings.Repeat("x", 65), long, long[:252]} {
		v := labelValue(name)
		if len(v) > 63 || seen[v] || len(name) <= 63 && v != name {
			t.Errorf("%q becomes %q", name, v)
		}
		seen[v] = true
	}
}

// Promise: whatever a tenant's quota says, its completed quota bounds every kind that an owner may create; what it says
// itself stays.
func TestTenantQuota(t *testing.T) {
	cases := map[string]struct {
		quota corev1.ResourceList
		want  map[string]string // empty means that it is not there
	}{
		"nothing of objects": {list("requests.cpu", "1"), map[string]string{
			"services.nodeports": "0", "services.loadbalancers": "0", "count/pods": "2k", "count/secrets": "500", "pods": "",
			"count/postgresqls.acid.zalan.do": "500",
		}},
		"pods":              {list("pods", "30"), map[string]string{"pods": "30", "count/pods": "30"}},
		"pods and all pods": {list("pods", "30", "count/pods", "90"), map[string]string{"pods": "30", "count/pods": "90"}},
		"no compute":        {list("pods", "4"), map[string]string{"limits.cpu": "2", "limits.memory": "1Gi", "limits.ephemeral-storage": "4Gi"}},
		"some compute": {list("requests.cpu", "1", "limits.memory", "2Gi"), map[string]string{
			"limits.cpu": "10", "limits.memory": "2Gi", "limits.ephemeral-storage": "2000Gi", "requests.storage": "0",
			"count/controllerrevisions.apps": "5k", "count/resourceclaims.resource.k8s.io": "0",
		}},
		"older keys":     {list("secrets", "7"), map[string]string{"secrets": "7", "count/secrets": ""}},
		"load balancers": {list("services.loadbalancers", "2"), map[string]string{"services.loadbalancers": "2"}},
		"node ports":     {list("services.nodeports", "2"), map[string]string{"services.nodeports": "0"}},
		"spaces":         {list("count/spaces.bulkhead.dev", "5"), map[string]string{"count/spaces.bulkhead.dev": ""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tenant := testTenant("shop")
			tenant.Spec.Quota = c.quota
			total := TenantQuota(testPlatform(), tenant)
			for key, want := range c.want {
				q, there := total[corev1.ResourceName(key)]
				if there != (want != "") || there && q.String() != want {
					t.Errorf("%s is %s (there: %v), want %q", key, q.String(), there, want)
				}
			}
			for _, r := range ownerRules() {
				for _, name := range r.Resources {
					if !slices.Contains(r.Verbs, "create") || strings.Contains(name, "/") {
						continue
					}
					key := "count/" + name
					if r.APIGroups[0] != "" {
						key += "." + r.APIGroups[0]
					}
					_, counted := total[corev1.ResourceName(key)]
					_, older := total[corev1.ResourceName(name)]
					if !counted && !older {
						t.Errorf("an owner may create %s without a bound", key)
					}
				}
			}
		})
	}
	if len(TenantQuota(nil, testTenant("shop"))) == 0 {
		t.Error("no quota without a Platform")
	}
}

// Promise: for any quota the LimitRange is one that the API server accepts (least <= default request <= default <= most),
// allows no 0, and lets as many containers without requests run as the quota counts pods, if it has the least for each.
func TestLimitRange(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	keys := []string{"requests.cpu", "limits.cpu", "requests.memory", "limits.memory", "requests.ephemeral-storage",
		"limits.ephemeral-storage", "pods", "requests.storage"}
	for range 1000 {
		in := plainSpace()
		in.Tenant.Spec.Quota = corev1.ResourceList{}
		for _, key := range keys {
			if r.IntN(3) > 0 {
				amount := r.Int64N(1 << r.IntN(16))
				if strings.HasSuffix(key, "memory") || strings.HasSuffix(key, "storage") {
					amount <<= 20
				}
				in.Tenant.Spec.Quota[corev1.ResourceName(key)] = *resource.NewQuantity(amount, resource.DecimalSI)
			}
		}
		in.Quota = grantOf(in.Platform, in.Tenant, 1+r.IntN(4))
		item := limitRange(&in).Spec.Limits[0]
		for _, c := range compute {
			least, request, limit := item.Min[c.name], item.DefaultRequest[c.name], item.Default[c.name]
			largest, bounded := item.Max[c.name]
			if least.Sign() <= 0 || request.Cmp(least) < 0 || limit.Cmp(request) < 0 || bounded && largest.Cmp(limit) < 0 {
				t.Fatalf("quota %v: %s: %s <= %s <= %s <= %s does not hold", in.Tenant.Spec.Quota, c.name, &least, &request,
					&limit, &largest)
			}
			pods, counted := in.Quota["pods"]
			for key, each := range map[corev1.ResourceName]resource.Quantity{
				"requests." + c.name: request, "limits." + c.name: limit,
			} {
				share, named := in.Quota[key]
				enough, all := least.DeepCopy(), each.DeepCopy()
				enough.Mul(max(pods.Value(), 1))
				all.Mul(max(pods.Value(), 1))
				if named && counted && share.Cmp(enough) >= 0 && all.Cmp(share) > 0 {
					t.Fatalf("quota %v: %s pods of %s exceed %s of %s", in.Quota, &pods, &each, &share, key)
				}
			}
		}
	}
}

// Promise: all that acts for a tenant is in both its FlowSchemas, and nothing tells one of its requests from another; its
// lists are asked for first, and go to a level of their own.
func TestFlowSchema(t *testing.T) {
	levels, precedence := map[string]string{}, map[string]int32{}
	for _, o := range Tenant(testTenant("shop"), []string{"shop--a"}) {
		if f, is := o.(*flowcontrolv1.FlowSchema); is {
			levels[f.Name], precedence[f.Name] = f.Spec.PriorityLevelConfiguration.Name, f.Spec.MatchingPrecedence
			checkFlowSchema(t, f)
		}
	}
	all, lists := v1alpha1.FlowSchemaName("shop"), v1alpha1.ListsFlowSchemaName("shop")
	if diff := cmp.Diff(map[string]string{all: v1alpha1.PriorityLevelName("shop"), lists: v1alpha1.ListsLevelName}, levels); diff != "" {
		t.Error(diff)
	}
	if precedence[lists] >= precedence[all] {
		t.Errorf("the FlowSchema of lists is asked at %d, after the one of all at %d", precedence[lists], precedence[all])
	}
}

// Promise: whatever a tenant is called, its priority level is one that is rendered, and no level has many more tenants than
// its share.
func TestTenantPriorityLevels(t *testing.T) {
	const tenants = 8000
	in := map[string]int{}
	for _, o := range Cluster(testPlatform()) {
		if l, is := o.(*flowcontrolv1.PriorityLevelConfiguration); is && l.Name != v1alpha1.ListsLevelName {
			in[l.Name] = 0
		}
	}
	if len(in) != v1alpha1.TenantPriorityLevels {
		t.Errorf("%d tenant priority levels are rendered: %v", len(in), in)
	}
	for i := range tenants {
		level := v1alpha1.PriorityLevelName(fmt.Sprintf("team-%d", i))
		if _, rendered := in[level]; !rendered {
			t.Fatalf("priority level %s is not rendered", level)
		}
		in[level]++
	}
	for level, n := range in {
		if n < tenants/v1alpha1.TenantPriorityLevels*3/4 || n > tenants/v1alpha1.TenantPriorityLevels*5/4 {
			t.Errorf("%s has %d of %d tenants", level, n, tenants)
		}
	}
}

func checkFlowSchema(t *testing.T, f *flowcontrolv1.FlowSchema) {
	t.Helper()
	var got []string
	for _, s := range f.Spec.Rules[0].Subjects {
		switch {
		case s.User != nil:
			got = append(got, "user "+s.User.Name)
		case s.Group != nil:
			got = append(got, "group "+s.Group.Name)
		default:
			got = append(got, "account "+s.ServiceAccount.Namespace+"/"+s.ServiceAccount.Name)
		}
	}
	want := []string{"group shop-developers", "account shop--a/*", "account shop--ci/deployer", "account tenant-shop/*",
		"user zoe@shop.example"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// 900 is the last of the API server's own that keep the cluster alive, 9000 the first that tenants would share.
	if f.Spec.DistinguisherMethod != nil || f.Spec.MatchingPrecedence <= 900 || f.Spec.MatchingPrecedence >= 9000 {
		t.Errorf("%+v", f.Spec)
	}
}

// Promise: an owner finds every list of the Platform's that judges what its objects name, in the order in which the Platform has it, and nothing
// that is not allowed.
func TestAllowsHasEveryListOfThePlatform(t *testing.T) {
	elsewhere := map[string]string{
		"sandboxRuntimes": "the decision chooses one of them", "services": "flows name them", "flows": "flows of Spaces name the tenants", "nodeGroups": "Bulkhead assigns them",
	}
	p, want := &v1alpha1.Platform{}, map[string][]string{}
	spec := reflect.ValueOf(&p.Spec).Elem()
	for i := range spec.NumField() {
		name, _, _ := strings.Cut(spec.Type().Field(i).Tag.Get("json"), ",")
		if spec.Field(i).Kind() != reflect.Slice || elsewhere[name] != "" {
			continue
		}
		want[name] = []string{"b", "a"}
		if spec.Field(i).Type() == reflect.TypeFor[[]string]() {
			spec.Field(i).Set(reflect.ValueOf(want[name]))
		}
	}
	p.Spec.Tolerations = []v1alpha1.TaintToleration{{Key: "b"}, {Key: "a"}}
	p.Spec.TenantResources = []v1alpha1.TenantResource{{Group: "example.com", Resources: []string{"b"}}, {Group: "batch", Resources: []string{"jobs"}}}
	want["tenantResources"] = []string{"b.example.com"}
	tenant := &v1alpha1.Tenant{Spec: v1alpha1.TenantSpec{IngressHosts: []string{"b", "a"}, Workloads: []v1alpha1.Workload{{Name: "api", APIAccess: tenancy.APIAccessOwnNamespaces}, {Name: "web"}}}}
	want["ingressHosts"], want["apiAccess"], want["runtimeClass"] = []string{"b", "a"}, []string{"OwnNamespaces"}, []string{"gvisor"}
	got := map[string][]string{}
	for _, a := range Allows(p, tenant, "api", tenancy.Outcome{Sandboxed: true, RuntimeClass: "gvisor"}) {
		got[a.What] = a.Values
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if less := Allows(&v1alpha1.Platform{}, &v1alpha1.Tenant{}, "web", tenancy.Outcome{}); len(less) > 0 {
		t.Errorf("where nothing is allowed: %v", less)
	}
}
