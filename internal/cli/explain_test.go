package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// Promise: every reason that a condition may have is explained, and nothing else is taken for one.
func TestEveryReasonIsExplained(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../api/v1alpha1/conditions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			declared[strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)] = true
		}
		return true
	})
	if len(declared) < 20 {
		t.Fatalf("only %d reasons found: this test looks in the wrong place", len(declared))
	}
	for _, topic := range reasonTopics() {
		if !declared[topic.Code] {
			t.Errorf("%s is explained, and no condition has it", topic.Code)
		}
		delete(declared, topic.Code)
	}
	for code := range declared {
		t.Errorf("%s is not explained", code)
	}
}

// Promise: a code means one thing, however it is spelt, and every topic says something.
func TestCodesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, topic := range topics() {
		low := strings.ToLower(topic.Code)
		if other, taken := seen[low]; taken {
			t.Errorf("%s is a %s and a %s", topic.Code, topic.Kind, other)
		}
		seen[low] = topic.Kind
		if topic.Title == "" {
			t.Errorf("%s has no title", topic.Code)
		}
	}
}
