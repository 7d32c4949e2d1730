package task

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/worker/jsonobject"
)

// Type is the asynq task type of a send.
const Type = "wechat:subscribe"

// Bounds of a payload. WeChat's own limits per key are far smaller (32
// characters at most); these keep hostile input out of the store.
const (
	MaxPayload  = 64 << 10 // bytes
	MaxKey      = 128      // bytes of an id, an openid, a template id, a data key
	MaxPage     = 1024     // bytes; WeChat documents no limit for page
	MaxDataKeys = 32       // WeChat's templates have at most 5
	MaxValue    = 1024     // bytes of one data value
)

// Payload is what a task carries. Where the store has a row for the task, the
// row wins and the payload is only what admins see in asynqmon.
type Payload struct {
	ID               uuid.UUID
	App              string // appid; "" means the queue's app
	TemplateID       string
	Page             string
	UserID           string
	OpenID           string
	Data             map[string]string
	Lang             string
	MiniprogramState string
}

// wire is the payload's JSON form.
type wire struct {
	ID               string          `json:"id,omitempty"`
	App              string          `json:"app,omitempty"`
	TemplateID       string          `json:"template_id,omitempty"`
	Page             string          `json:"page,omitempty"`
	UserID           json.RawMessage `json:"user_id,omitempty"`
	OpenID           string          `json:"openid,omitempty"`
	Data             json.RawMessage `json:"data,omitempty"`
	Lang             string          `json:"lang,omitempty"`
	MiniprogramState string          `json:"miniprogram_state,omitempty"`
}

