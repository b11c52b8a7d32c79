package localcluster

import (
	"bytes"
	"fmt"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// clusterName is what kubeconfigs call the cluster.
const clusterName = v1alpha1.NamePrefix + "local"

// writeKubeconfig puts a kubeconfig for this identity at path unless a good one is there.
func writeKubeconfig(path, server, namespace string, ca *authority, id Identity, now time.Time) error {
	if old, err := clientcmd.LoadFromFile(path); err == nil && usable(old, server, namespace, ca, id, now) {
		return nil
	}
	certPEM, keyPEM, err := ca.issue(id, nil, now)
	if err != nil {
		return err
	}
	config := api.NewConfig()
	config.Clusters[clusterName] = &api.Cluster{Server: server, CertificateAuthorityData: ca.pem}
	config.AuthInfos[id.User] = &api.AuthInfo{ClientCertificateData: certPEM, ClientKeyData: keyPEM}
	config.Contexts[clusterName] = &api.Context{Cluster: clusterName, AuthInfo: id.User, Namespace: namespace}
	config.CurrentContext = clusterName
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode kubeconfig of %s: %w", id.User, err)
	}
	return writeFile(path, data)
}

func usable(config *api.Config, server, namespace string, ca *authority, id Identity, now time.Time) bool {
	cluster, user, context := config.Clusters[clusterName], config.AuthInfos[id.User], config.Contexts[clusterName]
	return cluster != nil && user != nil && context != nil && context.Namespace == namespace &&
		cluster.Server == server && bytes.Equal(cluster.CertificateAuthorityData, ca.pem) &&
		ca.good(user.ClientCertificateData, id, now)
}
