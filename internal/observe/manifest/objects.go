package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// objectReader turns documents into objects. It may be used by many goroutines at once.
type objectReader struct {
	kinds map[schema.GroupKind]observe.Kind
	own   *definitions
	// policies are the definitions of administrators' network policies.
	policies *definitions
}

// read turns one document into what it declares.
func (m *objectReader) read(doc *document) objects {
	if doc.fault != nil {
		return objects{faults: []Fault{*doc.fault}}
	}
	nodes, fault := doc.parse()
	if fault != nil {
		fault.Message += templateHint(doc.data)
		return objects{faults: []Fault{*fault}}
	}
	d := documentReader{objectReader: m, document: doc}
	for _, node := range nodes {
		d.node(node, metav1.TypeMeta{})
	}
	return d.objects
}

// templateHint is what to do with a template.
func templateHint(data []byte) string {
	if bytes.Contains(data, []byte("{{")) {
		return ": this looks like a template; render it first, as `helm template` does"
	}
	return ""
}

// documentReader reads one document.
type documentReader struct {
	*objectReader
	*document
	objects
}

func (d *documentReader) fault(at *yaml.Node, object, format string, args ...any) {
	d.faults = append(d.faults, Fault{Source: d.source(at), Object: object, Message: fmt.Sprintf(format, args...)})
}

// node reads an object, a list of them, or what is neither. Items of a list may leave out their type.
func (d *documentReader) node(node *yaml.Node, inherited metav1.TypeMeta) {
	node = resolved(node)
	switch {
	case node.ShortTag() == "!!null":
		return // a document of comments only
	case node.Kind == yaml.SequenceNode:
		for _, item := range node.Content {
			d.node(item, inherited)
		}
		return
	case node.Kind != yaml.MappingNode:
		d.fault(node, "", "not an object: want a map with apiVersion, kind and metadata")
		return
	}
	typed := metav1.TypeMeta{APIVersion: wordAt(node, "apiVersion"), Kind: wordAt(node, "kind")}
	if typed == (metav1.TypeMeta{}) {
		typed = inherited
	}
	items := resolvedChild(node, "items")
	switch kindNode := resolvedChild(node, "kind"); {
	case kindNode != nil && kindNode.Kind != yaml.ScalarNode:
		d.fault(kindNode, "", "kind is not a word%s", templateHint(d.data))
	case typed.Kind == "":
		d.passed = append(d.passed, "documents without a kind") // values, charts: nothing that a cluster takes
	case typed.APIVersion == "":
		d.fault(node, typed.Kind, "apiVersion is missing: no cluster takes an object without it")
	case items != nil && items.Kind == yaml.SequenceNode && strings.HasSuffix(typed.Kind, "List"):
		d.list(items, typed)
	default:
		d.object(node, schema.FromAPIVersionAndKind(typed.APIVersion, typed.Kind))
	}
}

func (d *documentReader) list(items *yaml.Node, typed metav1.TypeMeta) {
	item := metav1.TypeMeta{APIVersion: typed.APIVersion, Kind: strings.TrimSuffix(typed.Kind, "List")}
	if item.Kind == "" {
		item = metav1.TypeMeta{} // a List is of anything
	}
	for _, node := range items.Content {
		d.node(node, item)
	}
}

func (d *documentReader) object(node *yaml.Node, gvk schema.GroupVersionKind) {
	d.objects.kinds = append(d.objects.kinds, gvk)
	if gvk.Group == v1alpha1.GroupVersion.Group && !strings.HasSuffix(gvk.Kind, "Report") {
		if value, ok := d.convert(node); ok {
			d.objectReader.own.decodeObject(d.document, node, value, true, &d.objects.own)
		}
		return
	}
	k, needed := d.objectReader.kinds[gvk.GroupKind()]
	if current := d.successor(gvk); !needed && current != "" {
		d.miss(gvk.Kind, node, nodeName(gvk.Kind, node), "is of "+gvk.GroupVersion().String()+", which API servers have removed, and counts as absent: give "+current)
	}
	if !needed {
		kind := gvk.Kind + " " + gvk.GroupVersion().String()
		d.passed = append(d.passed, kind)
		if observe.DecidesNetwork(gvk.GroupKind()) {
			d.deciding = append(d.deciding, deciding{kind, d.source(node), 1})
		}
		return
	}
	value, ok := d.convert(node)
	if !ok {
		return
	}
	switch {
	case gvk.Version == "" || !k.Understands(gvk.Version):
		d.miss(k.Missing, node, objectName(gvk.Kind, value), "is of version "+gvk.Version+", which is not understood: give "+strings.Join(k.Versions, " or "))
		return
	case !k.Served(gvk.Version):
		d.missIn(namespaceOf(&k, value), k.Missing, node, objectName(gvk.Kind, value), "is of version "+gvk.Version+", which API servers have removed or do not serve by default, and counts as absent: give v1")
		return
	}
	d.take(node, &k, gvk.Kind, value)
}

// successor is the group and version that took over a kind of the group extensions, of which no API server has anything left; empty
// for other groups and kinds.
func (d *documentReader) successor(gvk schema.GroupVersionKind) string {
	if gvk.Group != "extensions" {
		return ""
	}
	for _, group := range []string{"networking.k8s.io", "apps"} {
		if k, read := d.objectReader.kinds[schema.GroupKind{Group: group, Kind: gvk.Kind}]; read {
			return group + "/" + k.Versions[0]
		}
	}
	return ""
}

