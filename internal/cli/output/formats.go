// Package output writes what commands answer: painted text, tables and trees for people, JSON, YAML, JUnit and Markdown for
// programs and reports.
package output

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// WriteJSON writes one value, indented, with a final line break.
func WriteJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// WriteYAML writes one value by its JSON names.
func WriteYAML(w io.Writer, value any) error {
	data, err := yaml.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode YAML: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return nil
}

// JUnitSuite is what continuous integration reads of JUnit's XML. It counts its cases when it is written.
type JUnitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []JUnitCase `xml:"testcase"`
}

// JUnitCase passed if it has none of the three.
type JUnitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *JUnitProblem `xml:"failure,omitempty"`
	Error   *JUnitProblem `xml:"error,omitempty"`
	Skipped *JUnitProblem `xml:"skipped,omitempty"`
}

// JUnitProblem is why a case failed or was not tried.
type JUnitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// Write counts the cases and writes the suite.
func (s *JUnitSuite) Write(w io.Writer) error {
	s.Tests, s.Failures, s.Errors, s.Skipped = len(s.Cases), 0, 0, 0
	for i := range s.Cases {
		switch c := &s.Cases[i]; {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
	data, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode JUnit: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, data)
	return err
}
