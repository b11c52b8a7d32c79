package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/decision/tenancy"
	"github.com/bulkhead-dev/bulkhead/internal/cli/output"
	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/internal/observe/manifest"
	"github.com/bulkhead-dev/bulkhead/placement"
)

// newDecideCommand decides what files declare. It needs no cluster.
func newDecideCommand(streams IOStreams) *cobra.Command {
	var from *files
	var chosen *format
	cmd := &cobra.Command{
		Use:   "decide (-f FILE... | -k FOLDER)",
		Short: "Decide the tenancy pattern of every workload in files, with reasons; needs no cluster",
		Long: "Reads Platform, Tenant, Space and Waiver objects (YAML or JSON) and prints for every workload of every tenant which\n" +
			"pattern it needs, by which rule and why, what the pattern leaves open, and which smallest change of declared\n" +
			"facts would give a cheaper one.\n\n" +
			"A folder means all *.yaml, *.yml and *.json files in it and below, except those whose name starts with a dot;\n" +
			"- means standard input. Objects of other API groups are ignored. Files are validated as the API server would; if\n" +
			"anything is wrong, every error is printed with its place and nothing is decided.",
		Example: "  bulkhead decide -f examples/magazine\n" +
			"  bulkhead decide -f platform.yaml -f tenants/ -o json\n" +
			"  bulkhead decide -k overlays/production\n" +
			"  kubectl get platforms,tenants -o yaml | bulkhead decide -f -",
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			from.paths = append(from.paths, args...)
			return decide(streams, from, chosen.value, time.Now())
		},
	}
	from = addFileFlags(cmd, "file or folder to read, - for standard input; may be repeated")
	chosen = addFormatFlag(cmd, formatTable, formatJSON, formatYAML, formatMarkdown)
	return cmd
}

func decide(streams IOStreams, from *files, chosen string, now time.Time) error {
	switch {
	case from.none():
		return errors.New("no files: name those that declare the tenants, as in `bulkhead decide -f FILE`")
	case from.kustomization != "" && len(from.paths) > 0:
		return fmt.Errorf("-k %s and files (%s) exclude one another: name one of them", from.kustomization, strings.Join(from.paths, ", "))
	}
	// Reading thousands of tenants leaves much garbage and ends soon: collecting it less often takes a fifth of the
	// time off. What the files' sizes are bounded by bounds the memory too.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	streams.Reading(from.String())
	rendered, _, err := from.rendered()
	if err != nil {
		return err
	}
	files, err := manifest.ReadDeclarations(from.paths, streams.In, rendered...)
	if err != nil {
		return badFiles(streams.ErrOut, err)
	}
	answer, err := decideAll(&files, now)
	if err != nil {
		return badFiles(streams.ErrOut, err)
	}
	switch chosen {
	case formatJSON:
		return output.WriteJSON(streams.Out, answer)
	case formatYAML:
		return output.WriteYAML(streams.Out, answer)
	case formatMarkdown:
		return answer.markdown(streams.Out)
	default:
		return answer.table(streams.Out)
	}
}

// badFiles prints faults one a line, starting with the place, so that editors can follow them.
func badFiles(w io.Writer, err error) error {
	var faults *manifest.FaultsError
	if !errors.As(err, &faults) {
		return err
	}
	n := len(faults.Faults) + faults.More
	if _, err := fmt.Fprintf(w, "%v\nbulkhead: %s: nothing was decided\n", faults, output.Plural(n, "fault")); err != nil {
		return fmt.Errorf("write the faults: %w", err)
	}
	return answered(exitUsage)
}

// decideAnswer is all that decide says. Its JSON form is for programs: names are added, never changed.
type decideAnswer struct {
	Summary decideSummary  `json:"summary"`
	Tenants []tenantAnswer `json:"tenants"`
	// Notes are for the reader: what was assumed or ignored.
	Notes []string `json:"notes,omitempty"`
}

// decideSummary counts.
type decideSummary struct {
	Tenants   int `json:"tenants"`
	Workloads int `json:"workloads"`
	// Patterns counts workloads.
	Patterns map[tenancy.Pattern]int `json:"patterns"`
}

// tenantAnswer has a tenant's workloads in the order in which they are declared.
type tenantAnswer struct {
	Tenant    string           `json:"tenant"`
	Source    observe.Source   `json:"source"`
	Workloads []workloadAnswer `json:"workloads"`
}

