package demo

import (
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/attack/engine"
	"github.com/bulkhead-dev/bulkhead/internal/install"
	"github.com/bulkhead-dev/bulkhead/internal/localcluster"
)

// Person is a user of the API server, with a client certificate of their own.
type Person struct {
	// Name as the API server knows it.
	Name string
	// Tenant that the person belongs to; empty for the administrator.
	Tenant string
	// Kubeconfig is a file's path.
	Kubeconfig string

	client client.Client
	typed  kubernetes.Interface
	// server sends the catalogue's requests with the person's certificate.
	server *engine.Server
}

// NewPerson makes a person's clients out of the kubeconfig.
func NewPerson(name, tenant, kubeconfig string) (*Person, error) {
	config, err := localcluster.Client(kubeconfig)
	if err != nil {
		return nil, err
	}
	p := &Person{Name: name, Tenant: tenant, Kubeconfig: kubeconfig}
	return p, p.connect(config)
}

func (p *Person) connect(config *rest.Config) error {
	var err error
	if p.client, err = install.NewClient(config); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	if p.typed, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	if p.server, err = engine.NewServer(config, true); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	p.server.Own = true
	return nil
}

// Developer is an identity that owns the tenant: its first user, or else an invented one in its groups.
func Developer(tenant *v1alpha1.Tenant) localcluster.Identity {
	id := localcluster.Identity{}
	for _, owner := range tenant.Spec.Owners {
		switch {
		case owner.Kind == rbacv1.GroupKind:
			id.Groups = append(id.Groups, owner.Name)
		case owner.Kind == rbacv1.UserKind && id.User == "":
			id.User = owner.Name
		}
	}
	if id.User == "" {
		id.User = tenant.Name + "-developer"
	}
	return id
}

// tenantOf a Space's namespace.
func tenantOf(namespace string) string {
	tenant, _, _ := strings.Cut(namespace, "--")
	return tenant
}