// take decodes an object of a kind that proofs read.
func (d *documentReader) take(node *yaml.Node, k *observe.Kind, kindName string, value map[string]any) {
	name := objectName(kindName, value)
	meta, _ := value["metadata"].(map[string]any)
	delete(meta, "managedFields")
	object, err := k.Decode(value)
	var unknown *observe.UnknownFieldsError
	switch {
	case errors.As(err, &unknown):
		for _, path := range unknown.Paths {
			d.miss(k.Missing, place(node, path), name, fmt.Sprintf("has field %s, which is not known here", path))
		}
	case err != nil:
		path, why := misfit(k, value, err)
		d.miss(k.Missing, place(node, path), name, "cannot be decoded: "+why)
		return
	}
	switch {
	case object.GetName()+object.GetGenerateName() == "":
		d.fault(node, kindName, "metadata.name is missing")
		return
	case !k.Namespaced:
		object.SetNamespace("")
	case object.GetNamespace() == "":
		object.SetNamespace(metav1.NamespaceDefault)
	}
	if why := d.refusals(kindName, value, object, k.Namespaced); len(why) > 0 {
		d.missIn(object.GetNamespace(), k.Missing, place(node, why[0].path), name, "would be refused by the API server, and counts as absent: "+words(why))
		return
	}
	object.SetName(cmp.Or(object.GetName(), object.GetGenerateName()))
	read := item{kind: kindName, object: object, put: k.Put, at: d.source(node)}
	if _, isWorkload := object.(*observe.Workload); isWorkload {
		delete(value, "metadata")
		read.rest = value
	}
	d.items = append(d.items, read)
}

// miss notes that an object of a kind is not understood, so that what was read is not taken for all.
func (d *documentReader) miss(kind string, at *yaml.Node, object, why string) {
	d.missIn("", kind, at, object, why)
}

// missIn is the same for an object that concerns its namespace alone: one that the API server refuses acts nowhere.
func (d *documentReader) missIn(namespace, kind string, at *yaml.Node, object, why string) {
	d.missing = append(d.missing, snapshot.Missing{Kind: kind, Why: fmt.Sprintf("%s: %s %s", d.source(at), object, why), Namespace: namespace})
}

// namespaceOf an object that was converted; empty for a cluster-scoped one.
func namespaceOf(k *observe.Kind, value map[string]any) string {
	if !k.Namespaced {
		return ""
	}
	meta, _ := value["metadata"].(map[string]any)
	name, _ := meta["namespace"].(string)
	return cmp.Or(name, metav1.NamespaceDefault)
}

// convert reads a node as Kubernetes' own tools read it.
func (d *documentReader) convert(node *yaml.Node) (map[string]any, bool) {
	v := values{document: d.document, left: maxValues + len(d.data), kubernetes: true}
	value, err := v.convert(node, 0)
	d.faults = append(d.faults, v.faults...)
	if err != nil || len(v.faults) > 0 {
		return nil, false
	}
	object, isMap := value.(map[string]any)
	return object, isMap
}

// parameters are the objects of the kinds that admission policies' bindings refer to.
func (m *objectReader) parameters(documents []document, results []objects, wanted map[schema.GroupVersionKind]bool) ([]*unstructured.Unstructured, []Fault) {
	var found []*unstructured.Unstructured
	var faults []Fault
	for i := range results {
		for _, gvk := range results[i].kinds {
			if wanted[gvk] {
				list, more := m.untyped(&documents[i], wanted)
				found, faults = append(found, list...), append(faults, more...)
				break
			}
		}
	}
	return found, faults
}

// untyped reads a document's objects of some kinds as they are.
func (m *objectReader) untyped(doc *document, wanted map[schema.GroupVersionKind]bool) ([]*unstructured.Unstructured, []Fault) {
	raw := objectReader{own: m.own, policies: m.policies, kinds: map[schema.GroupKind]observe.Kind{}}
	for gvk := range wanted {
		raw.kinds[gvk.GroupKind()] = observe.Kind{Versions: []string{gvk.Version}, Namespaced: true, Missing: gvk.Kind, Decode: func(value map[string]any) (metav1.Object, error) {
			return &unstructured.Unstructured{Object: value}, nil
		}}
	}
	r := raw.read(doc)
	var found []*unstructured.Unstructured
	for i := range r.items {
		if object, is := r.items[i].object.(*unstructured.Unstructured); is {
			found = append(found, object)
		}
	}
	return found, r.faults
}

// revisionOf files is the same for the same contents in the same order of names, wherever they lie.
func revisionOf(inputs []input) string {
	all := sha256.New()
	for i := range inputs {
		sum := sha256.Sum256(inputs[i].data)
		all.Write(sum[:])
	}
	const digits = 12
	return "files-" + hex.EncodeToString(all.Sum(nil))[:digits]
}

// nodeName is objectName of what was not converted.
func nodeName(kind string, node *yaml.Node) string {
	meta := resolvedChild(node, "metadata")
	if meta == nil {
		return kind
	}
	return snapshot.Ref{Kind: kind, Namespace: wordAt(meta, "namespace"), Name: wordAt(meta, "name")}.String()
}

func wordAt(node *yaml.Node, key string) string {
	if value := resolvedChild(node, key); value != nil && value.Kind == yaml.ScalarNode {
		return value.Value
	}
	return ""
}

func resolvedChild(node *yaml.Node, key string) *yaml.Node {
	if value := child(node, key); value != nil {
		return resolved(value)
	}
	return nil
}
