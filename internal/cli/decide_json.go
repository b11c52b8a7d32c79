package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/bulkhead-dev/bulkhead/decision"
)

// The indents of an answer in JSON: of a tenant, of a workload, and of a workload's fields.
const (
	indentTenant   = "    "
	indentWorkload = "        "
	indentField    = "          "
)

// json writes the answer as writeJSON would, but each decision is encoded once: of thousands of workloads most share
// theirs with others.
func (a *decideAnswer) json(out io.Writer) error {
	if len(a.Tenants) == 0 {
		return writeJSON(out, a)
	}
	var head bytes.Buffer
	tenants := a.Tenants
	short := *a
	short.Tenants = []tenantAnswer{}
	if err := writeJSON(&head, &short); err != nil {
		return err
	}
	before, after, found := bytes.Cut(head.Bytes(), []byte(`"tenants": []`))
	if !found {
		return writeJSON(out, a)
	}
	w := bufio.NewWriterSize(out, 1<<16)
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // Flush tells of any error
	printf("%s\"tenants\": [\n", before)
	known := map[*decision.TenancyDecision][]byte{}
	for i := range tenants {
		if i > 0 {
			printf(",\n")
		}
		if err := tenants[i].json(w, known); err != nil {
			return err
		}
	}
	printf("\n  ]%s", after)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// json writes one tenant; known are the decisions as they were encoded before.
func (t *tenantAnswer) json(w *bufio.Writer, known map[*decision.TenancyDecision][]byte) error {
	if len(t.Workloads) == 0 {
		encoded, err := indented(t, indentTenant)
		_, _ = w.Write(append([]byte(indentTenant), encoded...))
		return err
	}
	short := *t
	short.Workloads = []workloadAnswer{}
	encoded, err := indented(&short, indentTenant)
	if err != nil {
		return err
	}
	before, after, _ := bytes.Cut(encoded, []byte(`"workloads": []`))
	_, _ = fmt.Fprintf(w, "%s%s\"workloads\": [\n", indentTenant, before)
	for i := range t.Workloads {
		of := &t.Workloads[i]
		if known[of.TenancyDecision] == nil {
			if known[of.TenancyDecision], err = indented(of.TenancyDecision, indentWorkload); err != nil {
				return err
			}
		}
		name, err := indented(of.Workload, "")
		if err != nil {
			return err
		}
		environment, err := indented(of.Environment, "")
		if err != nil {
			return err
		}
		separator := ",\n"
		if i == len(t.Workloads)-1 {
			separator = "\n"
		}
		_, _ = fmt.Fprintf(w, "%s{\n%s\"workload\": %s,\n%s\"environment\": %s,%s%s", indentWorkload, indentField, name, indentField, environment,
			bytes.TrimPrefix(known[of.TenancyDecision], []byte("{")), separator)
	}
	_, _ = fmt.Fprintf(w, "%s  ]%s", indentTenant, after)
	return nil
}

// indented encodes a value for a place that is indented already.
func indented(value any, prefix string) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent(prefix, "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
