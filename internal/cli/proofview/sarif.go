package proofview

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
	"github.com/bulkhead-dev/bulkhead/isolation"
	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// informationURI is where people read about the tool, in its SARIF.
const informationURI = "https://github.com/bulkhead-dev/bulkhead"

// WriteSARIF writes a rule for each code and a result for each finding, at the lines that declare what is to blame.
func (p *Proof) WriteSARIF(w io.Writer, version string) error {
	report := p.sarif(version)
	if err := report.PrettyWrite(w); err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (p *Proof) sarif(version string) *sarif.Report {
	run := sarif.NewRunWithInformationURI("bulkhead", informationURI)
	run.Tool.Driver.WithVersion(version)
	for _, check := range isolation.Checks() {
		for _, code := range check.Codes {
			help := code.Why + " " + code.Fix
			run.AddRule(code.ID).
				WithName(code.ID).
				WithShortDescription(sarif.NewMultiformatMessageString().WithText(code.Title)).
				WithFullDescription(sarif.NewMultiformatMessageString().WithText(code.Why)).
				WithHelp(sarif.NewMultiformatMessageString().WithText(help)).
				WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(sarifLevel(finding.Exposed, code.Severity))).
				WithProperties(sarif.NewPropertyBag().WithTags(append([]string{"security", check.ID}, code.Mappings...)))
		}
	}
	for i := range p.Report.Findings {
		f := &p.Report.Findings[i]
		result := run.CreateResultForRule(f.Code).
			WithLevel(sarifLevel(f.Verdict, f.Severity)).
			WithMessage(sarif.NewTextMessage(fmt.Sprintf("%s: %s: %s", f.Verdict, Between(f), f.What))).
			WithPartialFingerprints(map[string]string{"bulkhead/v1": f.ID()})
		for _, blamed := range f.Blame {
			result.AddLocation(p.sarifLocation(blamed))
		}
		if f.Waiver != "" {
			result.AddSuppression(sarif.NewSuppression().WithKind("external").WithStatus("accepted").WithJustification("Waiver " + f.Waiver))
		}
	}
	return sarif.NewReport().AddRun(run)
}

// sarifLocation is where an object is declared, or its name where that is a cluster. Of what a kustomization rendered only the
// file is known.
func (p *Proof) sarifLocation(blamed snapshot.Ref) *sarif.Location {
	location := sarif.NewLocation().AddLogicalLocation(
		sarif.NewLogicalLocation().WithFullyQualifiedName(blamed.String()).WithName(blamed.Name).WithKind("resource"))
	if at, declared := p.World.Sources[blamed]; declared && at.Line > 0 {
		if file, rendered := p.DeclaredIn[at.File]; rendered {
			at = observe.Source{File: file, Line: 1, Column: 1}
		}
		location.WithPhysicalLocation(sarif.NewPhysicalLocation().
			WithArtifactLocation(sarif.NewSimpleArtifactLocation(filepath.ToSlash(at.File))).
			WithRegion(sarif.NewRegion().WithStartLine(at.Line).WithStartColumn(max(1, at.Column))))
	}
	return location
}

// sarifLevel is how scanners rank it.
func sarifLevel(v finding.Verdict, s finding.Severity) string {
	switch {
	case v != finding.Exposed:
		return "warning"
	case s == finding.Critical || s == finding.High:
		return "error"
	case s == finding.Medium:
		return "warning"
	}
	return "note"
}
