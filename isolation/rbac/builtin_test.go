package rbac_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
)

var update = flag.Bool("update", false, "record builtin.json from the API server again")

// What a folder of manifests leaves out and refers to all the same, such as ClusterRole edit, is what this API server
// makes. After a change of the Kubernetes version: go test ./isolation/rbac -run TestBuiltInRoles -update
func TestBuiltInRolesAreThoseOfTheAPIServer(t *testing.T) {
	cluster, err := testcluster.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	}()
	client := kubernetes.NewForConfigOrDie(cluster.Config)
	t.Run("kinds", func(t *testing.T) { everyKindIsKnown(t, client.Discovery()) })
	got := recordBuiltIn(t, client)
	const file = "builtin.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the API server makes; record it again: go test ./isolation/rbac -run TestBuiltInRoles -update", file)
	}
}

// everyKindIsKnown: a kind that the API server serves is known by whether its objects lie in namespaces. A right over one that
// is not known would be a doubt.
func everyKindIsKnown(t *testing.T, client discovery.DiscoveryInterface) {
	t.Helper()
	_, lists, err := client.ServerGroupsAndResources()
	must(t, err)
	served := 0
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		must(t, err)
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") {
				continue
			}
			served++
			namespaced, known := rbac.KnownKind(version.Group, r.Name)
			if !known || namespaced != r.Namespaced {
				t.Errorf("%s %s: namespaced %v; known %v, as namespaced %v", version, r.Name, r.Namespaced, known, namespaced)
			}
		}
	}
	for kind := range scheme.Scheme.AllKnownTypes() { // what newer or other servers serve
		o, err := scheme.Scheme.New(kind)
		must(t, err)
		plural, _ := meta.UnsafeGuessKindToResource(kind)
		if _, isObject := o.(metav1.Object); !isObject || plural.Group == "internal.apiserver.k8s.io" || plural.Group == "imagepolicy.k8s.io" || plural.Group == "policy" && kind.Kind == "Eviction" ||
			strings.HasPrefix(plural.Group, "testapigroup") || kind.Kind == "Scale" || kind.Kind == "TokenRequest" || kind.Kind == "RangeAllocation" || kind.Kind == "SerializedReference" {
			continue // no resources of their own
		}
		if _, known := rbac.KnownKind(plural.Group, plural.Resource); !known {
			t.Errorf("%s is not known", plural)
		}
	}
	if served < 50 {
		t.Errorf("only %d kinds are served", served)
	}
}

func recordBuiltIn(t *testing.T, client kubernetes.Interface) []byte {
	t.Helper()
	ctx, defaults := context.Background(), metav1.ListOptions{LabelSelector: "kubernetes.io/bootstrapping=rbac-defaults"}
	version, err := client.Discovery().ServerVersion()
	must(t, err)
	b := rbac.BuiltIn{Version: version.GitVersion}
	clusterRoles, err := client.RbacV1().ClusterRoles().List(ctx, defaults)
	must(t, err)
	for _, o := range clusterRoles.Items {
		b.ClusterRoles = append(b.ClusterRoles, &rbacv1.ClusterRole{ObjectMeta: builtInMeta(&o.ObjectMeta), Rules: o.Rules, AggregationRule: o.AggregationRule})
	}
	clusterBindings, err := client.RbacV1().ClusterRoleBindings().List(ctx, defaults)
	must(t, err)
	for _, o := range clusterBindings.Items {
		b.ClusterRoleBindings = append(b.ClusterRoleBindings, &rbacv1.ClusterRoleBinding{ObjectMeta: builtInMeta(&o.ObjectMeta), RoleRef: o.RoleRef, Subjects: o.Subjects})
	}
	roles, err := client.RbacV1().Roles("").List(ctx, defaults)
	must(t, err)
	for _, o := range roles.Items {
		b.Roles = append(b.Roles, &rbacv1.Role{ObjectMeta: builtInMeta(&o.ObjectMeta), Rules: o.Rules})
	}
	bindings, err := client.RbacV1().RoleBindings("").List(ctx, defaults)
	must(t, err)
	for _, o := range bindings.Items {
		b.RoleBindings = append(b.RoleBindings, &rbacv1.RoleBinding{ObjectMeta: builtInMeta(&o.ObjectMeta), RoleRef: o.RoleRef, Subjects: o.Subjects})
	}
	data, err := json.MarshalIndent(b, "", " ")
	must(t, err)
	return append(data, '\n')
}

// builtInMeta keeps what rights depend on: the name, and the labels that aggregation goes by.
func builtInMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	kept := metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name}
	for key, value := range m.Labels {
		if strings.HasPrefix(key, "rbac.authorization.k8s.io/") {
			if kept.Labels == nil {
				kept.Labels = map[string]string{}
			}
			kept.Labels[key] = value
		}
	}
	return kept
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