// Parse reads and checks a payload that came from outside. The error is a
// FieldErrors that names every bad field and never quotes a value. Fields that
// are not ours are ignored: a raw task may carry more for others.
func Parse(b []byte) (Payload, error) {
	if len(b) > MaxPayload {
		return Payload{}, FieldErrors{{Field: "", Reason: fmt.Sprintf("the payload has %d bytes; at most %d are allowed", len(b), MaxPayload)}}
	}
	if !utf8.Valid(b) {
		return Payload{}, FieldErrors{{Field: "", Reason: "the payload is not valid UTF-8"}}
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return Payload{}, FieldErrors{syntaxError(err)}
	}
	p := Payload{
		App: w.App, TemplateID: w.TemplateID, Page: w.Page, OpenID: w.OpenID,
		Lang: w.Lang, MiniprogramState: w.MiniprogramState,
	}
	var faults FieldErrors
	if w.ID != "" {
		id, err := uuid.Parse(w.ID)
		if err != nil {
			faults = append(faults, FieldError{"id", "is not a UUID"})
		}
		p.ID = id
	}
	var ok bool
	if p.UserID, ok = text(w.UserID, false); !ok {
		faults = append(faults, FieldError{"user_id", "must be a string or an integer"})
	}
	data, dataFaults := parseData(w.Data)
	p.Data = data
	faults = append(faults, dataFaults...)
	for _, f := range p.check() {
		if !slices.ContainsFunc(faults, func(g FieldError) bool { return g.Field == f.Field }) {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return Payload{}, faults
	}
	return p, nil
}

// Peek reads of a payload what says whose it is: App, TemplateID, Page, and UserID
// or OpenID. ok is false where they are not all there. It checks nothing else, so
// it decides nothing: who goes by what a payload says needs Parse.
func Peek(b []byte) (p Payload, ok bool) {
	if len(b) > MaxPayload {
		return Payload{}, false
	}
	m, ok := jsonobject.Read(b)
	if !ok {
		return Payload{}, false
	}
	p = Payload{App: m.Text("app"), TemplateID: m.Text("template_id"), Page: m.Text("page"), OpenID: m.Text("openid")}
	p.UserID, ok = text(m.Get("user_id"), false)
	return p, ok && p.App != "" && p.TemplateID != "" && (p.UserID == "") != (p.OpenID == "")
}

// syntaxError names the field of a type mismatch, when json knows it.
func syntaxError(err error) FieldError {
	if te, ok := err.(*json.UnmarshalTypeError); ok && te.Field != "" { //nolint:errorlint // json returns it unwrapped
		return FieldError{te.Field, "has the wrong JSON type (" + te.Value + ")"}
	}
	return FieldError{"", "the payload is not a JSON object"}
}

// parseData accepts {"thing1":"text"} and {"thing1":{"value":"text"}}, with
// strings or numbers; a number keeps its digits exactly.
func parseData(raw json.RawMessage) (map[string]string, FieldErrors) {
	if isNull(raw) {
		return nil, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, FieldErrors{{"data", "must be an object such as {\"thing1\":\"text\"}, not a string that contains one"}}
	}
	var faults FieldErrors
	data := make(map[string]string, len(m))
	for k, v := range m {
		s, ok := text(v, true)
		if !ok {
			faults = append(faults, FieldError{dataField(k), "must be a string or a number, or an object with such a value"})
			continue
		}
		data[k] = s
	}
	faults.sort()
	return data, faults
}

// text reads a string or number; nested also {"value": string or number}.
func text(raw json.RawMessage, nested bool) (string, bool) {
	if isNull(raw) {
		return "", !nested
	}
	switch c := raw[0]; {
	case c == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	case c == '-' || c >= '0' && c <= '9':
		if !nested && bytes.ContainsAny(raw, ".eE") {
			return "", false
		}
		return string(raw), true
	case c == '{' && nested:
		var o struct {
			Value json.RawMessage `json:"value"`
		}
		if json.Unmarshal(raw, &o) != nil || isNull(o.Value) || o.Value[0] == '{' {
			return "", false
		}
		return text(o.Value, true)
	}
	return "", false
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// Check reports every fault of a payload made in this process.
func (p Payload) Check() error {
	if faults := p.check(); len(faults) > 0 {
		return faults
	}
	return nil
}

// textFault says what is wrong with a text of at most so many bytes; "" when
// nothing is.
func textFault(s string, limit int) string {
	switch {
	case len(s) > limit:
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(s), limit)
	case strings.ContainsRune(s, 0):
		return "contains a NUL character"
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	}
	return ""
}

func (p Payload) check() FieldErrors {
	var f FieldErrors
	add := func(field, reason string) { f = append(f, FieldError{field, reason}) }
	checkText := func(field, s string, limit int) {
		if reason := textFault(s, limit); reason != "" {
			add(field, reason)
		}
	}
	checkData := func(key, s string, limit int) {
		if reason := textFault(s, limit); reason != "" {
			add(dataField(key), reason)
		}
	}
	if p.TemplateID == "" {
		add("template_id", "is required")
	}
	checkText("template_id", p.TemplateID, MaxKey)
	switch {
	case p.UserID == "" && p.OpenID == "":
		add("user_id", "is required (or openid)")
	case p.UserID != "" && p.OpenID != "":
		add("openid", "give user_id or openid, not both")
	}
	checkText("user_id", p.UserID, MaxKey)
	checkText("openid", p.OpenID, MaxKey)
	checkText("app", p.App, MaxKey)
	checkText("page", p.Page, MaxPage)
	if !slices.Contains(Langs, p.Lang) && p.Lang != "" {
		add("lang", "must be one of "+strings.Join(Langs, ", "))
	}
	if !slices.Contains(MiniprogramStates, p.MiniprogramState) && p.MiniprogramState != "" {
		add("miniprogram_state", "must be one of "+strings.Join(MiniprogramStates, ", "))
	}
	if len(p.Data) == 0 {
		add("data", "is required")
	}
	if len(p.Data) > MaxDataKeys {
		add("data", fmt.Sprintf("has %d keys; at most %d are allowed", len(p.Data), MaxDataKeys))
		return f
	}
	n := len(f)
	for k, v := range p.Data {
		if k == "" {
			add("data", "has an empty key")
			continue
		}
		checkData(k, k, MaxKey)
		if strings.TrimSpace(v) == "" { // WeChat refuses it: 47003, "is empty"
			add(dataField(k), "is empty")
			continue
		}
		checkData(k, v, MaxValue)
	}
	f[n:].sort()
	return f
}

// Langs are the values of lang that WeChat knows.
var Langs = []string{"zh_CN", "en_US", "zh_HK", "zh_TW"}

// MiniprogramStates are the values of miniprogram_state that WeChat knows.
var MiniprogramStates = []string{"formal", "trial", "developer"}
