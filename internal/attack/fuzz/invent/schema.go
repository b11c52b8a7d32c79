package invent

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Schemas are the types that an API server publishes as OpenAPI v3.
type Schemas struct {
	types map[string]*schema
	kinds map[string]string // "apiVersion kind" to the name of its type
}

// schema is what of a type guides the fuzzer.
type schema struct {
	Ref        string             `json:"$ref"`
	AllOf      []*schema          `json:"allOf"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Enum       []any              `json:"enum"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	// Additional is true, false or a schema.
	Additional  json.RawMessage `json:"additionalProperties"`
	Required    []string        `json:"required"`
	IntOrString bool            `json:"x-kubernetes-int-or-string"`
	Kinds       []struct {
		Group   string `json:"group"`
		Version string `json:"version"`
		Kind    string `json:"kind"`
	} `json:"x-kubernetes-group-version-kind"`

	additional *schema
}

// Add takes one document: those of an API server share the names of their types.
func (s *Schemas) Add(document []byte) error {
	var read struct {
		Components struct {
			Schemas map[string]*schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &read); err != nil {
		return fmt.Errorf("read a document of OpenAPI: %w", err)
	}
	if s.types == nil {
		s.types, s.kinds = map[string]*schema{}, map[string]string{}
	}
	for name, t := range read.Components.Schemas {
		if t == nil || s.types[name] != nil {
			continue
		}
		s.types[name] = t
		for _, k := range t.Kinds {
			s.kinds[apiVersion(k.Group, k.Version)+" "+k.Kind] = name
		}
	}
	return nil
}

func apiVersion(group, version string) string {
	if group == "" {
		return version
	}
	return group + "/" + version
}

// of a kind; nil when it is not published.
func (s *Schemas) of(apiVersion, kind string) *schema {
	if s == nil {
		return nil
	}
	return s.types[s.kinds[apiVersion+" "+kind]]
}

// resolve follows references; nil for what leads nowhere.
func (s *Schemas) resolve(t *schema) *schema {
	const deepest = 10
	for range deepest {
		switch {
		case t == nil:
			return nil
		case t.Ref != "":
			t = s.types[strings.TrimPrefix(t.Ref, "#/components/schemas/")]
		case len(t.AllOf) > 0 && t.Type == "" && t.Properties == nil:
			t = t.AllOf[0]
		default:
			return t
		}
	}
	return nil
}

// entries is the type of what a map holds; nil for anything.
func (t *schema) entries() *schema {
	if t.additional == nil && len(t.Additional) > 0 && t.Additional[0] == '{' {
		t.additional = &schema{}
		_ = json.Unmarshal(t.Additional, t.additional) // it was read as JSON already: what does not fit guides nothing
	}
	return t.additional
}

// at is the type of a place in an object of a kind; nil when it is not known.
func (s *Schemas) at(apiVersion, kind string, path []any) *schema {
	t := s.resolve(s.of(apiVersion, kind))
	for _, part := range path {
		if t == nil {
			return nil
		}
		_, isIndex := part.(int)
		switch {
		case isIndex || part == end:
			t = s.resolve(t.Items)
		case t.Properties[fmt.Sprint(part)] != nil:
			t = s.resolve(t.Properties[fmt.Sprint(part)])
		default:
			t = s.resolve(t.entries())
		}
	}
	return t
}
