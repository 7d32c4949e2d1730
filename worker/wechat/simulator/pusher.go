package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// pushAttempts is the first push and WeChat's three retries.
	pushAttempts = 4
	// pushWorkers bounds the pushes under way at once, so that a callback that
	// hangs does not pile up goroutines.
	pushWorkers = 16
)

// EventCounts counts events.
type EventCounts struct {
	// Pending events wait for their delay or an answer.
	Pending int `json:"pending"`
	// Pushed were acknowledged, Failed were not, after all attempts.
	Pushed int `json:"pushed"`
	Failed int `json:"failed"`
	// Dropped were never pushed because a fault said so.
	Dropped int `json:"dropped"`
}

// delivery is an event with where and when it goes.
type delivery struct {
	event
	appID  string
	to     Callback
	due    time.Time // of the machine's clock
	random [16]byte
	nonce  string
}

// pusher delivers events. Its lock may be taken while Simulator.mu is held, not
// the other way round. Workers exist only while there is something to push.
type pusher struct {
	s      *Simulator
	client *http.Client
	ctx    context.Context //nolint:containedctx // ends all pushes at close; there is no caller to take one from
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	queue   []delivery
	workers int
	closed  bool
	count   EventCounts
}

func newPusher(s *Simulator) *pusher {
	ctx, cancel := context.WithCancel(context.Background())
	return &pusher{
		s:      s,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: pushWorkers, Proxy: nil}},
		ctx:    ctx,
		cancel: cancel,
	}
}

func (p *pusher) close() {
	p.mu.Lock()
	p.closed = true
	p.count.Pending -= len(p.queue)
	p.queue = nil
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
	p.client.CloseIdleConnections()
}

func (p *pusher) counts() EventCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// push queues e for the app's callback. Simulator.mu must be held.
func (p *pusher) push(a *appState, e event) {
	if a.Callback.URL == "" {
		return
	}
	delay := a.Callback.Delay
	f := p.s.pickFault(match{APIEvent, a.AppID, e.item.TemplateID, e.openID}, &delay)
	d := delivery{event: e, appID: a.AppID, to: a.Callback, due: time.Now().Add(delay)}
	for i := range d.random {
		d.random[i] = "0123456789abcdef"[p.s.rng.IntN(16)]
	}
	d.nonce = strconv.FormatUint(p.s.rng.Uint64()>>32, 10)

	p.mu.Lock()
	defer p.mu.Unlock()
	if f != nil && f.Action == ActDrop {
		p.count.Dropped++
		return
	}
	if f != nil && f.Errcode != 0 {
		d.item.ErrorCode, d.item.ErrorStatus = strconv.Itoa(f.Errcode), f.Errmsg
	}
	if p.closed {
		return
	}
	p.count.Pending++
	p.queue = append(p.queue, d)
	if p.workers < pushWorkers {
		p.workers++
		p.wg.Go(p.work)
	}
}

// work delivers until the queue is empty.
func (p *pusher) work() {
	for {
		p.mu.Lock()
		if len(p.queue) == 0 {
			p.workers--
			p.mu.Unlock()
			return
		}
		d := p.queue[0]
		p.queue = p.queue[1:]
		p.mu.Unlock()

		err := p.deliver(d)
		if err != nil && p.ctx.Err() == nil {
			p.s.cfg.Logger.Warn("event not acknowledged", zap.String("event", d.name), zap.Error(err))
		}
		p.mu.Lock() // whoever sees the count finds the log line
		p.count.Pending--
		if err == nil {
			p.count.Pushed++
		} else {
			p.count.Failed++
		}
		p.mu.Unlock()
		p.s.mu.Lock()
		p.s.notify()
		p.s.mu.Unlock()
	}
}

// deliver waits until the event is due and pushes it until it is acknowledged.
// An attempt that fails at once is repeated at once: WeChat's pause between
// attempts is the time it waited for an answer.
func (p *pusher) deliver(d delivery) error {
	if wait := time.Until(d.due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
	target, body, err := d.request(p.s.now())
	if err != nil {
		return err
	}
	for range pushAttempts {
		if err = p.post(d, target, body); err == nil || p.ctx.Err() != nil {
			break
		}
	}
	return err
}

// request builds the signed URL and the body.
func (d delivery) request(now time.Time) (target string, body []byte, err error) {
	body, err = d.encode(d.appID, d.to.XML)
	if err != nil {
		return "", nil, err
	}
	u, err := url.Parse(d.to.URL)
	if err != nil {
		return "", nil, err
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	q := u.Query()
	q.Set("timestamp", timestamp)
	q.Set("nonce", d.nonce)
	q.Set("openid", d.openID)
	q.Set("signature", sign(d.to.Token, timestamp, d.nonce))
	if d.to.AESKey != "" {
		key, err := decodeAESKey(d.to.AESKey)
		if err != nil {
			return "", nil, err
		}
		cipherText, err := encrypt(key, d.random[:], body, d.appID)
		if err != nil {
			return "", nil, err
		}
		q.Set("encrypt_type", "aes")
		q.Set("msg_signature", sign(d.to.Token, timestamp, d.nonce, cipherText))
		body, err = sealed{ToUserName: originalID(d.appID), Encrypt: cipherText}.encode(d.to.XML)
		if err != nil {
			return "", nil, err
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), body, nil
}

// post makes one attempt. The errors do not carry the URL, which has the openid.
func (p *pusher) post(d delivery, target string, body []byte) error {
	timeout := d.to.Timeout
	if timeout == 0 {
		timeout = defaultPushTimeout
	}
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("build the push: %w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	if d.to.XML {
		req.Header.Set("Content-Type", "text/xml")
	}
	req.Header.Set("User-Agent", "Mozilla/4.0")
	res, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("push: %w", withoutURL(err))
	}
	defer func() { _ = res.Body.Close() }() // it was read
	reply, err := io.ReadAll(io.LimitReader(res.Body, 1024))
	if err != nil {
		return fmt.Errorf("push: read the answer: %w", err)
	}
	text := strings.TrimSpace(string(reply))
	if res.StatusCode != http.StatusOK || text != "" && text != "success" {
		return fmt.Errorf("push: answered %d with %d bytes that are not %q", res.StatusCode, len(reply), "success")
	}
	return nil
}

func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
