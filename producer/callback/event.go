package callback

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/store"
)

// The events that are ours, as WeChat names them.
// https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/subscribe-message.html
var ours = map[string]eventKind{
	"subscribe_msg_sent_event":   eventSent,
	"subscribe_msg_popup_event":  eventPopup,
	"subscribe_msg_change_event": eventChange,
}

// containers are the elements that the items are in, in XML and in some JSON.
// Which one it is does not tell the event: documentation and traffic have had
// the popup's around a change.
var containers = []string{"SubscribeMsgSentEvent", "SubscribeMsgPopupEvent", "SubscribeMsgChangeEvent"}

// event is one item of a push, as it is kept in the inbox. It holds all that it
// takes to apply it, whichever process does.
type event struct {
	Kind       eventKind `json:"event"`
	OpenID     string    `json:"openid"`
	TemplateID string    `json:"template_id"`
	At         int64     `json:"at"` // seconds since 1970
	Verified   bool      `json:"verified"`

	// Of a sent event.
	MsgID  int64  `json:"msgid,omitempty"`
	OK     bool   `json:"ok,omitempty"`
	Code   int    `json:"code,omitempty"`
	Status string `json:"status,omitempty"`

	// Of the others.
	Answer   store.ConsentAnswer `json:"answer,omitempty"`
	LongTerm bool                `json:"long_term,omitempty"`
	Primary  bool                `json:"primary,omitempty"`
}

// The bounds of an event.
const (
	maxItems  = 100 // a dialog has five templates at most
	maxID     = 128 // bytes of an openid or a template's id
	maxStatus = 128 // bytes of a status that are kept
)

// The times that are taken for times: from 2000 to 2100.
const (
	earliest = 946_684_800
	latest   = 4_102_444_800
)

// parseEvents reads the events of ours that a body is about. kind is
// eventForeign when it is about something else. known is how many items were
// understood; the others are answers that nobody has heard of.
func parseEvents(root *node) (kind eventKind, events []event, unknown int, err error) {
	msgType, err := root.field("MsgType")
	if err != nil {
		return "", nil, 0, err
	}
	name, err := root.field("Event")
	if err != nil {
		return "", nil, 0, err
	}
	kind, ok := ours[name]
	if !ok || msgType != "event" {
		return eventForeign, nil, 0, nil
	}
	head := event{Kind: kind}
	if head.OpenID, err = root.id("FromUserName"); err != nil {
		return "", nil, 0, err
	}
	created, err := root.field("CreateTime")
	if err != nil {
		return "", nil, 0, err
	}
	if head.At, err = strconv.ParseInt(created, 10, 64); err != nil || head.At < earliest || head.At > latest {
		return "", nil, 0, malformed("CreateTime is not a time")
	}
	items := root.items()
	if len(items) == 0 || len(items) > maxItems {
		return "", nil, 0, malformed("no items, or too many")
	}
	for _, item := range items {
		e := head
		if e.TemplateID, err = item.id("TemplateId"); err != nil {
			return "", nil, 0, err
		}
		if kind == eventSent {
			err = e.readReceipt(item)
		} else {
			err = e.readAnswer(item)
		}
		if err != nil {
			return "", nil, 0, err
		}
		if kind != eventSent && e.Answer == "" {
			unknown++
			continue
		}
		events = append(events, e)
	}
	return kind, events, unknown, nil
}

// items are the items wherever they are: a List at the top, a List in a
// container, or in a container as they are.
func (n *node) items() []*node {
	if list := n.children["List"]; len(list) > 0 {
		return list
	}
	var items []*node
	for _, name := range containers {
		for _, c := range n.children[name] {
			switch {
			case len(c.children["List"]) > 0:
				items = append(items, c.children["List"]...)
			case len(c.children["TemplateId"]) > 0:
				items = append(items, c)
			}
		}
	}
	return items
}

