package config

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// The file is walked as a syntax tree and not decoded into a struct: a decoder
// stops at the first fault and quotes the lines around it, secrets included.

// entry is one key of a mapping.
type entry struct {
	key   string
	line  int
	value ast.Node
}

// scalar is the value of a key of the file's top level.
type scalar struct {
	text string
	line int
}

// parseYAML returns the keys of the file's top level. A nil fault means that it
// could be read.
func parseYAML(data []byte) ([]entry, *yamlFault) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	// Keys that are there twice are found by the walk, with a message that does
	// not quote them.
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxFault(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case body != nil:
			return nil, &yamlFault{line: lineOf(doc.Body), problem: "holds more than one document"}
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return nil, nil
	}
	entries, ok := mapping(body)
	if !ok {
		return nil, &yamlFault{line: lineOf(body), problem: "must be a list of KEY: VALUE lines"}
	}
	return entries, nil
}

// yamlFault is a fault of the text of the file.
type yamlFault struct {
	line    int
	problem string
}

// syntaxFault keeps the parser's line and its sentence, but not the excerpt of
// the file and not what it quotes.
func syntaxFault(err error) *yamlFault {
	f := &yamlFault{problem: "is not valid YAML"}
	var syntax yaml.Error
	if !errors.As(err, &syntax) {
		return f
	}
	if t := syntax.GetToken(); t != nil && t.Position != nil {
		f.line = t.Position.Line
	}
	if m := syntax.GetMessage(); !strings.Contains(m, `"`) {
		f.problem += ": " + m
	}
	return f
}

// mapping returns the keys of a node; ok is false when it is no mapping.
func mapping(node ast.Node) (entries []entry, ok bool) {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		return nil, false
	}
	for _, p := range pairs {
		e := entry{value: p.Value, line: lineOf(p.Key)}
		if t := p.Key.GetToken(); t != nil {
			e.key = t.Value
		}
		entries = append(entries, e)
	}
	return entries, true
}

// plain returns the text of a scalar. null is true for a key without a value,
// ok false for everything that is not a plain value.
func plain(node ast.Node) (text string, null, ok bool) {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return "", true, true
	case *ast.StringNode:
		return n.Value, false, true
	case *ast.LiteralNode:
		return n.Value.Value, false, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, false, true
	}
	return "", false, false
}

// notPlain is the problem of a value that is a list, a mapping, a tag, an
// anchor or an alias.
const notPlain = `must be a plain value; quote it when it begins with one of [ { & * ! | > % @`

// list returns the plain values of a sequence.
func list(node ast.Node) ([]string, bool) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		return nil, false
	}
	texts := make([]string, 0, len(seq.Values))
	for _, v := range seq.Values {
		text, null, ok := plain(v)
		if !ok || null || text == "" {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

func lineOf(node ast.Node) int {
	if node == nil {
		return 0
	}
	if t := node.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// keyForm is what a key may look like to be shown. Anything else may be a line
// such as "wechat_secret:abc", in which the space is missing.
var keyForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// showKey is the key, or words for one that had better not be shown.
func showKey(key string) string {
	if keyForm.MatchString(key) {
		return key
	}
	return "a key"
}

// sequence returns the items of a list; a key without a value is an empty one.
func sequence(node ast.Node) ([]ast.Node, bool) {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return nil, true
	case *ast.SequenceNode:
		return n.Values, true
	}
	return nil, false
}
