package gateway

import (
	_ "embed" // for openapi.yaml
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

//go:embed openapi.yaml
var openAPIText []byte

// lists are the closed lists of the document, by the name under which a schema
// asks for one with x-list.
func lists() map[string][]string {
	kinds := make([]string, len(wechat.Kinds))
	for i, k := range wechat.Kinds {
		kinds[i] = k.String()
	}
	fieldCodes := texts(FieldCodes)
	for _, c := range template.Codes {
		if !slices.Contains(fieldCodes, string(c)) {
			fieldCodes = append(fieldCodes, string(c))
		}
	}
	return map[string][]string{
		"state":             texts(store.States),
		"class":             {string(store.ClassFault), string(store.ClassRefused)},
		"reason":            texts(store.Reasons),
		"receipt":           {string(store.ReceiptNone), string(store.ReceiptOK), string(store.ReceiptFailed)},
		"priority":          texts(store.Priorities),
		"duplicates":        {string(store.DuplicatesAllow), string(store.DuplicatesAvoid)},
		"outcome":           kinds,
		"lang":              task.Langs,
		"miniprogram_state": task.MiniprogramStates,
		"code":              texts(Codes),
		"field_code":        fieldCodes,
		"bound_result":      boundResults,
		"consent_answer":    consentWords,
		"plan_reason":       texts(planReasons),
		"template_state":    texts(templateStates),
		"template_kind":     {string(template.KindOneTime), string(template.KindLongTerm)},
		"quiet_critical":    {string(template.QuietCriticalWait), string(template.QuietCriticalSend)},
	}
}

func texts[T ~string](words []T) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return list
}

// newDocument reads the OpenAPI document and fills in its lists.
func newDocument() (map[string]any, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(openAPIText, &doc); err != nil {
		return nil, fmt.Errorf("gateway: the OpenAPI document: %w", err)
	}
	if err := fillLists(doc, lists()); err != nil {
		return nil, fmt.Errorf("gateway: the OpenAPI document: %w", err)
	}
	return doc, nil
}

// fillLists gives every schema with x-list its enum. One that may be null has
// null in it.
func fillLists(v any, known map[string][]string) error {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["x-list"].(string); ok {
			words, ok := known[name]
			if !ok {
				return fmt.Errorf("there is no list %q", name)
			}
			enum := make([]any, 0, len(words)+1)
			for _, w := range words {
				enum = append(enum, w)
			}
			if types, ok := v["type"].([]any); ok && slices.Contains(types, any("null")) {
				enum = append(enum, nil)
			}
			v["enum"] = enum
			delete(v, "x-list")
		}
		for _, inner := range v {
			if err := fillLists(inner, known); err != nil {
				return err
			}
		}
	case []any:
		for _, inner := range v {
			if err := fillLists(inner, known); err != nil {
				return err
			}
		}
	}
	return nil
}

// documents are the OpenAPI document as it is served, and the page made of it.
type documents struct {
	openAPI []byte
	page    []byte
}

func newDocuments() (documents, error) {
	doc, err := newDocument()
	if err != nil {
		return documents{}, err
	}
	var d documents
	if d.openAPI, err = json.Marshal(doc); err != nil {
		return d, fmt.Errorf("gateway: the OpenAPI document: %w", err)
	}
	d.page, err = renderDocs(doc)
	return d, err
}

// getDocument serves the OpenAPI document.
func (g *Gateway) getDocument(w http.ResponseWriter, _ *http.Request, _ *call) error {
	writeStatic(w, "application/json", g.documents.openAPI)
	return nil
}

// getDocs serves the document as a page.
func (g *Gateway) getDocs(w http.ResponseWriter, _ *http.Request, _ *call) error {
	// The page has no script and nothing from elsewhere; whatever text got into it
	// could do nothing either.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	writeStatic(w, "text/html; charset=utf-8", g.documents.page)
	return nil
}

func writeStatic(w http.ResponseWriter, mediaType string, b []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(b)
}
