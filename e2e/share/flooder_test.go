package share_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// floodVariable in its environment makes the test's program the flood: a process of its own, and of the lowest priority,
// so that what is measured is the server, and not who gets the processors of the machine that measures.
const floodVariable = "BULKHEAD_FLOOD"

// senders of a flood, each with an identity of its own: who is fair by user is not fair to those with one user.
const senders = 64

// floodOrder says where, and as whom; and whether each sender sends all kinds in turn, or one of them without end.
type floodOrder struct {
	Host, Namespace string
	Configs         []rest.TLSClientConfig
	InTurn          bool
}

// floodResult is what became of it, by the kind of request and the status of the answer.
type floodResult map[string]map[int]int

// startFlood sets a tenant's service accounts on the API server.
func startFlood(b *testing.B, namespace string, inTurn bool) (stop func() floodResult) {
	b.Helper()
	order := floodOrder{Host: cluster.Config.Host, Namespace: namespace, InTurn: inTurn}
	all := "system:serviceaccounts:" + namespace
	bind := func(as client.Client, name, kind, role string) {
		must(b, client.IgnoreAlreadyExists(as.Create(b.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: all}},
		})))
	}
	bind(as(b, "greedy-owner"), "flood", "ClusterRole", v1alpha1.RoleOwner)
	// No tenant may write Events; a platform that lets one, for an operator of its own, is flooded with those too.
	must(b, client.IgnoreAlreadyExists(admin.Create(b.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "events"},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"events"}}},
	})))
	bind(admin, "events", "Role", "events")
	for i := range senders {
		config, err := cluster.User(fmt.Sprintf("system:serviceaccount:%s:sender-%d", namespace, i), "system:serviceaccounts", all)
		must(b, err)
		order.Configs = append(order.Configs, config.TLSClientConfig)
	}
	self, err := os.Executable()
	must(b, err)
	command := exec.Command("nice", "-n", "19", self)
	command.Env = append(os.Environ(), floodVariable+"=1")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	must(b, err)
	out, err := command.StdoutPipe()
	must(b, err)
	must(b, command.Start())
	must(b, json.NewEncoder(in).Encode(order))
	return func() (result floodResult) {
		must(b, in.Close())
		must(b, json.NewDecoder(out).Decode(&result))
		must(b, command.Wait())
		return result
	}
}

// floodMain floods as it is told on in, until that ends.
func floodMain(in io.Reader, out io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "flood:", err)
		return 1
	}
	var order floodOrder
	decoder := json.NewDecoder(in)
	if err := decoder.Decode(&order); err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	results := make([]floodResult, len(order.Configs))
	var group sync.WaitGroup
	for i, tls := range order.Configs {
		transport, err := rest.HTTPClientFor(&rest.Config{Host: order.Host, TLSClientConfig: tls})
		if err != nil {
			cancel()
			return fail(err)
		}
		results[i] = floodResult{}
		group.Go(func() { flood(ctx, transport, &order, i, results[i]) })
	}
	_, _ = io.Copy(io.Discard, in) // until it is closed
	cancel()
	group.Wait()
	result := floodResult{}
	for _, one := range results {
		for kind, statuses := range one {
			for status, n := range statuses {
				result.add(kind, status, n)
			}
		}
	}
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return fail(err)
	}
	return 0
}

func (r floodResult) add(kind string, status, n int) {
	if r[kind] == nil {
		r[kind] = map[int]int{}
	}
	r[kind][status] += n
}

// torrent is one kind of request that is sent without end.
type torrent struct{ kind, method, path, body string }

// torrents of a flood: what is long and what is short.
var torrents = []torrent{
	{"lists", http.MethodGet, "/configmaps", ""},
	{"lists from the cache", http.MethodGet, "/configmaps?resourceVersion=0", ""},
	{"watches", http.MethodGet, "/pods?watch=1&timeoutSeconds=1", ""},
	{"events", http.MethodPost, "/events", `{"metadata":{"generateName":"e"},"involvedObject":{"namespace":"NAMESPACE","kind":"Pod","name":"p"},"reason":"Flood","type":"Normal"}`},
	{"creates", http.MethodPost, "/configmaps?dryRun=All", `{"metadata":{"generateName":"f"},"data":{"x":"` + strings.Repeat("y", 10_000) + `"}}`},
}

// flood sends without end, as the sender of this number, and counts the answers.
func flood(ctx context.Context, transport *http.Client, o *floodOrder, sender int, result floodResult) {
	base := strings.TrimSuffix(o.Host, "/") + "/api/v1/namespaces/" + o.Namespace
	for kind := sender; ctx.Err() == nil; {
		t := &torrents[kind%len(torrents)]
		if o.InTurn {
			kind++
		}
		body := strings.ReplaceAll(t.body, "NAMESPACE", o.Namespace)
		request, err := http.NewRequestWithContext(ctx, t.method, base+t.path, strings.NewReader(body))
		if err != nil {
			return // the constants above make none such
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept-Encoding", "gzip") // said by us, it is not unpacked here: that costs the server nothing
		answer, err := transport.Do(request)
		if err != nil {
			continue // cut off at the end, or the server's back turned: the flood goes on
		}
		_, _ = io.Copy(io.Discard, answer.Body) // only its length matters to the server
		_ = answer.Body.Close()
		result.add(t.kind, answer.StatusCode, 1)
	}
}
