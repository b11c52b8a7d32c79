// Package docgen writes pages of the documentation out of what they document, so that they cannot disagree.
package docgen

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// API is the reference page of the kinds that the definitions define, in Markdown. The definitions' order is kept.
func API(definitions []*apiextensionsv1.CustomResourceDefinition) string {
	var b strings.Builder
	b.WriteString(`# API reference

<!-- Generated from api/v1alpha1 by ` + "`make generate`" + `. Do not edit. -->

Every rule on this page is held by the API server itself, with the message that stands here; ` + "`bulkhead decide -f`" + `
holds files to the same. Unknown fields are refused where the client asks for it, as kubectl does by default.

| kind | scope | short | written by |
|---|---|---|---|
`)
	for _, d := range definitions {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", d.Spec.Names.Kind, strings.ToLower(d.Spec.Names.Kind),
			strings.ToLower(string(d.Spec.Scope)), code(d.Spec.Names.ShortNames...), writers[d.Spec.Names.Kind])
	}
	for _, d := range definitions {
		kind(&b, d)
	}
	return b.String()
}

// writers is who declares a kind. The API cannot say it: rights are the platform's to give.
var writers = map[string]string{
	"Platform": "platform team",
	"Tenant":   "platform team",
	"Space":    "the tenant's owners, in its home namespace",
	"Waiver":   "security team",
}

func kind(b *strings.Builder, d *apiextensionsv1.CustomResourceDefinition) {
	version := &d.Spec.Versions[0]
	root := version.Schema.OpenAPIV3Schema
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n`apiVersion: %s/%s`, `kind: %s`.", d.Spec.Names.Kind, text(root.Description), d.Spec.Group, version.Name, d.Spec.Names.Kind)
	var columns []string
	for _, c := range version.AdditionalPrinterColumns {
		name := c.Name
		if c.Priority > 0 {
			name += " (with `-o wide`)"
		}
		columns = append(columns, name)
	}
	fmt.Fprintf(b, " `kubectl get` prints %s.\n", strings.Join(columns, ", "))
	for _, rule := range root.XValidations {
		fmt.Fprintf(b, "\n- %s", cell(rule.Message))
	}
	if len(root.XValidations) > 0 {
		b.WriteString("\n")
	}
	b.WriteString("\n| field | type | default | rules | meaning |\n|---|---|---|---|---|\n")
	spec := root.Properties["spec"]
	fields(b, "spec", &spec, slices.Contains(root.Required, "spec"), true)
	status, has := root.Properties["status"]
	if !has {
		return
	}
	fmt.Fprintf(b, "\nWritten by Bulkhead:\n\n| field | type | meaning |\n|---|---|---|\n")
	fields(b, "status", &status, false, false)
}

// fields writes a row for a field and for every field below it, sorted by name with the required ones first.
func fields(b *strings.Builder, path string, s *apiextensionsv1.JSONSchemaProps, required, spec bool) {
	if strings.HasSuffix(path, ".conditions") {
		fmt.Fprintf(b, "| `%s` | list of conditions | %s |\n", path, text(s.Description))
		return
	}
	if spec {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", path, typeOf(s), defaultOf(s, required), rules(s), text(s.Description))
	} else {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", path, typeOf(s), text(s.Description))
	}
	if s.Items != nil && s.Items.Schema != nil {
		path, s = path+"[]", s.Items.Schema
	}
	names := slices.Sorted(maps.Keys(s.Properties))
	slices.SortStableFunc(names, func(a, c string) int { return rank(s, a) - rank(s, c) })
	for _, name := range names {
		child := s.Properties[name]
		fields(b, path+"."+name, &child, slices.Contains(s.Required, name), spec)
	}
}

func rank(s *apiextensionsv1.JSONSchemaProps, name string) int {
	if slices.Contains(s.Required, name) {
		return 0
	}
	return 1
}

func typeOf(s *apiextensionsv1.JSONSchemaProps) string {
	switch {
	case s.XIntOrString && s.Pattern != "":
		return "quantity"
	case s.XIntOrString:
		return "number or text"
	case s.Items != nil && s.Items.Schema != nil:
		return "list of " + plural(typeOf(s.Items.Schema))
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		return "map to " + plural(typeOf(s.AdditionalProperties.Schema))
	case s.Format == "date-time":
		return "time (RFC 3339)"
	case s.Type == "string":
		return "text"
	}
	return s.Type
}

func plural(word string) string {
	switch word {
	case "quantity":
		return "quantities"
	case "text":
		return "texts"
	}
	return word + "s"
}

func defaultOf(s *apiextensionsv1.JSONSchemaProps, required bool) string {
	switch {
	case required:
		return "**required**"
	case s.Default != nil:
		return code(string(s.Default.Raw))
	}
	return ""
}

// rules are what is refused, in words; those of a list's items among them.
func rules(s *apiextensionsv1.JSONSchemaProps) string {
	var all []string
	if len(s.Enum) > 0 {
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			values[i] = strings.Trim(string(v.Raw), `"`)
		}
		all = append(all, "one of "+code(values...))
	}
	all = append(all, bounds(s)...)
	for _, rule := range s.XValidations {
		all = append(all, rule.Message)
	}
	if s.Items != nil && s.Items.Schema != nil {
		item := s.Items.Schema
		for _, text := range bounds(item) {
			all = append(all, "each: "+text)
		}
		for _, rule := range item.XValidations {
			all = append(all, "each: "+rule.Message)
		}
	}
	for i := range all {
		all[i] = cell(all[i])
	}
	return strings.Join(all, "<br>")
}

// bounds are the limits of size and the uniqueness that the schema sets.
func bounds(s *apiextensionsv1.JSONSchemaProps) []string {
	var all []string
	limit := func(least, most *int64, unit string) {
		switch {
		case least != nil && most != nil:
			all = append(all, fmt.Sprintf("%d to %d %s", *least, *most, unit))
		case least != nil:
			all = append(all, fmt.Sprintf("at least %d %s", *least, unit))
		case most != nil:
			all = append(all, fmt.Sprintf("at most %d %s", *most, unit))
		}
	}
	limit(s.MinLength, s.MaxLength, "characters")
	limit(s.MinItems, s.MaxItems, "items")
	limit(s.MinProperties, s.MaxProperties, "keys")
	if s.Minimum != nil && s.Maximum != nil {
		all = append(all, fmt.Sprintf("%v to %v", *s.Minimum, *s.Maximum))
	}
	switch {
	case s.XListType != nil && *s.XListType == "set":
		all = append(all, "no item twice")
	case s.XListType != nil && *s.XListType == "map":
		all = append(all, "no two items with the same "+strings.Join(s.XListMapKeys, " and "))
	}
	return all
}

// text is a description on one line.
func text(description string) string { return cell(strings.Join(strings.Fields(description), " ")) }

// cell keeps Markdown from reading text as markup.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;", "\n", " ").Replace(text)
}

func code(words ...string) string {
	for i := range words {
		words[i] = "`" + words[i] + "`"
	}
	return strings.Join(words, ", ")
}
