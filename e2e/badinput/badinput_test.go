package badinput

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/internal/cli"
)

// exitBad is the exit code of `bulkhead decide` for bad input.
const exitBad = 3

// decided runs `bulkhead decide -f` and returns its exit code and what it printed.
func decided(stdin string, paths ...string) (code int, out, problems string) {
	args := []string{"decide"}
	for _, path := range paths {
		args = append(args, "-f", path)
	}
	var stdout, stderr bytes.Buffer
	code = cli.Main(args, strings.NewReader(stdin), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// needsHome makes the namespace in which Spaces are written.
func needsHome(t *testing.T) {
	t.Helper()
	code, answer := server.send(t.Context(), http.MethodPost, "/api/v1/namespaces", "{apiVersion: v1, kind: Namespace, metadata: {name: tenant-news}}", nil)
	if code != http.StatusCreated && code != http.StatusConflict {
		t.Fatalf("create the home namespace: %d %s", code, answer)
	}
}

// The positive control of every case below: what they spoil is accepted before it is spoilt.
func TestCorrectObjectsAreAccepted(t *testing.T) {
	needsHome(t)
	for kind, object := range base {
		code, answer := server.create(t.Context(), kind, object, map[string]string{"dryRun": "All"})
		if code != http.StatusCreated {
			t.Errorf("%s: %d %s", kind, code, answer)
		}
	}
	all := base["Platform"] + "---\n" + base["Tenant"] + "---\n" + base["Space"] + "---\n" + base["Waiver"]
	if code, out, problems := decided(all, "-"); code != 0 || !strings.HasPrefix(out, "1 tenant, 2 workloads: 1 Soft, 1 SoftAffinity\n") {
		t.Errorf("decide: exit %d\n%s\n%s", code, out, problems)
	}
}

// Promise: malformed and hostile input is refused, by the API server itself and by `bulkhead decide`, with words that
// say what is wrong and where; and changes nothing.
func TestBadInputIsRefused(t *testing.T) {
	needsHome(t)
	total := 0
	for kind, cases := range map[string][]badCase{"": yamlCases, "Tenant": tenantCases, "Space": spaceCases, "Platform": platformCases, "Waiver": waiverCases} {
		for _, c := range cases {
			if c.kind == "" {
				c.kind = kind
			}
			total++
			t.Run(c.kind+"/"+c.name, func(t *testing.T) { refused(t, &c) })
		}
	}
	if total < 40 {
		t.Errorf("%d cases; the promise is of 40 at least", total)
	}
}

func refused(t *testing.T, c *badCase) {
	if strings.Count(base[c.kind], c.old) == 0 {
		t.Fatalf("the base has no %q", c.old)
	}
	object := strings.Replace(base[c.kind], c.old, c.new, 1)
	before := server.world(t)
	code, answer := server.create(t.Context(), c.kind, object, nil)
	if code != http.StatusUnprocessableEntity && code != http.StatusBadRequest {
		t.Errorf("the API server answered %d: %s", code, answer)
	}
	if !strings.Contains(answer, c.says) {
		t.Errorf("the API server said:\n%s\nand not:\n%s", answer, c.says)
	}
	if after := server.world(t); after != before {
		t.Errorf("refused, and yet something changed:\n%s\nwas:\n%s", after, before)
	}
	want := c.file
	if want == "" {
		want = c.says
	}
	file := write(t, "bad.yaml", object)
	exit, out, problems := decided("", file)
	if exit != exitBad || out != "" {
		t.Errorf("decide: exit %d, printed %q: want %d and no decision", exit, out, exitBad)
	}
	for _, line := range strings.Split(problems, "\n") {
		if strings.HasPrefix(line, file+":"+c.at) && strings.Contains(line, want) {
			return
		}
	}
	t.Errorf("decide said:\n%s\nand not, at %s:\n%s", strings.ReplaceAll(problems, file, "bad.yaml"), c.at, want)
}
