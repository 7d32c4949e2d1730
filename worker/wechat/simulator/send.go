package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// message is the body of a send.
type message struct {
	fault                                 int // errcode of a body that cannot be read; 0 for none
	openID, templateID, page, state, lang string
	data                                  []byte
}

// slot says how a send stands to its openid.
type slot int

const (
	slotNone    slot = iota // not counted: no valid token or no openid
	slotHeld                // has the openid to itself
	slotRefused             // another call has it
)

// occupancy counts the calls of one openid that are inside.
type occupancy struct {
	inside int
	held   bool
}

// readSend decodes the body. Names are matched exactly; what is not known is
// ignored.
func (x *exchange) readSend() {
	m := &x.msg
	if m.fault = x.bodyFault(); m.fault != 0 {
		return
	}
	bad := false
	object := eachMember(x.body, func(name string, value []byte) {
		var dst *string
		switch name {
		case "touser":
			dst = &m.openID
		case "template_id":
			dst = &m.templateID
		case "page":
			dst = &m.page
		case "miniprogram_state":
			dst = &m.state
		case "lang":
			dst = &m.lang
		case "data":
			m.data = value
			return
		default:
			return
		}
		text, ok := stringValue(value)
		bad = bad || !ok
		*dst = text
	})
	if bad || !object {
		*m = message{fault: 47001}
	}
}

// arriveSend looks up what the call names and takes its openid's slot.
// s.mu is held.
func (x *exchange) arriveSend() {
	s := x.s
	x.token, x.refusal = s.checkToken(x.query.Get("access_token"), x.at)
	if x.token == nil {
		return
	}
	x.appState = x.token.app
	if x.tmpl = x.appState.templates[x.msg.templateID]; x.tmpl != nil {
		x.banned = x.tmpl.banned
	}
	if x.refusal == 0 && !tokenSide[x.appState.errcode] {
		x.refusal = x.appState.errcode
	}
	if x.refusal != 0 || x.msg.openID == "" {
		return
	}
	key := pair{appID: x.appState.AppID, openID: x.msg.openID}
	o := s.busy[key]
	o.inside++
	s.truth.maxPerOpenID = max(s.truth.maxPerOpenID, o.inside)
	if o.held {
		x.slot = slotRefused
	} else {
		o.held = true
		x.slot = slotHeld
	}
	s.busy[key] = o
}

// vacate gives the openid's slot back. s.mu must be held.
func (s *Simulator) vacate(x *exchange) {
	if x.slot == slotNone {
		return
	}
	key := pair{appID: x.appState.AppID, openID: x.msg.openID}
	o := s.busy[key]
	o.inside--
	if x.slot == slotHeld {
		o.held = false
	}
	if o.inside == 0 {
		delete(s.busy, key)
		return
	}
	s.busy[key] = o
}

// send is POST /cgi-bin/message/subscribe/send. In which order WeChat checks is
// not documented; this one goes from the caller over the message to the user.
func (x *exchange) send() answer {
	if code := x.refusal; code != 0 {
		return x.refuse(code)
	}
	if code := x.msg.fault; code != 0 {
		return x.refuse(code)
	}
	if !x.knows() {
		return x.refuse(40003)
	}
	switch {
	case x.tmpl == nil:
		return x.refuse(40037)
	case x.banned:
		return x.refuse(43116)
	case len(x.appState.pages) > 0 && x.msg.page != "" && !x.appState.pages[pagePath(x.msg.page)]:
		return x.refuse(41030)
	}
	if errmsg := x.argumentFault(); errmsg != "" {
		return x.refuseWith(47003, errmsg)
	}
	if x.slot == slotRefused {
		return x.refuse(43108)
	}
	if code := x.accept(); code != 0 {
		return x.refuse(code)
	}
	body := make([]byte, 0, 64)
	body = append(body, `{"errcode":0,"errmsg":"ok","msgid":`...)
	body = strconv.AppendInt(body, x.call.MsgID, 10)
	body = append(body, '}')
	return answer{status: http.StatusOK, kind: jsonType, body: body, coded: true}
}

// knows reports whether touser is an openid of the token's app.
func (x *exchange) knows() bool {
	x.s.mu.Lock()
	_, ok := x.appState.users[x.msg.openID]
	x.s.mu.Unlock()
	return ok || x.s.cfg.OpenIDs != nil && x.s.cfg.OpenIDs(x.appState.AppID, x.msg.openID)
}

// accept does what depends on earlier calls: quotas and consent. It
// returns 0 when the message was accepted.
func (x *exchange) accept() int {
	s, a := x.s, x.appState
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := a.count(APISend).take(x.at, a.minuteQuota, a.dayQuota); code != 0 {
		return code
	}
	if !s.spend(a, x.msg.openID, x.msg.templateID) {
		return 43101
	}
	s.msgID++
	x.call.Accepted = true
	x.call.MsgID = s.msgID
	s.events.sent(a, x.msg.openID, x.msg.templateID, s.msgID, x.at)
	return 0
}

// pagePath is a page without query and leading slash.
func pagePath(page string) string {
	path, _, _ := strings.Cut(page, "?")
	return strings.TrimPrefix(path, "/")
}

// argumentFault checks data, state and language and returns the errmsg of the
// first fault, "" for none. Keys are checked in the template's order. Keys that
// the template does not have are ignored; what WeChat does is not known.
func (x *exchange) argumentFault() string {
	values := make(map[string][]byte, len(x.tmpl.fields))
	object := len(x.msg.data) > 0 && eachMember(x.msg.data, func(name string, value []byte) { values[name] = value })
	for _, f := range x.tmpl.fields {
		var value []byte
		if object {
			eachMember(values[f.Key], func(name string, v []byte) {
				if name == "value" {
					value = v
				}
			})
		}
		text, isString := stringValue(value)
		switch {
		case isString && strings.TrimSpace(text) == "" || value == nil || string(value) == "null":
			return "argument invalid! data." + f.Key + ".value is empty"
		case !isString || !validValue(f, text, x.tmpl.Enums):
			// A number instead of a string is refused although it is not
			// documented: all official examples are strings.
			return "argument invalid! data." + f.Key + ".value invalid"
		}
	}
	if !slices.Contains([]string{"", "developer", "trial", "formal"}, x.msg.state) {
		return "argument invalid! miniprogram_state invalid"
	}
	if !slices.Contains([]string{"", "zh_CN", "en_US", "zh_HK", "zh_TW"}, x.msg.lang) {
		return "argument invalid! lang invalid"
	}
	return ""
}
