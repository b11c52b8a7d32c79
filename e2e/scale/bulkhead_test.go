package scale_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/apply"
	"github.com/bulkhead-dev/bulkhead/internal/run"
	"github.com/bulkhead-dev/bulkhead/internal/status"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// bulkhead declares n Tenants, starts the controllers, makes a Space for each tenant as soon as its owners could, and
// takes the times until all are enforced and ready. The clock runs from the start of the controllers' process.
func (s *stage) bulkhead() {
	s.must(s.admin.Create(s.ctx, platform()), "create the Platform")
	s.inParallel(func(i int) error { return s.admin.Create(s.ctx, newTenant(tenantName(i))) })
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.makeSpaces(ctx)
	enforced, ready := s.progress(ctx)

	before, idle, begin := s.server(), processorTime(), time.Now()
	controllers := s.startControllers()
	enforcing := s.profileServer("enforcing")
	s.f.enforced = s.within(enforced, begin, controllers)
	proving := s.profileServer("proving")
	s.f.enforcedCost = processorTime().since(idle)
	s.f.ready = s.within(ready, begin, controllers)
	s.f.cost = processorTime().since(idle)
	after, own := s.server(), controllers.metrics()

	s.f.rss = own.sum("process_resident_memory_bytes")
	s.f.writes, s.f.questions = own.sum(asked, "what", "write"), own.sum(asked, "what", "question")
	s.f.requests = fmt.Sprintf("requests of the controllers, for each tenant:\n%spasses of the controllers, for each tenant:\n%s"+
		"requests that the API server served, of all clients together, for each tenant:\n%s",
		own.table(nil, s.n, asked, "what", "verb", "resource", "code"),
		own.table(nil, s.n, "controller_runtime_reconcile_total", "controller", "result"),
		after.table(before, s.n, served, "verb", "resource", "subresource", "dry_run", "code"))
	s.f.objects = s.count()
	<-enforcing
	<-proving
}

func tenantName(i int) string { return fmt.Sprintf("ten-%04d", i) }

// load average, for judging the figures; empty where the system does not tell.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

func (s *stage) inParallel(do func(i int) error) {
	s.tb.Helper()
	var group errgroup.Group
	group.SetLimit(*writers)
	for i := range s.n {
		group.Go(func() error { return do(i) })
	}
	if err := group.Wait(); err != nil {
		s.tb.Fatal(err)
	}
}

// makeSpaces plays the owners: each makes its Space once the API server has given it the right to.
func (s *stage) makeSpaces(ctx context.Context) {
	bindings, err := s.admin.Watch(ctx, &rbacv1.RoleBindingList{}, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
	s.must(err, "watch RoleBindings")
	admitted := make(chan string, s.n)
	go func() {
		for event := range bindings.ResultChan() {
			binding, ok := event.Object.(*rbacv1.RoleBinding)
			if ok && event.Type == watch.Added && binding.Labels[v1alpha1.LabelSpace] == "" && binding.Name == v1alpha1.OwnersName {
				admitted <- binding.Labels[v1alpha1.LabelTenant]
			}
		}
	}()
	for range *writers {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case tenant := <-admitted:
					if err := s.admin.Create(ctx, newSpace(tenant)); err != nil && ctx.Err() == nil {
						s.tb.Errorf("create the Space of tenant %s: %v", tenant, err)
					}
				}
			}
		}()
	}
}

// progress tells when all Spaces are Enforced and when all are Ready.
func (s *stage) progress(ctx context.Context) (enforced, ready <-chan time.Time) {
	spaces, err := s.admin.Watch(ctx, &v1alpha1.SpaceList{})
	s.must(err, "watch Spaces")
	follow := func(condition string, seen map[string]bool, all chan<- time.Time, space *v1alpha1.Space) {
		if !seen[space.Namespace] && status.IsTrue(space.Status.Conditions, condition, space.Generation) {
			seen[space.Namespace] = true
			if len(seen) == s.n {
				all <- time.Now()
			}
			if len(seen)%100 == 0 {
				testcluster.Progress(s.tb, "%d of %d Spaces are %s", len(seen), s.n, condition)
			}
		}
	}
	enforcedAt, readyAt := make(chan time.Time, 1), make(chan time.Time, 1)
	go func() {
		areEnforced, areReady := map[string]bool{}, map[string]bool{}
		for event := range spaces.ResultChan() {
			if space, ok := event.Object.(*v1alpha1.Space); ok {
				follow(v1alpha1.ConditionEnforced, areEnforced, enforcedAt, space)
				follow(v1alpha1.ConditionReady, areReady, readyAt, space)
			}
		}
	}()
	return enforcedAt, readyAt
}

