package isolation

import (
	"runtime"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// CountRBACFindings runs the rbac check alone.
func CountRBACFindings(s *snapshot.Snapshot) int {
	p := newProof(s, Options{})
	findings, _ := rbacCheck().run(p)
	return len(findings)
}

// VerifyOnly runs some checks alone, by their ids.
func VerifyOnly(s *snapshot.Snapshot, o Options, ids ...string) *Report {
	p := newProof(s, o)
	checks := slices.DeleteFunc(Checks(), func(c Check) bool { return !slices.Contains(ids, c.ID) })
	found := make([]outcome, len(checks))
	for i := range checks {
		found[i] = p.outcomeOf(&checks[i])
	}
	return p.report(checks, found)
}

// RBACHeap is how much memory the finished closure holds beside the snapshot, in bytes.
func RBACHeap(s *snapshot.Snapshot) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := newProof(s, Options{})
	findings, _ := rbacCheck().run(p)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(findings)
	runtime.KeepAlive(p)
	return after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
}

// FromAccounts is what a tenant gains from others' service accounts.
func FromAccounts(s *snapshot.Snapshot, tenant string, accounts ...rbacv1.Subject) []Finding {
	return newProof(s, Options{}).rights().fromAccounts(tenant, accounts)
}

// KnownKind says whether the table of kinds has a resource, and whether its objects lie in namespaces.
func KnownKind(group, resource string) (namespaced, known bool) {
	k := newKinds()
	class := k.of(group, resource)
	return class == kindNamespaced, class != kindUnknown
}
