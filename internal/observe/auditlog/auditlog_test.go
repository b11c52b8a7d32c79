package auditlog

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
)

// quotas and policies are resources of both forms: in a namespace of the core group, and neither.
var (
	quotas   = schema.GroupResource{Resource: "resourcequotas"}
	policies = schema.GroupResource{Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicies"}
	spaces   = schema.GroupResource{Resource: "namespaces"} // in themselves, as the API server puts it
)

// auditLine is an event as kube-apiserver writes it.
func auditLine(user, verb string, resource schema.GroupResource, namespace, name, more string) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"x","stage":"ResponseComplete","requestURI":"/x","verb":%q,`+
		`"user":{"username":%q,"groups":["system:masters","system:authenticated"]},"sourceIPs":["127.0.0.1"],"userAgent":"curl","objectRef":{"resource":%q,"namespace":%q,"name":%q,"apiGroup":%q,"apiVersion":"v1"},`+
		`"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2030-01-02T03:04:05.000001Z","stageTimestamp":"2030-01-02T03:04:05.100000Z"%s}`+"\n",
		verb, user, resource.Resource, namespace, name, resource.Group, more)
}

// followed is a log in a file, with a clock that stands still, and what is asked of it.
type followed struct {
	t     *testing.T
	path  string
	clock *clocktesting.FakePassiveClock
	log   *Tail
}

func follow(t *testing.T) *followed {
	f := &followed{t: t, path: filepath.Join(t.TempDir(), "audit.log"), clock: clocktesting.NewFakePassiveClock(time.Date(2030, 1, 2, 3, 4, 6, 0, time.UTC))}
	f.restart()
	return f
}

func (f *followed) restart() {
	ours := func(user string, _ []string) bool { return user == "bulkhead" }
	f.log = &Tail{Path: f.path, Writes: NewWrites(f.clock, []schema.GroupResource{quotas, policies, spaces}, ours), Log: logr.Discard()}
	f.t.Cleanup(func() { _ = f.log.close() })
}

func (f *followed) write(content string) {
	f.t.Helper()
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := file.WriteString(content); err != nil {
		f.t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.log.Poll()
}

// who asks, lets the time pass that the log is given, and returns the answer.
func (f *followed) who(q Question) string {
	f.t.Helper()
	answers := []string{}
	f.log.Writes.Ask(q, func(write *Write) {
		if write == nil {
			answers = append(answers, "nobody")
			return
		}
		answers = append(answers, write.String())
	})
	for _, wait := range []time.Duration{0, settles, patience} {
		f.clock.SetTime(f.clock.Now().Add(wait))
		f.log.Poll()
	}
	if len(answers) != 1 {
		f.t.Fatalf("%d answers to one question: %v", len(answers), answers)
	}
	return answers[0]
}

func (f *followed) want(q Question, want string) {
	f.t.Helper()
	if got := f.who(q); !strings.HasPrefix(got, want) {
		f.t.Errorf("%+v: told %q, want %q", q, got, want)
	}
}

// Promise: the log tells who changed or deleted an object, when and how; each write answers once, and only for its object,
// its kind of write, and its user. What did not happen, what is ours, and what is only about a status answers for nothing.
func TestWhoItWas(t *testing.T) {
	f := follow(t)
	deleted := Question{Resource: quotas, Namespace: "n", Name: "q", Deleted: true}
	changed := Question{Resource: policies, Name: "p"}
	f.want(deleted, "nobody")
	f.write(auditLine("carol", "delete", quotas, "n", "q", ""))
	f.want(deleted, "carol (delete at 2030-01-02T03:04:05Z, by the audit log)")
	f.want(deleted, "nobody")
	f.write(auditLine("dave", "patch", policies, "", "p", "") + auditLine("carol", "update", policies, "", "p", `,"impersonatedUser":{"username":"eve\nroot"}`))
	f.want(Question{Resource: policies, Name: "p", User: "dave"}, "nobody")
	f.want(Question{Resource: policies, Name: "p", User: "carol"}, "nobody")
	f.want(Question{Resource: policies, Name: "p", User: "eve\nroot"}, `carol as "eve\nroot" (update at`)
	f.write(auditLine("carol", "update", policies, "", "p", ""))
	f.want(changed, "carol (update at")
	f.want(changed, "nobody")
	f.write(auditLine("carol", "patch", spaces, "n", "n", ""))
	f.want(Question{Resource: spaces, Name: "n"}, "carol (patch at")
	f.write(auditLine("carol", "deletecollection", quotas, "n", "", ""))
	f.want(Question{Resource: quotas, Namespace: "n", Name: "other", Deleted: true}, "carol (deletecollection")
	f.want(Question{Resource: quotas, Namespace: "m", Name: "other", Deleted: true}, "nobody")
	for _, silent := range []string{
		auditLine("bulkhead", "patch", policies, "", "p", ""),
		auditLine("carol", "get", policies, "", "p", ""),
		auditLine("carol", "patch", schema.GroupResource{Resource: "pods"}, "", "p", ""),
		strings.Replace(auditLine("carol", "patch", policies, "", "p", ""), `"code":200`, `"code":403`, 1),
		strings.Replace(auditLine("carol", "patch", policies, "", "p", ""), "ResponseComplete", "RequestReceived", 1),
		strings.Replace(auditLine("carol", "patch", policies, "", "p", ""), `"objectRef":{`, `"objectRef":{"subresource":"status",`, 1),
	} {
		f.write(silent)
		f.want(changed, "nobody")
	}
}

// Promise: nothing that happens to the file loses the writes after it: rotation, truncation, a file that comes late or
// goes for a while, lines that come in pieces, that are no events or have no end; and a restart knows what was before.
func TestTailIsFollowedThroughEverything(t *testing.T) {
	f := follow(t)
	n := 0
	write := func() (line string, q Question, want string) {
		n++
		name, user := fmt.Sprintf("q%d", n), fmt.Sprintf("user%d", n)
		return auditLine(user, "delete", quotas, "n", name, ""), Question{Resource: quotas, Namespace: "n", Name: name, Deleted: true}, user + " (delete"
	}
	told := func(how string) {
		t.Helper()
		line, q, want := write()
		f.write(line)
		if got := f.who(q); !strings.HasPrefix(got, want) {
			t.Errorf("%s: told %q, want %q", how, got, want)
		}
	}
	f.log.Poll() // no file yet
	told("a file that comes late")

	line, q, want := write()
	f.write(line[:50])
	f.write(line[50:])
	f.want(q, want)

	last, q, want := write()
	if file, err := os.OpenFile(f.path, os.O_APPEND|os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	} else if _, err := file.WriteString(last); err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f.path, f.path+".1"); err != nil { // before the last line was read
		t.Fatal(err)
	}
	told("rotation")
	f.want(q, want)

	if err := os.Truncate(f.path, 0); err != nil {
		t.Fatal(err)
	}
	f.log.Poll()
	told("truncation")

	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	f.log.Poll()
	told("removal")

	f.write("no JSON\n{\"kind\": \"Pod\"}\n\n\x00\xff\n{\"kind\": 3}\nnull\n")
	told("lines that are no events")
	f.write(strings.Repeat("x", maxLine) + strings.Repeat("y", maxLine))
	f.write("z\n")
	if cap(f.log.line) > chunkSize {
		t.Errorf("a long line holds %d bytes", cap(f.log.line))
	}
	told("a line that is too long")
	if f.log.skipped != 6 {
		t.Errorf("%d lines counted as skipped, want 6", f.log.skipped)
	}

	f.write(auditLine("carol", "delete", quotas, "n", "before", "") + strings.Repeat(auditLine("x", "get", quotas, "n", "q", ""), 3))
	f.restart()
	f.log.Poll()
	f.want(Question{Resource: quotas, Namespace: "n", Name: "before", Deleted: true}, "carol (delete")
	told("a restart")
}

// Promise: what is remembered is bounded, whatever the log holds and however much is asked.
func TestWritesAreBounded(t *testing.T) {
	f := follow(t)
	for i := range 3 * maxWrites {
		if err := f.log.Writes.Note([]byte(auditLine(strings.Repeat("u", 5000), "patch", quotas, "n", fmt.Sprintf("q%d", i), ""))); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.log.Writes.last) != maxWrites || len(f.log.Writes.order) != maxWrites {
		t.Errorf("%d writes in %d places, want at most %d", len(f.log.Writes.last), len(f.log.Writes.order), maxWrites)
	}
	answers := 0
	for range 2 * maxQuestions {
		f.log.Writes.Ask(Question{Resource: quotas, Name: "none"}, func(write *Write) {
			if write != nil {
				t.Errorf("told %v", write)
			}
			answers++
		})
	}
	if answers != maxQuestions {
		t.Errorf("%d of %d questions answered at once, want those beyond %d", answers, 2*maxQuestions, maxQuestions)
	}
	f.clock.SetTime(f.clock.Now().Add(patience))
	f.log.Poll()
	if answers != 2*maxQuestions || len(f.log.Writes.questions) != 0 {
		t.Errorf("%d answers to %d questions, %d open", answers, 2*maxQuestions, len(f.log.Writes.questions))
	}
	if got := f.who(Question{Resource: quotas, Namespace: "n", Name: fmt.Sprintf("q%d", 3*maxWrites-1)}); len(got) > 2*maxUserBytes {
		t.Errorf("a name of %d bytes", len(got))
	}
}

// Promise: following ends with its context, and holds no file then.
func TestTailEnds(t *testing.T) {
	f := follow(t)
	f.write(auditLine("carol", "delete", quotas, "n", "q", ""))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.log.Start(ctx); err != nil || f.log.file != nil {
		t.Errorf("ended with %v, file %v", err, f.log.file)
	}
	if runtime.GOOS == "linux" {
		open, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(open, func(fd string) bool { target, _ := os.Readlink(fd); return target == f.path }) {
			t.Error("the file is still open")
		}
	}
}
