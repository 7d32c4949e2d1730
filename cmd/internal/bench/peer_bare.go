package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hibiken/asynq"
)

// peerTimeout bounds one call of a peer, as SEND_TIMEOUT does ours.
const peerTimeout = 10 * time.Second

// order is the part of a task's payload that a peer needs.
type order struct {
	UserID     string            `json:"user_id"`
	TemplateID string            `json:"template_id"`
	Page       string            `json:"page"`
	Data       map[string]string `json:"data"`
}

// value is one field of a message in WeChat's form.
type value struct {
	Value string `json:"value"`
}

// message is the body of WeChat's subscribe/send.
type message struct {
	ToUser     string           `json:"touser"`
	TemplateID string           `json:"template_id"`
	Page       string           `json:"page"`
	State      string           `json:"miniprogram_state"`
	Lang       string           `json:"lang"`
	Data       map[string]value `json:"data"`
}

func (o order) message(openID string) message {
	m := message{
		ToUser: openID, TemplateID: o.TemplateID, Page: o.Page, State: "formal", Lang: "zh_CN",
		Data: make(map[string]value, len(o.Data)),
	}
	for k, v := range o.Data {
		m.Data[k] = value{v}
	}
	return m
}

// bareHandler does one POST over connections that are kept, with a token that
// it has and openids that it knows.
type bareHandler struct {
	client  *http.Client
	url     string
	openIDs map[string]string
}

func newBareHandler(ctx context.Context, c PeerConfig) (*bareHandler, error) {
	client := &http.Client{
		Timeout:   peerTimeout,
		Transport: &http.Transport{MaxIdleConns: c.Concurrency, MaxIdleConnsPerHost: c.Concurrency, MaxConnsPerHost: c.Concurrency},
	}
	token, err := fetchToken(ctx, client, c)
	if err != nil {
		return nil, err
	}
	h := &bareHandler{client: client, url: sendURL(c.BaseURL, token), openIDs: make(map[string]string, users)}
	for i := range users {
		h.openIDs[userID(i)] = openID(i)
	}
	return h, nil
}

// ProcessTask implements asynq.Handler.
func (h *bareHandler) ProcessTask(ctx context.Context, t *asynq.Task) error {
	var o order
	if err := json.Unmarshal(t.Payload(), &o); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	_, err := postMessage(ctx, h.client, h.url, o.message(h.openIDs[o.UserID]))
	return err
}

// sendResult is what both peers read of an answer.
type sendResult struct {
	Errcode int    `json:"errcode"`
	Errmsg  string `json:"errmsg"`
	MsgID   int64  `json:"msgid"`
}

// postMessage sends one message; an errcode is an error.
func postMessage(ctx context.Context, client *http.Client, address string, m message) (sendResult, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return sendResult{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return sendResult{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return sendResult{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return sendResult{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return sendResult{}, fmt.Errorf("status %d", resp.StatusCode)
	}
	var r sendResult
	if err := json.Unmarshal(answer, &r); err != nil {
		return r, err
	}
	if r.Errcode != 0 {
		return r, fmt.Errorf("errcode %d", r.Errcode)
	}
	return r, nil
}

func sendURL(base, token string) string {
	return base + "/cgi-bin/message/subscribe/send?access_token=" + url.QueryEscape(token)
}

// fetchToken asks WeChat for a token as the seed of all this does: each call
// gives a new one.
func fetchToken(ctx context.Context, client *http.Client, c PeerConfig) (string, error) {
	q := url.Values{"grant_type": {"client_credential"}, "appid": {c.AppID}, "secret": {c.Secret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.BaseURL+"/cgi-bin/token?"+q.Encode(), http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Token   string `json:"access_token"`
		Errcode int    `json:"errcode"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	if answer.Token == "" {
		return "", fmt.Errorf("token: errcode %d", answer.Errcode)
	}
	return answer.Token, nil
}
