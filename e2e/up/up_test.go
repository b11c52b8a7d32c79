package up_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/internal/localcluster"
)

// outcome and told are the parts of `up -o json` that are judged here.
type outcome struct {
	What, Control, Says string
	Holds               bool
}

type told struct {
	Tenants []struct{ Tenant string }
	Spaces  []struct {
		Tenant, Space, Namespace, Reason string
		Ready                            bool
		Pods                             int
		Nodes                            []string
	}
	Enforcement      struct{ Webhooks int }
	Allowed, Refused []outcome
	Drill            *struct{ Allowed, Refused, Rest []outcome }
}

// Promise: `up --once --drill` declares, decides, enforces, proves; what must work works and what must be refused is
// refused by its control; with the controller killed (-9) all of that goes on, running pods are untouched, and a Space
// asked for meanwhile waits and is served later. It exits 0 and leaves no process.
func TestOnceWithDrill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	up := start(t, "up", "--once", "--drill", "-o", "json", "--dir", dir)
	if code := up.wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if left := processesNaming(t, dir); len(left) > 0 {
		t.Errorf("processes are left: %s", strings.Join(left, "\n"))
	}
	var story told
	if err := json.Unmarshal([]byte(up.out.String()), &story); err != nil {
		t.Fatal(err)
	}
	if len(story.Tenants) < 8 {
		t.Errorf("want at least 8 tenants, got %d", len(story.Tenants))
	}
	if story.Enforcement.Webhooks != 0 {
		t.Errorf("there are %d webhooks", story.Enforcement.Webhooks)
	}
	if story.Drill == nil {
		t.Fatal("there was no drill")
	}
	for name, outcomes := range map[string][]outcome{
		"allowed": story.Allowed, "refused": story.Refused,
		"allowed without controller": story.Drill.Allowed, "refused without controller": story.Drill.Refused,
		"rest of the drill": story.Drill.Rest,
	} {
		if len(outcomes) == 0 {
			t.Errorf("%s: nothing was tried", name)
		}
		for _, o := range outcomes {
			if !o.Holds {
				t.Errorf("%s: %s: %s", name, o.What, o.Says)
			}
		}
	}
	checkPlaces(t, story)
}

