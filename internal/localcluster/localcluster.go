// Package localcluster runs a real Kubernetes on this machine as child processes of the program that uses it: etcd,
// kube-apiserver, kube-controller-manager, kube-scheduler, and kwok for simulated nodes and pods, all out of the one
// binary that kube/build.sh makes.
//
// Everything lies in one data folder: state, keys, logs. A later start in the same folder resumes with the same state
// and the same ports, so that kubeconfigs stay valid; clusters in different folders do not touch each other. Nothing
// listens but on 127.0.0.1, and nothing answers without a certificate except for its health.
//
// A program that ends unasked is started again at once, with a notice. When it does so more than three times in a
// minute, the whole cluster ends, and Err has the last lines of its log. Children never outlive their parent: on
// Linux the kernel kills them with it, elsewhere the next start does.
package localcluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/parallel"
)

// Identities that are not tenants'.
var (
	admin = Identity{User: "admin", Groups: []string{"system:masters"}}
	// Controllers is Bulkhead's own controller, which gets its rights by RBAC like every user.
	Controllers = Identity{User: v1alpha1.ManagedBy, Groups: []string{v1alpha1.ControllerGroup}}
)

// Options of a cluster.
type Options struct {
	// Dir is the data folder; it is made when missing.
	Dir string
	// Kube is the path of the binary, as FindKube finds it.
	Kube string
	// Notice is called with what happens later by itself, such as the restart of a program. It may be called at any
	// time, from any goroutine; nil to hear nothing.
	Notice func(format string, args ...any)
	// Step is called at the start of each program, in order; nil for no calls.
	Step func(name string)
	// Serving is called when the API server serves, before the controllers of Kubernetes start; nil to do nothing then.
	Serving func(ctx context.Context, admin *rest.Config) error
}

func (o Options) withDefaults() Options {
	if o.Notice == nil {
		o.Notice = func(string, ...any) {}
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Serving == nil {
		o.Serving = func(context.Context, *rest.Config) error { return nil }
	}
	return o
}

// Cluster is a running control plane. Stop it when done.
type Cluster struct {
	folder folder
	kube   string
	ports  ports
	notice func(format string, args ...any)
	lock   *os.File
	ca     *authority
	// adminTLS and etcdTLS are for health checks.
	adminTLS, etcdTLS *tls.Config
	spawner           *spawner

	mu       sync.Mutex
	programs []*supervised
	failed   chan struct{}
	err      error
	stopOnce sync.Once
	watchers sync.WaitGroup
}

// Start runs a cluster in the folder and returns when it serves. When it fails, it has ended what it had started.
// A *RunningError reports that the folder is in use.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	options = options.withDefaults()
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	c := &Cluster{folder: folder(dir), kube: options.Kube, notice: options.Notice, failed: make(chan struct{})}
	if err := c.folder.create(); err != nil {
		return nil, err
	}
	if c.lock, err = c.folder.lock(); err != nil {
		return nil, err
	}
	c.spawner = newSpawner()
	if err := c.boot(ctx, &options); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) boot(ctx context.Context, options *Options) error {
	if err := c.folder.endStale(); err != nil {
		return err
	}
	var err error
	if c.ports, err = c.folder.loadPorts(); err != nil {
		return err
	}
	if err := c.prepare(time.Now()); err != nil {
		return err
	}
	for _, program := range []*Program{c.etcd(), c.apiServer()} {
		options.Step(program.Name)
		if err := c.Run(ctx, program); err != nil {
			return err
		}
	}
	if err := c.grantKwok(ctx); err != nil {
		return err
	}
	config, err := c.Admin()
	if err != nil {
		return err
	}
	if err := options.Serving(ctx, config); err != nil {
		return err
	}
	// These three do not wait for one another.
	rest := []*Program{c.controllerManager(), c.scheduler(), c.kwok()}
	results := make([]error, len(rest))
	for _, program := range rest {
		options.Step(program.Name)
	}
	parallel.Each(len(rest), len(rest), 1, func(i int) { results[i] = c.Run(ctx, rest[i]) })
	return errors.Join(results...)
}

// prepare writes keys, certificates, kubeconfigs and configuration files.
func (c *Cluster) prepare(now time.Time) error {
	f := c.folder
	etcdCA, err := f.authority("etcd-ca", now)
	if err != nil {
		return err
	}
	if c.ca, err = f.authority("ca", now); err != nil {
		return err
	}
	if c.etcdTLS, err = etcdCA.clientTLS(Identity{User: "health"}, now); err != nil {
		return err
	}
	if c.adminTLS, err = c.ca.clientTLS(admin, now); err != nil {
		return err
	}
	inside := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	kubeletClient := Identity{User: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}}
	err = errors.Join(
		f.signingKey(),
		f.keyPair(etcdCA, "etcd", Identity{User: "etcd"}, []string{"localhost"}, now),
		f.keyPair(c.ca, "server", Identity{User: "server"}, inside, now),
		f.keyPair(c.ca, "kubelet-client", kubeletClient, nil, now),
		writeFile(f.path("components", "audit-policy.yaml"), auditPolicy),
		writeFile(f.path("components", "authentication.yaml"), authentication),
		writeKubeconfig(AdminKubeconfig(string(f)), c.server(), "default", c.ca, admin, now),
	)
	for name, id := range map[string]Identity{
		"kube-controller-manager": {User: "system:kube-controller-manager"},
		"kube-scheduler":          {User: "system:kube-scheduler"},
		"kwok":                    {User: kwokUser},
		"bulkhead":                Controllers,
	} {
		err = errors.Join(err, writeKubeconfig(f.kubeconfig(name), c.server(), "default", c.ca, id, now))
	}
	return err
}

