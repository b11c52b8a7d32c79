// Package fields_test holds the ledger of fields against the API server's own OpenAPI and against the hostile requests.
package fields_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/guardrail/fields"
	"github.com/bulkhead-dev/bulkhead/internal/observe/openapi"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// served is what the API server serves to owners, whose rules these are.
var (
	served *fields.API
	rules  = fields.Rights()
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	cluster, err := testcluster.Start()
	if err == nil {
		served, err = read(cluster)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if cluster != nil {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// read waits until the API server's OpenAPI has Bulkhead's own kinds, which it publishes some time after it serves them.
func read(cluster *testcluster.Cluster) (*fields.API, error) {
	client, err := discovery.NewDiscoveryClientForConfig(cluster.Config)
	if err != nil {
		return nil, err
	}
	var api *fields.API
	err = wait.PollUntilContextTimeout(context.Background(), 100*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		api, err = openapi.Fields(client.OpenAPIV3(), rules)
		return err == nil && len(api.Rows(fields.Ledger(), v1alpha1.GroupVersion.Group, "spaces", map[string]any{"spec": map[string]any{"workload": "x"}})) > 0, err
	})
	return api, err
}