// workloadAnswer is the decision for one workload.
type workloadAnswer struct {
	Workload     string          `json:"workload"`
	Environment  string          `json:"environment"`
	Pattern      tenancy.Pattern `json:"pattern"`
	Sandboxed    bool            `json:"sandboxed"`
	RuntimeClass string          `json:"runtimeClass,omitempty"`
	Ephemeral    bool            `json:"ephemeral"`
	v1alpha1.Explanation
	InputHash string `json:"inputHash"`
}

// decideAll decides every workload. Tenants are sorted by name. The error, a FaultsError, has the workloads that
// cannot be decided.
func decideAll(files *manifest.Declarations, now time.Time) (*decideAnswer, error) {
	if len(files.Tenants) == 0 {
		return nil, errors.New("the files declare no Tenant: there is nothing to decide")
	}
	a := &decideAnswer{Notes: notes(files, now), Tenants: make([]tenantAnswer, 0, len(files.Tenants)), Summary: decideSummary{
		Tenants: len(files.Tenants), Patterns: map[tenancy.Pattern]int{},
	}}
	platform := &v1alpha1.Platform{}
	if len(files.Platforms) > 0 {
		platform = files.Platforms[0].Object
	}
	faults := &manifest.FaultsError{}
	for _, declared := range files.Tenants {
		t := tenantAnswer{Tenant: declared.Object.Name, Source: declared.Source}
		for i := range declared.Object.Spec.Workloads {
			w := &declared.Object.Spec.Workloads[i]
			placed, err := placement.Of(platform, declared.Object, w)
			if err != nil {
				faults.Faults = append(faults.Faults, manifest.Fault{Source: declared.Source, Object: "Tenant " + t.Tenant,
					Message: err.Error()})
				continue
			}
			d := placement.Record(w.Name, &placed.Decision)
			t.Workloads = append(t.Workloads, workloadAnswer{
				w.Name, string(w.Environment), d.Pattern, d.Sandboxed, d.RuntimeClass, d.Ephemeral, d.Explanation, d.InputHash,
			})
			a.Summary.Workloads++
			a.Summary.Patterns[d.Pattern]++
		}
		a.Tenants = append(a.Tenants, t)
	}
	if len(faults.Faults) > 0 {
		return nil, faults
	}
	slices.SortFunc(a.Tenants, func(a, b tenantAnswer) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return a, nil
}

// notes report what was assumed or ignored, and which waivers end soon or have ended: they change no decision.
func notes(files *manifest.Declarations, now time.Time) []string {
	var notes []string
	if len(files.Platforms) == 0 {
		notes = append(notes, "no Platform is declared: decided as if the platform had no sandboxed runtime")
	}
	for _, p := range files.Platforms {
		notes = append(notes, elsewhere(files, p.Object.Spec.Environment)...)
	}
	for _, w := range files.Waivers {
		if end := w.Object.Spec.Expires.Time; !now.Before(end) {
			notes = append(notes, fmt.Sprintf("waiver %s of %s for %s/%s expired on %s: the control is in force", w.Object.Name,
				w.Object.Spec.Control, w.Object.Spec.Tenant, w.Object.Spec.Workload, end.UTC().Format(time.DateOnly)))
		}
	}
	tenants := make(map[string]*v1alpha1.Tenant, len(files.Tenants))
	for _, t := range files.Tenants {
		tenants[t.Object.Name] = t.Object
	}
	for _, s := range files.Spaces {
		name, _ := v1alpha1.TenantOfHome(s.Object.Namespace)
		if t := tenants[name]; t != nil && t.Workload(s.Object.Spec.Workload) == nil {
			notes = append(notes, fmt.Sprintf("%s: Space %s runs workload %q, which Tenant %s does not declare", s.Source, s.Object.Name, s.Object.Spec.Workload, name))
		}
	}
	if len(files.Others) > 0 {
		n := 0
		for _, count := range files.Others {
			n += count
		}
		kinds := slices.Sorted(maps.Keys(files.Others))
		const most = 5
		if len(kinds) > most {
			kinds = append(kinds[:most:most], "...")
		}
		notes = append(notes, fmt.Sprintf("%s of other API groups ignored: %s", output.Plural(n, "object"), strings.Join(kinds, ", ")))
	}
	return notes
}

// elsewhere lists workloads that are decided, and wait for a cluster of their own environment.
func elsewhere(files *manifest.Declarations, here v1alpha1.Environment) []string {
	var waiting groups
	for _, t := range files.Tenants {
		for i := range t.Object.Spec.Workloads {
			if w := &t.Object.Spec.Workloads[i]; w.Environment != here {
				waiting.add("", "", t.Object.Name+"/"+w.Name)
			}
		}
	}
	if len(waiting.all) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the Platform serves %s: on another cluster belong %s", here, waiting.all[0].names())}
}
