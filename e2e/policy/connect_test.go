package policy_test

import (
	"testing"

	"k8s.io/client-go/kubernetes"
)

// Exec, logs, port-forward and proxies go through: policies see them, for the audit trail only. There is no kubelet here,
// so the API server fails to connect; what matters is that no policy is the reason.
func TestConnectionsPass(t *testing.T) {
	owner, ns := newSpace(t, "dialler", nil, nil)
	p := pod(ns, "p")
	if err := owner.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"pods/p/exec", "pods/p/attach", "pods/p/portforward", "pods/p/proxy", "services/web/proxy"} {
		err := clients.CoreV1().RESTClient().Post().AbsPath("/api/v1/namespaces/"+ns+"/"+path).
			Param("command", "true").Param("stdout", "true").Do(t.Context()).Error()
		if err == nil {
			t.Errorf("%s: connected to a pod on no node", path)
		} else if policy := refusedBy(err); policy != "" {
			t.Errorf("%s: refused by policy %s: %v", path, policy, err)
		}
	}
}