// id is a field that must be there and be an id.
func (n *node) id(name string) (string, error) {
	id, err := n.field(name)
	if err != nil {
		return "", err
	}
	if id == "" || len(id) > maxID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return "", malformed(name + " is missing or not an id")
	}
	return id, nil
}

// readReceipt reads an item of a sent event. Which codes there are besides 0 is
// not documented, so whatever stands there is kept.
func (e *event) readReceipt(item *node) error {
	msgID, err := item.field("MsgID", "MsgId", "msgid")
	if err != nil {
		return err
	}
	if e.MsgID, err = strconv.ParseInt(msgID, 10, 64); err != nil || e.MsgID <= 0 {
		return malformed("MsgID is not a msgid")
	}
	code, err := item.field("ErrorCode")
	if err != nil {
		return err
	}
	status, err := item.field("ErrorStatus")
	if err != nil {
		return err
	}
	if code == "" && status == "" {
		return malformed("neither ErrorCode nor ErrorStatus")
	}
	e.Code, err = strconv.Atoi(code)
	switch {
	case err == nil && e.Code == int(int32(e.Code)): //nolint:gosec // the conversion is the check: columns are 32 bits wide
		e.OK = e.Code == 0
	case code == "":
		e.OK = status == "success"
		if !e.OK {
			e.Code = -1
		}
	default:
		e.Code, status = -1, code+" "+status
	}
	e.Status = cut(status, maxStatus)
	return nil
}

// readAnswer reads an item of a popup or change event.
func (e *event) readAnswer(item *node) error {
	answer, err := item.field("SubscribeStatusString")
	if err != nil {
		return err
	}
	switch answer {
	case "":
		return malformed("no SubscribeStatusString")
	case "accept", "acceptWithAudio", "acceptWithAlert", "acceptWithForcePush":
		e.Answer = store.ConsentAccept
	case "reject":
		e.Answer = store.ConsentReject
	case "ban":
		e.Answer = store.ConsentBan
	case "filter":
		e.Answer = store.ConsentFilter
	}
	return nil
}

// cut shortens valid text to at most n bytes, without control characters.
func cut(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	for len(text) > n {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// key is what stays the same when WeChat sends the event again. The pair that
// WeChat documents for it, FromUserName and CreateTime, is too coarse: two
// templates sent to one user in the same second have the same. An event whose
// signature does not cover it must not pass for one whose does.
func (e event) key(appID string) store.PushKey {
	parts := []string{appID, string(e.Kind), strconv.FormatBool(e.Verified), e.OpenID}
	if e.Kind == eventSent {
		parts = append(parts, strconv.FormatInt(e.MsgID, 10))
	} else {
		parts = append(parts, strconv.FormatInt(e.At, 10), e.TemplateID, string(e.Answer))
	}
	return keyOf(parts...)
}

func keyOf(parts ...string) store.PushKey {
	h := sha256.New()
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write([]byte(p))
	}
	return store.PushKey(h.Sum(nil))
}

// receipt is a sent event as the store takes it.
func (e event) receipt(appID string, wait time.Duration) store.ReceiptEvent {
	return store.ReceiptEvent{
		App: appID, OpenID: e.OpenID, TemplateID: e.TemplateID, MsgID: e.MsgID,
		OK: e.OK, Code: e.Code, Status: e.Status,
		At: time.Unix(e.At, 0), Wait: wait, Verified: e.Verified,
	}
}

// consent is a popup or change event as the store takes it.
func (e event) consent(appID string, key store.PushKey) store.ConsentEvent {
	c := store.ConsentEvent{
		App: appID, OpenID: e.OpenID, TemplateID: e.TemplateID, Source: store.ConsentPopup,
		Key: hex.EncodeToString(key[:]), Answer: e.Answer, LongTerm: e.LongTerm, At: time.Unix(e.At, 0), Primary: e.Primary,
	}
	if e.Kind == eventChange {
		c.Source = store.ConsentChange
	}
	return c
}
