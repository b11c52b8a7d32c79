package install_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bulkhead-dev/bulkhead/internal/install"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var cluster *testcluster.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	log.SetLogger(logr.Discard()) // the client complains after half a minute without
	var err error
	if cluster, err = testcluster.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	return m.Run()
}

// Promise: a second run of the same installation changes nothing.
func TestApplyIsIdempotent(t *testing.T) {
	first := installed(t, install.Options{Image: "registry.example.com/bulkhead:v1"})
	if len(first) < 10 {
		t.Fatalf("the first run reported %d objects: %v", len(first), first)
	}
	for _, event := range installed(t, install.Options{Image: "registry.example.com/bulkhead:v1"}) {
		if event.Action != install.Unchanged {
			t.Errorf("second run: %s %s %s", event.Phase, event.Action, event.Object)
		}
	}
}

// Promise: another image changes the Deployment and nothing else.
func TestUpgradeChangesOnlyTheDeployment(t *testing.T) {
	installed(t, install.Options{Image: "registry.example.com/bulkhead:v1"})
	changed := 0
	for _, event := range installed(t, install.Options{Image: "registry.example.com/bulkhead:v2"}) {
		if event.Action == install.Unchanged {
			continue
		}
		changed++
		if event.Action != install.Changed || event.Object != "Deployment bulkhead-system/bulkhead" {
			t.Errorf("upgrade: %s %s", event.Action, event.Object)
		}
	}
	if changed != 1 {
		t.Errorf("the upgrade changed %d objects, want 1", changed)
	}
}

func installed(t *testing.T, options install.Options) []install.Event {
	t.Helper()
	var events []install.Event
	if err := install.Apply(context.Background(), cluster.Config, options, func(e install.Event) { events = append(events, e) }); err != nil {
		t.Fatal(err)
	}
	return events
}
