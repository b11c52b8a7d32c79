package agreement_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/hostile"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	live "github.com/bulkhead-dev/bulkhead/internal/observe/cluster"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// world is the platform with its two judges.
type world struct {
	marker *marker
	trials map[string]*engine.Trial
	// clean is the platform before anything was done to it, each object in words, and known what is found even then.
	clean map[string]string
	known map[string]bool
	// untold is what was touched since the API server was last waited for.
	untold   touched
	compiled kubeadmission.Compiled
	// policies that were seen, by all that they say.
	policies map[string]any
}

// proven is the prover's side.
type proven struct {
	rbac   *rbac.Authorizer
	report *isolation.Report
	state  map[string]string
	// namespaces that there are.
	namespaces []string
}

func (w *world) prove(ctx context.Context) (*proven, error) {
	seen, err := live.Read(ctx, cluster.Config, live.Options{Now: time.Now()})
	if err != nil {
		return nil, err
	}
	contents := *seen.Snapshot
	contents.ValidatingPolicies = same(w, contents.ValidatingPolicies)
	contents.MutatingPolicies = same(w, contents.MutatingPolicies)
	s, err := snapshot.New(contents)
	if err != nil {
		return nil, err
	}
	rbac := rbac.New(s)
	evaluator, err := kubeadmission.New(s, rbac, &w.compiled)
	if err != nil {
		return nil, fmt.Errorf("prepare admission: %w", err)
	}
	state, err := stateOf(s)
	var namespaces []string
	for _, ns := range s.Namespaces {
		namespaces = append(namespaces, ns.Name)
	}
	return &proven{rbac, isolation.Verify(s, finding.Options{Admission: evaluator, Expected: seen.Expected}), state, namespaces}, err
}

// same gives for a policy that was seen before the one that was seen, which is compiled already, and leaves the marks out.
func same[T interface {
	metav1.Object
	String() string
}](w *world, list []T,
) []T {
	var kept []T
	for _, policy := range list {
		if strings.HasPrefix(policy.GetName(), markName) {
			continue
		}
		policy.SetResourceVersion("")
		key := policy.String()
		if before, seen := w.policies[key].(T); seen {
			policy = before
		}
		w.policies[key] = policy
		kept = append(kept, policy)
	}
	return kept
}

// stateOf a snapshot, by object: without the marks and without what differs though nothing changed.
func stateOf(s *snapshot.Snapshot) (map[string]string, error) {
	state := map[string]string{}
	value := reflect.ValueOf(*s)
	for i := range value.NumField() {
		field := value.Type().Field(i).Name
		if value.Field(i).Kind() != reflect.Slice {
			continue
		}
		for j := range value.Field(i).Len() {
			raw, err := json.Marshal(value.Field(i).Index(j).Interface())
			if err != nil {
				return nil, fmt.Errorf("write %s down: %w", field, err)
			}
			var object map[string]any
			if err := json.Unmarshal(raw, &object); err != nil {
				return nil, fmt.Errorf("read %s: %w", field, err)
			}
			name, is := nameIn(object)
			if !is {
				continue
			}
			if field != "ResourceQuotas" {
				delete(object, "status") // what controllers saw last
			}
			if status, is := object["status"].(map[string]any); is && field == "ResourceQuotas" {
				delete(status, "used") // a controller counts anew when it pleases
			}
			if raw, err = json.Marshal(object); err != nil {
				return nil, fmt.Errorf("write %s down: %w", field, err)
			}
			state[field+" "+name] = string(raw)
		}
	}
	return state, nil
}

