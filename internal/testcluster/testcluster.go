// Package testcluster gives tests a real API server: etcd, kube-apiserver and, on demand, kube-controller-manager out
// of bin/k8s (made by kube/build.sh), through controller-runtime's envtest.
package testcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/bulkhead-dev/bulkhead/api/crds"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// parentVariable names to bin/kube the process that it must not outlive (kube/parent_linux.go): envtest starts its programs
// with this process's environment, and has no option that ties them to it.
const parentVariable = "KUBE_PARENT"

// Cluster is a running control plane. Stop it when done.
type Cluster struct {
	// Config reaches it as system:masters, without client-side rate limiting.
	Config *rest.Config
	// Kubeconfig is the path of a file with the same rights.
	Kubeconfig string

	env      *envtest.Environment
	dir      string
	managers []*exec.Cmd
	// awaited get the error that each ended with.
	awaited []func() error
}

// Start runs etcd and an API server with Bulkhead's CRDs installed. Use it once per test package, from TestMain:
// a start takes seconds. Tests keep apart by using tenants of their own. Further flags of the API server are given as
// name=value.
func Start(flags ...string) (*Cluster, error) {
	definitions, err := crds.All()
	if err != nil {
		return nil, err
	}
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root(), "bin", "k8s")
	}
	if _, err := os.Stat(filepath.Join(assets, "kube-apiserver")); err != nil {
		return nil, fmt.Errorf("tests need Kubernetes binaries: run `make kube` first: %w", err)
	}
	if err := os.Setenv(parentVariable, strconv.Itoa(os.Getpid())); err != nil {
		return nil, fmt.Errorf("tie Kubernetes to this process: %w", err)
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		ControlPlaneStartTimeout: time.Minute,
		ControlPlaneStopTimeout:  30 * time.Second,
		CRDs:                     make([]*apiextensionsv1.CustomResourceDefinition, 0, len(definitions)),
	}
	env.CRDs = append(env.CRDs, definitions...)
	args := env.ControlPlane.GetAPIServer().Configure()
	args.Set("authorization-mode", "Node,RBAC")
	args.Append("enable-admission-plugins", "NodeRestriction")
	args.Disable("disable-admission-plugins") // envtest turns ServiceAccount off; tenants' pods need it real
	for _, flag := range flags {
		name, value, _ := strings.Cut(flag, "=")
		args.Set(name, value)
	}
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("start etcd and kube-apiserver from %s: %w", assets, err)
	}
	config.QPS = -1
	dir, err := os.MkdirTemp("", v1alpha1.NamePrefix+"test-")
	if err != nil {
		return nil, fmt.Errorf("make folder for kubeconfig: %w", err)
	}
	c := &Cluster{Config: config, Kubeconfig: filepath.Join(dir, "admin.kubeconfig"), env: env, dir: dir}
	if err := os.WriteFile(c.Kubeconfig, env.KubeConfig, 0o600); err != nil {
		return nil, fmt.Errorf("write kubeconfig: %w", err)
	}
	return c, nil
}

// Etcd is the address of its etcd, which asks for no certificate.
func (c *Cluster) Etcd() string { return c.env.ControlPlane.Etcd.URL.String() }

// StartControllerManager runs kube-controller-manager: quota, namespace deletion, garbage collection, service
// accounts, workload controllers. It ends with ctx or with Stop.
func (c *Cluster) StartControllerManager(ctx context.Context) error {
	certs := c.env.ControlPlane.GetAPIServer().CertDir
	cmd := exec.CommandContext(ctx, filepath.Join(c.env.BinaryAssetsDirectory, "kube-controller-manager"),
		"--kubeconfig="+c.Kubeconfig,
		"--leader-elect=false",
		// As on most clusters: each controller under its own name and rights, which admission policies distinguish.
		"--use-service-account-credentials",
		"--secure-port=0",
		// Nodes here have no kubelet. Without this they would be tainted as unreachable after a minute.
		"--node-monitor-grace-period=24h", "--node-startup-grace-period=24h",
		"--kube-api-qps=1000", "--kube-api-burst=2000",
		"--service-account-private-key-file="+filepath.Join(certs, "sa-signer.key"),
	)
	log, err := os.Create(filepath.Join(c.dir, "kube-controller-manager.log"))
	if err != nil {
		return fmt.Errorf("create log of kube-controller-manager: %w", err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start kube-controller-manager: %w", err)
	}
	c.managers = append(c.managers, cmd)
	return nil
}

// Await has Stop wait for something that uses the cluster; what that ended with is an error of Stop's.
func (c *Cluster) Await(ended func() error) { c.awaited = append(c.awaited, ended) }

// Stop ends every process and removes the files.
func (c *Cluster) Stop() error {
	var faults []error
	for _, ended := range c.awaited {
		faults = append(faults, ended())
	}
	for _, cmd := range c.managers {
		_ = cmd.Process.Kill() // already ended is fine
		_ = cmd.Wait()         // killed is what we asked for
	}
	if err := c.env.Stop(); err != nil {
		faults = append(faults, fmt.Errorf("stop the test control plane: %w", err))
	}
	return errors.Join(append(faults, os.RemoveAll(c.dir))...)
}

// root is the repository's folder, found from this file's place in it.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
