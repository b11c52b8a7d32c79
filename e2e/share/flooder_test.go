//go:build unix

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
	"sync/atomic"
	"syscall"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// floodVariable in its environment makes the test's program the flood: a process of its own, and of the lowest priority,
// so that what is measured is the server, and not who gets the processors of the machine that measures.
const floodVariable = "BULKHEAD_FLOOD"

// senders of a flood, each with an identity of its own: who is fair by user is not fair to those with one user.
const senders = 64

// floodOrder says where, and as whom.
type floodOrder struct {
	Host, Namespace string
	Configs         []rest.TLSClientConfig
}

// floodResult is what became of it.
type floodResult struct{ Sent, Refused int64 }

// startFlood sets a tenant's service accounts on the API server.
func startFlood(b *testing.B, namespace string) (stop func() floodResult) {
	b.Helper()
	order := floodOrder{Host: cluster.Config.Host, Namespace: namespace}
	all := "system:serviceaccounts:" + namespace
	must(b, ignoreExists(as(b, "greedy-owner").Create(b.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "flood"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: v1alpha1.RoleOwner},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: all}},
	})))
	for i := range senders {
		config, err := cluster.User(fmt.Sprintf("system:serviceaccount:%s:sender-%d", namespace, i), "system:serviceaccounts", all)
		must(b, err)
		order.Configs = append(order.Configs, config.TLSClientConfig)
	}
	self, err := os.Executable()
	must(b, err)
	command := exec.Command(self)
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
	const lowest = 19
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, lowest); err != nil {
		return fail(err)
	}
	var order floodOrder
	decoder := json.NewDecoder(in)
	if err := decoder.Decode(&order); err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var result floodResult
	var group sync.WaitGroup
	for i, tls := range order.Configs {
		transport, err := rest.HTTPClientFor(&rest.Config{Host: order.Host, TLSClientConfig: tls})
		if err != nil {
			cancel()
			return fail(err)
		}
		group.Go(func() { flood(ctx, transport, order.Host, order.Namespace, i, &result) })
	}
	_, _ = io.Copy(io.Discard, in) // until it is closed
	cancel()
	group.Wait()
	if err := json.NewEncoder(out).Encode(&result); err != nil {
		return fail(err)
	}
	return 0
}

// flood sends without end: lists of large objects, events, creates, watches.
func flood(ctx context.Context, transport *http.Client, host, namespace string, first int, result *floodResult) {
	base := host + "/api/v1/namespaces/" + namespace
	event := `{"metadata":{"generateName":"e"},"involvedObject":{"namespace":"` + namespace + `","kind":"Pod","name":"p"},"reason":"Flood","type":"Normal"}`
	requests := []struct{ method, path, body string }{
		{http.MethodGet, "/configmaps", ""},
		{http.MethodGet, "/configmaps?resourceVersion=0", ""},
		{http.MethodPost, "/events", event},
		{http.MethodPost, "/configmaps?dryRun=All", `{"metadata":{"generateName":"f"},"data":{"x":"` + strings.Repeat("y", 10_000) + `"}}`},
		{http.MethodGet, "/pods?watch=1&timeoutSeconds=1", ""},
	}
	for n := first; ctx.Err() == nil; n++ {
		r := requests[n%len(requests)]
		request, err := http.NewRequestWithContext(ctx, r.method, base+r.path, strings.NewReader(r.body))
		if err != nil {
			return // the constants above make none such
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := transport.Do(request)
		if err != nil {
			continue // cut off at the end, or the server's back turned: the flood goes on
		}
		_, _ = io.Copy(io.Discard, answer.Body) // only its length matters to the server
		_ = answer.Body.Close()
		atomic.AddInt64(&result.Sent, 1)
		if answer.StatusCode == http.StatusTooManyRequests {
			atomic.AddInt64(&result.Refused, 1)
		}
	}
}

func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
