package rbac

import (
	"maps"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// kindClass reports what reading or writing objects of a kind means for tenants.
type kindClass int

const (
	// kindUnknown is no kind of Kubernetes or Bulkhead: whether its objects lie in namespaces is not known.
	kindUnknown kindClass = iota
	// kindNamespaced objects lie in namespaces, and so belong to tenants.
	kindNamespaced
	// kindNames are cluster-scoped objects that reveal others: tenants, their volumes, their nodes.
	kindNames
	// kindShared are cluster-scoped objects that everyone may know.
	kindShared
	// kindSelf are requests about the caller itself.
	kindSelf
)

// clusterClasses lists the cluster-scoped kinds that are not kindShared, as group/resource; the core group is empty.
func clusterClasses() map[kindClass][]string {
	return map[kindClass][]string{
		kindNames: {"/namespaces", "/nodes", "/persistentvolumes", "certificates.k8s.io/certificatesigningrequests",
			"rbac.authorization.k8s.io/clusterrolebindings", "storage.k8s.io/volumeattachments", "storage.k8s.io/csinodes",
			"flowcontrol.apiserver.k8s.io/flowschemas", "networking.k8s.io/ipaddresses", "resource.k8s.io/resourceslices",
			"metrics.k8s.io/nodes", v1alpha1.GroupVersion.Group + "/tenants", v1alpha1.GroupVersion.Group + "/platforms", v1alpha1.GroupVersion.Group + "/waivers",
			v1alpha1.GroupVersion.Group + "/isolationreports", "authentication.k8s.io/tokenreviews", "authorization.k8s.io/subjectaccessreviews"},
		kindSelf: {"authentication.k8s.io/selfsubjectreviews", "authorization.k8s.io/selfsubjectaccessreviews",
			"authorization.k8s.io/selfsubjectrulesreviews"},
	}
}

// kinds looks kinds up by group/resource.
type kinds struct {
	classes map[string]kindClass
	groups  map[string]bool
	// scoped are the resources that are cluster-scoped in every group that is known, by what they reveal.
	scoped map[string]kindClass
}

func newKinds() kinds {
	k := kinds{map[string]kindClass{}, map[string]bool{"*": true}, map[string]kindClass{}}
	for _, kind := range snapshot.Kinds() {
		class := kindShared
		if kind.Namespaced {
			class = kindNamespaced
		}
		k.classes[kind.Group+"/"+kind.Resource], k.groups[kind.Group] = class, true
	}
	for class, resources := range clusterClasses() {
		for _, name := range resources {
			k.classes[name] = class
		}
	}
	for name, class := range k.classes {
		_, resource, _ := strings.Cut(name, "/")
		if before, has := k.scoped[resource]; has {
			class = min(before, class)
		}
		k.scoped[resource] = class
	}
	maps.DeleteFunc(k.scoped, func(_ string, class kindClass) bool { return class == kindNamespaced })
	return k
}

// of classifies a resource of a rule, which may be a wildcard. A subresource is of its resource's class.
func (k *kinds) of(group, resource string) kindClass {
	resource, _, _ = strings.Cut(resource, "/")
	if class, known := k.scoped[resource]; group == "*" && known {
		return class
	}
	if group == "*" || resource == "*" {
		if k.groups[group] {
			return kindNamespaced // and more; what else there is in them, the table of rights lists
		}
		return kindUnknown
	}
	return k.classes[group+"/"+resource]
}

// publicPath reports whether a path that is no resource reveals nothing about tenants: health, versions, the API's own
// description.
func publicPath(pattern string) bool {
	path := strings.TrimRight(pattern, "*")
	if pattern == "/" || pattern == "" {
		return true
	}
	for _, public := range []string{"/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz", "/.well-known/openid-configuration", "/openid"} {
		if path == public || strings.HasPrefix(path, public+"/") {
			return true
		}
	}
	return false
}
