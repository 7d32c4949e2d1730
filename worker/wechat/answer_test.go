package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// onCredential lists the endpoints where the secret is the credential.
var onCredential = map[API]bool{APIStableToken: true, APIToken: true, APICode2Session: true}

func callEach(t *testing.T, c *Client) map[API]error {
	t.Helper()
	results := make(map[API]error)
	_, results[APISend] = c.Send(t.Context(), testToken, testMessage())
	_, results[APIStableToken] = c.StableToken(t.Context(), testApp)
	_, results[APIToken] = c.ClassicToken(t.Context(), testApp)
	_, results[APICode2Session] = c.Code2Session(t.Context(), testApp, testCode)
	_, results[APITemplates] = c.Templates(t.Context(), testToken)
	return results
}

// TestEveryErrcode answers every row of the table, on every endpoint, as number
// and as string, under 200 and under 500.
func TestEveryErrcode(t *testing.T) {
	t.Parallel()
	const rid = "617682e0-09b059ac-2e95f5c0"
	var body string
	var status int
	c := newClient(t, Config{BaseURL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		reply(body)(w, r)
	})})
	for _, row := range Errcodes {
		if row.Code == 0 {
			continue
		}
		for _, format := range []string{`{"errcode":%d,"errmsg":"some text rid: %s"}`, `{"errcode":"%d","errmsg":"some text, rid: %s"}`} {
			for _, status = range []int{200, 500} {
				body = fmt.Sprintf(format, row.Code, rid)
				for api, err := range callEach(t, c) {
					want := row.Kind
					if want == KindBadToken && onCredential[api] {
						want = KindAccount
					}
					e := asError(t, err)
					if e.API != api || e.Kind != want || e.Code != row.Code || e.Msg != "some text" || e.RID != rid || e.HTTPStatus != status {
						t.Errorf("%s, errcode %d, HTTP %d: got %+v, want kind %s", api, row.Code, status, *e, want)
					}
					tokenSide := row.TokenSide || api == APIStableToken || api == APIToken || (api == APICode2Session && want == KindAccount)
					if e.TokenSide() != tokenSide {
						t.Errorf("%s, errcode %d: got TokenSide %t", api, row.Code, e.TokenSide())
					}
				}
			}
		}
	}
}

func TestErrcodesAreDistinct(t *testing.T) {
	t.Parallel()
	seen := make(map[int]bool)
	for _, row := range Errcodes {
		if seen[row.Code] {
			t.Errorf("errcode %d has two rows", row.Code)
		}
		seen[row.Code] = true
		if row.Kind == KindUnknown || row.Meaning == "" {
			t.Errorf("errcode %d: %+v says nothing", row.Code, row)
		}
	}
	if row, ok := LookupErrcode(1700); ok || row.Kind != KindUnknown || row.Code != 1700 {
		t.Errorf("got %+v, %t for a code nobody documented", row, ok)
	}
}

// sendAnswer judges an answer as one to subscribe/send.
func sendAnswer(a answer) *Error {
	return a.judge(&request{api: APISend, private: []string{testToken, testOpenID, testText}})
}

