package rbac

// KnownKind reports whether the table of kinds has a resource, and whether its objects lie in namespaces.
func KnownKind(group, resource string) (namespaced, known bool) {
	k := newKinds()
	class := k.of(group, resource)
	return class == kindNamespaced, class != kindUnknown
}
