package check_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bulkhead-dev/bulkhead/internal/check"
	"github.com/bulkhead-dev/bulkhead/internal/install"
	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

var (
	cluster *testcluster.Cluster
	admin   client.Client
)

func TestMain(m *testing.M) { os.Exit(suite(m)) }

func suite(m *testing.M) int {
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
	if admin, err = install.NewClient(cluster.Config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// all findings of the shared cluster.
func all(t *testing.T) []check.Finding {
	t.Helper()
	findings, err := check.Cluster{Config: cluster.Config}.All(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// expect one finding of a check about a subject, in a state, whose detail holds some words.
func expect(t *testing.T, findings []check.Finding, code, subject string, state check.State, words string) {
	t.Helper()
	var about []check.Finding
	for _, f := range findings {
		if f.Code == code && f.Subject == subject {
			about = append(about, f)
		}
	}
	if len(about) != 1 {
		t.Errorf("%s about %q: %d findings, want 1; of this check: %+v", code, subject, len(about), of(findings, code))
		return
	}
	if f := about[0]; f.State != state || !strings.Contains(f.Detail, words) {
		t.Errorf("%s about %q: %s %q, want %s with %q", code, subject, f.State, f.Detail, state, words)
	}
}

func absent(t *testing.T, findings []check.Finding, code, subject string) {
	t.Helper()
	for _, f := range of(findings, code) {
		if f.Subject == subject {
			t.Errorf("%s has a finding about %q: %s %s", code, subject, f.State, f.Detail)
		}
	}
}

func of(findings []check.Finding, code string) []check.Finding {
	var some []check.Finding
	for _, f := range findings {
		if f.Code == code {
			some = append(some, f)
		}
	}
	return some
}

// create objects, and delete them when the test is over.
func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := admin.Create(context.Background(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
		t.Cleanup(func() {
			if err := admin.Delete(context.Background(), object); client.IgnoreNotFound(err) != nil {
				t.Errorf("delete %T %s: %v", object, object.GetName(), err)
			}
		})
	}
}
