package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// contract holds requests and answers to the OpenAPI document. It is an
// http.RoundTripper, through which the requests of the tests go.
type contract struct {
	tb       testing.TB
	document *openAPI
}

// openAPI is the document with its schemas, made once.
type openAPI struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	mux      *http.ServeMux // finds the path of a request

	mu      sync.Mutex // of the compiler and what it made
	schemas map[string]*jsonschema.Schema
}

// theOpenAPI is the document with closed objects: what it does not name, an
// answer does not have.
var theOpenAPI = sync.OnceValues(func() (*openAPI, error) {
	doc, err := newDocument()
	if err != nil {
		return nil, err
	}
	closeObjects(doc)
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	o := &openAPI{doc: doc, compiler: jsonschema.NewCompiler(), mux: http.NewServeMux(), schemas: map[string]*jsonschema.Schema{}}
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	o.compiler.DefaultDraft(jsonschema.Draft2020)
	o.compiler.AssertFormat()
	if err := o.compiler.AddResource("openapi.json", resource); err != nil {
		return nil, err
	}
	for path := range object0(doc["paths"]) {
		o.mux.Handle(path, http.NotFoundHandler())
	}
	return o, nil
})

// closeObjects forbids properties that a schema does not name.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, has := v["properties"].(map[string]any)
		if _, open := v["additionalProperties"]; has && !open && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range v {
			closeObjects(inner)
		}
	}
}

// newContract is the client of tests: every request and every answer of it has
// to be one of the document's.
func newContract(tb testing.TB) *http.Client {
	tb.Helper()
	document, err := theOpenAPI()
	if err != nil {
		tb.Fatal(err)
	}
	return &http.Client{Transport: &contract{tb, document}}
}

// RoundTrip implements http.RoundTripper.
func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(got))
	if err != nil {
		return resp, nil //nolint:nilerr // a connection that broke has no body to hold to anything
	}
	for _, fault := range c.document.check(r, sent, resp, got) {
		c.tb.Errorf("%s %s: %d: %s\n%s\n%s", r.Method, r.URL.Path, resp.StatusCode, fault, sent, got)
	}
	return resp, nil
}

// check says where a request that was taken and its answer depart from the
// document. What there is no route for must be answered as a problem.
func (o *openAPI) check(r *http.Request, sent []byte, resp *http.Response, got []byte) (faults []string) {
	_, path := o.mux.Handler(r)
	item := object0(object0(o.doc["paths"])[path])
	method := strings.ToLower(r.Method)
	op := object0(item[method])
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if resp.StatusCode >= 400 {
		faults = append(faults, o.validate("/components/schemas/Problem", got)...)
		if mediaType != "application/problem+json" {
			faults = append(faults, "a problem of type "+mediaType)
		}
		after := resp.Header.Get("Retry-After") != ""
		if want := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable; want && !after {
			faults = append(faults, "no Retry-After")
		}
		return faults
	}
	at := "/paths/" + escape(path) + "/" + method
	status := fmt.Sprint(resp.StatusCode)
	switch content := object0(object0(object0(op["responses"])[status])["content"]); {
	case op == nil:
		return []string{"the document does not have this operation"}
	case content[mediaType] == nil:
		faults = append(faults, "the document does not have this status with "+mediaType)
	case mediaType == "application/json":
		faults = append(faults, o.validate(at+"/responses/"+status+"/content/application~1json/schema", got)...)
	}
	// A batch is taken also when some of its notifications are not of the form.
	var batch struct{ Rejected int }
	_ = json.Unmarshal(got, &batch) // what is no object has none
	if len(sent) > 0 && batch.Rejected == 0 {
		faults = append(faults, o.validate(at+"/requestBody/content/application~1json/schema", sent)...)
	}
	return append(faults, o.query(item, op, r.URL.Query())...)
}

// query finds parameters that the document does not have.
func (o *openAPI) query(item, op map[string]any, values url.Values) (faults []string) {
	d := docsReader{o.doc}
	for name := range values {
		if !slices.ContainsFunc(append(array0(item["parameters"]), array0(op["parameters"])...), func(p any) bool {
			parameter := d.resolve(object0(p))
			return parameter["name"] == name && parameter["in"] == "query"
		}) {
			faults = append(faults, "the document does not have the parameter "+name)
		}
	}
	return faults
}

// validate holds a text to the schema at a JSON Pointer of the document.
func (o *openAPI) validate(at string, text []byte) []string {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return []string{"not JSON: " + err.Error()}
	}
	o.mu.Lock()
	schema := o.schemas[at]
	if schema == nil {
		if schema, err = o.compiler.Compile("openapi.json#" + at); err == nil {
			o.schemas[at] = schema
		}
	}
	o.mu.Unlock()
	if err == nil {
		err = schema.Validate(v)
	}
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}

// escape writes a name as a part of a JSON Pointer in a URL's fragment.
func escape(name string) string {
	return strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointerEscape.Replace(name))
}
