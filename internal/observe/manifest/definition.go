package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/operation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/bulkhead-dev/bulkhead/api/crds"
	"github.com/bulkhead-dev/bulkhead/internal/spelling"
)

// definition holds one kind's CustomResourceDefinition in the forms in which the API server itself checks objects
// against it, so that a file is refused for the reasons, and in the words, of a cluster.
type definition struct {
	namespaced bool
	structural *schema.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

// definitions are kinds that CustomResourceDefinitions define. Each is compiled when the first object of it is met: compiling
// costs as much as checking hundreds of objects.
type definitions struct {
	byKind func() (map[string]func() (*definition, error), error)
}

// newDefinitions returns Bulkhead's kinds.
func newDefinitions() *definitions { return definitionsOf(crds.All) }

func definitionsOf(load func() ([]*apiextensionsv1.CustomResourceDefinition, error)) *definitions {
	return &definitions{sync.OnceValues(func() (map[string]func() (*definition, error), error) {
		all, err := load()
		if err != nil {
			return nil, err
		}
		byKind := make(map[string]func() (*definition, error), len(all))
		for _, crd := range all {
			byKind[crd.Spec.Names.Kind] = sync.OnceValues(func() (*definition, error) { return compile(crd) })
		}
		return byKind, nil
	})}
}

// errNoSuchKind is returned for kinds that are not defined.
var errNoSuchKind = errors.New("no such kind")

// of returns the definition of a kind; errNoSuchKind when there is none of this name.
func (d *definitions) of(kind string) (*definition, error) {
	byKind, err := d.byKind()
	if err != nil {
		return nil, err
	}
	compiled, known := byKind[kind]
	if !known {
		return nil, errNoSuchKind
	}
	return compiled()
}

func compile(crd *apiextensionsv1.CustomResourceDefinition) (*definition, error) {
	props := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, props, nil); err != nil {
		return nil, fmt.Errorf("convert the schema of %s: %w", crd.Name, err)
	}
	structural, err := schema.NewStructural(props)
	if err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", crd.Name, err)
	}
	openAPI, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		return nil, fmt.Errorf("compile the schema of %s: %w", crd.Name, err)
	}
	return &definition{
		namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
		structural: structural,
		openAPI:    openAPI,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// refusal is one reason for which the API server would refuse an object.
type refusal struct {
	path    string
	message string
}

// check does to object what the API server does on create: it drops what is unknown, sets the defaults, and returns
// every reason to refuse. The order of the steps is the API server's (apiextensions-apiserver, customresource_handler.go
// and registry/customresource/strategy.go).
func (d *definition) check(object map[string]any) []refusal {
	meta, _, unknown, err := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return []refusal{{"metadata", fmt.Sprintf("metadata: %v", err)}}
	}
	unknown = append(unknown, pruning.PruneWithOptions(object, d.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	refusals := make([]refusal, 0, len(unknown))
	for _, path := range unknown {
		refusals = append(refusals, refusal{path, d.unknownField(path)})
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, d.structural)
	defaulting.Default(object, d.structural)
	delete(object, "status")

	var faults field.ErrorList
	if meta == nil {
		faults = append(faults, field.Required(field.NewPath("metadata"), "an object has a name"))
	} else {
		faults = append(faults, metavalidation.ValidateObjectMetaDeclaratively(context.Background(), operation.Create, meta, nil,
			d.namespaced, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"), false)...)
	}
	faults = append(faults, validation.ValidateCustomResource(nil, object, d.openAPI)...)
	faults = append(faults, listtype.ValidateListSetsAndMaps(nil, d.structural, object)...)
	if meta != nil && !blocks(faults) {
		broken, _ := d.rules.Validate(context.Background(), nil, d.structural, object, nil, celconfig.RuntimeCELCostBudget)
		slices.SortStableFunc(broken, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
		faults = append(faults, broken...)
	}
	for _, fault := range faults {
		refusals = append(refusals, d.refusal(fault))
	}
	return refusals
}

// blocking are the faults after which the API server does not ask the rules, which rely on the schema.
var blocking = []field.ErrorType{
	field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid,
}

func blocks(faults field.ErrorList) bool {
	return slices.ContainsFunc(faults, func(fault *field.Error) bool { return slices.Contains(blocking, fault.Type) })
}

// quantityForm is how the API server reports a malformed quantity: by a regular expression, of which this is the end.
const quantityForm = `(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$'`

// refusal words a fault as the API server does, and adds to a missing value what it may be.
func (d *definition) refusal(fault *field.Error) refusal {
	path := fault.Field
	if path == "<nil>" {
		path = ""
	}
	body := fault.ErrorBody()
	if strings.HasSuffix(body, quantityForm) {
		body = fmt.Sprintf("Invalid value: %q: must be a number or a quantity such as 500m, 4 or 16Gi", fault.BadValue)
	}
	if fault.Type == field.ErrorTypeRequired && fault.Detail == "" {
		if s := d.schemaAt(path); s != nil && s.ValueValidation != nil && len(s.ValueValidation.Enum) > 0 {
			allowed := make([]string, 0, len(s.ValueValidation.Enum))
			for _, value := range s.ValueValidation.Enum {
				allowed = append(allowed, fmt.Sprint(value.Object))
			}
			body += ": one of " + strings.Join(allowed, ", ")
		}
	}
	if path == "" {
		return refusal{"metadata.name", body}
	}
	return refusal{path, path + ": " + body}
}

// unknownField names an unknown field, and the one that was probably meant.
func (d *definition) unknownField(path string) string {
	message := fmt.Sprintf("unknown field %q", path)
	parent, name := "", path
	if dot := strings.LastIndexByte(path, '.'); dot >= 0 {
		parent, name = path[:dot], path[dot+1:]
	}
	s := d.schemaAt(parent)
	if s == nil {
		return message
	}
	best, distance := "", 1+len(name)/3
	for candidate := range s.Properties {
		n := spelling.Distance(strings.ToLower(name), strings.ToLower(candidate))
		if n < distance || n == distance && best != "" && candidate < best {
			best, distance = candidate, n
		}
	}
	if best != "" {
		message += fmt.Sprintf(": did you mean %q?", best)
	}
	return message
}

// schemaAt is the schema of a field; nil when there is none on the path.
func (d *definition) schemaAt(path string) *schema.Structural {
	s := d.structural
	for path != "" {
		path = strings.TrimPrefix(path, ".")
		if _, after, isIndex := bracket(path); isIndex {
			if s.Items == nil {
				return nil
			}
			s, path = s.Items, after
			continue
		}
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		next, known := s.Properties[path[:end]]
		if !known {
			return nil
		}
		s, path = &next, path[end:]
	}
	return s
}
