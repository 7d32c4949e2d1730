package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"code.dny.dev/ssrf"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/wxnotify/wxnotify/store"
)

// maxAnswer is how much of an answer is read so that its connection can be used
// again; nothing is done with it.
const maxAnswer = 16 << 10

// maxRetryAfter bounds what an endpoint may ask for.
const maxRetryAfter = 12 * time.Hour

// newSigner makes a signer of a secret. The error does not quote it.
func newSigner(secret string) (*standardwebhooks.Webhook, error) {
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, errors.New("is not base64 after whsec_")
	}
	return w, nil
}

// body is what is told. Fields that have nothing to say are absent.
type body struct {
	Type      store.WebhookEvent `json:"type"`
	Timestamp string             `json:"timestamp"`
	Data      struct {
		ID         string       `json:"id"`
		Ref        string       `json:"ref,omitempty"`
		State      store.State  `json:"state"`
		Reason     store.Reason `json:"reason,omitempty"`
		Errcode    int          `json:"errcode,omitempty"`
		TemplateID string       `json:"template_id"`
	} `json:"data"`
}

func newBody(d store.WebhookDelivery) ([]byte, error) {
	b := body{Type: d.Event, Timestamp: d.At.UTC().Format("2006-01-02T15:04:05.000Z")}
	b.Data.ID, b.Data.Ref, b.Data.TemplateID = d.NotificationID.String(), d.Ref, d.TemplateID
	b.Data.State, b.Data.Reason, b.Data.Errcode = d.State, d.Reason, d.Errcode
	return json.Marshal(b)
}

// answer is what an endpoint made of an event.
type answer struct {
	outcome outcome
	after   time.Duration // the endpoint asked for this pause; 0 when it did not
	status  int           // 0: there was none
	why     string        // for the log: a status, or what kept it from having one
}

// outcome is a label.
type outcome string

const (
	taken     outcome = "taken"
	refused   outcome = "refused"   // a status that is not 2xx
	forbidden outcome = "forbidden" // its address may not be reached
	silent    outcome = "silent"    // no answer: name, connection, TLS, timeout
	gone      outcome = "gone"      // 410: the endpoint wants nothing any more
)

// try makes one try, traced.
func (s *subscriber) try(ctx context.Context, d store.WebhookDelivery) (answer, error) {
	ctx, span := s.tracer.Start(ctx, spanTell, tellSpan...)
	defer span.End()
	a, err := s.post(ctx, d)
	s.describe(span, d, a, err)
	return a, err
}

// post makes one try.
func (s *subscriber) post(ctx context.Context, d store.WebhookDelivery) (answer, error) {
	payload, err := newBody(d)
	if err != nil {
		return answer{}, fmt.Errorf("webhook: make body: %w", err)
	}
	id, now := "msg_"+d.ID.String(), time.Now()
	signature, err := s.signer.Sign(id, now, payload)
	if err != nil {
		return answer{}, fmt.Errorf("webhook: sign: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(payload))
	if err != nil {
		return answer{}, errors.New("webhook: the URL cannot be requested")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "wxnotify")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	resp, err := s.client.Do(req)
	if err != nil {
		return unanswered(err), nil
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // cut off when it is longer: the status says it all
	a := answer{outcome: refused, status: resp.StatusCode, why: "status " + strconv.Itoa(resp.StatusCode)}
	switch {
	case resp.StatusCode/100 == 2:
		a.outcome = taken
	case resp.StatusCode == http.StatusGone:
		a.outcome = gone
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 32); err == nil {
			a.after = min(time.Duration(seconds)*time.Second, maxRetryAfter)
		}
	}
	return a, nil
}

// unanswered tells why there is no answer, without the URL that net/http puts
// into its errors.
func unanswered(err error) answer {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) || errors.Is(err, ssrf.ErrInvalidHostPort) {
		return answer{outcome: forbidden, why: "its address is not public and not allowed: name its network in WEBHOOK_ALLOW_CIDRS"}
	}
	if errors.Is(err, context.DeadlineExceeded) || errorTimeout(err) {
		return answer{outcome: silent, why: "no answer in time"}
	}
	return answer{outcome: silent, why: err.Error()}
}

func errorTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
