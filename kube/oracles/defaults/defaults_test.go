// Package defaults compares the defaults that Bulkhead sets with those of the API server.
package defaults

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/authentication/install"
	_ "k8s.io/kubernetes/pkg/apis/authorization/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/certificates/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	_ "k8s.io/kubernetes/pkg/apis/events/install"
	_ "k8s.io/kubernetes/pkg/apis/flowcontrol/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/resource/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"

	"github.com/bulkhead-dev/bulkhead/internal/kubedefaults"
)

// left are the kinds whose defaults Bulkhead does not set: a tenant's owners create none of them, and proofs read no field
// that has a default (of endpoints the addresses).
var left = []string{
	"certificates.k8s.io/v1 PodCertificateRequest",
	"core/v1 Endpoints",
	"discovery.k8s.io/v1 EndpointSlice",
	"networking.k8s.io/v1 IngressClass",
	"resource.k8s.io/v1 DeviceTaintRule",
	"resource.k8s.io/v1 ResourceSlice",
	"storage.k8s.io/v1 CSIDriver",
	"storage.k8s.io/v1 VolumeAttachment",
}

const objectsPerKind = 300

// Objects of every kind get the same defaults from both: empty ones, ones that have everything and say nothing, and
// random ones. Nothing of a kind that has no defaults is changed.
func TestBulkheadAndTheAPIServerSetTheSameDefaults(t *testing.T) {
	const least = 33
	compared := 0
	for _, kind := range kinds() {
		name := nameOf(kind)
		leaves := slices.Contains(left, name)
		completed := 0
		for seed := range uint64(objectsPerKind) {
			given, err := legacyscheme.Scheme.New(kind)
			if err != nil {
				t.Fatal(err)
			}
			generatorOf(seed).fill(reflect.ValueOf(given).Elem(), "")
			want, got := given.DeepCopyObject(), given.DeepCopyObject()
			legacyscheme.Scheme.Default(want)
			if !reflect.DeepEqual(given, want) {
				completed++
			}
			kubedefaults.Set(got)
			if leaves || reflect.DeepEqual(want, got) {
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, object %d: the API server (-) and Bulkhead (+) differ:\n%s", name, seed, diff)
				break
			}
		}
		switch {
		case leaves && completed == 0:
			t.Errorf("%s: the API server sets no defaults: remove it from the list", name)
		case !leaves && completed > 0:
			compared++
			t.Logf("%s: %d of %d objects lacked something", name, completed, objectsPerKind)
		}
	}
	if compared < least {
		t.Errorf("%d kinds that have defaults were compared: less than %d", compared, least)
	}
}

// The name of an image decides how it is pulled: every form of a name, and what is none.
func TestBulkheadAndTheAPIServerPullTheSameImages(t *testing.T) {
	for _, image := range images {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}},
			Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image}}}}}}
		want, got := pod.DeepCopy(), pod.DeepCopy()
		legacyscheme.Scheme.Default(want)
		kubedefaults.Set(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("image %q: the API server (-) and Bulkhead (+) differ:\n%s", image, diff)
		}
	}
}

var images = []string{
	"", "app", "app:latest", "app:1", "app:LATEST", "app:latest-1", "r.example/app", "r.example:5000/app", "r.example:5000/app:latest",
	"r.example/latest", "latest:latest", "r.example/a/b:latest", digest("app"), digest("app:latest"), digest("r.example:5000/app:latest"),
	"app@sha256:short", "app@sha512:" + strings.Repeat("a", 128), "app@md5:" + strings.Repeat("a", 32), strings.Repeat("a", 64),
	"App", "app:", "app:" + strings.Repeat("a", 129), "app latest", " app", "-app", "r.example//app", "R.example/app", "[::1]:5000/app", "bücher/app",
}

func digest(name string) string { return name + "@sha256:" + strings.Repeat("a", 64) }

// kinds are those that the API server keeps or takes in a version that will stay, without their lists.
func kinds() []schema.GroupVersionKind {
	stable := regexp.MustCompile(`^v\d+$`)
	list := slices.Collect(maps.Keys(legacyscheme.Scheme.AllKnownTypes()))
	list = slices.DeleteFunc(list, func(k schema.GroupVersionKind) bool {
		in := legacyscheme.Scheme.AllKnownTypes()[k].PkgPath()
		return !stable.MatchString(k.Version) || !strings.HasPrefix(in, "k8s.io/api/") || strings.HasSuffix(k.Kind, "List")
	})
	slices.SortFunc(list, func(a, b schema.GroupVersionKind) int { return strings.Compare(nameOf(a), nameOf(b)) })
	return list
}

