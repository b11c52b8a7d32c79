// Package badinput shows what Bulkhead does with what should not have been written: a real API server and
// `bulkhead decide -f` refuse it, in words that a person understands, and nothing changes.
package badinput

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var server *api

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	cluster, err := testcluster.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	clients, err := kubernetes.NewForConfig(cluster.Config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server = &api{rest: clients.RESTClient()}
	code := m.Run()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// api sends what was written byte for byte: no client decodes it before the API server does.
type api struct{ rest rest.Interface }

// collections are the paths of the kinds, with the namespace of one tenant.
var collections = map[string]string{
	"Platform": "/apis/bulkhead.dev/v1alpha1/platforms",
	"Tenant":   "/apis/bulkhead.dev/v1alpha1/tenants",
	"Space":    "/apis/bulkhead.dev/v1alpha1/namespaces/tenant-news/spaces",
	"Waiver":   "/apis/bulkhead.dev/v1alpha1/waivers",
}

func (a *api) send(ctx context.Context, verb, path, body string, params map[string]string) (int, string) {
	contentType := "application/yaml"
	if verb == http.MethodPatch {
		contentType = "application/apply-patch+yaml"
	}
	request := a.rest.Verb(verb).AbsPath(path).SetHeader("Content-Type", contentType).
		SetHeader("Accept", "application/json").Body([]byte(body))
	for name, value := range params {
		request.Param(name, value)
	}
	var code int
	result := request.Do(ctx).StatusCode(&code)
	raw, err := result.Raw()
	var status metav1.Status
	if json.Unmarshal(raw, &status) == nil && status.Kind == "Status" {
		return code, status.Message
	}
	return code, fmt.Sprintf("%s (%v)", raw, err)
}

// create asks for an object with strict field validation, as kubectl does.
func (a *api) create(ctx context.Context, kind, body string, params map[string]string) (int, string) {
	all := map[string]string{"fieldValidation": "Strict"}
	maps.Copy(all, params)
	return a.send(ctx, http.MethodPost, collections[kind], body, all)
}

// world is the resourceVersion of the newest write to each collection that an object of ours could change.
func (a *api) world(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, path := range []string{
		"/apis/bulkhead.dev/v1alpha1/platforms", "/apis/bulkhead.dev/v1alpha1/tenants",
		"/apis/bulkhead.dev/v1alpha1/spaces", "/apis/bulkhead.dev/v1alpha1/waivers", "/api/v1/namespaces",
	} {
		stream, err := a.rest.Get().AbsPath(path).SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Stream(t.Context())
		if err != nil {
			t.Fatalf("list %s: %v", path, err)
		}
		data, err := io.ReadAll(stream)
		if err != nil {
			t.Fatalf("list %s: %v", path, err)
		}
		_, items, found := bytes.Cut(data, []byte(`"items":`))
		if !found {
			t.Fatalf("list %s: no items in %s", path, data)
		}
		fmt.Fprintf(&b, "%s %s\n", path, items)
	}
	return b.String()
}
