package wechat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Message is one subscribe message.
type Message struct {
	// ToUser is the openid, of the app the token belongs to.
	ToUser     string
	TemplateID string
	// Page opens at a tap, with its query; "" makes a card that does not open. A
	// leading slash is dropped: WeChat's examples have none.
	Page string
	// Data is the text of each of the template's keys.
	Data map[string]string
	// MiniprogramState is developer, trial or formal; "" is formal.
	MiniprogramState string
	// Lang is zh_CN, en_US, zh_HK or zh_TW; "" is zh_CN.
	Lang string
}

// Receipt is WeChat's acceptance of a message. Accepted is not displayed: the
// final result comes later, as an event with the same MsgID.
type Receipt struct {
	// MsgID is 0 when the answer had none.
	MsgID int64
	// RID is WeChat's request id, mostly empty on success.
	RID string
}

// Send asks WeChat to deliver m. It writes the request at most once: every
// failure is an *Error whose Kind says what is known about it. It does not check
// m, WeChat does.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-message-management/subscribe-message/api_sendmessage.html
func (c *Client) Send(ctx context.Context, token string, m Message) (Receipt, error) {
	a, err := c.do(ctx, sendRequest(token, m.body(), m.private()))
	if err != nil {
		return Receipt{}, err
	}
	msgID, _ := integer(a.fields.Get("msgid")) // optional: some answers have none
	return Receipt{MsgID: msgID, RID: a.rid}, nil
}

const sendPath = "/cgi-bin/message/subscribe/send"

func sendRequest(token string, body []byte, private []string) request {
	return request{
		api:     APISend,
		path:    sendPath,
		query:   withToken(token),
		body:    body,
		limit:   maxAnswer,
		private: append(private, token),
	}
}

// withToken is the query of a call that a token authorises.
func withToken(token string) string { return "access_token=" + url.QueryEscape(token) }

// private is what no error about m may repeat.
func (m Message) private() []string {
	// The page as WeChat sees it, and its query alone: what repeats it may have
	// taken it apart.
	page := strings.TrimLeft(m.Page, "/")
	_, query, _ := strings.Cut(page, "?")
	private := make([]string, 0, len(m.Data)+4)
	private = append(private, m.ToUser, page, query)
	for _, v := range m.Data {
		private = append(private, v)
	}
	return private
}

// body is the JSON that WeChat receives: these six fields and no other, in this
// order, the keys of data sorted. It is written by hand: what is posted is written
// with every message, and encoding/json allocates fourteen times for it.
func (m Message) body() []byte {
	var some [8]string // WeChat's templates have at most 5 keys
	keys := some[:0]
	size := 160 + len(m.ToUser) + len(m.TemplateID) + len(m.Page)
	for k, v := range m.Data {
		keys = append(keys, k)
		size += len(k) + len(v) + 16
	}
	slices.Sort(keys)

	b := make([]byte, 0, size)
	b = appendText(append(b, `{"touser":`...), m.ToUser)
	b = appendText(append(b, `,"template_id":`...), m.TemplateID)
	if page := strings.TrimLeft(m.Page, "/"); page != "" {
		b = appendText(append(b, `,"page":`...), page)
	}
	b = append(b, `,"data":{`...)
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(appendText(b, k), `:{"value":`...), m.Data[k])
		b = append(b, '}')
	}
	b = appendText(append(b, `},"miniprogram_state":`...), cmp.Or(m.MiniprogramState, "formal"))
	b = appendText(append(b, `,"lang":`...), cmp.Or(m.Lang, "zh_CN"))
	return append(b, '}')
}

// appendText appends s as a JSON string, as encode writes it.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0 // what is not appended yet
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		// U+2028 and U+2029 end a line in older JavaScript.
		if c >= utf8.RuneSelf && r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		b = append(b, s[from:i]...)
		i += size
		from = i
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		default:
			b = append(b, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
		}
	}
	return append(append(b, s[from:]...), '"')
}

// encode is json.Marshal without \u0026 for &, which is common in a page.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
