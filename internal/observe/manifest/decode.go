package manifest

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// decode turns one document into objects or faults.
func (d *definitions) decode(doc *document) result {
	if doc.fault != nil {
		return result{faults: []Fault{*doc.fault}}
	}
	var r result
	nodes, fault := doc.parse()
	if fault != nil {
		r.faults = append(r.faults, *fault)
	}
	for _, node := range nodes {
		d.decodeNode(doc, node, &r)
	}
	return r
}

func (d *definitions) decodeNode(doc *document, node *yaml.Node, r *result) {
	if resolved(node).ShortTag() == "!!null" {
		return // a document of comments only
	}
	v := values{document: doc, left: maxValues}
	value, err := v.convert(node, 0)
	r.faults = append(r.faults, v.faults...)
	if err != nil || len(v.faults) > 0 {
		return
	}
	d.decodeObject(doc, node, value, false, r)
}

func (d *definitions) decodeObject(doc *document, node *yaml.Node, value any, inList bool, r *result) {
	fault := func(at *yaml.Node, object, format string, args ...any) {
		r.faults = append(r.faults, Fault{Source: doc.source(at), Object: object, Message: fmt.Sprintf(format, args...)})
	}
	object, isMap := value.(map[string]any)
	if !isMap {
		fault(node, "", "not an object: want a map with apiVersion, kind, metadata and spec")
		return
	}
	apiVersion, kind := text(object["apiVersion"]), text(object["kind"])
	if apiVersion == "" || kind == "" {
		fault(node, "", "apiVersion or kind is missing: want for example apiVersion: %s and kind: Tenant", v1alpha1.GroupVersion)
		return
	}
	group, _, _ := strings.Cut(apiVersion, "/")
	if items, isList := object["items"].([]any); isList && strings.HasSuffix(kind, "List") && (apiVersion == "v1" || group == v1alpha1.GroupVersion.Group) {
		d.decodeList(doc, node, items, r)
		return
	}
	if group != v1alpha1.GroupVersion.Group {
		r.others = append(r.others, kind+" "+apiVersion)
		return
	}
	def, err := d.of(kind)
	if errors.Is(err, errNoSuchKind) || apiVersion != v1alpha1.GroupVersion.String() {
		fault(node, "", "no such kind: %s of %s; want Platform, Tenant, Space or Waiver of %s", kind, apiVersion, v1alpha1.GroupVersion)
		return
	}
	if err != nil {
		fault(node, kind, "Bulkhead cannot read its own definition: %v", err)
		return
	}
	if !inList && len(doc.data) > maxDocumentBytes {
		fault(node, kind, "larger than %d KiB: no API server takes an object of this size", maxDocumentBytes>>10)
		return
	}
	name := objectName(kind, object)
	refusals := def.check(object)
	if kind == "Space" && len(refusals) == 0 {
		refusals = misplaced(object)
	}
	for _, refusal := range refusals {
		fault(place(node, refusal.path), name, "%s", refusal.message)
	}
	if len(refusals) == 0 {
		if err := r.take(kind, object, doc.source(node)); err != nil {
			fault(node, name, "%v", err)
		}
	}
}

func (d *definitions) decodeList(doc *document, node *yaml.Node, items []any, r *result) {
	list := resolved(child(node, "items"))
	for i, item := range items {
		d.decodeObject(doc, resolved(list.Content[i]), item, true, r)
	}
}

// misplaced are Spaces outside a home namespace: they have no tenant and are never reconciled.
func misplaced(object map[string]any) []refusal {
	meta, _ := object["metadata"].(map[string]any)
	namespace := text(meta["namespace"])
	if tenant, isHome := v1alpha1.TenantOfHome(namespace); isHome && tenant != "" {
		return nil
	}
	return []refusal{{"metadata.namespace", fmt.Sprintf("metadata.namespace: Invalid value: %q: a Space stands in its tenant's home namespace, %s", namespace, v1alpha1.HomeNamespace("NAME"))}}
}

// objectName returns how an object is called that may lack its name.
func objectName(kind string, object map[string]any) string {
	meta, _ := object["metadata"].(map[string]any)
	return strings.TrimSpace(snapshot.Ref{Kind: kind, Namespace: text(meta["namespace"]), Name: text(meta["name"])}.String())
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

// take converts a checked object into its type.
func (r *result) take(kind string, object map[string]any, at observe.Source) error {
	switch kind {
	case "Platform":
		return take(&r.platforms, object, at)
	case "Tenant":
		return take(&r.tenants, object, at)
	case "Space":
		return take(&r.spaces, object, at)
	case "Waiver":
		return take(&r.waivers, object, at)
	}
	return fmt.Errorf("kind %s is defined and not read: this is a fault of Bulkhead", kind)
}

func take[T any](list *[]Declared[T], object map[string]any, at observe.Source) error {
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, typed); err != nil {
		return err
	}
	*list = append(*list, Declared[T]{typed, at})
	return nil
}
