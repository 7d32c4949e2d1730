package callback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// How foreign events are passed on. A page takes at most four times the timeout,
// which is less than its lease; ten tries take some five minutes.
const (
	forwardPage    = 16
	forwardAtOnce  = 4
	forwardTimeout = 5 * time.Second
	forwardLease   = 30 * time.Second
	forwardTries   = 10
)

// A foreign event is in the inbox as WeChat wrote it, decrypted, after one byte
// that tells whether its signature covers it. As it is, an erasure can find a
// user in it.
const (
	foreignVerified   = 'v'
	foreignUnverified = 'u'
)

func keepForeign(message []byte, verified bool) []byte {
	mark := byte(foreignUnverified)
	if verified {
		mark = foreignVerified
	}
	return append([]byte{mark}, message...)
}

// forwarder passes foreign events on.
type forwarder struct {
	config  Config
	apps    *atomic.Pointer[map[string]*app] // the Handler's
	metrics metrics
	tracer  trace.Tracer
	client  *http.Client
	idle    func()
	wake    chan struct{}
	away    outage
}

func newForwarder(config Config, apps *atomic.Pointer[map[string]*app], m metrics) *forwarder {
	f := &forwarder{
		config: config, apps: apps, metrics: m, tracer: config.TracerProvider.Tracer(tracerName), wake: make(chan struct{}, 1), idle: func() {},
		away: outage{logger: config.Logger, what: "foreign events wait in the inbox"},
	}
	transport := config.Transport
	if transport == nil {
		own := &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: forwardAtOnce, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: forwardTimeout, ForceAttemptHTTP2: true,
		}
		transport, f.idle = own, own.CloseIdleConnections
	}
	f.client = &http.Client{
		Transport: transport, Timeout: forwardTimeout,
		// A redirect would take a user's message to an address nobody set.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return f
}

func (f *forwarder) run(ctx context.Context) {
	defer f.idle()
	for ctx.Err() == nil {
		n, err := f.turn(ctx)
		if ctx.Err() == nil {
			f.away.note(err)
		}
		if err == nil && n == forwardPage {
			continue
		}
		wait(ctx, f.wake, applyInterval)
	}
}

// turn passes on a page and returns how many it took.
func (f *forwarder) turn(ctx context.Context) (int, error) {
	storeCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	pushes, err := f.config.Store.TakePushes(storeCtx, store.PushForward, forwardLease, forwardPage)
	if err != nil {
		return 0, err
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		done []store.PushKey
		slot = make(chan struct{}, forwardAtOnce)
	)
	for _, p := range pushes {
		slot <- struct{}{}
		wg.Go(func() {
			defer func() { <-slot }()
			if !f.pass(ctx, p) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, p.Key)
		})
	}
	wg.Wait()
	// What was passed on is finished also when the process is about to end.
	storeCtx, cancel = context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	return len(pushes), f.config.Store.FinishPushes(storeCtx, done)
}

// pass makes one try and reports whether it was the last one needed.
func (f *forwarder) pass(ctx context.Context, p store.Push) (over bool) {
	ctx, span := f.tracer.Start(ctx, spanForward, forwardSpan...)
	err := f.post(ctx, p)
	endForward(span, p.App, err)
	switch {
	case err == nil:
		f.metrics.effects(eventForeign, effectForwarded, 1)
		return true
	case ctx.Err() != nil || p.Tries < forwardTries:
		return false
	}
	f.metrics.effects(eventForeign, effectFailed, 1)
	f.config.Logger.Error("foreign event given up", zap.String("app", p.App), zap.Error(err))
	return true
}

// post sends a foreign event to the address of its app. Its errors do not carry
// the address, which may have a secret in it.
func (f *forwarder) post(ctx context.Context, p store.Push) error {
	a := (*f.apps.Load())[p.App]
	if a == nil || a.ForwardURL == "" {
		return errors.New("no address to forward to is set here") // another process may have one
	}
	if len(p.Body) == 0 {
		return errors.New("the entry cannot be read")
	}
	verified, message := p.Body[0] == foreignVerified, p.Body[1:]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.ForwardURL, bytes.NewReader(message))
	if err != nil {
		return fmt.Errorf("forward: %w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	if bytes.HasPrefix(bytes.TrimSpace(message), []byte("<")) {
		req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	}
	req.Header.Set("Wxnotify-App", p.App)
	req.Header.Set("Wxnotify-Verified", strconv.FormatBool(verified))
	res, err := f.client.Do(req)
	if err != nil {
		return fmt.Errorf("forward: %w", withoutURL(err))
	}
	defer func() { _ = res.Body.Close() }()                     // the status was read
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10)) // so that the connection can be used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("forward: answered %d", res.StatusCode)
	}
	return nil
}

func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
