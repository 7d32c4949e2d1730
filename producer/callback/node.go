package callback

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// node is a value of JSON or an element of XML. What XML repeats is an array in
// JSON, and WeChat writes an array of one as the value itself: all three are a
// list of children under one name here.
type node struct {
	text     string
	children map[string][]*node
}

// The bounds of what is parsed. Real events have some twenty nodes, four deep.
const (
	maxDepth      = 32
	maxNodes      = 10_000
	maxAttributes = 16 // of an XML element; WeChat sends none
)

// errMalformed is every reason not to read a body. Its text never quotes the
// body.
var errMalformed = errors.New("malformed")

func malformed(what string) error { return fmt.Errorf("%w: %s", errMalformed, what) }

// parseBody reads JSON or XML, whatever the Content-Type says.
func parseBody(body []byte) (*node, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	b := builder{}
	switch {
	case len(body) == 0:
		return nil, malformed("empty")
	case body[0] == '{':
		return b.fromJSON(body)
	case body[0] == '<':
		return b.fromXML(body)
	}
	return nil, malformed("neither a JSON object nor XML")
}

// builder counts what it builds.
type builder struct{ nodes int }

func (b *builder) add(parent *node, name string) (*node, error) {
	if b.nodes++; b.nodes > maxNodes {
		return nil, malformed("too many values")
	}
	n := &node{}
	if parent != nil {
		if parent.children == nil {
			parent.children = map[string][]*node{}
		}
		parent.children[name] = append(parent.children[name], n)
	}
	return n, nil
}

func (b *builder) fromJSON(body []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // a msgid does not fit a float64
	top := &node{}
	if err := b.jsonValue(d, top, "", 0); err != nil {
		if errors.Is(err, errMalformed) {
			return nil, err
		}
		return nil, malformed("not JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("more than one JSON value")
	}
	return top.children[""][0], nil
}

// jsonValue reads one value as a child of parent, or the elements of an array as
// children of one name.
func (b *builder) jsonValue(d *json.Decoder, parent *node, name string, depth int) error {
	if depth > maxDepth {
		return malformed("nested too deeply")
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	if token == json.Delim('[') {
		for d.More() {
			if err := b.jsonValue(d, parent, name, depth+1); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	}
	n, err := b.add(parent, name)
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case string:
		n.text = token
	case json.Number:
		n.text = token.String()
	case json.Delim: // an object
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return err
			}
			key, ok := key.(string)
			if !ok {
				return malformed("not JSON")
			}
			if err := b.jsonValue(d, n, key.(string), depth+1); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	}
	return nil // true, false and null have no text: no field of ours takes them
}

// fromXML knows no entities but XML's own five, and refuses a DOCTYPE.
func (b *builder) fromXML(body []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	top := &node{}
	stack := []*node{top}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, malformed("not XML")
		}
		switch token := token.(type) {
		case xml.Directive:
			return nil, malformed("XML with a DOCTYPE")
		case xml.StartElement:
			if len(stack) > maxDepth || len(token.Attr) > maxAttributes {
				return nil, malformed("nested too deeply, or too many attributes")
			}
			n, err := b.add(stack[len(stack)-1], token.Name.Local)
			if err != nil {
				return nil, err
			}
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			stack[len(stack)-1].text += string(token)
		}
	}
	if len(top.children) != 1 || strings.TrimSpace(top.text) != "" {
		return nil, malformed("not one XML element")
	}
	for _, roots := range top.children {
		if len(roots) == 1 {
			return roots[0], nil
		}
	}
	return nil, malformed("not one XML element")
}

// field is the text of the one child that has one of the names; "" when there is
// none. Two of them contradict each other.
func (n *node) field(names ...string) (string, error) {
	var found []*node
	for _, name := range names {
		found = append(found, n.children[name]...)
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return strings.TrimSpace(found[0].text), nil
	}
	return "", malformed("the field " + names[0] + " is there twice")
}