// nameIn takes out of an object what is new each time that it is made; false for a mark.
func nameIn(object map[string]any) (string, bool) {
	metadata, _ := object["metadata"].(map[string]any)
	if metadata == nil {
		metadata = object
	}
	for _, key := range []string{"uid", "UID", "resourceVersion", "creationTimestamp", "generation"} {
		delete(metadata, key)
	}
	// Who makes a mistake and takes it back is noted on the object.
	if annotations, is := metadata["annotations"].(map[string]any); is {
		if delete(annotations, v1alpha1.AnnotationChangedBy); len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	if annotations, is := object["Annotations"].([]any); is {
		object["Annotations"] = slices.DeleteFunc(annotations, func(a any) bool {
			pair, _ := a.(map[string]any)
			return pair["Key"] == v1alpha1.AnnotationChangedBy
		})
	}
	get := func(keys ...string) string {
		for _, key := range keys {
			if text, is := metadata[key].(string); is {
				return text
			}
		}
		return ""
	}
	name, namespace := get("name", "Name"), get("namespace", "Namespace")
	return namespace + "/" + name, !strings.HasPrefix(name, markName) && namespace != markName
}

// difference between two states, in words; empty where there is none.
func difference(before, after map[string]string) []string {
	var list []string
	keys := maps.Clone(before)
	maps.Copy(keys, after)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if before[key] != after[key] {
			list = append(list, fmt.Sprintf("%s was %q and is %q", key, before[key], after[key]))
		}
	}
	return list
}

// restored waits until the platform is as it was: controllers have their part in it.
func (w *world) restored(ctx context.Context) error {
	var left []string
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, settled, true, func(ctx context.Context) (bool, error) {
		seen, err := live.Read(ctx, cluster.Config, live.Options{Now: time.Now()})
		if err != nil {
			return false, err
		}
		now, err := stateOf(seen.Snapshot)
		if err != nil {
			return false, err
		}
		left = difference(w.clean, now)
		return len(left) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("the platform is not as it was: %w: %s", err, strings.Join(left, "\n"))
	}
	return nil
}

// newWorld has everything tried once on the platform as it is: nothing may succeed. What the attacks need to act on is there
// from then on.
func newWorld(ctx context.Context) (*world, error) {
	marker, err := newMarker(ctx)
	if err != nil {
		return nil, err
	}
	w := &world{marker: marker, trials: map[string]*engine.Trial{}, known: map[string]bool{}, policies: map[string]any{}}
	var lock sync.Mutex
	var group errgroup.Group
	for _, tenant := range tenants() {
		group.Go(func() error {
			trial, err := begin(ctx, tenant)
			lock.Lock()
			defer lock.Unlock()
			w.trials[tenant] = trial
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	p, err := w.prove(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range p.report.Findings {
		if f.Verdict == finding.Exposed || f.Code == "BH4021" {
			return nil, fmt.Errorf("before any mistake: %s: %s", f.Code, f.What)
		}
		w.known[f.ID()] = true
	}
	w.clean = p.state
	return w, nil
}

// begin attacks with a tenant as it is: nothing may succeed.
func begin(ctx context.Context, tenant string) (*engine.Trial, error) {
	runner, err := engine.NewRunner(cluster.Config, "agreement-"+tenant)
	if err != nil {
		return nil, err
	}
	targets, err := runner.Targets(ctx, tenant, foreignTo(tenant))
	if err != nil {
		return nil, err
	}
	trial, err := runner.Begin(ctx, &targets[0])
	if err != nil {
		return nil, err
	}
	for _, r := range trial.Try(ctx, hostile.All(), func(a *hostile.Case, _ *hostile.Scene) bool { return harmless(a) }) {
		if r.Verdict != v1alpha1.Isolated {
			return nil, fmt.Errorf("before any mistake: %s", r.Failure())
		}
	}
	return trial, nil
}

// foreignTo is the neighbour that a tenant's attacks are aimed at.
func foreignTo(tenant string) string {
	all := tenants()
	return all[(slices.Index(all, tenant)+1)%len(all)]
}

// harmless leaves out what makes workloads and waits for their controllers.
func harmless(a *hostile.Case) bool {
	return !strings.Contains(a.ID, "-through-") && a.ID != "quota/by-scale"
}

// end removes what the attacks made.
func (w *world) end(ctx context.Context) error {
	for _, t := range w.trials {
		if err := t.End(ctx); err != nil {
			return err
		}
	}
	return nil
}
