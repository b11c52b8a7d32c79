package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/bulkhead-dev/bulkhead/internal/observe"
)

// Bounds on one document's content. Aliases are followed, so a few bytes could stand for billions of values.
const (
	maxValues = 1 << 20
	maxDepth  = 64
)

// document is a part of a file between two document marks.
type document struct {
	file string
	// before counts the lines of the file before the document.
	before int
	data   []byte
	// fault is set when the file is not text, and then there is no data.
	fault *Fault
}

// split cuts a file at its document marks: lines that start with three hyphens, which YAML allows nowhere else. A
// document that cannot be parsed then hides no other's faults, and documents can be decoded side by side.
func split(in *input) []document {
	data := bytes.TrimPrefix(in.data, []byte("\ufeff"))
	if fault := notText(in.name, data); fault != nil {
		return []document{{file: in.name, fault: fault}}
	}
	var documents []document
	start, startLine, line := 0, 0, 0
	for at := 0; at < len(data); line++ {
		end := len(data)
		if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		if at > start && isMark(data[at:end]) {
			documents = append(documents, document{file: in.name, before: startLine, data: data[start:at]})
			start, startLine = at, line
		}
		at = end
	}
	return append(documents, document{file: in.name, before: startLine, data: data[start:]})
}

func isMark(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// notText finds what no YAML or JSON file has.
func notText(name string, data []byte) *Fault {
	at := bytes.IndexByte(data, 0)
	what := "a zero byte"
	if at < 0 && !utf8.Valid(data) {
		what = "bytes that are not UTF-8"
		for at = 0; at < len(data); {
			r, size := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
	}
	if at < 0 {
		return nil
	}
	line := bytes.Count(data[:at], []byte("\n"))
	column := at - bytes.LastIndexByte(data[:at], '\n')
	return &Fault{Source: observe.Source{File: name, Line: line + 1, Column: column}, Message: "not a text file: it has " + what + "; YAML and JSON are text in UTF-8"}
}

// parse reads the YAML documents of d; there is more than one only where one ends with "...".
func (d *document) parse() ([]*yaml.Node, *Fault) {
	decoder := yaml.NewDecoder(bytes.NewReader(d.data))
	var nodes []*yaml.Node
	for {
		node := &yaml.Node{}
		err := decoder.Decode(node)
		if errors.Is(err, io.EOF) {
			return nodes, nil
		}
		if err != nil {
			return nodes, d.syntax(err)
		}
		if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
			nodes = append(nodes, node.Content[0])
		}
	}
}

var (
	yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)
	// fromZero are the errors of the parser's grammar, which counts lines from 0; its scanner counts from 1.
	fromZero = regexp.MustCompile(`^did not find expected (node|key|'|<)`)
)

// syntax turns the parser's error into a fault. The parser gives the line only; the column is that of the first
// character in it, or of the tab that is in the way.
func (d *document) syntax(err error) *Fault {
	line, text := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if found := yamlLine.FindStringSubmatch(err.Error()); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil {
			line = n
		}
		text = strings.TrimPrefix(err.Error(), found[0])
		if fromZero.MatchString(text) {
			line++
		}
	}
	lines := bytes.Split(bytes.TrimRight(d.data, "\r\n"), []byte("\n"))
	line = min(max(line, 1), len(lines))
	content := lines[line-1]
	column := len(content) - len(bytes.TrimLeft(content, " "))
	if len(bytes.TrimLeft(content, " ")) > 0 && content[column] == '\t' {
		text = "a tab in the indentation: YAML indents with spaces only"
	}
	return &Fault{Source: observe.Source{File: d.file, Line: d.before + line, Column: column + 1}, Message: "not valid YAML: " + text}
}

func (d *document) source(node *yaml.Node) observe.Source {
	return observe.Source{File: d.file, Line: d.before + max(node.Line, 1), Column: max(node.Column, 1)}
}

// values turns nodes into the values of JSON, strictly.
type values struct {
	document *document
	left     int
	faults   []Fault
	// kubernetes reads what Kubernetes' own tools read: merge keys, and the booleans of YAML 1.1. It is for files that
	// others wrote for those tools.
	kubernetes bool
}

