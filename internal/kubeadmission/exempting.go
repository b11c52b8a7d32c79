package kubeadmission

import (
	"slices"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// Exempting are the labels and annotations by which a validating policy, or a binding of it, may pass an object over: those that its
// selectors leave out, and every constant key that its expressions read of an object, with every constant that they compare in the same
// breath. An author of an object writes these as well as any other. Whether one of them does pass it over, Admit says.
func (e *Evaluator) Exempting(policy snapshot.Ref) []finding.Mark {
	for _, h := range e.validations {
		if h.object == policy {
			return remember(&e.exempting, h.validating.Policy, func() []finding.Mark { return exemptingOf(h) })
		}
	}
	return nil
}

func exemptingOf(h *hook) []finding.Mark {
	var marks []finding.Mark
	for _, m := range append(slices.Clone(h.bound), h.constraints) {
		if m != nil {
			marks = append(marks, finding.LeftOut(m.ObjectSelector)...)
		}
	}
	p := h.validating.Policy
	expressions := sharedExpressions(p.Spec.MatchConditions, p.Spec.Variables)
	for _, v := range p.Spec.Validations {
		expressions = append(expressions, v.Expression)
	}
	env, err := celgo.NewEnv(celgo.OptionalTypes())
	if err != nil {
		return marks
	}
	for _, expression := range expressions {
		if parsed, issues := env.Parse(expression); issues.Err() == nil { // one that does not parse is not in force
			marks = append(marks, marksIn(ast.NavigateAST(parsed.NativeRep()))...)
		}
	}
	return distinctMarks(marks)
}

// marksIn are the keys that one expression reads of labels or annotations, each with every text that the expression has.
func marksIn(root ast.NavigableExpr) []finding.Mark {
	var keys, texts []string
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.LiteralKind)) {
		if text, is := e.AsLiteral().Value().(string); is && !isField(e) {
			texts = append(texts, text)
		}
	}
	for _, kind := range []ast.ExprKind{ast.SelectKind, ast.CallKind} {
		for _, e := range ast.MatchDescendants(root, ast.KindMatcher(kind)) {
			if key := keyOf(e); key != "" {
				keys = append(keys, key)
			}
		}
	}
	var marks []finding.Mark
	for _, key := range keys {
		for _, text := range texts {
			if !slices.Contains(keys, text) {
				marks = append(marks, finding.Mark{Key: key, Value: text})
			}
		}
		marks = append(marks, finding.Mark{Key: key, Value: "true"})
	}
	return marks
}

// isField reports whether a text is the name of a field, as in object.?metadata.
func isField(e ast.NavigableExpr) bool {
	parent, has := e.Parent()
	return has && parent.Kind() == ast.CallKind && parent.AsCall().FunctionName() == "_?._"
}

// keyOf is the constant key that an expression reads of an object's labels or annotations; empty for any other.
func keyOf(e ast.NavigableExpr) string {
	if e.Kind() == ast.SelectKind {
		if marks(e.AsSelect().Operand()) {
			return e.AsSelect().FieldName()
		}
		return ""
	}
	args := e.AsCall().Args()
	if len(args) != 2 {
		return ""
	}
	of, key := args[0], args[1]
	switch e.AsCall().FunctionName() {
	case "@in":
		of, key = key, of
	case "_[_]", "_[?_]", "_?._":
	default:
		return ""
	}
	if key.Kind() != ast.LiteralKind || !marks(of) {
		return ""
	}
	text, _ := key.AsLiteral().Value().(string)
	return text
}

// marks reports whether an expression ends in labels or annotations that are not a namespace's: object.metadata.labels,
// object.?metadata.?annotations.orValue({}), variables.labels.
func marks(e ast.Expr) bool {
	last := ""
	for {
		switch e.Kind() {
		case ast.SelectKind:
			if last == "" {
				last = e.AsSelect().FieldName()
			}
			e = e.AsSelect().Operand()
		case ast.CallKind:
			call := e.AsCall()
			if call.FunctionName() == "_?._" && len(call.Args()) == 2 && last == "" && call.Args()[1].Kind() == ast.LiteralKind {
				last, _ = call.Args()[1].AsLiteral().Value().(string)
			}
			switch {
			case call.IsMemberFunction():
				e = call.Target()
			case len(call.Args()) > 0:
				e = call.Args()[0]
			default:
				return false
			}
		case ast.IdentKind:
			return (last == "labels" || last == "annotations") && e.AsIdent() != "namespaceObject" && e.AsIdent() != "params"
		default:
			return false
		}
	}
}

func distinctMarks(marks []finding.Mark) []finding.Mark {
	var list []finding.Mark
	for _, m := range marks {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
