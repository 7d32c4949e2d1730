package wechat

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

const (
	// flightTimeout bounds one try to get a token: waiting for another process's
	// lock, taking over when it died, fetching.
	flightTimeout = 45 * time.Second
	// quiet is the least time between two flights when one failed.
	quiet = time.Second
)

// errStopped is the cause of what Token returns after Stop.
var errStopped = errors.New("the token manager is stopped")

// flight is one try to get a token, shared by all who wait for it.
type flight struct {
	done  chan struct{}
	value string
	err   *Error
}

// Token returns a token that WeChat is believed to accept. While one is held it
// costs no I/O; near its end a new one is fetched in the background. Otherwise
// the caller waits for the process's one flight, or for ctx. Failures are *Error.
func (t *Tokens) Token(ctx context.Context) (string, error) {
	t.mu.Lock()
	now := t.now()
	if t.held.serves(now) {
		value := t.held.value
		if !t.stopped && !now.Before(t.held.check) && !now.Before(t.quietUntil) {
			t.flyLocked(trace.SpanFromContext(ctx))
		}
		t.mu.Unlock()
		return value, nil
	}
	if t.stopped {
		t.mu.Unlock()
		return "", t.fault("no token", errStopped)
	}
	if t.flight == nil && t.failure != nil && now.Before(t.quietUntil) {
		defer t.mu.Unlock()
		return "", t.failureLocked(now)
	}
	f := t.flyLocked(trace.SpanFromContext(ctx))
	t.mu.Unlock()

	select {
	case <-f.done:
		if f.err != nil {
			return "", f.err
		}
		return f.value, nil
	case <-ctx.Done():
		return "", t.fault("gave up waiting for a token", ctx.Err())
	}
}

// Drop says that WeChat refused bad. It is forgotten here and in the cache if
// it still is the current one, so a late report about an old token harms
// nothing. The local copy is gone in any case: an error only says that the
// shared copy may not be, and is no reason to fail a send.
func (t *Tokens) Drop(ctx context.Context, bad string) error {
	if bad == "" {
		return nil
	}
	t.mu.Lock()
	news := t.refused.add(bad, t.now())
	if t.held.value == bad {
		t.held = held{}
	}
	t.mu.Unlock()
	if !news {
		return nil
	}
	t.metrics.refused.Inc()
	t.log.Info("token refused by WeChat")
	if t.cache == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	if err := t.cache.Drop(ctx, t.app.AppID, bad); err != nil {
		t.metrics.cacheErrors.Inc()
		return &redacted{text: "drop the shared token: " + clean(err.Error(), []string{bad, t.app.Secret}), cause: err}
	}
	return nil
}

// flyLocked joins the flight under way or starts one, whose calls belong to the
// trace of who started it.
func (t *Tokens) flyLocked(by trace.Span) *flight {
	if t.flight != nil {
		return t.flight
	}
	f := &flight{done: make(chan struct{})}
	t.flight = f
	t.group.Go(func() { t.fly(trace.ContextWithSpan(t.life, by), f) })
	return f
}

// fly gets a token, hands it to who waits, and only then shares it: a slow cache
// delays nobody who sends. The lock is held until the sharing is done, so a later
// flight of anyone cannot be overtaken by it.
func (t *Tokens) fly(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, flightTimeout)
	defer cancel()
	var got held
	var share func()
	var err *Error
	for range 3 {
		got, share, err = t.obtain(ctx)
		if err != nil || t.adopt(got) {
			break
		}
		// Refused by WeChat between the look and now.
		share()
		share, err = nil, t.sameToken(got.value)
	}
	t.land(f, got, err)
	if share != nil {
		share()
	}
}

// adopt makes got the held token, unless it was refused in the meantime.
func (t *Tokens) adopt(got held) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	switch got.origin {
	case originFetched:
		if !t.refused.resting(got.value, now).IsZero() {
			return false
		}
	case originShared, originForeign:
		if t.refused.has(got.value, now) {
			return false
		}
	}
	if t.held.value != got.value {
		t.metrics.obtained[got.origin].Inc()
	}
	t.held = got
	return true
}