func nameOf(kind schema.GroupVersionKind) string {
	group := kind.Group
	if group == "" {
		group = "core"
	}
	return group + "/" + kind.Version + " " + kind.Kind
}

// generator makes objects: random ones, and three special ones.
type generator struct {
	*rand.Rand
	kind uint64
}

const (
	empty  = iota // nothing is there
	bare          // every list has an element, and no optional field is there
	full          // everything is there
	random        // this and all above
)

func generatorOf(seed uint64) *generator {
	return &generator{rand.New(rand.NewPCG(seed, 5)), min(seed, random)}
}

// elements returns how many elements a list has; of an optional field, none or one.
func (g *generator) elements(most int, optional bool) int {
	switch {
	case g.kind == empty, g.kind == bare && optional:
		return 0
	case g.kind != random:
		return 1
	}
	return g.IntN(most + 1)
}

var (
	// words are what fields of these names hold, where a default depends on it.
	words = map[string][]string{
		"Image": images, "Reference": images,
		"Kind": {"", "User", "Group", "ServiceAccount", "Other"},
	}
	// choices are values of types of strings that a default depends on.
	choices = map[reflect.Type][]string{
		reflect.TypeFor[corev1.ServiceType]():                   {"", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"},
		reflect.TypeFor[corev1.ServiceAffinity]():               {"", "None", "ClientIP"},
		reflect.TypeFor[corev1.LimitType]():                     {"", "Container", "Pod"},
		reflect.TypeFor[appsv1.DeploymentStrategyType]():        {"", "RollingUpdate", "Recreate"},
		reflect.TypeFor[appsv1.StatefulSetUpdateStrategyType](): {"", "RollingUpdate", "OnDelete"},
		reflect.TypeFor[appsv1.DaemonSetUpdateStrategyType]():   {"", "RollingUpdate", "OnDelete"},
	}
	amounts = []string{"0", "1", "250m", "1n", "1500001u", "2Gi", "0.0005"}
	texts   = []string{"", "", "a", "b"}
)

// fill fills a value, which is in a field of this name.
func (g *generator) fill(v reflect.Value, field string) {
	switch at := v.Addr().Interface().(type) {
	case *resource.Quantity:
		*at = resource.MustParse(amounts[g.IntN(len(amounts))])
		return
	case *metav1.Time, *metav1.MicroTime, *metav1.FieldsV1:
		return
	case *intstr.IntOrString:
		*at = []intstr.IntOrString{{}, intstr.FromString(""), intstr.FromString("web"), intstr.FromInt32(7), {StrVal: "left"}, {Type: intstr.String, IntVal: 7}}[g.IntN(6)]
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				g.fill(v.Field(i), v.Type().Field(i).Name)
			}
		}
	case reflect.Pointer:
		if g.elements(1, true) == 1 {
			v.Set(reflect.New(v.Type().Elem()))
			g.fill(v.Elem(), field)
		}
	case reflect.Slice:
		if n := g.elements(2, false); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				g.fill(v.Index(i), field)
			}
		}
	case reflect.Map:
		g.fillMap(v, field)
	default:
		if g.kind == random {
			g.fillScalar(v, field)
		}
	}
}

// fillMap leaves out a map, leaves it empty or fills it.
func (g *generator) fillMap(v reflect.Value, field string) {
	if g.elements(2, false) == 0 {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for range g.elements(2, false) {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		g.fill(key, "")
		g.fill(value, field)
		v.SetMapIndex(key, value)
	}
}

func (g *generator) fillScalar(v reflect.Value, field string) {
	switch v.Kind() {
	case reflect.String:
		list := texts
		if special, is := choices[v.Type()]; is {
			list = special
		} else if special, is := words[field]; is && v.Type() == reflect.TypeFor[string]() {
			list = special
		}
		v.SetString(list[g.IntN(len(list))])
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(g.IntN(4) - 1))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(g.IntN(3)))
	}
}
