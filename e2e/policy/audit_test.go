package policy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// auditEvent is what the test reads of an event of the audit log.
type auditEvent struct {
	Verb      string
	ObjectRef struct{ Name, Resource string }
	User      struct{ Username string }
	// Annotations that admission added.
	Annotations map[string]string
}

// The audit trail says for every write in a tenant's namespace whose it was, and of a refusal which policy refused why.
func TestAuditTrail(t *testing.T) {
	owner, ns := newSpace(t, "audited", nil, nil)
	good := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "written"}}
	if err := owner.Create(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if err := owner.Delete(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	bad := spoiled(ns, func(s *corev1.PodSpec) { s.Containers[0].Image = "nginx" })
	assertRefused(t, owner.Create(t.Context(), bad, client.DryRunAll), "images", "")

	found := map[string]auditEvent{}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		for _, e := range readAudit(t) {
			if e.User.Username == "system:apiserver" {
				continue
			}
			found[e.Verb+" "+e.ObjectRef.Resource+"/"+e.ObjectRef.Name] = e
		}
		_, last := found["create pods/spoiled"]
		return last, nil
	})
	if err != nil {
		t.Fatalf("%v; found %v", err, found)
	}
	for _, request := range []string{"create configmaps/written", "delete configmaps/written", "create pods/spoiled"} {
		for key, want := range map[string]string{"bulkhead-audit/tenant": "audited", "bulkhead-audit/space": "space"} {
			if got := found[request].Annotations[key]; got != want {
				t.Errorf("%s: audit annotation %s is %q, want %q", request, key, got, want)
			}
		}
	}
	failure := found["create pods/spoiled"].Annotations["validation.policy.admission.k8s.io/validation_failure"]
	for _, part := range []string{`"policy":"bulkhead-images"`, `image \"nginx\" of container \"harmless\" comes from no allowed registry`} {
		if !strings.Contains(failure, part) {
			t.Errorf("the refusal's audit annotation lacks %s: %s", part, failure)
		}
	}
}

// readAudit reads the events that the API server has written so far; it may be in the middle of a line.
func readAudit(t *testing.T) []auditEvent {
	t.Helper()
	content, err := os.ReadFile(auditLog)
	if err != nil {
		t.Fatal(err)
	}
	complete := content[:bytes.LastIndexByte(content, '\n')+1]
	var events []auditEvent
	lines := bufio.NewScanner(bytes.NewReader(complete))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e auditEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return events
}
