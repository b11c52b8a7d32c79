package apply

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// reserved are the prefixes of labels and annotations that only Bulkhead may set on what it manages: they are
// facts that admission reads.
var reserved = []string{v1alpha1.KeyPrefix, v1alpha1.WaiverPrefix}

// reservedOnNamespaces adds the labels by which Pod Security admission chooses its level.
var reservedOnNamespaces = append(slices.Clone(reserved), "pod-security.kubernetes.io/")

// difference is how a live object departs from the rendered one.
type difference struct {
	// fields are the paths that differ.
	fields []string
	// extra is true when something is there that must not be: server-side apply does not remove what another
	// manager added, a full update does.
	extra bool
	// immutable is true when the API server refuses to change one of the fields in place.
	immutable bool
	// partial is true when only fields that the rendering sets are compared.
	partial bool
}

func (d *difference) none() bool { return len(d.fields) == 0 }

// compare finds every difference that matters: all of the object but its status, and of its metadata the labels and
// annotations that are rendered or reserved, and owner references, through which the garbage collector could be made
// to delete it. Labels, annotations and finalizers of others are theirs.
func compare(want, have client.Object) difference {
	var d difference
	prefixes := reserved
	if _, ok := want.(*corev1.Namespace); ok {
		prefixes = reservedOnNamespaces
	}
	d.metadata(want, have, prefixes)
	if len(have.GetOwnerReferences()) > 0 {
		d.fields = append(d.fields, "metadata.ownerReferences")
		d.extra = true
	}
	d.content(want, have)
	return d
}

// comparePartly finds the differences in fields that want sets. The others are for the API server to default, and for anyone
// to extend; a list is compared in length and item by item.
func comparePartly(want, have client.Object) difference {
	d := difference{partial: true}
	d.metadata(want, have, nil)
	d.content(want, have)
	return d
}

func (d *difference) metadata(want, have client.Object, prefixes []string) {
	d.keys("metadata.labels", want.GetLabels(), have.GetLabels(), prefixes)
	d.keys("metadata.annotations", want.GetAnnotations(), have.GetAnnotations(), prefixes)
}

// content compares everything outside the metadata and the status.
func (d *difference) content(want, have client.Object) {
	a, b := reflect.ValueOf(want).Elem(), reflect.ValueOf(have).Elem()
	for i := range a.NumField() {
		field := a.Type().Field(i)
		switch field.Name {
		case "TypeMeta", "ObjectMeta", "Status":
			continue
		}
		before := len(d.fields)
		d.values(jsonName(&field), a.Field(i), b.Field(i))
		d.immutable = d.immutable || field.Name == "RoleRef" && len(d.fields) > before
	}
}

// unnoted are the differences without the annotation by which the API server records who changed the object.
func (d *difference) unnoted() []string {
	note := fmt.Sprintf("metadata.annotations[%s]", v1alpha1.AnnotationChangedBy)
	return slices.DeleteFunc(slices.Clone(d.fields), func(f string) bool { return f == note })
}

// AsRendered reports whether a live object is exactly as rendered.
func AsRendered(want, have client.Object) bool {
	d := compare(want, have)
	return d.none()
}

// Differences returns the paths at which a live object differs from its complete rendering. The annotation by which the
// API server records who changed the object is none.
func Differences(want, have client.Object) []string {
	d := compare(want, have)
	return d.unnoted()
}

// PartialDifferences returns the paths at which a live object differs from what its rendering sets. Fields that the
// rendering leaves unset are not compared.
func PartialDifferences(want, have client.Object) []string {
	d := comparePartly(want, have)
	return d.fields
}

func (d *difference) keys(path string, want, have map[string]string, prefixes []string) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if value, ok := have[key]; !ok || value != want[key] {
			d.fields = append(d.fields, fmt.Sprintf("%s[%s]", path, key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[key]; ok || !isReserved(key, prefixes) {
			continue
		}
		d.fields = append(d.fields, fmt.Sprintf("%s[%s]", path, key))
		d.extra = true
	}
}

func isReserved(key string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// values descends as far as a reader needs to see what differs: into structs and maps. It descends into lists only where
// the items' unset fields are not compared.
func (d *difference) values(path string, want, have reflect.Value) {
	if d.partial && isUnset(want) || equality.Semantic.DeepEqual(want.Interface(), have.Interface()) {
		return
	}
	if want.Kind() == reflect.Pointer && !want.IsNil() && !have.IsNil() {
		want, have = want.Elem(), have.Elem()
	}
	switch {
	case want.Kind() == reflect.Struct && plainStruct(want.Type()):
		for i := range want.NumField() {
			field := want.Type().Field(i)
			d.values(path+"."+jsonName(&field), want.Field(i), have.Field(i))
		}
	case want.Kind() == reflect.Map:
		d.mapValues(path, want, have)
	case d.partial && want.Kind() == reflect.Slice && want.Len() == have.Len():
		for i := range want.Len() {
			d.values(fmt.Sprintf("%s[%d]", path, i), want.Index(i), have.Index(i))
		}
	default:
		d.fields = append(d.fields, path)
		d.extra = d.extra || want.IsZero() || want.Kind() == reflect.Slice
	}
}

func (d *difference) mapValues(path string, want, have reflect.Value) {
	names := map[string]reflect.Value{}
	for _, m := range []reflect.Value{want, have} {
		for _, key := range m.MapKeys() {
			names[fmt.Sprint(key.Interface())] = key
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, b := want.MapIndex(names[name]), have.MapIndex(names[name])
		if d.partial && !a.IsValid() {
			continue
		}
		if d.partial && b.IsValid() {
			d.values(fmt.Sprintf("%s[%s]", path, name), a, b)
			continue
		}
		if a.IsValid() && b.IsValid() && equality.Semantic.DeepEqual(a.Interface(), b.Interface()) {
			continue
		}
		d.fields = append(d.fields, fmt.Sprintf("%s[%s]", path, name))
		d.extra = d.extra || !a.IsValid()
	}
}

func isUnset(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// plainStruct is a struct whose fields can be read one by one; Quantity, Time and the like hide theirs.
func plainStruct(t reflect.Type) bool {
	for i := range t.NumField() {
		if !t.Field(i).IsExported() {
			return false
		}
	}
	return t.String() != "intstr.IntOrString"
}

func jsonName(field *reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	if name == "" {
		return field.Name
	}
	return name
}

// overwrite makes have equal to want in everything that compare looks at, and leaves the rest of it alone.
func overwrite(want, have client.Object) client.Object {
	fixed := have.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy has its original's type
	prefixes := reserved
	if _, ok := want.(*corev1.Namespace); ok {
		prefixes = reservedOnNamespaces
	}
	fixed.SetLabels(overwriteKeys(want.GetLabels(), have.GetLabels(), prefixes))
	fixed.SetAnnotations(overwriteKeys(want.GetAnnotations(), have.GetAnnotations(), prefixes))
	fixed.SetOwnerReferences(nil)
	from := reflect.ValueOf(want.DeepCopyObject()).Elem()
	to := reflect.ValueOf(fixed).Elem()
	for i := range to.NumField() {
		switch to.Type().Field(i).Name {
		case "TypeMeta", "ObjectMeta", "Status":
		default:
			to.Field(i).Set(from.Field(i))
		}
	}
	return fixed
}

func overwriteKeys(want, have map[string]string, prefixes []string) map[string]string {
	fixed := map[string]string{}
	for key, value := range have {
		if !isReserved(key, prefixes) {
			fixed[key] = value
		}
	}
	maps.Copy(fixed, want)
	return fixed
}
