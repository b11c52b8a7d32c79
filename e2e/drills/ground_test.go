package drills_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bulkhead-dev/bulkhead/api/crds"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/internal/localcluster"
	"github.com/bulkhead-dev/bulkhead/internal/run"
)

// ground is a Kubernetes of its own, whose store may be exchanged.
type ground struct {
	*site

	dir     string
	kube    string
	cluster *localcluster.Cluster
}

func newGround(t *testing.T) *ground {
	t.Helper()
	return newGroundAfter(t, func(client.Client) {})
}

// grounds is how many drills may have a cluster of their own at once: more of them cost each other the time in which they must be done.
var grounds = make(chan struct{}, 1)

// newGroundAfter does something first, while Kubernetes does not know Bulkhead's kinds.
func newGroundAfter(t *testing.T, first func(admin client.Client)) *ground {
	t.Helper()
	grounds <- struct{}{}
	t.Cleanup(func() { <-grounds })
	kube, err := localcluster.FindKube(filepath.Join("..", "..", "bin", "kube"))
	must(t, err)
	g := &ground{dir: filepath.Join(t.TempDir(), "data"), kube: kube}
	g.run(t)
	t.Cleanup(func() { g.cluster.Stop() })
	admin, err := g.cluster.Admin()
	must(t, err)
	bulkhead, err := localcluster.Client(g.cluster.ControllersKubeconfig())
	must(t, err)
	c, err := client.New(admin, client.Options{Scheme: run.Scheme()})
	must(t, err)
	first(c)
	definitions, err := crds.All()
	must(t, err)
	for _, definition := range definitions {
		must(t, c.Create(t.Context(), definition))
	}
	eventually(t, "Bulkhead's kinds are served", func() string {
		var faults []error
		for _, list := range []client.ObjectList{&v1alpha1.PlatformList{}, &v1alpha1.TenantList{}, &v1alpha1.SpaceList{}, &v1alpha1.WaiverList{}} {
			faults = append(faults, c.List(t.Context(), list))
		}
		return complaint(errors.Join(faults...))
	})
	g.site, err = open(t.Context(), admin, rest.CopyConfig(bulkhead), g.etcd(t))
	must(t, err)
	t.Cleanup(func() { must(t, g.store.Close()) })
	return g
}

// etcd is how its etcd is reached: with the certificate that etcd itself has.
func (g *ground) etcd(t *testing.T) clientv3.Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, "ports.json"))
	must(t, err)
	var ports struct{ Etcd int }
	must(t, json.Unmarshal(text, &ports))
	pki := func(name string) string { return filepath.Join(g.dir, "pki", name) }
	own, err := tls.LoadX509KeyPair(pki("etcd.crt"), pki("etcd.key"))
	must(t, err)
	authority, err := os.ReadFile(pki("etcd-ca.crt"))
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return clientv3.Config{
		Endpoints: []string{fmt.Sprintf("127.0.0.1:%d", ports.Etcd)},
		TLS:       &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13},
	}
}

// run starts the cluster, or starts it again with what is in its folder.
func (g *ground) run(t *testing.T) {
	t.Helper()
	var err error
	g.cluster, err = localcluster.Start(t.Context(), localcluster.Options{Dir: g.dir, Kube: g.kube, Notice: t.Logf})
	must(t, err)
}

// snapshot copies the store of a stopped cluster.
func (g *ground) snapshot(t *testing.T) string {
	t.Helper()
	copied := filepath.Join(g.dir, "snapshot")
	must(t, os.CopyFS(copied, os.DirFS(filepath.Join(g.dir, "etcd"))))
	return copied
}

// restore puts a copy in the place of the store of a stopped cluster.
func (g *ground) restore(t *testing.T, copied string) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(g.dir, "etcd")))
	must(t, os.Rename(copied, filepath.Join(g.dir, "etcd")))
	must(t, os.Chmod(filepath.Join(g.dir, "etcd"), 0o700)) // as etcd asks
}
