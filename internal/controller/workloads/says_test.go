package workloads

import (
	"strings"
	"testing"
)

// Promise: what a controller reports of a refused pod is said with the control first and with what to do; what is no refusal is not said.
func TestWhatARefusalSays(t *testing.T) {
	for name, c := range map[string]struct{ message, want string }{
		"a policy": {`Error creating: pods "web-1" is forbidden: ValidatingAdmissionPolicy 'bulkhead-images' with binding 'bulkhead-images' denied request: ` +
			`images: image x:1 is not allowed; use one of y`, "images: image x:1 is not allowed; use one of y"},
		"a policy of others": {`Error creating: pods "web-1" is forbidden: ValidatingAdmissionPolicy 'house' with binding 'house' denied request: no`,
			"ValidatingAdmissionPolicy house: no"},
		"Pod Security": {`Error creating: pods "web-1" is forbidden: violates PodSecurity "restricted:v1.37": hostPort (container "c" uses hostPort 80)`,
			`pod-security: violates PodSecurity "restricted:v1.37": hostPort`},
		"the quota": {`Error creating: pods "web-1" is forbidden: exceeded quota: bulkhead, requested: pods=1, used: pods=1, limited: pods=1`,
			"quota: exceeded: requested: pods=1, used: pods=1, limited: pods=1; free something"},
		"the quota of finished pods": {`Error creating: pods "web-1" is forbidden: exceeded quota: bulkhead, requested: count/pods=1, used: count/pods=9, limited: count/pods=9`,
			"pods that are finished count"},
		"the limits": {`Error creating: pods "web-1" is forbidden: maximum cpu usage per Container is 2, but limit is 4`, "defaults: maximum cpu usage"},
		"a claim": {`create Claim data-db-0 for Pod db-0 in StatefulSet db failed error: persistentvolumeclaims "data-db-0" is forbidden: exceeded quota: bulkhead, ` +
			`requested: requests.storage=1Gi, used: requests.storage=0, limited: requests.storage=0`, "quota: exceeded: requested: requests.storage=1Gi"},
		"no refusal": {`Error creating: Internal error occurred: etcd is away`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			says, is := Says(c.message)
			if is != (c.want != "") || !strings.Contains(says, c.want) || is && strings.HasPrefix(says, c.want) != (name != "the quota of finished pods") {
				t.Errorf("says %q, want it to begin with %q", says, c.want)
			}
		})
	}
}

// Promise: the message names each workload with its refusal, and where the others stand; what tenants wrote in it changes no terminal and makes
// nothing too long to be stored.
func TestMessage(t *testing.T) {
	got := message("acme--web", []refusal{{"ReplicaSet a", "images: x"}, {"Job c", "quota: z"}}, 2)
	want := "ReplicaSet a: images: x; Job c: quota: z; and perhaps 2 more: `kubectl get events -n acme--web --field-selector reason=FailedCreate`"
	if got != want {
		t.Errorf("%s", got)
	}
	if got := printable("a\x1b[31mb\nc\u202ed\a" + strings.Repeat("\u00e9", 50_000)); strings.ContainsAny(got, "\x1b\n\u202e\a") || len(got) > 1_000 {
		t.Errorf("%d bytes: %q", len(got), got[:40])
	}
}
