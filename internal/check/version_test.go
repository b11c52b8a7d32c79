package check

import "testing"

// Promise: a cluster older than 1.36 is refused, whatever its vendor adds to the version, and what cannot be read is
// not taken for new enough.
func TestVersions(t *testing.T) {
	for _, test := range []struct {
		git  string
		want State
	}{
		{"v1.35.9", Problem},
		{"v1.35.2-gke.1000", Problem},
		{"v1.9.0", Problem},
		{"v1.36.0", OK},
		{"v1.36.1+k3s1", OK},
		{"v1.37.2-eks-abcdef", OK},
		{"v2.0.0", OK},
	} {
		findings, err := judgeVersion(test.git)
		if err != nil || len(findings) != 1 || findings[0].State != test.want {
			t.Errorf("%s: %v %v, want %s", test.git, findings, err, test.want)
		}
	}
	if findings, err := judgeVersion("unknown"); err == nil {
		t.Errorf("a version that cannot be read gave %v", findings)
	}
}

// Promise: every check has a code of its own, says why it matters and what to do, and belongs to a known group.
func TestChecksAreComplete(t *testing.T) {
	seen := map[string]bool{}
	groups := map[string]bool{GroupCluster: true, GroupInstall: true, GroupBulkhead: true, GroupTenants: true, GroupHygiene: true}
	for _, c := range Checks() {
		if seen[c.Code] {
			t.Errorf("%s is there twice", c.Code)
		}
		seen[c.Code] = true
		if c.Title == "" || c.Why == "" || c.Fix == "" || c.run == nil || !groups[c.Group] {
			t.Errorf("%s is not complete: %+v", c.Code, c)
		}
	}
}
