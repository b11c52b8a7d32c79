package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	componentversion "k8s.io/component-base/version"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Promise: built-in kinds come in their Go types, which drop what they lack, only from an API server that knows no more
// fields than these types.
func TestNewerServersAreReadAsJSON(t *testing.T) {
	known := version.MustParseGeneric(componentversion.DefaultKubeBinaryVersion)
	of := func(minor uint, rest string) string { return fmt.Sprintf("v%d.%d%s", known.Major(), minor, rest) }
	for server, want := range map[string]bool{
		of(known.Minor(), ".0"): false, of(known.Minor(), ".9-gke.1200"): false, of(known.Minor()-1, ".3+k3s1"): false,
		of(known.Minor()+1, ".0"): true, of(known.Minor()+1, ".0-alpha.1"): true, fmt.Sprintf("v%d.0.0", known.Major()+1): true,
		"": true, "unknown": true, "v0.0.0-master+$Format:%H$": true,
	} {
		if got := isNewer(server); got != want {
			t.Errorf("%q: %v, want %v", server, got, want)
		}
	}
}

var errForbidden = errors.New("forbidden")

// Promise: on a cluster, kinds of network plugins leave the network undecided where there are objects of them, or where it cannot be
// found out; their state, and what only mirrors NetworkPolicies, does not.
func TestKindsThatDecideTheNetworkOfACluster(t *testing.T) {
	served := &servedKinds{resources: map[schema.GroupVersionKind]string{}}
	lists := map[schema.GroupVersionResource]string{}
	serve := func(group, version, kind, resource string) {
		gv := schema.GroupVersion{Group: group, Version: version}
		served.resources[gv.WithKind(kind)], lists[gv.WithResource(resource)] = resource, kind+"List"
	}
	object := func(version, kind, name string) runtime.Object {
		o := &unstructured.Unstructured{}
		o.SetAPIVersion(version)
		o.SetKind(kind)
		o.SetNamespace("shop")
		o.SetName(name)
		return o
	}
	serve("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies")
	serve("cilium.io", "v2", "CiliumEndpoint", "ciliumendpoints")
	serve("projectcalico.org", "v3", "NetworkPolicy", "networkpolicies")
	serve("k8s.ovn.org", "v1", "EgressFirewall", "egressfirewalls")
	serve("crd.antrea.io", "v1beta1", "ClusterNetworkPolicy", "clusternetworkpolicies")
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists,
		object("cilium.io/v2", "CiliumNetworkPolicy", "open"), object("cilium.io/v2", "CiliumEndpoint", "web"), object("projectcalico.org/v3", "NetworkPolicy", "knp.default.closed"))
	client.PrependReactor("list", "clusternetworkpolicies", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errForbidden })
	missing := (&reader{client: client}).deciding(t.Context(), served)
	for _, want := range []string{"CiliumNetworkPolicy shop/open: 1 of CiliumNetworkPolicy cilium.io/v2", "ClusterNetworkPolicy crd.antrea.io/v1beta1, which may decide the network, could not be listed: forbidden"} {
		if !slices.ContainsFunc(missing, func(m snapshot.Missing) bool { return m.Kind == "NetworkPolicy" && strings.HasPrefix(m.Why, want) }) {
			t.Errorf("missing is %q, want %s", missing, want)
		}
	}
	if len(missing) != 2 {
		t.Errorf("missing is %q, want two kinds", missing)
	}
}
