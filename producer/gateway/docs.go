package gateway

import (
	"bytes"
	_ "embed" // for docs.html.tmpl
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
)

//go:embed docs.html.tmpl
var docsTemplate string

// The page of /docs: the document in the order of its tags and paths.
type (
	docsPage struct {
		Title, Summary, Description string
		Groups                      []docsGroup
		Lists                       []docsList
	}
	docsGroup struct {
		Name, Description string
		Operations        []docsOperation
	}
	docsOperation struct {
		ID, Method, Path, Right, Summary, Description string
		Parameters                                    []docsField
		Body                                          []docsField
		Examples                                      []docsExample
		Answers                                       []docsAnswer
	}
	docsField struct {
		Name, In, Type, Description string
		Required                    bool
	}
	docsExample struct{ Summary, Text string }
	docsAnswer  struct {
		Status, Description string
		Fields              []docsField
	}
	docsList struct {
		Name  string
		Words []string
	}
)

// renderDocs makes the page.
func renderDocs(doc map[string]any) ([]byte, error) {
	d := docsReader{doc}
	info := object0(doc["info"])
	page := docsPage{Title: str(info["title"]), Summary: str(info["summary"]), Description: str(info["description"])}
	operations := d.operations()
	for _, tag := range array0(doc["tags"]) {
		name := str(object0(tag)["name"])
		page.Groups = append(page.Groups, docsGroup{name, str(object0(tag)["description"]), operations[name]})
	}
	all := lists()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		page.Lists = append(page.Lists, docsList{name, all[name]})
	}
	t, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("gateway: the page of the documents: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, page); err != nil {
		return nil, fmt.Errorf("gateway: the page of the documents: %w", err)
	}
	return b.Bytes(), nil
}

// docsReader reads an OpenAPI document.
type docsReader struct{ doc map[string]any }

// object0, array0 and str are a value of that type, or an empty one.
func object0(v any) map[string]any { o, _ := v.(map[string]any); return o }

func array0(v any) []any { a, _ := v.([]any); return a }

func str(v any) string { s, _ := v.(string); return s }

// docsMethods are the methods in the order in which a path shows them.
var docsMethods = []string{"post", "put", "get", "delete"}

// operations are the document's by tag, in the order of their paths.
func (d docsReader) operations() map[string][]docsOperation {
	byTag := map[string][]docsOperation{}
	paths := object0(d.doc["paths"])
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := object0(paths[path])
		for _, method := range docsMethods {
			op := object0(item[method])
			if op == nil {
				continue
			}
			tag := str(array0(op["tags"])[0])
			byTag[tag] = append(byTag[tag], d.operation(strings.ToUpper(method), path, item, op))
		}
	}
	return byTag
}

func (d docsReader) operation(method, path string, item, op map[string]any) docsOperation {
	o := docsOperation{
		ID: str(op["operationId"]), Method: method, Path: path, Right: str(op["x-right"]),
		Summary: str(op["summary"]), Description: str(op["description"]),
	}
	for _, p := range append(array0(item["parameters"]), array0(op["parameters"])...) {
		p := d.resolve(object0(p))
		o.Parameters = append(o.Parameters, docsField{
			Name: str(p["name"]), In: str(p["in"]), Type: d.typeOf(object0(p["schema"])), Description: str(p["description"]),
		})
	}
	body := object0(object0(object0(op["requestBody"])["content"])["application/json"])
	o.Body = d.fields(object0(body["schema"]))
	examples := object0(body["examples"])
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		e := object0(examples[name])
		text, _ := json.MarshalIndent(e["value"], "", "  ") // it came out of YAML
		o.Examples = append(o.Examples, docsExample{str(e["summary"]), string(text)})
	}
	answers := object0(op["responses"])
	for _, status := range slices.Sorted(maps.Keys(answers)) {
		if status == "default" { // the same everywhere
			continue
		}
		a := object0(answers[status])
		media := object0(object0(a["content"])["application/json"])
		o.Answers = append(o.Answers, docsAnswer{status, str(a["description"]), d.fields(object0(media["schema"]))})
	}
	return o
}

// resolve follows a reference. What stands beside it wins.
func (d docsReader) resolve(schema map[string]any) map[string]any {
	ref := str(schema["$ref"])
	if ref == "" {
		return schema
	}
	at := d.doc
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = object0(at[part])
	}
	at = maps.Clone(at)
	for k, v := range schema {
		if k != "$ref" {
			at[k] = v
		}
	}
	return at
}

// fields are the properties of an object.
func (d docsReader) fields(schema map[string]any) []docsField {
	schema = d.resolve(schema)
	properties := object0(schema["properties"])
	required := array0(schema["required"])
	var fields []docsField
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p := d.resolve(object0(properties[name]))
		fields = append(fields, docsField{
			Name: name, Type: d.typeOf(p), Description: str(p["description"]), Required: slices.Contains(required, any(name)),
		})
	}
	slices.SortStableFunc(fields, func(a, b docsField) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return fields
}

// typeOf is a schema in a word or two.
func (d docsReader) typeOf(schema map[string]any) string {
	schema = d.resolve(schema)
	if enum := array0(schema["enum"]); enum != nil {
		var words []string
		for _, w := range enum {
			if w != nil {
				words = append(words, str(w))
			}
		}
		if len(words) > 6 {
			return "one of a list"
		}
		return strings.Join(words, " | ")
	}
	var names []string
	switch t := schema["type"].(type) {
	case string:
		names = []string{t}
	case []any:
		for _, one := range t {
			if one != any("null") {
				names = append(names, str(one))
			}
		}
	}
	for _, one := range array0(schema["anyOf"]) {
		if t := d.typeOf(object0(one)); t != "null" {
			names = append(names, t)
		}
	}
	text := strings.Join(names, " or ")
	if text == "array" {
		text = d.typeOf(object0(schema["items"])) + "[]"
	}
	if format := str(schema["format"]); format != "" {
		text += " (" + format + ")"
	}
	return text
}