func TestAnswersToSend(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 14, 4, 5, 6, 0, time.UTC) // 12:05:06 in Beijing
	header := func(pairs ...string) http.Header {
		h := make(http.Header)
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	const bom = "\xef\xbb\xbf"
	for _, tc := range []struct {
		name   string
		status int // 0 is 200
		header http.Header
		body   string
		long   bool
		broken error
		want   Kind
		code   int
		after  time.Duration
		field  string
		msg    string // has to be in the message
	}{
		{name: "ok", body: `{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`},
		{name: "ok as a string", body: `{"errcode":"0"}`},
		{name: "ok in text/plain, with BOM and blanks", header: header("Content-Type", "text/plain"), body: bom + " \r\n{\"errcode\": 0}\n\n"},
		{name: "ok with strange other fields", body: `{"errcode":0,"errmsg":7,"msgid":"x","rid":{}}`},
		{name: "ok says so under any status", status: 502, body: `{"errcode":0}`},

		{name: "no errcode", body: `{}`, want: KindUnsure, msg: "no errcode"},
		{name: "errcode null", body: `{"errcode":null}`, want: KindUnsure, msg: "no errcode"},
		{name: "msgid alone", body: `{"msgid":1988810812324364291}`, want: KindUnsure},
		{name: "errmsg alone", body: `{"errmsg":"ok"}`, want: KindUnsure},
		{name: "errcode in other letters", body: `{"ErrCode":0}`, want: KindUnsure},
		{name: "errcode no number", body: `{"errcode":"zero"}`, want: KindUnsure, msg: "not a number"},
		{name: "errcode a fraction", body: `{"errcode":0.5}`, want: KindUnsure},
		{name: "errcode a list", body: `{"errcode":[0]}`, want: KindUnsure},
		{name: "errcode empty", body: `{"errcode":""}`, want: KindUnsure},
		{name: "errcode too large", body: `{"errcode":99999999999999999999}`, want: KindUnsure},
		{name: "errcode beyond 32 bits", body: `{"errcode":99999999999}`, want: KindUnsure},
		{name: "empty", body: "", want: KindUnsure, msg: "empty"},
		{name: "blank", body: bom + " \n", want: KindUnsure, msg: "empty"},
		{name: "HTML", body: "<html>" + testToken, want: KindUnsure, msg: "HTML"},
		{name: "text", body: "ok", want: KindUnsure},
		{name: "null", body: "null", want: KindUnsure},
		{name: "list", body: `[{"errcode":0}]`, want: KindUnsure},
		{name: "cut off", body: `{"errcode":0,"errmsg":"o`, want: KindUnsure, msg: "cut off"},
		{name: "two objects", body: `{"errcode":0}{"errcode":43101}`, want: KindUnsure},
		{name: "deep", body: strings.Repeat(`{"a":`, 20000), want: KindUnsure},
		{name: "too long", long: true, want: KindUnsure, msg: "too long"},

		{name: "412 empty", status: 412, want: KindBusy},
		{name: "412 with HTML", status: 412, body: "<h1>Precondition Failed", want: KindBusy},
		{name: "412 with an errcode", status: 412, body: `{"errcode":43101}`, want: KindRefused, code: 43101},
		{name: "503 with seconds", status: 503, header: header("Retry-After", "7"), want: KindBusy, after: 7 * time.Second},
		{name: "503 with a date", status: 503, header: header("Retry-After", "Sat, 14 Mar 2026 04:06:06 GMT"), want: KindBusy, after: time.Minute},
		{
			name: "503 with a date, by the server's clock", status: 503,
			header: header("Retry-After", "Sat, 14 Mar 2026 09:00:30 GMT", "Date", "Sat, 14 Mar 2026 09:00:00 GMT"), want: KindBusy, after: 30 * time.Second,
		},
		{name: "503 with a past date", status: 503, header: header("Retry-After", "Sat, 14 Mar 2026 04:00:00 GMT"), want: KindBusy, after: time.Second},
		{name: "503 with nought", status: 503, header: header("Retry-After", "0"), want: KindBusy, after: time.Second},
		{name: "503 with a week", status: 503, header: header("Retry-After", "604800"), want: KindBusy, after: time.Hour},
		{name: "503 with nonsense", status: 503, header: header("Retry-After", "soon"), want: KindUnsure},
		{name: "503 with a negative", status: 503, header: header("Retry-After", "-1"), want: KindUnsure},
		{name: "503 bare", status: 503, body: "<html>", want: KindUnsure},
		{name: "503 with an errcode", status: 503, header: header("Retry-After", "7"), body: `{"errcode":40037}`, want: KindTemplate, code: 40037, field: "template_id"},
		{name: "503 with an errcode nobody knows", status: 503, header: header("Retry-After", "7"), body: `{"errcode":1700}`, want: KindBusy, code: 1700, after: 7 * time.Second},
		{name: "429 with seconds", status: 429, header: header("Retry-After", "3"), want: KindBusy, after: 3 * time.Second},
		{name: "429 bare", status: 429, want: KindUnsure},
		{name: "500 with Retry-After", status: 500, header: header("Retry-After", "3"), want: KindUnsure},
		{name: "502 with HTML", status: 502, body: "<html>Bad Gateway", want: KindUnsure, msg: "HTML"},
		{name: "504 empty", status: 504, want: KindUnsure},
		{name: "500 with an errcode nobody knows", status: 500, body: `{"errcode":1700,"errmsg":"odd"}`, want: KindUnsure, code: 1700, msg: "odd"},
		{name: "403 with HTML", status: 403, body: "<html>", want: KindUnsure},
		{name: "404 with JSON of someone else", status: 404, body: `{"error":"not found"}`, want: KindUnsure},
		{name: "302", status: 302, header: header("Location", "https://elsewhere"), want: KindUnsure},
		{name: "204", status: 204, want: KindUnsure},
		{name: "broke off", broken: io.ErrUnexpectedEOF, body: `{"errcode":0,`, want: KindInDoubt, msg: "broke off"},
		{name: "broke off at 412", status: 412, broken: io.ErrUnexpectedEOF, want: KindBusy},
		{name: "broke off after the object", broken: io.ErrUnexpectedEOF, body: `{"errcode":0}`},

		{name: "an errcode nobody knows", body: `{"errcode":1700}`, want: KindUnknown, code: 1700},
		{name: "-1", body: `{"errcode":-1,"errmsg":"system error"}`, want: KindUnsure, code: -1, msg: "system error"},
		{name: "bad field", body: `{"errcode":47003,"errmsg":"argument invalid! data.thing3.value invalid rid: 1-2-3"}`, want: KindRejected, code: 47003, field: "thing3"},
		{name: "bad field, cut off", body: `{"errcode":47003,"errmsg":"argument invalid! data.character_string1.value i"}`, want: KindRejected, code: 47003, field: "character_string1"},
		{name: "bad field, cut off short", body: `{"errcode":47003,"errmsg":"argument invalid! data.amount14"}`, want: KindRejected, code: 47003, field: "amount14"},
		{name: "bad field without a name", body: `{"errcode":47003,"errmsg":"argument invalid!"}`, want: KindRejected, code: 47003},
		{name: "bad page", body: `{"errcode":41030,"errmsg":"invalid page"}`, want: KindPage, code: 41030, field: "page"},
		{name: "bad pagepath", body: `{"errcode":40165}`, want: KindPage, code: 40165, field: "page"},
		{name: "banned template", body: `{"errcode":43116}`, want: KindTemplate, code: 43116, field: "template_id"},
		{name: "bad openid", body: `{"errcode":40003}`, want: KindBadAddress, code: 40003, field: "openid"},
		{name: "minute quota", body: `{"errcode":45011}`, want: KindThrottled, code: 45011, after: 54 * time.Second},
		{name: "minute quota, by the server's clock", header: header("Date", "Sat, 14 Mar 2026 04:07:58 GMT"), body: `{"errcode":45011}`, want: KindThrottled, code: 45011, after: 2 * time.Second},
		{name: "day quota", body: `{"errcode":45009}`, want: KindThrottledDay, code: 45009, after: 11*time.Hour + 54*time.Minute + 54*time.Second},
		{name: "day quota just before midnight in Beijing", header: header("Date", "Sat, 14 Mar 2026 15:59:59 GMT"), body: `{"errcode":45009}`, want: KindThrottledDay, code: 45009, after: time.Second},
		{name: "day quota just after", header: header("Date", "Sat, 14 Mar 2026 16:00:00 GMT"), body: `{"errcode":45009}`, want: KindThrottledDay, code: 45009, after: 24 * time.Hour},
		{name: "openid throttled", body: `{"errcode":43117}`, want: KindOpenIDThrottled, code: 43117, after: 10 * time.Minute},
		{name: "concurrent", body: `{"errcode":43108}`, want: KindConcurrent, code: 43108, after: time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := answer{status: tc.status, header: tc.header, body: []byte(tc.body), tooLong: tc.long, broken: tc.broken, at: noon}
			if a.status == 0 {
				a.status = 200
			}
			e := sendAnswer(a)
			if tc.want == KindOK {
				if e != nil {
					t.Fatalf("got %v, want success", e)
				}
				return
			}
			if e == nil {
				t.Fatalf("got success, want %s", tc.want)
			}
			if e.Kind != tc.want || e.Code != tc.code || e.RetryAfter != tc.after || e.Field != tc.field || e.HTTPStatus != a.status {
				t.Errorf("got %+v, want kind %s, code %d, after %s, field %q", *e, tc.want, tc.code, tc.after, tc.field)
			}
			if !strings.Contains(e.Msg, tc.msg) {
				t.Errorf("got message %q, want %q in it", e.Msg, tc.msg)
			}
			if tc.broken != nil && tc.want == KindInDoubt && !errors.Is(e, tc.broken) {
				t.Errorf("got cause %v, want %v", e.Err, tc.broken)
			}
			noLeak(t, e)
		})
	}
}

