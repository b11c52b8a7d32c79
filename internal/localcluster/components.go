package localcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed" // for the API server's configuration files
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"time"
)

// The cluster's ranges, for the example Platform and for simulated pods: kwok gives pods addresses of PodCIDR.
const (
	PodCIDR     = "10.244.0.0/16"
	ServiceCIDR = "10.96.0.0/16"
)

//go:embed audit-policy.yaml
var auditPolicy []byte

//go:embed authentication.yaml
var authentication []byte

// Graces add up to less than ten seconds, so that Ctrl-C takes no longer even when every program hangs. Only etcd's
// matters for data, and it survives a kill as well: it acknowledges a write when that is on the disk.
const (
	graceController = 2 * time.Second
	graceComponent  = time.Second
	graceAPIServer  = time.Second
	graceEtcd       = 3 * time.Second
)

// Seats of the API server, all requests and changes. Priority and fairness divides seats, not processors: with the default of
// 600, one tenant's flood has every processor of a small machine busy before seats run out (bulkhead check, BHC207). With
// three for each processor instead of five, every other priority level has one seat, and up takes more than twice as long.
const (
	requestsPerProcessor = 3
	changesPerProcessor  = 2
)

func (c *Cluster) etcd() *Program {
	client, peer := "https://"+address(c.ports.Etcd), "https://"+address(c.ports.EtcdPeer)
	pki := func(name string) string { return c.folder.path("pki", name) }
	return &Program{
		Name: "etcd", Path: c.kube, Grace: graceEtcd,
		Args: []string{
			"etcd", "--name=local", "--data-dir=" + c.folder.path("etcd"), "--log-level=warn",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=local=" + peer,
			// Other users of this machine reach 127.0.0.1 too: they need a certificate of etcd's own
			// authority, which is not the one that tenants have certificates of.
			"--trusted-ca-file=" + pki("etcd-ca.crt"), "--client-cert-auth",
			"--cert-file=" + pki("etcd.crt"), "--key-file=" + pki("etcd.key"),
			"--peer-trusted-ca-file=" + pki("etcd-ca.crt"), "--peer-client-cert-auth",
			"--peer-cert-file=" + pki("etcd.crt"), "--peer-key-file=" + pki("etcd.key"),
			// The only member elects itself: a short timeout starts it sooner, and the disk's pauses cannot cost it an election.
			"--heartbeat-interval=50", "--election-timeout=500",
		},
		Ready: healthy(client+"/health", c.etcdTLS),
	}
}

func (c *Cluster) apiServer() *Program {
	pki := func(name string) string { return c.folder.path("pki", name) }
	return &Program{
		Name: "kube-apiserver", Path: c.kube, Grace: graceAPIServer,
		Args: []string{
			"kube-apiserver", "--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(c.ports.APIServer),
			// An address of its own for the service "kubernetes" must not be a loopback one, and a machine without
			// network has no other: this one is reserved for documentation (RFC 5737); no simulated pod calls it.
			"--advertise-address=192.0.2.1",
			"--etcd-servers=https://" + address(c.ports.Etcd), "--etcd-cafile=" + pki("etcd-ca.crt"),
			"--etcd-certfile=" + pki("etcd.crt"), "--etcd-keyfile=" + pki("etcd.key"),
			"--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key"),
			"--client-ca-file=" + pki("ca.crt"),
			"--authentication-config=" + c.folder.path("components", "authentication.yaml"),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			// Otherwise the API server's own switch would refuse privileged pods, and hide that the controls do.
			"--allow-privileged=true",
			"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=" + ServiceCIDR,
			"--service-account-key-file=" + pki("service-accounts.key"),
			"--service-account-signing-key-file=" + pki("service-accounts.key"),
			"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--kubelet-client-certificate=" + pki("kubelet-client.crt"), "--kubelet-client-key=" + pki("kubelet-client.key"),
			"--audit-policy-file=" + c.folder.path("components", "audit-policy.yaml"),
			"--audit-log-path=" + c.folder.log("audit"), "--audit-log-maxsize=50", "--audit-log-maxbackup=2",
			"--max-requests-inflight=" + strconv.Itoa(requestsPerProcessor*runtime.NumCPU()),
			"--max-mutating-requests-inflight=" + strconv.Itoa(changesPerProcessor*runtime.NumCPU()),
			// All clients are on this machine, so compression would only cost processor time (bulkhead check, BHC208).
			"--feature-gates=APIResponseCompression=false",
			"--profiling=false",
		},
		Ready: healthy(c.server()+"/readyz", c.adminTLS),
	}
}

func (c *Cluster) controllerManager() *Program {
	pki := func(name string) string { return c.folder.path("pki", name) }
	return &Program{
		Name: "kube-controller-manager", Path: c.kube, Grace: graceComponent,
		Args: []string{
			"kube-controller-manager", "--kubeconfig=" + c.folder.kubeconfig("kube-controller-manager"),
			"--leader-elect=false", "--use-service-account-credentials",
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(c.ports.ControllerManager),
			"--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key"),
			"--service-account-private-key-file=" + pki("service-accounts.key"), "--root-ca-file=" + pki("ca.crt"),
			"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
			"--allocate-node-cidrs", "--cluster-cidr=" + PodCIDR, "--service-cluster-ip-range=" + ServiceCIDR,
			"--kube-api-qps=200", "--kube-api-burst=400", "--profiling=false",
		},
		Ready: healthy("https://"+address(c.ports.ControllerManager)+"/healthz", c.adminTLS),
	}
}

func (c *Cluster) scheduler() *Program {
	pki := func(name string) string { return c.folder.path("pki", name) }
	return &Program{
		Name: "kube-scheduler", Path: c.kube, Grace: graceComponent,
		Args: []string{
			"kube-scheduler", "--kubeconfig=" + c.folder.kubeconfig("kube-scheduler"), "--leader-elect=false",
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(c.ports.Scheduler),
			"--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key"), "--profiling=false",
		},
		Ready: healthy("https://"+address(c.ports.Scheduler)+"/healthz", c.adminTLS),
	}
}

func (c *Cluster) kwok() *Program {
	return &Program{
		Name: "kwok", Path: c.kube, Grace: graceComponent,
		Args: []string{
			"kwok", "--kubeconfig=" + c.folder.kubeconfig("kwok"), "--server-address=" + address(c.ports.Kubelet),
			"--tls-cert-file=" + c.folder.path("pki", "server.crt"), "--tls-private-key-file=" + c.folder.path("pki", "server.key"),
		},
		Ready: healthy("https://"+address(c.ports.Kubelet)+"/healthz", c.adminTLS),
	}
}

// healthy returns a check that succeeds when the URL answers 200.
func healthy(url string, config *tls.Config) func(context.Context) error {
	client := &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", url, err)
		}
		response, err := client.Do(request)
		if err != nil {
			return err // it names the URL
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return nil
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		if err != nil {
			return fmt.Errorf("%s: %w", url, err)
		}
		return fmt.Errorf("%s: %s: %s", url, response.Status, bytes.TrimSpace(body))
	}
}

// clientTLS is what a client needs to be id for a server whose certificate this authority signed.
func (a *authority) clientTLS(id Identity, now time.Time) (*tls.Config, error) {
	certPEM, keyPEM, err := a.issue(id, nil, now)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("load the certificate just issued: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}, nil
}
