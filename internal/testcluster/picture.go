package testcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
)

// asked is in a message how many questions a proof asked: that depends on which other tenants there are.
var asked = regexp.MustCompile(`\d+ questions asked`)

// Picture is everything that exists for a tenant, and the record of its removal, without what differs between two tenants
// that were declared alike and are in the same state: their names, identities, versions and times.
func Picture(ctx context.Context, from client.Reader, tenant string) (string, error) {
	objects, err := everythingOf(ctx, from, tenant)
	if err != nil {
		return "", err
	}
	lines := make([]string, 0, len(objects))
	for _, o := range objects {
		o.SetManagedFields(nil)
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return "", fmt.Errorf("picture of %s: %w", apply.RefOf(o), err)
		}
		if metadata, ok := content["metadata"].(map[string]any); ok {
			for _, key := range []string{"uid", "resourceVersion", "creationTimestamp", "generation"} {
				delete(metadata, key)
			}
		}
		switch o.(type) {
		case *v1alpha1.Space, *v1alpha1.Tenant:
		default:
			delete(content, "status") // it is others' to write
		}
		text, err := json.MarshalIndent(scrub(content), "", " ")
		if err != nil {
			return "", fmt.Errorf("picture of %s: %w", apply.RefOf(o), err)
		}
		lines = append(lines, fmt.Sprintf("%T %s", o, text))
	}
	slices.Sort(lines)
	picture := strings.NewReplacer(tenant, "TENANT", v1alpha1.PriorityLevelName(tenant), "PRIORITY-LEVEL").Replace(strings.Join(lines, "\n"))
	return asked.ReplaceAllString(picture, "questions asked"), nil
}

func everythingOf(ctx context.Context, from client.Reader, tenant string) ([]client.Object, error) {
	var objects []client.Object
	note := func(item runtime.Object) error {
		if o, ok := item.(client.Object); ok {
			objects = append(objects, o)
		}
		return nil
	}
	for _, kind := range apply.Kinds() {
		list := kind.List.DeepCopyObject().(client.ObjectList) //nolint:forcetypeassert // a copy has its original's type
		if err := from.List(ctx, list, client.MatchingLabels{v1alpha1.LabelTenant: tenant}); err != nil {
			return nil, fmt.Errorf("list what tenant %s has: %w", tenant, err)
		}
		if err := meta.EachListItem(list, note); err != nil {
			return nil, fmt.Errorf("list what tenant %s has: %w", tenant, err)
		}
	}
	owner, spaces, records := &v1alpha1.Tenant{}, &v1alpha1.SpaceList{}, &corev1.ConfigMapList{}
	err := from.Get(ctx, client.ObjectKey{Name: tenant}, owner)
	if err == nil {
		objects = append(objects, owner)
	} else if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get tenant %s: %w", tenant, err)
	}
	if err := from.List(ctx, spaces, client.InNamespace(v1alpha1.HomeNamespace(tenant))); err != nil {
		return nil, fmt.Errorf("list the spaces of tenant %s: %w", tenant, err)
	}
	for i := range spaces.Items {
		objects = append(objects, &spaces.Items[i])
	}
	if err := from.List(ctx, records, client.InNamespace(v1alpha1.SystemNamespace)); err != nil {
		return nil, fmt.Errorf("list off-boarding records: %w", err)
	}
	for i := range records.Items {
		if r := &records.Items[i]; r.Data["tenant"] == tenant {
			r.Name = strings.TrimSuffix(r.Name, r.Data["uid"][:min(8, len(r.Data["uid"]))])
			for _, key := range []string{"uid", "requested", "finished"} {
				r.Data[key] = fmt.Sprint(r.Data[key] != "")
			}
			objects = append(objects, r)
		}
	}
	return objects, nil
}

// scrub takes out times, counts of questions and hashes over names.
func scrub(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			switch key {
			case "lastTransitionTime", "time", "asked", "revision", "covers":
				delete(v, key)
			default:
				v[key] = scrub(v[key])
			}
		}
	case []any:
		for i := range v {
			v[i] = scrub(v[i])
		}
	}
	return value
}
