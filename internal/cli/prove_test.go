package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// What matters is read first: the answer with what is worst, the check that has the worst, and of what is alike three.
func TestTheWorstIsToldFirstAndWhatIsAlikeOnce(t *testing.T) {
	const shown = 3
	var manifest strings.Builder
	for i := range 10 {
		fmt.Fprintf(&manifest, "{apiVersion: v1, kind: Namespace, metadata: {name: n%d, labels: {team: t%d}}}\n---\n", i, i)
		fmt.Fprintf(&manifest, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: n%d}, spec: {containers: [{name: c, image: c}]}}\n---\n", i)
	}
	manifest.WriteString("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: x}, " +
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, subjects: [{kind: ServiceAccount, name: default, namespace: n3}]}\n")
	var out, errOut bytes.Buffer
	if code := Main([]string{"prove", "-f", "-", "--tenant-label", "team", "-q"}, strings.NewReader(manifest.String()), &out, &errOut); code != exitNo {
		t.Fatalf("exit %d: %s", code, errOut.String())
	}
	lines := strings.Split(out.String(), "\n")
	if !strings.HasPrefix(lines[0], "✘ exposed: 10 tenants; ") || !strings.Contains(lines[0], " Critical") {
		t.Errorf("the first line is %q", lines[0])
	}
	if len(lines) < 4 || !strings.HasPrefix(lines[3], "  ✘ BH1001 Critical  t3 -> every tenant") && !strings.HasPrefix(lines[4], "  ✘ BH1001 Critical  t3 -> every tenant") {
		t.Errorf("the first finding is not the worst:\n%s", strings.Join(lines[:6], "\n"))
	}
	if n := strings.Count(out.String(), "BH2005"); n != shown+1 || !strings.Contains(out.String(), "BH2005 Low  and 7 more like it, of 7 tenants") {
		t.Errorf("BH2005 is told %d times", n)
	}
}
