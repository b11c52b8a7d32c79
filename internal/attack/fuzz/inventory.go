package fuzz

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
)

// objectKey is one object of a cluster.
type objectKey struct{ group, resource, namespace, name string }

// String names it as "deployments.apps kube-system/coredns".
func (k objectKey) String() string {
	kind := k.resource
	if k.group != "" {
		kind += "." + k.group
	}
	return kind + " " + path.Join(k.namespace, k.name)
}

// seenObject is what is remembered of an object: never its contents.
type seenObject struct {
	uid, revision string
	// contents is a digest of all that does not change by itself.
	contents [sha256.Size]byte
	version  string
	metadata metav1.ObjectMeta
	// trace is true when the run's name stands somewhere in it.
	trace bool
}

// Inventory is everything outside the tenant's own, at one time.
type Inventory struct {
	objects map[objectKey]seenObject
	// missing kinds with why they could not be listed.
	missing []string
}

func (v *Inventory) has(group, resource, namespace, name string) bool {
	_, there := v.objects[objectKey{group, resource, namespace, name}]
	return there
}

func (v *Inventory) sorted() []objectKey {
	return slices.SortedFunc(maps.Keys(v.objects), func(a, b objectKey) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.resource, b.resource), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
}

// TakeInventory lists, as the runner itself, everything that is served and can be listed.
func (z *Session) TakeInventory(ctx context.Context) *Inventory {
	v := &Inventory{objects: map[objectKey]seenObject{}}
	if z.seen.Missing != "" {
		v.missing = append(v.missing, z.seen.Missing)
	}
	for i := range z.seen.Resources {
		s := &z.seen.Resources[i]
		if s.Subresource != "" || !slices.Contains(s.Verbs, "list") || wholly(s) {
			continue
		}
		if err := z.listInto(ctx, v, s); err != nil {
			v.missing = append(v.missing, fmt.Sprintf("%s: %v", (&hostile.Request{Group: s.Group, Resource: s.Resource, Verb: "list"}).String(), err))
		}
	}
	return v
}

// listInto lists one kind in pages. A list whose revision is gone by then begins again.
func (z *Session) listInto(ctx context.Context, v *Inventory, s *hostile.Served) error {
	const pageSize, tries = "500", 3
	var err error
	for range tries {
		found, next := map[objectKey]seenObject{}, ""
		for more := true; more; more = next != "" {
			var items []json.RawMessage
			if items, next, err = page(ctx, z.runner.Server, s, pageSize, next); err != nil {
				break
			}
			for _, item := range items {
				if err := z.see(found, s, item); err != nil {
					return err
				}
			}
		}
		if err == nil {
			maps.Copy(v.objects, found)
			return nil
		}
		if !apierrors.IsResourceExpired(err) {
			return err
		}
	}
	return err
}

// page of a list. Of Secrets only the metadata is read: their revision shows every change.
func page(ctx context.Context, s *engine.Server, served *hostile.Served, size, from string) (items []json.RawMessage, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, engine.AnswerWithin)
	defer cancel()
	request := s.Rest.Get().AbsPath((&hostile.Request{Group: served.Group, Version: served.Version, Resource: served.Resource}).URL()).Param("limit", size)
	if from != "" {
		request.Param("continue", from)
	}
	if served.Group == "" && served.Resource == "secrets" {
		request.SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
	}
	raw, err := engine.RawOf(request.Do(ctx))
	if err != nil {
		return nil, "", err
	}
	var list struct {
		Kind     string
		Metadata metav1.ListMeta
		Items    []json.RawMessage
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, "", fmt.Errorf("decode the list: %w", err)
	}
	if !strings.HasSuffix(list.Kind, "List") {
		return nil, "", fmt.Errorf("the answer is a %q and no list", list.Kind)
	}
	return list.Items, list.Metadata.Continue, nil
}

// tenants reports whether an object is the tenant's own: in its Spaces all that Bulkhead does not keep there, and at home its Spaces.
func (z *Session) tenants(s *hostile.Served, m *metav1.ObjectMeta) bool {
	if m.Namespace == v1alpha1.HomeNamespace(z.target.Tenant.Name) {
		return s.Group == v1alpha1.GroupVersion.Group && s.Resource == "spaces"
	}
	return z.own[m.Namespace] && m.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy
}

// serviceOf is the namespace of the Service that an IPAddress stands for: the API server makes one for each address that it gives to a
// Service, and removes it with it, so that it is as much the tenant's own.
func serviceOf(s *hostile.Served, object map[string]any) string {
	if s.Group != "networking.k8s.io" || s.Resource != "ipaddresses" {
		return ""
	}
	spec, _ := object["spec"].(map[string]any)
	parent, _ := spec["parentRef"].(map[string]any)
	namespace, _ := parent["namespace"].(string)
	return namespace
}

// see remembers an object, unless it is the tenant's own.
func (z *Session) see(into map[objectKey]seenObject, s *hostile.Served, item json.RawMessage) error {
	var object map[string]any
	var partial metav1.PartialObjectMetadata
	if err := errors.Join(json.Unmarshal(item, &object), json.Unmarshal(item, &partial)); err != nil {
		return fmt.Errorf("decode an object: %w", err)
	}
	m := partial.ObjectMeta
	if m.Name == "" {
		return errors.New("an object has no name")
	}
	if z.tenants(s, &m) || z.own[serviceOf(s, object)] {
		return nil
	}
	seen := seenObject{uid: string(m.UID), revision: m.ResourceVersion, version: s.Version, metadata: m, trace: bytes.Contains(item, []byte(z.runner.Run))}
	if metadata, ok := object["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
		delete(metadata, "resourceVersion")
	}
	for _, rule := range byItself {
		if rule.is(s) {
			rule.leaveOut(object)
		}
	}
	contents, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode an object: %w", err)
	}
	seen.contents = sha256.Sum256(contents)
	into[objectKey{s.Group, s.Resource, m.Namespace, m.Name}] = seen
	return nil
}