// TestSuccessNeedsItsPayload: a token or login answer without errcode is one
// only with what was asked for.
func TestSuccessNeedsItsPayload(t *testing.T) {
	t.Parallel()
	var body string
	c := newClient(t, Config{BaseURL: serve(t, func(w http.ResponseWriter, r *http.Request) { reply(body)(w, r) })})
	for _, tc := range []struct {
		body string
		good []API
	}{
		{body: `{}`},
		{body: `{"errcode":0,"errmsg":"ok"}`, good: []API{APISend}},
		{body: `{"access_token":"T","expires_in":7200}`, good: []API{APIStableToken, APIToken}},
		{body: `{"errcode":0,"access_token":"T","expires_in":"7200"}`, good: []API{APISend, APIStableToken, APIToken}},
		{body: `{"access_token":"T"}`},
		{body: `{"access_token":"T","expires_in":0}`},
		{body: `{"access_token":"T","expires_in":-7200}`},
		{body: `{"access_token":"","expires_in":7200}`},
		{body: `{"access_token":7,"expires_in":7200}`},
		{body: `{"access_token":"two words","expires_in":7200}`},
		{body: `{"openid":"o1","session_key":"K"}`, good: []API{APICode2Session}},
		{body: `{"openid":"","session_key":"K"}`},
		{body: `{"data":[]}`, good: []API{APITemplates}},
		{body: `{"data":null}`},
		{body: `{"data":{}}`},
	} {
		body = tc.body
		for api, err := range callEach(t, c) {
			good := false
			for _, g := range tc.good {
				good = good || g == api
			}
			if good != (err == nil) {
				t.Errorf("%s: %s: got %v", api, tc.body, err)
			}
			if err != nil && asError(t, err).Kind != KindUnsure {
				t.Errorf("%s: %s: got %v, want unsure", api, tc.body, err)
			}
		}
	}
}

