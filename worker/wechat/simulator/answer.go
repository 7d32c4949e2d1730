package simulator

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// answer is one HTTP answer. A zero status means none: the connection is
// dropped.
type answer struct {
	status int
	header map[string]string
	kind   string // Content-Type; "" sends none
	body   []byte
	// errcode is what body says; coded tells whether it says one at all.
	errcode int
	coded   bool
	// pad is how many bytes of filler follow inside body's JSON; see ActLong.
	pad int64
	// cut closes the connection after half of body.
	cut bool
}

// What WeChat calls its answers. It is not reliable there either; a client must
// go by the content.
const (
	jsonType  = "application/json; encoding=utf-8"
	plainType = "text/plain"
	htmlType  = "text/html"
)

// wordings are WeChat's errmsgs without the rid. Those of the codes from 40230
// on, 43107, 44004 and 50004 to 89507 are ours: nobody published them.
var wordings = map[int]string{
	-1:    "system error",
	0:     "ok",
	404:   "not found",
	40001: "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
	40002: "invalid grant_type",
	40003: "invalid openid",
	40013: "invalid appid",
	40014: "invalid access_token",
	40029: "invalid code",
	40037: "invalid template_id",
	40066: "invalid url",
	40125: "invalid appsecret",
	40163: "code been used",
	40164: "invalid ip %[1]s ipv6 ::ffff:%[1]s, not in whitelist",
	40165: "invalid weapp pagepath",
	40226: "code blocked",
	40230: "invalid api signature",
	40231: "invalid api signature",
	40232: "invalid api signature",
	40233: "invalid api signature",
	40234: "invalid api signature",
	40235: "invalid api encryption",
	40236: "invalid api signature",
	40237: "appid not match access_token",
	40238: "api symmetric key not set",
	40239: "api asymmetric key not set",
	40240: "api signature timestamp expired",
	40243: "appsecret has been frozen",
	40249: "this template msg has been blocked for illegal content",
	41001: "access_token missing",
	41002: "appid missing",
	41004: "appsecret missing",
	41008: "missing code",
	41030: "invalid page",
	42001: "access_token expired",
	43001: "require GET method",
	43002: "require POST method",
	43100: "change template too frequently",
	43101: "user refuse to accept the msg",
	43102: "the tempalte is not subscriptiontype", //nolint:misspell // WeChat's spelling
	43103: "the api only can cancel the subscription",
	43104: "this appid does not have permission",
	43105: "news has no binding relation with template_id",
	43106: "not allow to add template, for punishment",
	43107: "subscribe message ability is banned",
	43108: "Cannot make concurrent calls to the same OpenID, please try again",
	43116: "This template_id is banned",
	43117: "Sending messages to this openid too frequently,please try later",
	44002: "empty post data",
	44004: "empty content",
	45002: "content size out of limit",
	45009: "reach max api daily quota limit",
	45011: "api minute-quota reach limit, must slower, retry next minute",
	45168: "keyword in blacklist",
	47001: "data format error",
	47003: "argument invalid! data.%[1]s.value invalid",
	48001: "api unauthorized",
	48004: "api forbidden for irregularities, view detail on mp.weixin.qq.com",
	50002: "user limited",
	50004: "forbidden to use the token api",
	50007: "account frozen",
	61004: "access clientip is not registered",
	61007: "api is unauthorized to component",
	76003: "invalid cgi_path",
	76021: "cgi_path not found",
	89503: "this ip call needs the administrator's confirmation",
	89506: "this ip was refused by the administrator for 24 hours",
	89507: "this ip was refused by the administrator for 1 hour",
}

// wording returns errmsg for code. 40164 names the caller's address, 47003 the
// first key of the template; both are filled in here for scripted faults.
func (x *exchange) wording(code int) string {
	switch code {
	case 40164:
		host, _, err := net.SplitHostPort(x.r.RemoteAddr)
		if err != nil {
			host = x.r.RemoteAddr
		}
		return fmt.Sprintf(wordings[code], host)
	case 47003:
		key := "thing1"
		if x.tmpl != nil {
			key = x.tmpl.fields[0].Key
		}
		return fmt.Sprintf(wordings[code], key)
	}
	if w, ok := wordings[code]; ok {
		return w
	}
	return "unknown error"
}