func (s *stage) within(reached <-chan time.Time, begin time.Time, c *controllers) time.Duration {
	s.tb.Helper()
	patience := time.Minute + time.Duration(s.n)*500*time.Millisecond
	select {
	case at := <-reached:
		return at.Sub(begin)
	case <-time.After(patience):
		s.tb.Fatalf("not all of %d Spaces got there within %s; the controllers said:\n%s", s.n, patience, c.said())
		return 0
	}
}

// count the objects that exist for tenants.
func (s *stage) count() int {
	total := 0
	for _, kind := range apply.Kinds() {
		list := kind.List
		s.must(s.admin.List(s.ctx, list, client.HasLabels{v1alpha1.LabelTenant},
			client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}), "list %T", list)
		items, err := itemsOf(list)
		s.must(err, "count %T", list)
		total += items
	}
	return total
}

// The controllers run as a process of their own, so that their memory and processor time are theirs alone: this test
// binary, started again with these in its environment.
const (
	envKubeconfig = "BULKHEAD_SCALE_KUBECONFIG"
	envMetrics    = "BULKHEAD_SCALE_METRICS"
)

type controllers struct {
	stage   *stage
	address string
	log     string
}

// TestControllers is that process. It ends when its standard input does, and so with its parent.
func TestControllers(t *testing.T) {
	kubeconfig := os.Getenv(envKubeconfig)
	if kubeconfig == "" {
		t.Skip("this is no test but the controllers' process of the others")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.WarningHandler = rest.NoWarnings{}
	config.Wrap(countRequests())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // nothing is ever written; it returns at the end
		cancel()
	}()
	err = run.Run(ctx, &run.Options{
		Config: config, MetricsAddress: os.Getenv(envMetrics), HealthAddress: run.Off, PprofAddress: run.Off, Log: errorsTo(os.Stderr),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stage) startControllers() *controllers {
	s.tb.Helper()
	dir := s.tb.TempDir()
	c := &controllers{stage: s, address: freeAddress(s.tb), log: filepath.Join(dir, "log")}
	cmd := exec.Command(os.Args[0], "-test.run=^TestControllers$", "-test.timeout=0")
	if *cpuProfile != "" {
		cmd.Args = append(cmd.Args, "-test.cpuprofile="+*cpuProfile)
	}
	cmd.Env = append(os.Environ(), envKubeconfig+"="+s.kubeconfig(dir), envMetrics+"="+c.address)
	log, err := os.Create(c.log)
	s.must(err, "create the controllers' log")
	cmd.Stdout, cmd.Stderr = log, log
	stdin, err := cmd.StdinPipe()
	s.must(err, "make a pipe to the controllers")
	s.must(cmd.Start(), "start the controllers")
	s.tb.Cleanup(func() {
		_ = stdin.Close() // tells it to end
		if err := cmd.Wait(); err != nil {
			s.tb.Errorf("the controllers ended with %v:\n%s", err, c.said())
		}
	})
	return c
}

// kubeconfig of an identity that holds exactly the controllers' rights.
func (s *stage) kubeconfig(dir string) string {
	config, err := s.cluster.User("bulkhead", v1alpha1.ControllerGroup)
	s.must(err, "make the controllers' identity")
	path := filepath.Join(dir, "kubeconfig")
	s.must(clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	}, path), "write the controllers' kubeconfig")
	return path
}

// said is the end of the controllers' log.
func (c *controllers) said() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	const enough = 4000
	return string(text[max(0, len(text)-enough):])
}
