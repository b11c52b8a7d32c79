package testcluster

import (
	"fmt"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// User reaches the cluster with a client certificate of this name and these groups: with the rights that RBAC gives
// them, and no others.
func (c *Cluster) User(name string, groups ...string) (*rest.Config, error) {
	user, err := c.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return nil, fmt.Errorf("make a client certificate for %s: %w", name, err)
	}
	config := user.Config()
	config.QPS = -1
	return config, nil
}
