package kubeadmission

import (
	"sort"
	"strings"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// reads is what a policy can see of where and by whom a request is made, beyond the request's object. It decides for
// which namespaces and subjects one answer holds, so it errs on the side of too much.
type reads struct {
	// everything: the expressions use something that is not understood here.
	everything bool
	// name of the namespace, subject who asks, authorizer that is asked about rights.
	name, subject, authorizer bool
	// labels and annotations of the namespace, by key.
	labels, annotations []string
}

// ofSubject reports whether the policy goes by who asks.
func (r *reads) ofSubject() bool { return r.everything || r.subject || r.authorizer }

func readsOfValidating(p *admissionv1.ValidatingAdmissionPolicy) reads {
	expressions := sharedExpressions(p.Spec.MatchConditions, p.Spec.Variables)
	for _, v := range p.Spec.Validations {
		expressions = append(expressions, v.Expression, v.MessageExpression)
	}
	for _, a := range p.Spec.AuditAnnotations {
		expressions = append(expressions, a.ValueExpression)
	}
	return readsOf(expressions, p.Spec.ParamKind != nil)
}

func readsOfMutating(p *admissionv1.MutatingAdmissionPolicy) reads {
	expressions := sharedExpressions(p.Spec.MatchConditions, p.Spec.Variables)
	for _, m := range p.Spec.Mutations {
		if m.JSONPatch != nil {
			expressions = append(expressions, m.JSONPatch.Expression)
		}
		if m.ApplyConfiguration != nil {
			expressions = append(expressions, m.ApplyConfiguration.Expression)
		}
	}
	return readsOf(expressions, p.Spec.ParamKind != nil)
}

func sharedExpressions(conditions []admissionv1.MatchCondition, variables []admissionv1.Variable) []string {
	var expressions []string
	for _, c := range conditions {
		expressions = append(expressions, c.Expression)
	}
	for _, v := range variables {
		expressions = append(expressions, v.Expression)
	}
	return expressions
}

// readsOf looks at the syntax only. Parameters may be of the request's namespace.
func readsOf(expressions []string, params bool) reads {
	r := reads{name: params}
	env, err := celgo.NewEnv(celgo.OptionalTypes())
	if err != nil {
		return reads{everything: true}
	}
	for _, expression := range expressions {
		if expression == "" {
			continue
		}
		parsed, issues := env.Parse(expression)
		if issues.Err() != nil {
			return reads{everything: true}
		}
		for _, e := range ast.MatchDescendants(ast.NavigateAST(parsed.NativeRep()), ast.KindMatcher(ast.IdentKind)) {
			r.ident(e)
		}
	}
	sort.Strings(r.labels)
	sort.Strings(r.annotations)
	return r
}

// ident adds what one use of a variable reads.
func (r *reads) ident(e ast.NavigableExpr) {
	switch e.AsIdent() {
	case "object", "oldObject":
		field, parent := fieldOf(e)
		if field == "metadata" {
			if below, _ := fieldOf(parent); below == "" || below == "namespace" {
				r.everything = true
			}
		} else if field == "" && !comparedToNull(e) {
			r.everything = true
		}
	case "namespaceObject":
		r.namespaceObject(e)
	case "request":
		switch field, _ := fieldOf(e); field {
		case "namespace":
			r.name = true
		case "userInfo":
			r.subject = true
		case "operation", "kind", "resource", "subResource", "requestKind", "requestResource", "requestSubResource", "name", "dryRun":
		default:
			r.everything = true
		}
	case "authorizer":
		r.authorizer, r.subject, r.name = true, true, true
	}
}

func (r *reads) namespaceObject(e ast.NavigableExpr) {
	field, metadata := fieldOf(e)
	if field != "metadata" {
		r.everything = true
		return
	}
	switch field, part := fieldOf(metadata); field {
	case "name":
		r.name = true
	case "labels":
		r.key(part, &r.labels)
	case "annotations":
		r.key(part, &r.annotations)
	default:
		r.everything = true
	}
}

// key adds the constant key that labels or annotations are indexed with.
func (r *reads) key(part ast.NavigableExpr, keys *[]string) {
	parent, has := part.Parent()
	if has && parent.Kind() == ast.CallKind {
		call := parent.AsCall()
		name := call.FunctionName()
		if (name == "_[_]" || name == "_[?_]") && len(call.Args()) == 2 && call.Args()[0].ID() == part.ID() && call.Args()[1].Kind() == ast.LiteralKind {
			if key, is := call.Args()[1].AsLiteral().Value().(string); is {
				*keys = append(*keys, key)
				return
			}
		}
	}
	if has && parent.Kind() == ast.SelectKind {
		*keys = append(*keys, parent.AsSelect().FieldName())
		return
	}
	r.everything = true
}

// fieldOf is the field that an expression is asked for, and the expression of that field: e.f, e.?f, has(e.f), dyn(e).f.
// Where it is used in another way, the field is empty.
func fieldOf(e ast.NavigableExpr) (string, ast.NavigableExpr) {
	parent, has := e.Parent()
	if !has {
		return "", e
	}
	if parent.Kind() == ast.SelectKind {
		return parent.AsSelect().FieldName(), parent
	}
	if parent.Kind() == ast.CallKind {
		call := parent.AsCall()
		if call.FunctionName() == "dyn" && len(call.Args()) == 1 {
			return fieldOf(parent)
		}
		if call.FunctionName() == "_?._" && len(call.Args()) == 2 && call.Args()[0].ID() == e.ID() && call.Args()[1].Kind() == ast.LiteralKind {
			if field, is := call.Args()[1].AsLiteral().Value().(string); is {
				return field, parent
			}
		}
	}
	return "", e
}

// comparedToNull is object == null, which reads nothing of it.
func comparedToNull(e ast.NavigableExpr) bool {
	parent, has := e.Parent()
	if !has || parent.Kind() != ast.CallKind {
		return false
	}
	call := parent.AsCall()
	if call.FunctionName() != "_==_" && call.FunctionName() != "_!=_" {
		return false
	}
	for _, arg := range call.Args() {
		if arg.ID() != e.ID() && arg.Kind() == ast.LiteralKind && strings.HasPrefix(arg.AsLiteral().Type().TypeName(), "null") {
			return true
		}
	}
	return false
}

// of is the value of all that the policy reads, for one namespace and subject: equal values give equal answers.
func (r *reads) of(q *request) string {
	var b strings.Builder
	word := func(s string) { b.WriteString(s); b.WriteByte(0) }
	if r.name || r.everything {
		word(q.Namespace)
	}
	if r.subject || r.everything {
		word(q.Subject.User)
		for _, g := range q.Subject.Groups {
			word(g)
		}
	}
	values := func(keys []string, m map[string]string) {
		for _, key := range keys {
			value, has := m[key]
			if has {
				b.WriteByte('=')
			}
			word(value)
		}
	}
	if q.space.object != nil && !r.everything { // the name stands for everything
		values(r.labels, q.space.object.Labels)
		values(r.annotations, q.space.object.Annotations)
	}
	return b.String()
}