// land ends the flight.
func (t *Tokens) land(f *flight, got held, err *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flight = nil
	if err != nil {
		t.failure, t.failedAt = err, t.now()
		t.quietUntil = t.failedAt.Add(quiet)
		f.err = err
	} else {
		t.failure, t.quietUntil = nil, time.Time{}
		f.value = got.value
	}
	close(f.done)
}

// failureLocked is the last failure as it stands now.
func (t *Tokens) failureLocked(now time.Time) *Error {
	e := *t.failure
	if errors.Is(&e, ErrSameToken) {
		e.RetryAfter = max(t.nextFetch.Sub(now), 0)
	}
	return &e
}

// fault is a failure of ours, before anything was asked of WeChat.
func (t *Tokens) fault(what string, cause error) *Error {
	return &Error{API: t.api(), Kind: KindUnreachable, Msg: what + ": " + cause.Error(), Err: cause}
}

// api is the endpoint that this app's tokens are fetched from.
func (t *Tokens) api() API {
	if t.source == SourceClassic {
		return APIToken
	}
	return APIStableToken
}

// Start keeps the token fresh without any traffic, so that a mirror never runs
// out and a fault of the token shows before a message needs one. It returns at
// once; without it the token is fetched when asked for.
func (t *Tokens) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started || t.stopped {
		return
	}
	t.started = true
	t.group.Go(t.keep)
}

// Stop ends the background work and waits for it, or for ctx. A token that is
// held still serves. It may be called without Start, and again.
func (t *Tokens) Stop(ctx context.Context) error {
	t.mu.Lock()
	t.stopped = true
	t.mu.Unlock()
	t.end()
	done := make(chan struct{})
	go func() {
		t.group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	// keepRetry is the keeper's pause after a failure. It is longer than that of
	// who needs a token now: a wrong secret may stand for days, and failed calls
	// count against the day's quota too.
	keepRetry = time.Minute
	// mirrorRetry is its pause after a failed write of the mirror.
	mirrorRetry = 10 * time.Second
)

// keep is the goroutine behind Start.
func (t *Tokens) keep() {
	for {
		timer := time.NewTimer(t.idle())
		select {
		case <-timer.C:
		case <-t.life.Done():
			timer.Stop()
			return
		}
		t.mirrorAgain()
		t.mu.Lock()
		var f *flight
		if now := t.now(); !t.stopped && (!t.held.serves(now) || !now.Before(t.held.check)) {
			f = t.flyLocked(trace.SpanFromContext(t.life))
		}
		t.mu.Unlock()
		if f != nil {
			<-f.done // ends with t.life at the latest
		}
	}
}

// idle is how long the keeper has nothing to do.
func (t *Tokens) idle() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	var wait time.Duration
	if t.held.serves(now) {
		wait = t.held.check.Sub(now)
	}
	if t.failure != nil {
		wait = max(wait, t.failedAt.Add(keepRetry).Sub(now), t.nextFetch.Sub(now))
	}
	if t.unmirrored.serves(now) {
		wait = min(wait, mirrorRetry)
	}
	return max(wait, 0)
}

// mirrorAgain repeats a mirror's write that failed.
func (t *Tokens) mirrorAgain() {
	t.mu.Lock()
	h := t.unmirrored
	t.mu.Unlock()
	if h.serves(t.now()) {
		t.writeMirror(h)
	}
}

// writeMirror hands h to the mirror. Only who fetched writes, and a key that
// vanished is not written again before the next token: its readers then fetch
// for themselves, as they did before there was a mirror.
func (t *Tokens) writeMirror(h held) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.life), cacheTimeout)
	defer cancel()
	err := t.mirror.Write(ctx, h.value, max(h.expires.Sub(t.now()), time.Second))
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.unmirrored = held{}
		return
	}
	t.unmirrored = h
	t.metrics.mirrorErrors.Inc()
	t.log.Warn("token mirror not written", zap.String("err", clean(err.Error(), []string{h.value, t.app.Secret})))
}
