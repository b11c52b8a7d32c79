package cli

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/demo"
	"github.com/bulkhead-dev/bulkhead/internal/install"
	"github.com/bulkhead-dev/bulkhead/internal/localcluster"
)

// poolLabel is the label by which the simulated provider says which pool a node belongs to.
const poolLabel = "node.example.com/pool"

// nodes are four that everybody shares, and two pools of one node each that can be dedicated.
func nodes() []localcluster.Node {
	list := make([]localcluster.Node, 0, 6)
	for i := 1; i <= 4; i++ {
		list = append(list, localcluster.Node{Name: fmt.Sprintf("shared-%d", i), Labels: map[string]string{poolLabel: "shared"}})
	}
	for _, pool := range []string{"dedicated-1", "dedicated-2"} {
		list = append(list, localcluster.Node{Name: pool, Labels: map[string]string{poolLabel: pool}})
	}
	return list
}

func startCluster(ctx context.Context, dir, kube string, steps *steps) (*localcluster.Cluster, error) {
	var cluster *localcluster.Cluster
	err := steps.do("start Kubernetes with six simulated nodes", func() error {
		var err error
		cluster, err = localcluster.Start(ctx, localcluster.Options{
			Dir: dir, Kube: kube, Notice: steps.noticef, Step: steps.note,
			// Otherwise Kubernetes may begin to count before it knows of Spaces, and look again only half a minute later.
			Serving: func(ctx context.Context, admin *rest.Config) error { return install.ApplyDefinitions(ctx, admin, nil) },
		})
		if err != nil {
			return err
		}
		if err := cluster.EnsureNodes(ctx, nodes()); err != nil {
			cluster.Stop()
			return err
		}
		return nil
	})
	return cluster, err
}

// installBulkhead writes what `bulkhead install` writes, without a Deployment, and runs the controller as a child
// process instead. The returned program starts it again.
func installBulkhead(ctx context.Context, cluster *localcluster.Cluster, steps *steps) (*localcluster.Program, error) {
	err := steps.do("install Bulkhead: definitions, guardrails, rights", func() error {
		config, err := cluster.Admin()
		if err != nil {
			return err
		}
		written := 0
		return install.Apply(ctx, config, install.Options{}, func(install.Event) {
			written++
			steps.note(fmt.Sprintf("%d objects", written))
		})
	})
	if err != nil {
		return nil, err
	}
	path, err := self()
	if err != nil {
		return nil, err
	}
	program := controllerProgram(path, cluster)
	return program, steps.do("start Bulkhead's controller", func() error { return cluster.Run(ctx, program) })
}

func controllerProgram(path string, cluster *localcluster.Cluster) *localcluster.Program {
	health := cluster.ControllersAddress()
	return &localcluster.Program{
		Name: "controller", Path: path, Grace: 2 * time.Second,
		Args:  []string{"run", "--kubeconfig=" + cluster.ControllersKubeconfig(), "--health-address=" + health, "--audit-log=" + cluster.AuditLog()},
		Ready: answers("http://" + health + "/readyz"),
	}
}

// answers checks that a URL answers 200.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", url, err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err // it names the URL
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		return nil
	}
}

// people are the administrator and a developer of every tenant, each with a kubeconfig in the data folder.
func people(cluster *localcluster.Cluster, dir string, example *demo.Example) (*demo.Play, error) {
	admin, err := demo.NewPerson("admin", "", relative(localcluster.AdminKubeconfig(dir)))
	if err != nil {
		return nil, err
	}
	play := &demo.Play{Example: example, Admin: admin, Developers: map[string]*demo.Person{}}
	for _, tenant := range example.Tenants {
		id := demo.Developer(tenant)
		path, err := cluster.Kubeconfig(tenant.Name, id, v1alpha1.HomeNamespace(tenant.Name))
		if err != nil {
			return nil, err
		}
		if play.Developers[tenant.Name], err = demo.NewPerson(id.User, tenant.Name, relative(path)); err != nil {
			return nil, err
		}
	}
	return play, nil
}

// relative is the path as a person would type it here.
func relative(path string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(short, "..") {
		return short
	}
	return path
}
