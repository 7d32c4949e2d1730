package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// operations are those of a document as it is served, "POST /v1/…", with the
// right that each needs.
func operations(doc map[string]any) map[string]Right {
	found := map[string]Right{}
	for path, item := range object0(doc["paths"]) {
		for method, op := range object0(item) {
			if slices.Contains(docsMethods, method) {
				found[strings.ToUpper(method)+" "+path] = Right(str(object0(op)["x-right"]))
			}
		}
	}
	return found
}

// The document that is served has the operations that there are, with their
// rights and the lists of the code.
func TestTheDocumentIsTheRoutes(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	a := d.do("", "GET", "/openapi.json", nil)
	d.want("document", a, http.StatusOK, "")
	doc := parsed[map[string]any](d, a)
	want := map[string]Right{}
	for _, r := range d.gateway.routes() {
		want[r.pattern] = r.right
	}
	if diff := cmp.Diff(want, operations(doc)); diff != "" {
		t.Errorf("operations (-routes +document):\n%s", diff)
	}

	schemas := object0(object0(doc["components"])["schemas"])
	problem := object0(object0(schemas["Problem"])["properties"])
	faults := object0(object0(object0(problem["errors"])["items"])["properties"])
	notification := object0(object0(schemas["Notification"])["properties"])
	fieldCodes := map[string]bool{}
	for _, c := range template.Codes {
		fieldCodes[string(c)] = true
	}
	for _, c := range FieldCodes {
		fieldCodes[string(c)] = true
	}
	for name, list := range map[string]struct {
		schema any
		want   []string
	}{
		"state":      {schemas["State"], texts(store.States)},
		"reason":     {schemas["Reason"], texts(store.Reasons)},
		"class":      {schemas["Class"], []string{"fault", "refused"}},
		"receipt":    {notification["receipt"], []string{"none", "ok", "failed"}},
		"code":       {problem["code"], texts(Codes)},
		"field code": {faults["code"], slices.Collect(maps.Keys(fieldCodes))},
	} {
		var got []string
		for _, w := range array0(object0(list.schema)["enum"]) {
			got = append(got, str(w))
		}
		slices.Sort(got)
		slices.Sort(list.want)
		if diff := cmp.Diff(list.want, got); diff != "" {
			t.Errorf("%s (-code +document):\n%s", name, diff)
		}
	}
	if strings.Contains(string(a.body), "x-list") {
		t.Error("a list of the document was not filled in")
	}
}

// What the document says about keys holds for every operation of it: without
// one 401, with one that lacks the right 403, whatever else is wrong.
func TestEveryRouteIsLocked(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t, func(c *Config) {
		for _, r := range Rights { // a key with every right but one
			rights := slices.DeleteFunc(slices.Clone(Rights), func(other Right) bool { return other == r })
			c.Producers = append(c.Producers, Producer{Name: "no-" + string(r), Keys: []apikey.Hash{apikey.Of("no-" + string(r))}, Rights: rights})
		}
	})
	doc := parsed[map[string]any](d, d.do("", "GET", "/openapi.json", nil))
	locked := 0
	for operation, right := range operations(doc) {
		method, path, _ := strings.Cut(operation, " ")
		path = regexp.MustCompile(`{\w+}`).ReplaceAllString(path, "x")
		if right == "" {
			d.want(operation, d.do("", method, path, nil), http.StatusOK, "")
			continue
		}
		locked++
		for name, key := range map[string]string{"no key": "", "a key that is none": "nobody", "the hash of one": strings.TrimPrefix(apikey.Of(keyBilling).String(), apikey.HashPrefix)} {
			a := d.do(key, method, path, "not json")
			d.want(operation+" with "+name, a, http.StatusUnauthorized, CodeUnauthorized)
			if a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %s: no WWW-Authenticate", operation, name)
			}
		}
		d.want(operation+" without the right", d.do("no-"+string(right), method, path, "not json"), http.StatusForbidden, CodeForbiddenRight)
	}
	if locked < 15 {
		t.Errorf("%d operations need a key", locked)
	}
}

// The page needs nothing from elsewhere, has every operation and runs no script.
func TestDocs(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	a := d.do("", "GET", "/docs", nil)
	d.want("docs", a, http.StatusOK, "")
	text := string(a.body)
	for _, r := range d.gateway.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		if !strings.Contains(text, ">"+method+"</span> <code>"+path+"</code>") {
			t.Errorf("%s is not on the page", r.pattern)
		}
	}
	if found := regexp.MustCompile(`(?i)<script|<link|<img|@import|url\(|(src|href)="(https?:)?//`).FindString(text); found != "" {
		t.Errorf("the page has %q", found)
	}
	if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy %q", csp)
	}
	for _, w := range []string{string(CodeRefConflict), string(store.ReasonTooOld), "2026年第9周", "right: send"} {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not on the page", w)
		}
	}
}

// The examples of the document are requests that would be taken.
func TestExamplesOfTheDocument(t *testing.T) {
	t.Parallel()
	document, err := theOpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, item := range object0(document.doc["paths"]) {
		for method, op := range object0(item) {
			media := object0(object0(object0(object0(op)["requestBody"])["content"])["application/json"])
			for name, example := range object0(media["examples"]) {
				b, err := json.Marshal(object0(example)["value"])
				if err != nil {
					t.Fatal(err)
				}
				n++
				for _, fault := range document.validate("/paths/"+escape(path)+"/"+method+"/requestBody/content/application~1json/schema", b) {
					t.Errorf("%s %s, %s: %s", method, path, name, fault)
				}
			}
		}
	}
	if n == 0 {
		t.Error("there are no examples")
	}
}

// Whoever reads /docs is told what each field and each parameter is.
func TestEveryFieldIsDescribed(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	a := d.do("", "GET", "/openapi.json", nil)
	d.want("document", a, http.StatusOK, "")
	fields := 0
	told := func(v any, at string) {
		fields++
		o := object0(v)
		if _, elsewhere := o["$ref"]; !elsewhere && len(str(o["description"])) < len("The text.") {
			t.Errorf("%s has no description", at)
		}
	}
	var walk func(v any, at string)
	walk = func(v any, at string) {
		if list, ok := v.([]any); ok {
			for i, item := range list {
				walk(item, fmt.Sprintf("%s/%d", at, i))
			}
			return
		}
		o := object0(v)
		if _, parameter := o["in"]; parameter && str(o["name"]) != "" {
			told(v, at)
		}
		for name, field := range object0(o["properties"]) {
			told(field, at+"/"+name)
		}
		for name, inner := range o {
			walk(inner, at+"/"+name)
		}
	}
	walk(parsed[map[string]any](d, a), "")
	if fields < 100 {
		t.Errorf("only %d fields and parameters were found", fields)
	}
}
