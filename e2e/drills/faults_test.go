package drills_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/transport"

	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// faults is a transport on which things go wrong: which, follows from the seed and from what is requested how many times,
// and not from who comes first. What the prover asks as a tenant passes: an answer that it does not get makes the proof
// Unknown for half a minute, which is right, and another test's matter.
type faults struct {
	seed uint64
	// watches end in the middle, and are told that where they want to go on is long gone (410).
	watches bool
	// stale holds all watches back while writes go through.
	stale bool
	// refused requests never reach the server: 409, 429 and 500 come back.
	refused bool
	// lost answers are of writes that were done.
	lost bool

	mu       sync.Mutex
	requests map[string]uint64
	done     map[string]int
	writes   uint64
	gate     chan struct{} // closed when events may pass
}

// wrap puts the faults between the controllers and the server.
func (f *faults) wrap(o *run.Options) {
	f.requests, f.done = map[string]uint64{}, map[string]int{}
	f.gate = make(chan struct{})
	close(f.gate)
	between(o, f.roundTrip)
}

// roundTripper answers requests, with the help of the next one.
type roundTripper func(r *http.Request, next http.RoundTripper) (*http.Response, error)

// between puts a transport between the controllers and the server.
func between(o *run.Options, do roundTripper) {
	o.Config.Wrap(func(next http.RoundTripper) http.RoundTripper { return stacked{do, next} })
}

type stacked struct {
	do   roundTripper
	next http.RoundTripper
}

// RoundTrip has the request answered.
func (s stacked) RoundTrip(r *http.Request) (*http.Response, error) { return s.do(r, s.next) }

// asked tells the requests of the prover.
func asked(r *http.Request) bool {
	return r.Header.Get(transport.ImpersonateUserHeader) != "" || strings.HasSuffix(r.URL.Path, "accessreviews")
}

// told is how often each fault came about.
func (f *faults) told() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := map[string]int{}
	for fault, n := range f.done {
		told[fault] = n
	}
	return told
}

func (f *faults) count(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done[fault]++
}

// dice are thrown for a request: its number among those like it, and a number that the seed gives it.
func (f *faults) dice(request string) (n, number uint64) {
	f.mu.Lock()
	n = f.requests[request]
	f.requests[request]++
	f.mu.Unlock()
	hash := fnv.New64a()
	fmt.Fprint(hash, f.seed, request, n)
	return n, hash.Sum64() >> 8
}

// roundTrip lets the request through, or not.
func (f *faults) roundTrip(r *http.Request, next http.RoundTripper) (*http.Response, error) {
	if asked(r) {
		return next.RoundTrip(r)
	}
	if r.URL.Query().Get("watch") != "" {
		return f.watch(r, next)
	}
	const one, of = 1, 10
	write := r.Method != http.MethodGet
	_, number := f.dice(r.Method + " " + r.URL.Path)
	if f.refused && number%of < one {
		code := []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusConflict}[number/of%3]
		if code != http.StatusConflict || write && r.Method != http.MethodPost {
			f.count(fmt.Sprint(code))
			return answer(r, code)
		}
	}
	response, err := next.RoundTrip(r)
	if err != nil || !write {
		return response, err
	}
	if f.stale {
		f.written()
	}
	if f.lost && number%of == of-1 {
		f.count("lost")
		_ = response.Body.Close()
		return nil, context.DeadlineExceeded
	}
	return response, nil
}

// watch of a kind: the first ends somewhere, the second is refused, a third ends again. After that they are left alone:
// informers wait longer and longer in between, and a cache that is never filled tells nothing.
func (f *faults) watch(r *http.Request, next http.RoundTripper) (*http.Response, error) {
	n, number := f.dice("WATCH " + r.URL.Path)
	if f.watches && n == 1 {
		f.count("410")
		return answer(r, http.StatusGone)
	}
	response, err := next.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	body := &watched{ReadCloser: response.Body, faults: f, ctx: r.Context(), left: -1}
	if f.watches && n < 3 {
		body.left = int(number % 6)
	}
	response.Body = body
	return response, nil
}

// written counts a write. Every tenth freezes all caches, over five more; or over a second, when no more come.
func (f *faults) written() {
	const each, over, longest = 10, 5, time.Second
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	switch (f.writes + f.seed) % each {
	case 0:
		gate := make(chan struct{})
		f.gate = gate
		f.done["frozen"]++
		time.AfterFunc(longest, func() { f.open(gate) })
	case over:
		f.done["frozen over writes"]++
		go f.open(f.gate)
	}
}

func (f *faults) open(gate chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-gate:
	default:
		close(gate)
	}
}

// watched is the body of a watch. It ends, in the middle of an event or between two, after as many reads as are left; -1
// is never.
type watched struct {
	io.ReadCloser

	faults *faults
	ctx    context.Context
	left   int
}

// Read waits while caches are frozen.
func (w *watched) Read(into []byte) (int, error) {
	if w.left == 0 {
		w.faults.count("watch ended")
		return 0, io.ErrUnexpectedEOF
	}
	w.left = max(w.left-1, -1)
	n, err := w.ReadCloser.Read(into)
	w.faults.mu.Lock()
	gate := w.faults.gate
	w.faults.mu.Unlock()
	select {
	case <-gate:
	case <-w.ctx.Done():
	}
	return n, err
}

// answer is what the API server itself would say.
func answer(r *http.Request, code int) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	reason := map[int]metav1.StatusReason{
		http.StatusGone: metav1.StatusReasonExpired, http.StatusConflict: metav1.StatusReasonConflict,
		http.StatusTooManyRequests: metav1.StatusReasonTooManyRequests, http.StatusInternalServerError: metav1.StatusReasonInternalError,
	}[code]
	body, err := json.Marshal(&metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: "a drill: " + string(reason),
	})
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, err
}
