package kubeadmission

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/bulkhead-dev/bulkhead/isolation/finding"
)

// reads is what a policy can see of where and by whom a request is made, beyond the request's object. It decides for
// which namespaces and subjects one answer holds, so it errs on the side of too much.
type reads struct {
	// everything: the expressions use something that is not understood here.
	everything bool
	// name of the namespace, subject who asks.
	name, subject bool
	// authorizer may be asked about rights. Then the answer goes by the namespace, the subject and all rights.
	authorizer bool
	// created: the time of creation is read, which is another one in each proof.
	created bool
	// who are the questions about the subject whose answers are all that is read of it, unless subject is true.
	who []whoAsks
	// labels and annotations of the namespace, by key.
	labels, annotations []string
}

// whoAsks is a question about the subject: whether its name, or one of its groups, is one of these.
type whoAsks struct {
	group bool
	names []string
}

func (w *whoAsks) is(s *finding.Subject) bool {
	if !w.group {
		return slices.Contains(w.names, s.User)
	}
	return slices.ContainsFunc(s.Groups, func(g string) bool { return slices.Contains(w.names, g) })
}

// alike returns what reports whether the policy cannot distinguish a subject from another one; nil where it goes by no subject.
// asked reports whether it asked about rights.
func (r *reads) alike(s *finding.Subject, asked bool) func(finding.Subject) bool {
	switch {
	case r.everything || r.subject || asked:
		return func(other finding.Subject) bool { return other.User == s.User && slices.Equal(other.Groups, s.Groups) }
	case len(r.who) == 0:
		return nil
	}
	return func(other finding.Subject) bool {
		return !slices.ContainsFunc(r.who, func(w whoAsks) bool { return w.is(s) != w.is(&other) })
	}
}

// both returns what reports that both report, where nil reports true.
func both(a, b func(finding.Subject) bool) func(finding.Subject) bool {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(s finding.Subject) bool { return a(s) && b(s) }
}

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
			switch below, _ := fieldOf(parent); below {
			case "", "namespace":
				r.everything = true
			case "creationTimestamp":
				r.created = true
			}
		} else if field == "" && !comparedToNull(e) {
			r.everything = true
		}
	case "namespaceObject":
		r.namespaceObject(e)
	case "request":
		switch field, part := fieldOf(e); field {
		case "namespace":
			r.name = true
		case "userInfo":
			r.userInfo(part)
		case "operation", "kind", "resource", "subResource", "requestKind", "requestResource", "requestSubResource", "name", "dryRun":
		default:
			r.everything = true
		}
	case "authorizer":
		r.authorizer = true
	}
}

// userInfo adds what is asked about the subject: username == 'a', username in ['a', 'b'], 'a' in groups.orValue([]). In any other
// form it is read as a whole.
func (r *reads) userInfo(e ast.NavigableExpr) {
	field, part := fieldOf(e)
	parent, has := part.Parent()
	if has && field == "groups" && parent.Kind() == ast.CallKind && parent.AsCall().FunctionName() == "orValue" && isEmptyList(parent.AsCall().Args()) {
		part = parent
		parent, has = part.Parent()
	}
	if !has || parent.Kind() != ast.CallKind || len(parent.AsCall().Args()) != 2 {
		r.subject = true
		return
	}
	call, args := parent.AsCall().FunctionName(), parent.AsCall().Args()
	first := args[0].ID() == part.ID()
	other := args[0]
	if first {
		other = args[1]
	}
	names, literal := textsOf(other)
	switch {
	case !literal:
	case field == "username" && (call == "_==_" || call == "_!=_") && other.Kind() == ast.LiteralKind,
		field == "username" && call == "@in" && first && other.Kind() == ast.ListKind,
		field == "groups" && call == "@in" && !first && other.Kind() == ast.LiteralKind:
		r.who = append(r.who, whoAsks{group: field == "groups", names: names})
		return
	}
	r.subject = true
}

// isEmptyList reports whether the only argument is [].
func isEmptyList(args []ast.Expr) bool {
	return len(args) == 1 && args[0].Kind() == ast.ListKind && args[0].AsList().Size() == 0
}

// textsOf are the strings of a literal or of a list of literals; false for anything else.
func textsOf(e ast.Expr) ([]string, bool) {
	elements := []ast.Expr{e}
	if e.Kind() == ast.ListKind {
		elements = e.AsList().Elements()
	}
	texts := make([]string, 0, len(elements))
	for _, element := range elements {
		if element.Kind() != ast.LiteralKind {
			return nil, false
		}
		text, is := element.AsLiteral().Value().(string)
		if !is {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

func (r *reads) namespaceObject(e ast.NavigableExpr) {
	field, metadata := fieldOf(e)
	if field != "metadata" {
		r.everything = r.everything || field != "" || !comparedToNull(e)
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
		// What is chosen is asked for the field, whatever else may be chosen.
		if call.FunctionName() == "_?_:_" && len(call.Args()) == 3 && call.Args()[0].ID() != e.ID() {
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

// rightsOf is the value of what the policy reads where it asks about rights, of which there may be others in another proof.
func (r *reads) rightsOf(q *request) string {
	if !r.authorizer {
		return ""
	}
	return q.Namespace + "\x00" + q.Subject.User + "\x00" + strings.Join(q.Subject.Groups, "\x00") + "\x00"
}

// of is the value of all that the policy reads but rights, for one namespace and subject: equal values give equal answers.
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
	} else {
		for i := range r.who {
			word(strconv.FormatBool(r.who[i].is(&q.Subject)))
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
