package fields

import (
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// API is what an API server serves: the schemas of all its groups, and the requests that they belong to.
type API struct {
	schemas  map[string]*spec.Schema
	requests []request
}

// request is one method on one resource or subresource in a namespace.
type request struct {
	group, resource, verb string
	schema                string
	parameters            []string
}

// Read joins the documents of an API server's OpenAPI, one for each group and version.
func Read(documents ...*spec3.OpenAPI) *API {
	api := &API{schemas: map[string]*spec.Schema{}}
	for _, d := range documents {
		if d.Components != nil {
			for name, schema := range d.Components.Schemas {
				api.schemas[short(name)] = schema
			}
		}
		if d.Paths == nil {
			continue
		}
		for path, item := range d.Paths.Paths {
			api.read(path, item)
		}
	}
	return api
}

// short is the name of a schema without what all have before it.
func short(name string) string {
	for _, prefix := range []string{"io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apimachinery.pkg.", "dev.bulkhead."} {
		if rest, is := strings.CutPrefix(name, prefix); is {
			return rest
		}
	}
	return name
}

// read the requests of a path such as /apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale.
func (a *API) read(path string, item *spec3.Path) {
	before, after, namespaced := strings.Cut(path, "/namespaces/{namespace}/")
	if !namespaced {
		return
	}
	group := ""
	if parts := strings.Split(before, "/"); len(parts) > 2 && parts[1] == "apis" {
		group = parts[2]
	}
	resource := strings.ReplaceAll(after, "/{name}", "")
	for verb, operation := range map[string]*spec3.Operation{
		"create": item.Post, "update": item.Put, "patch": item.Patch, "delete": item.Delete, "get": item.Get,
	} {
		if operation == nil {
			continue
		}
		action, _ := operation.Extensions.GetString("x-kubernetes-action")
		if verb == "get" && action != "connect" || strings.Contains(resource, "{path}") {
			continue
		}
		if action == "deletecollection" {
			verb = action
		}
		r := request{group: group, resource: resource, verb: verb}
		for _, p := range slices.Concat(item.Parameters, operation.Parameters) {
			if p.In == Query {
				r.parameters = append(r.parameters, p.Name)
			}
		}
		r.schema = body(operation)
		a.requests = append(a.requests, r)
	}
}

// body is the schema of what a request carries; empty of none, and of patches, which carry what updates carry.
func body(o *spec3.Operation) string {
	if o.RequestBody == nil {
		return ""
	}
	for _, media := range slices.Sorted(maps.Keys(o.RequestBody.Content)) {
		if name := refOf(o.RequestBody.Content[media].Schema); name != "" && name != "meta.v1.Patch" {
			return name
		}
	}
	return ""
}

// refOf is the name of the schema that another refers to; empty when it says itself what it is.
func refOf(s *spec.Schema) string {
	if s == nil {
		return ""
	}
	if ref := s.Ref.String(); ref != "" {
		return short(ref[strings.LastIndex(ref, "/")+1:])
	}
	if len(s.AllOf) == 1 {
		return refOf(&s.AllOf[0])
	}
	return ""
}

// Coverage is what of an API the ledger classifies.
type Coverage struct {
	// Unclassified are the fields that no row classifies, each as "SCHEMA.field (first request that can carry it)".
	Unclassified []string
	// Stale are rows that classify no field, as "SCHEMA: path".
	Stale []string
	// Fields is how many fields are classified, by class.
	Fields map[Class]int
}

// Classify compares the ledger with what requests allowed by the rules can carry.
func Classify(ledger []Section, api *API, rules []rbacv1.PolicyRule) Coverage {
	w := walk{ledger: ledger, api: api, used: map[*Row]bool{}, seen: map[string]bool{}, coverage: Coverage{Fields: map[Class]int{}}}
	for _, r := range api.requests {
		if !allowed(rules, r) {
			continue
		}
		w.request = r.verb + " " + r.resource
		if r.schema != "" {
			w.schema(r.schema)
		}
		for _, name := range r.parameters {
			w.parameter(name)
		}
	}
	for i := range ledger {
		for j := range ledger[i].Rows {
			if r := &ledger[i].Rows[j]; !w.used[r] {
				w.coverage.Stale = append(w.coverage.Stale, ledger[i].Schema+": "+r.Path)
			}
		}
	}
	slices.Sort(w.coverage.Unclassified)
	return w.coverage
}

func allowed(rules []rbacv1.PolicyRule, r request) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.APIGroups, r.group) && slices.Contains(rule.Resources, r.resource) && slices.Contains(rule.Verbs, r.verb)
	})
}

