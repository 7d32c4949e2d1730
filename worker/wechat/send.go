package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strings"
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
	body, err := m.body()
	if err != nil {
		return Receipt{}, &Error{API: APISend, Kind: KindRejected, Msg: "the message cannot be written as JSON"}
	}
	a, err := c.do(ctx, sendRequest(token, body, m.private()))
	if err != nil {
		return Receipt{}, err
	}
	msgID, _ := integer(a.fields["msgid"]) // optional: some answers have none
	return Receipt{MsgID: msgID, RID: a.rid}, nil
}

const sendPath = "/cgi-bin/message/subscribe/send"

func sendRequest(token string, body []byte, private []string) request {
	return request{
		api:     APISend,
		path:    sendPath,
		query:   url.Values{"access_token": {token}},
		body:    body,
		limit:   maxAnswer,
		private: append(private, token),
	}
}

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

type sendBody struct {
	ToUser           string               `json:"touser"`
	TemplateID       string               `json:"template_id"`
	Page             string               `json:"page,omitempty"`
	Data             map[string]dataValue `json:"data"`
	MiniprogramState string               `json:"miniprogram_state"`
	Lang             string               `json:"lang"`
}

type dataValue struct {
	Value string `json:"value"`
}

// body is the JSON that WeChat receives: these six fields and no other, in this
// order, the keys of data sorted.
func (m Message) body() ([]byte, error) {
	b := sendBody{
		ToUser:           m.ToUser,
		TemplateID:       m.TemplateID,
		Page:             strings.TrimLeft(m.Page, "/"),
		Data:             make(map[string]dataValue, len(m.Data)),
		MiniprogramState: m.MiniprogramState,
		Lang:             m.Lang,
	}
	for k, v := range m.Data {
		b.Data[k] = dataValue{v}
	}
	if b.MiniprogramState == "" {
		b.MiniprogramState = "formal"
	}
	if b.Lang == "" {
		b.Lang = "zh_CN"
	}
	return encode(b)
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