func (v *values) faultf(node *yaml.Node, format string, args ...any) {
	if len(v.faults) < maxFaults {
		v.faults = append(v.faults, Fault{Source: v.document.source(node), Message: fmt.Sprintf(format, args...)})
	}
}

// errTooMuch ends the conversion of a document whose aliases multiply it, or that is nested without end.
var errTooMuch = errors.New("too much")

// convert returns node as what encoding/json would make of it, with whole numbers as int64.
func (v *values) convert(node *yaml.Node, depth int) (any, error) {
	v.left--
	if v.left < 0 {
		v.faultf(node, "the document stands for more than %d values: aliases (*name) that multiply it are refused", maxValues)
		return nil, errTooMuch
	}
	if depth > maxDepth {
		v.faultf(node, "nested deeper than %d levels, or an alias (*name) within what it stands for", maxDepth)
		return nil, errTooMuch
	}
	switch node.Kind {
	case yaml.AliasNode:
		return v.convert(node.Alias, depth+1)
	case yaml.MappingNode:
		return v.mapping(node, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, item := range node.Content {
			value, err := v.convert(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.ScalarNode:
		return v.scalar(node), nil
	case yaml.DocumentNode:
	}
	v.faultf(node, "not a value")
	return "", nil
}

func (v *values) mapping(node *yaml.Node, depth int) (any, error) {
	object := make(map[string]any, len(node.Content)/2)
	var merged []any
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := resolved(node.Content[i])
		if key.Kind != yaml.ScalarNode {
			v.faultf(key, "a key must be a word, not a list or a map")
			continue
		}
		if key.Tag == "!!merge" && v.kubernetes {
			value, err := v.convert(node.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			merged = append(merged, value)
			continue
		}
		if key.Tag == "!!merge" {
			v.faultf(key, "merge keys (<<) are not supported: write the fields out")
			continue
		}
		if _, twice := object[key.Value]; twice {
			v.faultf(node.Content[i], "key %q is given twice, first in line %d", key.Value, v.document.source(child(node, key.Value)).Line)
			continue
		}
		value, err := v.convert(node.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		object[key.Value] = value
	}
	for _, value := range merged {
		if !merge(object, value) {
			v.faultf(node, "a merge key (<<) needs a map, or a list of maps")
		}
	}
	return object, nil
}

// merge adds what an object does not have: its own entries win, then those of what is merged first.
func merge(object map[string]any, from any) bool {
	switch from := from.(type) {
	case map[string]any:
		for key, value := range from {
			if _, own := object[key]; !own {
				object[key] = value
			}
		}
		return true
	case []any:
		for _, item := range from {
			if _, isMap := item.(map[string]any); !isMap || !merge(object, item) {
				return false
			}
		}
		return true
	}
	return false
}

// yaml11Words are booleans to the YAML 1.1 parser of Kubernetes and words to YAML 1.2.
var yaml11Words = []string{"y", "yes", "on", "n", "no", "off"}

func (v *values) scalar(node *yaml.Node) any {
	switch node.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(node.Value, "true")
	case "!!int":
		var n int64
		if err := node.Decode(&n); err == nil {
			return n
		}
		return v.float(node)
	case "!!float":
		return v.float(node)
	case "!!str", "!!timestamp":
		if node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 &&
			slices.Contains(yaml11Words, strings.ToLower(node.Value)) {
			if v.kubernetes {
				return slices.Index(yaml11Words, strings.ToLower(node.Value)) < len(yaml11Words)/2
			}
			v.faultf(node, "%s means true or false to Kubernetes and a word to others: write true or false, or %q in quotes", node.Value, node.Value)
		}
		return node.Value
	default:
		v.faultf(node, "tag %s is not supported: values are words, numbers, true, false and null", node.ShortTag())
		return nil
	}
}

func (v *values) float(node *yaml.Node) any {
	var f float64
	if err := node.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		v.faultf(node, "%s is not a number that an API has", node.Value)
		return nil
	}
	return f
}

// resolved follows aliases.
func resolved(node *yaml.Node) *yaml.Node {
	for range maxDepth {
		if node.Kind != yaml.AliasNode {
			break
		}
		node = node.Alias
	}
	return node
}

// child is the value under a key of a map, nil where there is none.
func child(node *yaml.Node, key string) *yaml.Node {
	node = resolved(node)
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if resolved(node.Content[i]).Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}