// checkPlaces holds the example to what its README says about where everybody runs.
func checkPlaces(t *testing.T, story told) {
	t.Helper()
	want := map[string]string{ // the node group for what is dedicated, the reason for what waits
		"gazette/paywall": "dedicated-1", "insights/nightly": "dedicated-2",
		"cms/plugins": "NeedsDedicatedCluster", "pixelworks/campaign": "NeedsDedicatedCluster",
		"directory/staff": "NeedsDedicatedCluster", "vpn/gateway": "NeedsDedicatedCluster",
		"labs/playground": "NeedsDedicatedCluster", "newsroom/staging": "NeedsOtherEnvironment",
		"subscriptions/billing": "NodeGroupMissing",
	}
	for _, space := range story.Spaces {
		name := space.Tenant + "/" + space.Space
		got := space.Reason
		if space.Ready {
			got = "shared"
			if nodes := strings.Join(space.Nodes, ","); !strings.HasPrefix(nodes, "shared-") || strings.Contains(nodes, "dedicated") {
				got = nodes
			}
			if space.Pods == 0 {
				t.Errorf("%s has no pods", name)
			}
		} else if space.Namespace != "" {
			t.Errorf("%s waits and has the namespace %s", name, space.Namespace)
		}
		expected, ok := want[name]
		if !ok {
			expected = "shared"
		}
		if got != expected {
			t.Errorf("%s: want %s, got %s", name, expected, got)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("these Spaces are missing: %v", want)
	}
}

func configMaps(t *testing.T, kubeconfig string) interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.ConfigMap, error)
	Create(ctx context.Context, m *corev1.ConfigMap, o metav1.CreateOptions) (*corev1.ConfigMap, error)
} {
	t.Helper()
	config, err := localcluster.Client(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.CoreV1().ConfigMaps("newsroom--site")
}

// Promise: killed with -9, `up` leaves no process; the next one resumes with the same state and old kubeconfigs work;
// a second one in the same folder says who runs; another folder runs beside it; Ctrl-C and `down` end within 10 s.
func TestKilledUpResumes(t *testing.T) {
	dir, other := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "other")
	first := start(t, "up", "--dir", dir)
	first.waitFor("\nTry\n")
	checkReadme(t, first.out.String())
	for _, text := range []string{"get spaces", "newsroom.kubeconfig"} {
		if !strings.Contains(first.out.String(), text) {
			t.Errorf("the answer does not tell of %q", text)
		}
	}

	saved := filepath.Join(t.TempDir(), "developer.kubeconfig")
	data, err := os.ReadFile(filepath.Join(dir, "owners", "newsroom.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(saved, data, 0o600); err != nil {
		t.Fatal(err)
	}
	note := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "note"}, Data: map[string]string{"written": "before"}}
	if _, err := configMaps(t, saved).Create(t.Context(), note, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	second := start(t, "up", "--dir", dir)
	if code := second.wait(); code != 3 {
		t.Errorf("a second up in the same folder: exit code %d instead of 3", code)
	}
	if said := second.err.String(); !strings.Contains(said, "process "+strconv.Itoa(first.cmd.Process.Pid)) || !strings.Contains(said, "bulkhead down --dir "+dir) {
		t.Errorf("a second up in the same folder should say who runs and how to end it: %s", said)
	}

	first.end(syscall.SIGKILL)
	eventually(t, "no process of the killed up is left", func() error {
		if left := processesNaming(t, dir); len(left) > 0 {
			return &leftError{left}
		}
		return nil
	})

	resumed := start(t, "up", "--dir", dir)
	beside := start(t, "up", "--empty", "--dir", other)
	beside.waitFor("Bulkhead is up")
	resumed.waitFor("Bulkhead is up: ")
	got, err := configMaps(t, saved).Get(t.Context(), "note", metav1.GetOptions{})
	if err != nil || got.Data["written"] != "before" {
		t.Errorf("what was written before, read with the kubeconfig of before: %v, %v", got, err)
	}

	if took := resumed.end(syscall.SIGINT); took > 10*time.Second {
		t.Errorf("Ctrl-C took %v, which is more than ten seconds", took)
	}
	if code := resumed.wait(); code != 0 {
		t.Errorf("after Ctrl-C: exit code %d", code)
	}
	if left := processesNaming(t, other); len(left) == 0 {
		t.Error("the cluster in the other folder has ended too")
	}
	began := time.Now()
	if code := start(t, "down", "--dir", other).wait(); code != 0 {
		t.Errorf("down: exit code %d", code)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("down took %v, which is more than ten seconds", took)
	}
	if left := append(processesNaming(t, dir), processesNaming(t, other)...); len(left) > 0 {
		t.Errorf("processes are left: %s", strings.Join(left, "\n"))
	}
	if code := beside.wait(); code != 0 {
		t.Errorf("the up that was ended by down: exit code %d", code)
	}
}

type leftError struct{ lines []string }

func (e *leftError) Error() string { return "left: " + strings.Join(e.lines, "\n") }

// Promise: wrong use is told in one line, with exit code 3.
func TestWrongUse(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"up", "--kube", "/nowhere/kube"}, "/nowhere/kube is not an executable file"},
		{[]string{"up", "now"}, `unknown command "now" for "bulkhead up"`},
		{[]string{"up", "--drill", "--empty"}, "[drill empty]"},
		{[]string{"up", "-o", "xml"}, "table, json"},
	} {
		p := start(t, append(c.args, "--dir", filepath.Join(t.TempDir(), "data"))...)
		if code := p.wait(); code != 3 || !strings.Contains(p.err.String(), c.says) || strings.Count(p.err.String(), "\n") != 1 {
			t.Errorf("%v: want exit code 3 and one line with %q, got %d and %s", c.args, c.says, code, p.err.String())
		}
	}
	nothing := start(t, "down", "--dir", filepath.Join(t.TempDir(), "data"))
	if code := nothing.wait(); code != 0 || !strings.Contains(nothing.err.String(), "nothing runs") {
		t.Errorf("down of nothing: exit code %d, %s", code, nothing.err.String())
	}
}