// walk visits every schema once.
type walk struct {
	ledger   []Section
	api      *API
	used     map[*Row]bool
	seen     map[string]bool
	request  string
	coverage Coverage
}

func (w *walk) parameter(name string) {
	if !w.seen[Query+"."+name] {
		w.seen[Query+"."+name] = true
		w.take(sectionOf(w.ledger, Query), Query, name)
	}
}

// schema visits a schema as the start of a section of its own, whether the ledger has it or not.
func (w *walk) schema(name string) {
	if w.seen[name] {
		return
	}
	w.seen[name] = true
	section := sectionOf(w.ledger, name)
	if section == nil {
		section = &Section{Schema: name}
	}
	w.fields(section, "", w.api.schemas[name])
}

// take classifies one field by its row.
func (w *walk) take(section *Section, schema, path string) {
	var row *Row
	if section != nil {
		row = section.row(path)
	}
	if row == nil {
		w.coverage.Unclassified = append(w.coverage.Unclassified, schema+"."+path+" ("+w.request+")")
		return
	}
	w.used[row] = true
	w.coverage.Fields[row.Class]++
}

// fields visits what is below a path of the section. A schema that is not there has no fields, and is a field itself.
func (w *walk) fields(section *Section, path string, s *spec.Schema) {
	s, name, many := w.api.resolve(s)
	if many && len(s.Properties) > 0 {
		w.take(section, section.Schema, path+"#")
	}
	if path != "" && name != "" && section.row(path) == nil && !section.below(path) && len(s.Properties) > 0 {
		w.schema(name)
		return
	}
	if len(s.Properties) == 0 {
		w.take(section, section.Schema, path)
		return
	}
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		if path == "" && isType(s, field) {
			w.take(sectionOf(w.ledger, TypeMeta), TypeMeta, field)
			continue
		}
		child := s.Properties[field]
		w.fields(section, join(path, field), &child)
	}
}

// isType reports of a field of a kind whether it names the kind.
func isType(s *spec.Schema, field string) bool {
	_, isKind := s.Extensions["x-kubernetes-group-version-kind"]
	return isKind && (field == "apiVersion" || field == "kind")
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// resolve goes through lists, maps and references to what a field holds: its schema, that schema's name (empty when it has none),
// and whether there are many of it.
func (a *API) resolve(s *spec.Schema) (resolved *spec.Schema, name string, many bool) {
	for {
		switch {
		case s == nil:
			return &spec.Schema{}, name, many
		case refOf(s) != "":
			name = refOf(s)
			s = a.schemas[name]
		case s.Items != nil && s.Items.Schema != nil:
			s, name, many = s.Items.Schema, "", true
		case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
			s, name, many = s.AdditionalProperties.Schema, "", true
		default:
			return s, name, many
		}
	}
}

// Rows classify what a request sets: those of every field in its body, at any depth. A patch is asked for by the fields that it
// holds.
func (a *API) Rows(ledger []Section, group, resource string, body any) []*Row {
	found := map[*Row]bool{}
	for _, r := range a.requests {
		if r.group == group && r.resource == resource && r.schema != "" {
			rowsOf(ledger, a, sectionOf(ledger, r.schema), "", a.schemas[r.schema], body, found)
		}
	}
	return slices.Collect(maps.Keys(found))
}

func rowsOf(ledger []Section, api *API, section *Section, path string, s *spec.Schema, value any, found map[*Row]bool) {
	if section == nil {
		return
	}
	s, name, _ := api.resolve(s)
	if list, is := value.([]any); is && len(list) > 1 && len(s.Properties) > 0 {
		add(found, section.row(path+"#"))
	}
	if name != "" && path != "" && section.row(path) == nil && !section.below(path) && len(s.Properties) > 0 {
		section, path = sectionOf(ledger, name), ""
		if section == nil {
			return
		}
	}
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			rowsOf(ledger, api, section, path, s, element, found)
		}
		if len(value) == 0 {
			add(found, section.row(path))
		}
	case map[string]any:
		if len(s.Properties) == 0 || len(value) == 0 {
			add(found, section.row(path))
		}
		for field, inner := range value {
			if child, known := s.Properties[field]; known && (path != "" || !isType(s, field)) {
				rowsOf(ledger, api, section, join(path, field), &child, inner, found)
			}
		}
	default:
		add(found, section.row(path))
	}
}

func add(found map[*Row]bool, r *Row) {
	if r != nil {
		found[r] = true
	}
}
