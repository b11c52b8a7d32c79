package isolation_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bulkhead-dev/bulkhead/internal/kubeadmission"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/isolation/rbac"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// fixtureTime is when fixtures are judged.
var fixtureTime = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// fixture is one file testdata/CHECK/NAME.txtar: what its comment promises, the manifests (*.yaml), what the check says of
// them (want), and options, one on a line:
//
//	key LABEL          tenants are in this label of namespaces; "tenant" unless said; "key -" for Bulkhead's own Tenants
//	missing KIND WHY   a kind that could not be read
//	live               as if it were a running cluster and not files
//	age DURATION       how old the snapshot is
//	freshness DURATION how old it may be
//	admission          what admission says is evaluated
//
// want is "Isolated", or a line for each finding of the check: "VERDICT CODE FROM -> TO", FROM and TO being a tenant, * for
// every tenant, or platform. A code of which several findings are alike has one line.
type fixture struct {
	name, check string
	snapshot    *snapshot.Snapshot
	options     finding.Options
	want        []string
}

func fixtures(t *testing.T) []fixture {
	t.Helper()
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	list := make([]fixture, 0, len(files))
	for _, file := range files {
		f, err := readFixture(file)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		list = append(list, f)
	}
	return list
}

func readFixture(file string) (fixture, error) {
	f := fixture{name: strings.TrimSuffix(filepath.Base(file), ".txtar"), check: filepath.Base(filepath.Dir(file)), options: finding.Options{Now: fixtureTime}}
	archive, err := txtar.ParseFile(file)
	if err != nil {
		return f, err
	}
	var manifests bytes.Buffer
	var options []string
	for _, part := range archive.Files {
		switch {
		case strings.HasSuffix(part.Name, ".yaml"):
			fmt.Fprintf(&manifests, "---\n%s\n", part.Data)
		case part.Name == "options":
			options = lines(part.Data)
		case part.Name == "want":
			f.want = lines(part.Data)
		default:
			return f, fmt.Errorf("part %s: want *.yaml, options or want", part.Name)
		}
	}
	source, change, err := f.apply(options)
	if err != nil {
		return f, err
	}
	w, err := manifest.Read([]string{"-"}, &manifests, manifest.Options{Now: fixtureTime, Tenants: source})
	if err != nil {
		return f, err
	}
	contents := *w.Snapshot
	change(&contents)
	s, err := snapshot.New(contents)
	if err != nil {
		return f, err
	}
	if slices.Contains(options, "admission") {
		if f.options.Admission, err = kubeadmission.New(s, rbac.New(s), nil); err != nil {
			return f, err
		}
	}
	for _, e := range w.Expected {
		f.options.Expected = append(f.options.Expected, finding.Expected{Control: e.Control, Object: e.Object})
	}
	f.snapshot = s
	return f, nil
}

// apply understands the options.
func (f *fixture) apply(options []string) (observe.TenantSource, func(*snapshot.Snapshot), error) {
	source := observe.TenantSource{Key: "tenant"}
	var changes []func(*snapshot.Snapshot)
	for _, option := range options {
		word, rest, _ := strings.Cut(option, " ")
		var err error
		switch word {
		case "key":
			source.Key = strings.TrimPrefix(rest, "-")
		case "missing":
			kind, why, _ := strings.Cut(rest, " ")
			changes = append(changes, func(s *snapshot.Snapshot) { s.Missing = append(s.Missing, snapshot.Missing{Kind: kind, Why: why}) })
		case "live":
			changes = append(changes, func(s *snapshot.Snapshot) { s.Offline = false })
		case "age":
			var age time.Duration
			age, err = time.ParseDuration(rest)
			f.options.Now = fixtureTime.Add(age)
		case "freshness":
			f.options.Freshness, err = time.ParseDuration(rest)
		case "admission": // by the snapshot that comes of all options
		default:
			err = fmt.Errorf("option %q is not known", option)
		}
		if err != nil {
			return source, nil, err
		}
	}
	return source, func(s *snapshot.Snapshot) {
		for _, change := range changes {
			change(s)
		}
	}, nil
}

func lines(data []byte) []string {
	var list []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// said is what a report says about a check, in the words of a fixture.
func said(r *isolation.Report, checkID string) []string {
	var check finding.Check
	for _, c := range isolation.Checks() {
		if c.ID == checkID {
			check = c
		}
	}
	var list []string
	for i := range r.Findings {
		f := &r.Findings[i]
		own := slices.ContainsFunc(check.Codes, func(c finding.Code) bool { return c.ID == f.Code })
		if own || f.Code == "BH7001" && strings.HasPrefix(f.What, checkID+" needs ") {
			line := fmt.Sprintf("%s %s %s -> %s", f.Verdict, f.Code, party(f.From), party(f.To))
			if f.Waiver != "" {
				line += " waived"
			}
			list = append(list, line)
		}
	}
	if len(list) == 0 {
		for _, result := range r.Results {
			if result.Check == checkID {
				list = append(list, string(result.Verdict))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func party(tenant string) string {
	if tenant == finding.ThePlatform {
		return "platform"
	}
	return tenant
}

// Promise: every fixture is judged as it says.
func TestFixtures(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.check+"/"+f.name, func(t *testing.T) {
			r := isolation.Verify(f.snapshot, f.options)
			slices.Sort(f.want)
			if got := said(r, f.check); !slices.Equal(got, f.want) {
				t.Errorf("the check says\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(f.want, "\n  "))
				for _, finding := range r.Findings {
					t.Logf("%s %s: %s", finding.Verdict, finding.Code, finding.What)
				}
			}
		})
	}
}

// Promise: every check has a fixture of each verdict in testdata, and what it says of them is what the test above demands. A
// check without one could not fail.
func TestEveryCheckHasFixturesOfEveryVerdict(t *testing.T) {
	has := map[string]bool{}
	for _, f := range fixtures(t) {
		for _, line := range f.want {
			verdict, _, _ := strings.Cut(line, " ")
			has[f.check+" "+verdict] = true
		}
	}
	for _, check := range isolation.Checks() {
		for _, verdict := range []finding.Verdict{finding.Isolated, finding.Exposed, finding.Unknown} {
			if check.ID == "coverage" && verdict == finding.Exposed {
				continue // it judges the proof and no tenant: what is not covered is not known
			}
			if !has[check.ID+" "+string(verdict)] {
				t.Errorf("no file testdata/%s/*.txtar wants %s", check.ID, verdict)
			}
		}
	}
}