func (c *Cluster) server() string { return "https://" + address(c.ports.APIServer) }

// Admin is the configuration of a client with all rights and no rate limit of its own.
func (c *Cluster) Admin() (*rest.Config, error) { return Client(AdminKubeconfig(string(c.folder))) }

// Client is the configuration of a client with the kubeconfig's identity and no rate limit of its own.
func Client(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kubeconfig, err)
	}
	config.QPS = -1 // the API server's own fairness decides
	return config, nil
}

// Kubeconfig writes the kubeconfig of an owner, unless it is there already, and returns its path. The namespace is
// the one that commands without -n work in.
func (c *Cluster) Kubeconfig(name string, id Identity, namespace string) (string, error) {
	path := c.folder.path("owners", name+".kubeconfig")
	return path, writeKubeconfig(path, c.server(), namespace, c.ca, id, time.Now())
}

// ControllersKubeconfig is the path of the kubeconfig of the identity Controllers.
func (c *Cluster) ControllersKubeconfig() string { return c.folder.kubeconfig("bulkhead") }

// AuditLog is the path of the API server's audit log.
func (c *Cluster) AuditLog() string { return c.folder.log("audit") }

// ControllersAddress is a free address of this cluster's own for the controller's health endpoint.
func (c *Cluster) ControllersAddress() string { return address(c.ports.Controller) }

// Run starts a further program, waits until it is ready and then keeps it running until Stop, which ends programs in
// the reverse order of their start.
func (c *Cluster) Run(ctx context.Context, program *Program) error {
	if err := rotate(c.folder.log(program.Name)); err != nil {
		return err
	}
	p, err := c.spawner.launch(c.folder, program)
	if err != nil {
		return err
	}
	s := &supervised{program: program, current: p}
	c.mu.Lock()
	c.programs = append(c.programs, s)
	c.mu.Unlock()
	if err := waitReady(ctx, c.folder, program, p); err != nil {
		return err
	}
	c.watchers.Go(func() { c.supervise(s, p) })
	return nil
}

// supervise starts the program again whenever it ends unasked.
func (c *Cluster) supervise(s *supervised, p *process) {
	for {
		<-p.done
		ok, hopeless := s.crashed(time.Now())
		if !ok {
			return
		}
		cause := endedError(c.folder, s.program, p)
		if hopeless {
			c.fail(fmt.Errorf("too often within %v: %w", crashWindow, cause))
			return
		}
		replaced, err := s.replace(func() (*process, error) { return c.spawner.launch(c.folder, s.program) })
		if err != nil {
			c.fail(err)
			return
		}
		if !replaced {
			return
		}
		c.notice("%v\nIt has been started again.", cause)
		p = s.current
	}
}

// fail ends the cluster from inside: the caller that waits on Failed has to Stop it.
func (c *Cluster) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.failed)
	}
}

// Failed is closed when the cluster cannot go on; Err then says why.
func (c *Cluster) Failed() <-chan struct{} { return c.failed }

// Err is why the cluster cannot go on, or nil.
func (c *Cluster) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Kill ends a program as a power cut would (SIGKILL); it stays ended until it is Run again.
func (c *Cluster) Kill(name string) error {
	c.mu.Lock()
	i := slices.IndexFunc(c.programs, func(s *supervised) bool { return s.program.Name == name })
	if i < 0 {
		c.mu.Unlock()
		return fmt.Errorf("no program %s is running", name)
	}
	s := c.programs[i]
	c.programs = slices.Delete(c.programs, i, i+1)
	c.mu.Unlock()
	s.stop(0)
	return nil
}

// Stop ends every program, the last started first, and gives the folder free. It takes less than ten seconds. State
// stays in the folder. A second call does nothing.
func (c *Cluster) Stop() {
	c.stopOnce.Do(func() {
		c.mu.Lock()
		programs := slices.Clone(c.programs)
		c.mu.Unlock()
		for _, s := range slices.Backward(programs) {
			s.stop(s.program.Grace)
			_ = os.Remove(c.folder.pidFile(s.program.Name)) // a record that stays is recognised as ended
		}
		c.watchers.Wait()
		c.spawner.close()
		_ = c.lock.Close() // closing gives the lock back, and there is nothing to do if it fails
	})
}