// TestPayloadNeedsItsStatus: without an errcode the status has its say.
func TestPayloadNeedsItsStatus(t *testing.T) {
	t.Parallel()
	c := newClient(t, Config{BaseURL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		reply(`{"access_token":"T","expires_in":7200,"openid":"o1","data":[]}`)(w, r)
	})})
	for api, err := range callEach(t, c) {
		if e := asError(t, err); e.Kind != KindUnsure || e.HTTPStatus != http.StatusBadGateway {
			t.Errorf("%s: got %+v, want unsure", api, *e)
		}
	}
}

func TestOverlongAnswer(t *testing.T) {
	t.Parallel()
	c := newClient(t, Config{BaseURL: serve(t, reply(`{"errcode":0,"errmsg":"`+strings.Repeat("x", maxAnswer)+`"}`))})
	_, err := c.Send(t.Context(), testToken, testMessage())
	if e := asError(t, err); e.Kind != KindUnsure || !strings.Contains(e.Msg, "too long") {
		t.Errorf("got %s, want unsure, too long", e)
	}
}

// FuzzAnswer feeds the parser anything: it never crashes, never takes anything
// but an explicit 0 for a success, and lets nothing out that should stay in.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`, `{"errcode":"40001","errmsg":"invalid credential rid: 1-2-3"}`,
		`{"errcode":47003,"errmsg":"argument invalid! data.thing1.value invalid hints: [ req_id: x ] rid: 6-7-8"}`, "<html>",
		"\xef\xbb\xbf{}", `{"errcode":-1,"errmsg":"` + testToken + `"}`, `{"errcode":1e3}`, "", `{"errcode":0`, `null`,
	} {
		f.Add(200, "5", []byte(body))
		f.Add(503, "Sat, 14 Mar 2026 04:06:06 GMT", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, after string, body []byte) {
		a := answer{status: status, header: http.Header{"Retry-After": {after}}, body: body, at: time.Unix(1773461106, 0)}
		e := sendAnswer(a)
		if e == nil {
			var got map[string]any
			dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(bytes.TrimSpace(body), utf8BOM)))
			dec.UseNumber()
			err := dec.Decode(&got)
			if code := strings.TrimSpace(fmt.Sprint(got["errcode"])); err != nil || strings.Trim(code, "+-0") != "" || !strings.Contains(code, "0") {
				t.Errorf("%q was taken for a success", body)
			}
			return
		}
		if e.Kind == KindOK || e.Kind == KindUnreachable {
			t.Errorf("%q: got kind %s", body, e.Kind)
		}
		if e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
			t.Errorf("%q: got RetryAfter %s", body, e.RetryAfter)
		}
		if len(e.Msg) > maxMsg || !utf8.ValidString(e.Msg) || strings.ContainsFunc(e.Msg, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q: got message %q", body, e.Msg)
		}
		for _, p := range []string{testToken, testOpenID, testText} {
			if strings.Contains(e.Error(), p) {
				t.Errorf("%q: %q holds %q", body, e, p)
			}
		}
		_ = e.TokenSide()
	})
}
