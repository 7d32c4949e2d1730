package wechat

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/worker/jsonobject"
)

// answer is what came back: a status line and, perhaps, something to read.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	tooLong bool
	// broken is why reading the body ended before its end; nil when it did not.
	broken error
	at     time.Time

	fields fields
	rid    string
}

// fields are the members of the answer's object.
type fields = jsonobject.Members

// utf8BOM precedes some answers of gateways.
var utf8BOM = []byte("\xef\xbb\xbf")

// judge parses the answer and returns nil when it is a success that proves
// itself, else what it means:
//
//   - A JSON object with an errcode of the table decides, whatever the HTTP
//     status and the Content-Type say (WeChat sends text/plain at times), even
//     when the connection broke after the object was complete.
//   - 412, and 503 or 429 with Retry-After, are refusals before processing.
//   - Everything else proves nothing: 5xx, HTML, an empty, cut off or over-long
//     answer, {}, and also 3xx, 403 or 404 of something on the way, for nobody
//     can say whether the request went on from there. A body that broke off
//     without a usable object is like no answer.
func (a *answer) judge(r *request) *Error {
	flaw := a.parse()
	if flaw == "" {
		code, state := integer(a.fields.Get("errcode"))
		switch state {
		case valueGood:
			if code == int64(int32(code)) { //nolint:gosec // this is the check that it fits
				return a.judgeCode(r, code)
			}
			flaw = "the answer's errcode is no errcode" // nor does it fit into the record
		case valueNone:
			flaw = "the answer has no errcode"
			if r.read != nil && a.status/100 == 2 {
				if flaw = r.read(a.fields); flaw == "" {
					return nil
				}
			}
		case valueBad:
			flaw = "the answer's errcode is not a number"
		}
	}
	return a.judgeStatus(r, flaw)
}

// judgeCode gives the meaning of an errcode.
func (a *answer) judgeCode(r *request, code int64) *Error {
	errmsg := a.fields.Text("errmsg")
	a.rid = findRID(errmsg, a.fields.Text("rid"))
	row, known := LookupErrcode(int(code))
	if code == 0 {
		if r.read == nil {
			return nil
		}
		flaw := r.read(a.fields)
		if flaw == "" {
			return nil
		}
		e := a.judgeStatus(r, flaw)
		e.RID = a.rid
		return e
	}
	kind, after := kindOn(r.api, row), a.retryAfter(row.Code)
	if !known && a.status/100 != 2 {
		status := a.judgeStatus(r, "")
		kind, after = status.Kind, status.RetryAfter
	}
	return &Error{
		API: r.api, Kind: kind, Code: int(code), Msg: clean(errmsg, r.private), RID: a.rid,
		Field: fieldOf(int(code), errmsg), HTTPStatus: a.status, RetryAfter: after,
	}
}

// judgeStatus gives the meaning of an answer without an errcode; flaw says what
// is wrong with its body.
func (a *answer) judgeStatus(r *request, flaw string) *Error {
	e := &Error{API: r.api, Kind: KindUnsure, HTTPStatus: a.status, Msg: flaw}
	after, asked := a.headerRetryAfter()
	switch {
	case a.status == http.StatusPreconditionFailed:
		e.Kind, e.RetryAfter = KindBusy, after
	case asked && (a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests):
		e.Kind, e.RetryAfter = KindBusy, after
	case a.broken != nil:
		e.Kind = KindInDoubt
		e.Err = redact(a.broken, r.private)
		e.Msg = clip("the answer broke off: " + e.Err.Error())
	}
	return e
}

// parse fills fields and returns what is wrong with the body, "" for nothing.
func (a *answer) parse() string {
	if a.tooLong {
		return "the answer is too long"
	}
	body := bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(a.body), utf8BOM))
	if len(body) == 0 {
		return "the answer is empty"
	}
	var ok bool
	if a.fields, ok = jsonobject.Read(body); !ok {
		if body[0] == '<' {
			return "the answer is HTML, not JSON"
		}
		return "the answer is not a JSON object, or cut off"
	}
	return ""
}

// kindOn is a row's kind on one endpoint. Where the secret is the credential,
// a refused credential is the secret: 40001 on a token endpoint is no bad token.
func kindOn(api API, row Errcode) Kind {
	if row.Kind != KindBadToken {
		return row.Kind
	}
	switch api {
	case APIStableToken, APIToken, APICode2Session:
		return KindAccount
	case APISend, APITemplates:
		return row.Kind
	}
	return row.Kind
}

// TokenSide reports whether the fault lies in fetching a token, so that a fetch
// probes it and a message does not.
func (e *Error) TokenSide() bool {
	switch e.API {
	case APIStableToken, APIToken:
		return true
	case APICode2Session:
		return e.Kind == KindAccount
	case APISend, APITemplates:
	}
	row, known := LookupErrcode(e.Code)
	return known && row.TokenSide
}

// dataKey finds the key in 47003's text, "argument invalid! data.thing3.value
// invalid", whose tail may be cut off.
var dataKey = regexp.MustCompile(`data\.([A-Za-z_]+\d+)`)

// fieldOf names what WeChat complains about: a data key, or the one field that
// the code is about.
func fieldOf(code int, errmsg string) string {
	switch code {
	case 47003:
		if m := dataKey.FindStringSubmatch(errmsg); m != nil && len(m[1]) <= 64 {
			return m[1]
		}
	case 41030, 40165:
		return "page"
	case 40037, 43116:
		return "template_id"
	case 40003:
		return "openid"
	}
	return ""
}

// valueState says what became of reading a JSON value.
type valueState int

const (
	valueNone valueState = iota // absent or null
	valueGood
	valueBad
)

// integer reads a JSON number or a string of digits, exactly: msgid is above
// 2^53, so it must never pass through a float.
func integer(raw json.RawMessage) (int64, valueState) {
	if !present(raw) {
		return 0, valueNone
	}
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return 0, valueBad
		}
		text = strings.TrimSpace(text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, valueBad
	}
	return n, valueGood
}

// present reports whether a field is there and not null.
func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