// refuse answers code with its wording.
func (x *exchange) refuse(code int) answer { return x.refuseWith(code, x.wording(code)) }

// refuseWith answers code with errmsg and a rid, as text/plain with status 200.
func (x *exchange) refuseWith(code int, errmsg string) answer {
	return x.errcodeAnswer(code, errmsg, false)
}

func (x *exchange) errcodeAnswer(code int, errmsg string, asString bool) answer {
	sep := " "
	if x.api == APICode2Session {
		sep = ", "
	}
	if code != 0 {
		errmsg += sep + "rid: " + x.s.rid(x.at)
	}
	quoted, _ := json.Marshal(errmsg) // a string always encodes
	number := strconv.Itoa(code)
	if asString {
		number = `"` + number + `"`
	}
	body := make([]byte, 0, len(quoted)+40)
	body = append(body, `{"errcode":`...)
	body = append(body, number...)
	body = append(body, `,"errmsg":`...)
	body = append(body, quoted...)
	body = append(body, '}')
	return answer{status: http.StatusOK, kind: plainType, body: body, errcode: code, coded: true}
}

// rid makes a request id: the first group is the time in hexadecimal seconds.
func (s *Simulator) rid(at time.Time) string {
	s.mu.Lock()
	n := s.rng.Uint64()
	s.mu.Unlock()
	return fmt.Sprintf("%08x-%08x-%08x", uint32(at.Unix()), uint32(n>>32), uint32(n)) //nolint:gosec // WeChat's rid has 32 bits for each
}

// jsonAnswer answers v as JSON with status 200.
func jsonAnswer(v any) answer {
	body, err := json.Marshal(v)
	if err != nil { // v is one of this package's structs
		panic(err)
	}
	return answer{status: http.StatusOK, kind: jsonType, body: body}
}

// write sends a to the client, dated by WeChat's clock.
func (a answer) write(w http.ResponseWriter, now time.Time) {
	if a.status == 0 {
		drop(w)
		return
	}
	h := w.Header()
	if _, set := h["Date"]; !set { // whoever wraps the simulator may date it, or not
		h["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	}
	for k, v := range a.header {
		h.Set(k, v)
	}
	if a.kind == "" {
		h["Content-Type"] = nil // net/http would guess one
	} else {
		h["Content-Type"] = []string{a.kind}
	}
	h["Content-Length"] = []string{strconv.FormatInt(int64(len(a.body))+a.pad, 10)}
	w.WriteHeader(a.status)
	if a.cut {
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush() // the connection is about to be dropped anyway
		drop(w)
		return
	}
	if a.pad > 0 {
		a.writePadded(w)
		return
	}
	_, _ = w.Write(a.body)
}

// writePadded writes pad bytes of filler before the last two bytes of body,
// which close a string and the object.
func (a answer) writePadded(w http.ResponseWriter) {
	tail := len(a.body) - 2
	_, _ = w.Write(a.body[:tail])
	filler := make([]byte, 64<<10)
	for i := range filler {
		filler[i] = 'x'
	}
	for left := a.pad; left > 0; {
		n := min(left, int64(len(filler)))
		if _, err := w.Write(filler[:n]); err != nil {
			return // the client had enough
		}
		left -= n
	}
	_, _ = w.Write(a.body[tail:])
}

// drop closes the connection without an answer, with a reset where the
// transport allows one.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2, or a recorder: this aborts the stream instead
		panic(http.ErrAbortHandler)
	}
	type unwrapper interface{ NetConn() net.Conn }
	raw := conn
	if u, ok := conn.(unwrapper); ok {
		raw = u.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the close is a FIN instead of a RST
	}
	_ = conn.Close() // nobody is left to tell
}
