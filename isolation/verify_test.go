package isolation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// twoTenants are two tenants with a pod each, whose network is open.
func twoTenants() snapshot.Snapshot {
	return snapshot.Snapshot{
		Revision: "7", Time: time.Unix(1_000, 0),
		Tenants:    []snapshot.Tenant{{Name: "a", Namespaces: []string{"a1"}}, {Name: "b", Namespaces: []string{"b1"}}},
		Namespaces: []*snapshot.Namespace{{Name: "a1"}, {Name: "b1"}},
		Pods:       []*snapshot.Pod{{Namespace: "a1", Name: "x", Phase: corev1.PodRunning}, {Namespace: "b1", Name: "y", Phase: corev1.PodRunning}},
	}
}

func mustSnapshot(t *testing.T, c snapshot.Snapshot) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hasCode(r *isolation.Report, code string) bool {
	for _, f := range r.Findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// Codes are what other people's scripts go by: unique, explained, and each of the form BH and four digits.
func TestCodesAreUniqueAndExplained(t *testing.T) {
	seen := map[string]bool{}
	for _, check := range isolation.Checks() {
		if check.ID == "" || check.Title == "" || len(check.Codes) == 0 {
			t.Errorf("check %q lacks an id, a title or codes", check.ID)
		}
		for _, c := range check.Codes {
			if len(c.ID) != 6 || !strings.HasPrefix(c.ID, "BH") || strings.Trim(c.ID[2:], "0123456789") != "" {
				t.Errorf("code %q of check %s is not BH and four digits", c.ID, check.ID)
			}
			if seen[c.ID] {
				t.Errorf("code %s is there twice", c.ID)
			}
			if seen[c.ID] = true; c.Title == "" || c.Why == "" || c.Fix == "" || c.Severity == "" {
				t.Errorf("code %s lacks a title, a reason, a fix or a severity", c.ID)
			}
		}
	}
}

func TestWhatIsExposedIsInBothTenantsReports(t *testing.T) {
	r := isolation.Verify(mustSnapshot(t, twoTenants()), finding.Options{})
	if r.Verdict != finding.Exposed || !hasCode(r, "BH3001") {
		t.Fatalf("an open network: %+v", r)
	}
	for _, name := range []string{"a", "b"} {
		tenant, found := r.Tenant(name)
		if !found || tenant.Verdict != finding.Exposed || len(tenant.Findings) == 0 {
			t.Errorf("tenant %s: %+v", name, tenant)
		}
	}
}

// A proof reports how old what it judged may be; beyond it, and where a kind was not read, the answer is Unknown and names why.
func TestStaleOrIncompleteIsUnknown(t *testing.T) {
	c := twoTenants()
	c.Pods = nil
	s := mustSnapshot(t, c)
	fresh := finding.Options{Freshness: time.Minute, Now: time.Unix(1_030, 0)}
	if r := isolation.Verify(s, fresh); hasCode(r, "BH7002") {
		t.Errorf("30 s old with a freshness of a minute: %+v", r.Findings)
	}
	fresh.Now = time.Unix(1_061, 0)
	if r := isolation.Verify(s, fresh); r.Verdict == finding.Isolated || !hasCode(r, "BH7002") {
		t.Errorf("61 s old with a freshness of a minute: %s %+v", r.Verdict, r.Findings)
	}
	c.Missing = []snapshot.Missing{{Kind: "NetworkPolicy", Why: "forbidden"}}
	r := isolation.Verify(mustSnapshot(t, c), finding.Options{})
	if r.Verdict == finding.Isolated || !hasCode(r, "BH7001") {
		t.Errorf("without NetworkPolicies: %s %+v", r.Verdict, r.Findings)
	}
}

func TestNoTenantsProveNothing(t *testing.T) {
	r := isolation.Verify(mustSnapshot(t, snapshot.Snapshot{}), finding.Options{})
	if r.Verdict != finding.Unknown || !hasCode(r, "BH7003") {
		t.Errorf("an empty snapshot: %s %+v", r.Verdict, r.Findings)
	}
}

// Promise: a tenant of which nothing was read is Unknown, and the others are judged.
func TestTenantWithoutNamespacesIsUnknown(t *testing.T) {
	c := twoTenants()
	if r := isolation.Verify(mustSnapshot(t, c), finding.Options{}); hasCode(r, "BH7005") {
		t.Errorf("each has a namespace: %+v", r.Findings)
	}
	c.Tenants = append(c.Tenants, snapshot.Tenant{Name: "c"})
	r := isolation.Verify(mustSnapshot(t, c), finding.Options{})
	for name, want := range map[string]bool{"a": false, "c": true} {
		tenant, found := r.Tenant(name)
		has := slices.ContainsFunc(tenant.Findings, func(i int) bool { return r.Findings[i].Code == "BH7005" })
		if !found || has != want || want && tenant.Verdict != finding.Unknown {
			t.Errorf("tenant %s: %+v", name, tenant)
		}
	}
}
