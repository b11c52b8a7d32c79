package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

// Promise: what install, uninstall, check, describe and guide say on a real API server, and with which exit code, is what
// their scripts in testdata say. The scripts share one cluster, one after the other.
func TestOnACluster(t *testing.T) {
	cluster, err := testcluster.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	tools, err := filepath.Abs(filepath.Join("..", "..", "bin", "k8s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{"install", "check", "describe", "guide", "prove_cluster", "uninstall"} {
		t.Run(script, func(t *testing.T) {
			runScript(t, "testdata/"+script+".txtar", func(env *testscript.Env) error {
				env.Setenv("KUBECONFIG", cluster.Kubeconfig)
				env.Setenv("PATH", env.Getenv("PATH")+string(os.PathListSeparator)+tools)
				return nil
			})
		})
	}
}

// Promise: commands that need no cluster, and wrong use of those that do, are as their scripts say.
func TestWithoutACluster(t *testing.T) {
	for _, script := range []string{"explain", "install_usage", "attack", "prove"} {
		runScript(t, "testdata/"+script+".txtar", func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "none"))
			return nil
		})
	}
}

// runScript has the command `exits CODE PROGRAM ARGS...` next to testscript's own.
func runScript(t *testing.T, script string, setup func(*testscript.Env) error) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Files: []string{script}, Setup: setup, RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("%s: exit %d, want %d", strings.Join(args[1:], " "), code, want)
	}
}
