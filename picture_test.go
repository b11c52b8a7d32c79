package bulkhead_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const designPage = "docs/design.md"

var update = flag.Bool("update", false, "draw the packages in docs/design.md again")

// TestDocs: the picture of packages in docs/design.md is that of the imports. Draw it again with: go test . -run TestDocs -update
func TestDocs(t *testing.T) {
	const begin, end = "<!-- Generated from the imports by `make generate`. Do not edit. -->\n", "<!-- End of what is generated. -->\n"
	page, err := os.ReadFile(designPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatalf("%s lacks the lines %q and %q, between which the packages stand", designPage, begin, end)
	}
	want := before + begin + "\n```\n" + picture(listPackages(t)) + "```\n\n" + end + after
	switch {
	case want == string(page):
	case !*update:
		t.Errorf("the packages in %s are not current: run go test . -run TestDocs -update", designPage)
	default:
		if err := os.WriteFile(designPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// picture draws the packages by layer, the highest first, each with what it imports. An import that another one brings with
// it is left out, as are tests.
func picture(packages []goPackage) string {
	imports := imported(packages)
	names := slices.Sorted(maps.Keys(imports))
	width := 0
	for _, name := range names {
		width = max(width, len(name))
	}
	var b strings.Builder
	for layer := len(layers) - 1; layer >= 0; layer-- {
		for _, name := range names {
			if at, _ := place(name); at != layer {
				continue
			}
			line := fmt.Sprintf("%2d  %-*s", layer+1, width, name)
			if targets := direct(imports, name); len(targets) > 0 {
				line += "  -> " + strings.Join(targets, ", ")
			}
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
	return b.String()
}

// imported are the rooms of packages, each with the rooms that its packages import; rooms that hold only tests are none.
func imported(packages []goPackage) map[string]map[string]bool {
	rooms := map[string]map[string]bool{}
	for _, p := range packages {
		layer, from := place(p.path())
		if layer < 0 || len(p.GoFiles) == 0 {
			continue
		}
		if rooms[from] == nil {
			rooms[from] = map[string]bool{}
		}
		for _, target := range p.Imports {
			if own, is := strings.CutPrefix(target, module+"/"); is {
				if _, to := place(own); to != from {
					rooms[from][to] = true
				}
			}
		}
	}
	return rooms
}

// direct are the rooms that a room imports and that none of its other imports brings with it, the highest layer first.
func direct(imports map[string]map[string]bool, from string) []string {
	var brings func(from, to string) bool
	brings = func(from, to string) bool {
		for next := range imports[from] {
			if next == to || brings(next, to) {
				return true
			}
		}
		return false
	}
	var targets []string
	for to := range imports[from] {
		implied := false
		for other := range imports[from] {
			implied = implied || other != to && brings(other, to)
		}
		if !implied {
			targets = append(targets, to)
		}
	}
	slices.SortFunc(targets, func(a, b string) int {
		x, _ := place(a)
		y, _ := place(b)
		if x != y {
			return y - x
		}
		return strings.Compare(a, b)
	})
	return targets
}
