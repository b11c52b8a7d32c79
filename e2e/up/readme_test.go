package up_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what `up` printed into the README's transcript")

// omitted is the line of the transcript that stands for lines that are left out.
const omitted = "..."

// checkReadme holds the transcript of `make up` in the README to what up printed: every line of it is there, in this order and
// next to each other unless something is left out between them.
func checkReadme(t *testing.T, printed string) {
	t.Helper()
	path := filepath.Join("..", "..", "README.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	_, rest, _ := strings.Cut(readme, "make up\n```\n")
	_, rest, _ = strings.Cut(rest, "\n```\n")
	transcript, _, found := strings.Cut(rest, "\n```\n")
	if !found {
		t.Fatal("README.md has no transcript in the block after `make up`")
	}
	out := strings.Split(strings.Trim(printed, "\n"), "\n")
	at := 0
	for i, passage := range passages(transcript) {
		start := at
		if i > 0 || strings.HasPrefix(transcript, omitted) {
			start = beginning(out, at, passage)
		}
		if start < 0 {
			t.Fatalf("README.md shows this line of `up`, which was not printed, or not after the lines before it; "+
				"choose another one by hand:\n%s\nprinted was:\n%s", passage[0], printed)
		}
		got := entries(out[start:], count(passage))
		at = start + len(got)
		if slices.EqualFunc(passage, got, func(a, b string) bool { return steady(a) == steady(b) }) {
			continue
		}
		if !*update {
			t.Errorf("README.md shows another output of `up` than was printed: go test ./e2e/up -run %s -update\n--- README.md\n%s\n+++ printed\n%s",
				t.Name(), strings.Join(passage, "\n"), strings.Join(got, "\n"))
		}
		readme = strings.Replace(readme, strings.Join(passage, "\n"), strings.Join(got, "\n"), 1)
	}
	if *update {
		if err := os.WriteFile(path, []byte(readme), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if at < len(out) && !strings.HasSuffix(transcript, omitted) {
		t.Errorf("README.md ends before `up` does, and without a line %q:\n%s", omitted, strings.Join(out[at:], "\n"))
	}
}

// passages are the runs of lines between which lines are left out, without the empty lines around them.
func passages(transcript string) [][]string {
	var list [][]string
	for _, text := range strings.Split("\n"+transcript+"\n", "\n"+omitted+"\n") {
		if text = strings.Trim(text, "\n"); text != "" {
			list = append(list, strings.Split(text, "\n"))
		}
	}
	return list
}

// beginning is the line from which on the passage is in the output: that which has the words of its first line.
func beginning(out []string, from int, passage []string) int {
	words := func(line string) string { return strings.Join(strings.Fields(steady(line)), " ") }
	i := slices.IndexFunc(out[from:], func(line string) bool { return words(line) == words(passage[0]) })
	if i < 0 {
		return -1
	}
	return from + i
}

// count of the entries of a passage: a line that is indented goes with the one above it.
func count(passage []string) int {
	n := 0
	for _, line := range passage {
		if !strings.HasPrefix(line, "     ") {
			n++
		}
	}
	return n
}

// entries are the first n entries of the lines.
func entries(lines []string, n int) []string {
	for i, line := range lines {
		if !strings.HasPrefix(line, "     ") {
			n--
		}
		if n < 0 {
			return lines[:i]
		}
	}
	return lines
}

// differing are what differs from one run to the next: how long it took, and which of the shared nodes the scheduler chose.
var differing = []struct {
	what *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`\b\d+(\.\d+)? s\b`), "N s"},
	{regexp.MustCompile(`\bshared-\d(, shared-\d)*`), "shared-N"},
}

// steady is the line without what differs between two runs.
func steady(line string) string {
	for _, d := range differing {
		line = d.what.ReplaceAllString(line, d.put)
	}
	return strings.TrimRight(line, " ")
}
