// Package demo plays an example platform on a cluster and returns what happened as values: what was declared, decided
// and enforced, what the tenants' developers could do, and what was refused and by which control. Every line of it is
// an answer of the API server to a real request, made with the identity that the line names.
package demo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Example is an example platform, in the order in which it is applied.
type Example struct {
	// Cluster is what the cluster itself offers; the administrator applies it.
	Cluster []*unstructured.Unstructured
	// Platform, Tenants and Waivers as the administrator applies them.
	Declared []*unstructured.Unstructured
	Tenants  []*v1alpha1.Tenant
	// Spaces as their owners apply them, in home namespaces.
	Spaces []*unstructured.Unstructured
	// Workloads, by the namespace that owners apply them in.
	Workloads []Workloads
}

// Workloads are what runs in one namespace.
type Workloads struct {
	Namespace string
	Objects   []*unstructured.Unstructured
}

// Load reads an example out of a folder. Objects of Bulkhead are decoded strictly; files in workloads/NAMESPACE belong
// to that namespace. An error names the file.
func Load(files fs.FS) (*Example, error) {
	e := &Example{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".yaml" {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if err := e.add(name, data); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the example platform: %w", err)
	}
	slices.SortStableFunc(e.Declared, func(a, b *unstructured.Unstructured) int {
		return rank(a.GetKind()) - rank(b.GetKind())
	})
	return e, nil
}

// rank puts the Platform before the tenants, which are decided with it, and waivers last.
func rank(kind string) int { return slices.Index([]string{"Platform", "Tenant", "Waiver"}, kind) }

func (e *Example) add(file string, data []byte) error {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &object.Object); err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue // comments alone
		}
		if err := e.place(file, object, document); err != nil {
			return fmt.Errorf("%s: %w", snapshot.RefOf(object.GetKind(), object), err)
		}
	}
}

func (e *Example) place(file string, object *unstructured.Unstructured, document []byte) error {
	if object.GetAPIVersion() == v1alpha1.GroupVersion.String() {
		return e.placeOwn(object, document)
	}
	namespace, inWorkloads := strings.CutPrefix(path.Dir(file), "workloads/")
	if !inWorkloads {
		e.Cluster = append(e.Cluster, object)
		return nil
	}
	object.SetNamespace(namespace)
	if n := len(e.Workloads); n == 0 || e.Workloads[n-1].Namespace != namespace {
		e.Workloads = append(e.Workloads, Workloads{Namespace: namespace})
	}
	last := &e.Workloads[len(e.Workloads)-1]
	last.Objects = append(last.Objects, object)
	return nil
}

func (e *Example) placeOwn(object *unstructured.Unstructured, document []byte) error {
	switch object.GetKind() {
	case "Platform":
		e.Declared = append(e.Declared, object)
		return yaml.UnmarshalStrict(document, &v1alpha1.Platform{})
	case "Waiver":
		e.Declared = append(e.Declared, object)
		return yaml.UnmarshalStrict(document, &v1alpha1.Waiver{})
	case "Tenant":
		tenant := &v1alpha1.Tenant{}
		e.Declared = append(e.Declared, object)
		e.Tenants = append(e.Tenants, tenant)
		return yaml.UnmarshalStrict(document, tenant)
	case "Space":
		e.Spaces = append(e.Spaces, object)
		return yaml.UnmarshalStrict(document, &v1alpha1.Space{})
	}
	return errors.New("no such kind in " + object.GetAPIVersion())
}
