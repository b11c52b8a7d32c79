// Package docs_test runs every command that the documentation shows.
package docs_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/internal/testcluster"
)

const root = "../.."

// pages whose ```sh blocks are run, in this order and against the same cluster.
var pages = []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "examples/*/README.md"}

// command is one line of a ```sh block.
type command struct {
	page string
	line int
	text string
}

// Promise: a command that the documentation shows does what it says, on a cluster like the reader's.
func TestEveryCommandInTheDocsRuns(t *testing.T) {
	commands := documented(t)
	if len(commands) < 10 {
		t.Fatalf("found %d commands: too few to be all of them", len(commands))
	}
	env := reader(t)
	for _, c := range commands {
		t.Run(fmt.Sprintf("%s:%d", c.page, c.line), func(t *testing.T) {
			words := strings.Fields(c.text)
			switch {
			case words[0] == "make":
				run(t, env, c, "make -n "+strings.Join(words[1:], " ")) // CI runs the targets themselves
			case words[0] == "go" && words[1] == "install":
				run(t, env, c, "go list ./"+strings.TrimPrefix(strings.Split(words[2], "@")[0], "github.com/bulkhead-dev/bulkhead/"))
			case words[0] == "go" && words[1] == "test":
				testsExist(t, env, c, words)
			case words[0] == "bulkhead" && (words[1] == "up" || words[1] == "run" || words[1] == "down"):
				run(t, env, c, c.text+" --help") // e2e/up runs them for real
			default:
				run(t, env, c, c.text)
			}
		})
	}
}

// documented collects the commands, with comments cut off.
func documented(t *testing.T) []command {
	t.Helper()
	var commands []command
	for _, pattern := range pages {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("pages %s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			page, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			inside := false
			for i, line := range strings.Split(string(data), "\n") {
				switch {
				case strings.HasPrefix(line, "```"):
					inside = line == "```sh"
				case inside:
					text, _, _ := strings.Cut(line, " #")
					if text = strings.TrimSpace(text); text != "" && !strings.HasPrefix(text, "#") {
						commands = append(commands, command{page, i + 1, text})
					}
				}
			}
		}
	}
	return commands
}

// reader is the environment of somebody who reads along: bulkhead and kubectl on the PATH, a cluster of their own.
func reader(t *testing.T) []string {
	t.Helper()
	cluster, err := testcluster.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := cluster.StartControllerManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "bulkhead"), "../../cmd/bulkhead").CombinedOutput()
	if err != nil {
		t.Fatalf("build bulkhead: %v\n%s", err, out)
	}
	kubernetes, err := filepath.Abs(filepath.Join(root, "bin", "k8s"))
	if err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig,
		"PATH="+strings.Join([]string{bin, kubernetes, os.Getenv("PATH")}, string(os.PathListSeparator)))
}

func run(t *testing.T, env []string, c command, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.Dir, cmd.Env = root, env
	out, err := cmd.CombinedOutput()
	if err != nil && !answers(text, cmd.ProcessState.ExitCode()) {
		t.Errorf("%s:%d: %s: %v\n%s", c.page, c.line, c.text, err, out)
	}
	return string(out)
}

// answers says that the exit status is an answer and no failure: a proof may come out exposed or unknown.
func answers(text string, code int) bool {
	return strings.HasPrefix(text, "bulkhead prove") && (code == 1 || code == 2)
}

// testsExist checks that a documented `go test` names packages and tests that there are; CI runs the tests themselves.
func testsExist(t *testing.T, env []string, c command, words []string) {
	t.Helper()
	pattern, packages := ".", []string{}
	for i, w := range words {
		if i > 0 && (words[i-1] == "-run" || words[i-1] == "-bench" || words[i-1] == "-fuzz") && strings.Trim(w, "'") != "^$" {
			pattern, _, _ = strings.Cut(strings.Trim(w, "'"), "/")
		}
		if strings.HasPrefix(w, "./") {
			packages = append(packages, w)
		}
	}
	named, err := regexp.Compile(pattern)
	if err != nil {
		t.Fatalf("%s:%d: %s: %v", c.page, c.line, c.text, err)
	}
	// The sources say it; `go test -list` would build and link every package for it.
	files := run(t, env, c, `go list -f '{{range .TestGoFiles}}{{$.Dir}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$.Dir}}/{{.}} {{end}}' `+strings.Join(packages, " "))
	for _, file := range strings.Fields(files) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, is := d.(*ast.FuncDecl); is && f.Recv == nil && testName.MatchString(f.Name.Name) && named.MatchString(f.Name.Name) {
				return
			}
		}
	}
	t.Errorf("%s:%d: %s: no test of that name in %v", c.page, c.line, c.text, packages)
}

// testName is what the names of functions that go test runs begin with.
var testName = regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)`)
