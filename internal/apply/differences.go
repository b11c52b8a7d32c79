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

// reserved are the prefixes of labels and annotations that nobody else may set on what Bulkhead manages: they are
// facts that admission reads.
var reserved = []string{"bulkhead.dev/", v1alpha1.WaiverPrefix}

// reservedOnNamespaces adds the labels by which Pod Security admission chooses its level.
var reservedOnNamespaces = append(slices.Clone(reserved), "pod-security.kubernetes.io/")

// difference is how a live object departs from the rendered one.
type difference struct {
	// fields are the paths that differ.
	fields []string
	// foreign is true when something is there that must not be: server-side apply does not remove what another
	// manager added, a full update does.
	foreign bool
	// immutable is true when the API server refuses to change one of the fields in place.
	immutable bool
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
	d.keys("metadata.labels", want.GetLabels(), have.GetLabels(), prefixes)
	d.keys("metadata.annotations", want.GetAnnotations(), have.GetAnnotations(), prefixes)
	if len(have.GetOwnerReferences()) > 0 {
		d.fields = append(d.fields, "metadata.ownerReferences")
		d.foreign = true
	}
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
	return d
}

// told are the differences without the note that the API server made about who changed the object, unless that is all.
func (d *difference) told() []string {
	note := fmt.Sprintf("metadata.annotations[%s]", v1alpha1.AnnotationChangedBy)
	told := slices.DeleteFunc(slices.Clone(d.fields), func(f string) bool { return f == note })
	if len(told) == 0 {
		return d.fields
	}
	return told
}

// AsRendered tells whether a live object is exactly as rendered.
func AsRendered(want, have client.Object) bool { return compareNone(want, have) }

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
		d.foreign = true
	}
}

func isReserved(key string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// values descends as far as a reader needs to see what differs: into structs and maps, not into lists.
func (d *difference) values(path string, want, have reflect.Value) {
	if equality.Semantic.DeepEqual(want.Interface(), have.Interface()) {
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
	default:
		d.fields = append(d.fields, path)
		d.foreign = d.foreign || want.IsZero() || want.Kind() == reflect.Slice
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
		if a.IsValid() && b.IsValid() && equality.Semantic.DeepEqual(a.Interface(), b.Interface()) {
			continue
		}
		d.fields = append(d.fields, fmt.Sprintf("%s[%s]", path, name))
		d.foreign = d.foreign || !a.IsValid()
	}
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
