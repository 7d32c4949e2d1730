package wechat

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// cacheTimeout bounds one operation on the cache, a foreign key or a mirror.
	cacheTimeout = 2 * time.Second
	// lockSlack is what a lock outlives the fetch it guards, for the writing of
	// the result.
	lockSlack = 5 * time.Second
	// pollFirst and pollMost bound the pause between two looks at the cache while
	// another process fetches. A fetch takes some 100 ms.
	pollFirst = 50 * time.Millisecond
	pollMost  = 500 * time.Millisecond
	// fetchPause doubles from the first failed fetch to the longest pause.
	fetchPauseFirst = time.Second
	fetchPauseMost  = 10 * time.Second
	// quotaPauseMost bounds the pause that WeChat asks for: a quota may be
	// cleared by hand at any time, and the worker pauses the app meanwhile.
	quotaPauseMost = time.Minute
)

func nothing() {}

// obtain finds the token to use: a foreign one, the fleet's, or a new one.
// share has to be called after the token was handed out.
func (t *Tokens) obtain(ctx context.Context) (got held, share func(), err *Error) {
	if t.source == SourceForeign {
		if h, ok := t.readForeign(ctx); ok {
			return h, nothing, nil
		}
	}
	t.mu.Lock()
	current, now := t.held, t.now()
	t.mu.Unlock()
	if current.serves(now) && now.Before(current.refresh) && current.origin != originForeign {
		current.check = earlier(current.refresh, now.Add(foreignCheck))
		return current, nothing, nil
	}
	owner := cryptorand.Text()
	for pause := pollFirst; t.cache != nil; pause = min(pause*3/2, pollMost) {
		h, ok, lookErr := t.look(ctx)
		if ok {
			return h, nothing, nil
		}
		if err := t.resting(); err != nil {
			return held{}, nothing, err
		}
		if lookErr != nil {
			break
		}
		locked, lockErr := t.lock(ctx, owner)
		if lockErr != nil {
			break
		}
		if locked {
			return t.fetchLocked(ctx, owner)
		}
		if err := sleep(ctx, jitter(pause)); err != nil {
			return held{}, nothing, t.fault("another process is fetching the token and does not end", err)
		}
	}
	// No cache, or it is down: this process fetches for itself, once.
	if err := t.resting(); err != nil {
		return held{}, nothing, err
	}
	h, err := t.fetch(ctx)
	if err != nil {
		return held{}, nothing, err
	}
	return h, func() { t.share(h, "") }, nil
}

// fetchLocked fetches as the one process of the fleet, unless the one before
// has done so between our look and our lock.
func (t *Tokens) fetchLocked(ctx context.Context, owner string) (held, func(), *Error) {
	if h, ok, _ := t.look(ctx); ok {
		t.unlock(owner)
		return h, nothing, nil
	}
	h, err := t.fetch(ctx)
	if err != nil {
		t.unlock(owner)
		return held{}, nothing, err
	}
	return h, func() { t.share(h, owner) }, nil
}

// look returns the fleet's token if it is better than ours: not refused, and
// either not near its end, or newer than ours, or we have none.
func (t *Tokens) look(ctx context.Context) (held, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	at := t.now()
	value, left, err := t.cache.Get(ctx, t.app.AppID)
	if err != nil {
		t.cacheFailed("get", err)
		return held{}, false, err
	}
	if !plausible(value) || left <= 0 {
		return held{}, false, nil
	}
	h := t.hold(value, originShared, at, left)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if t.refused.has(value, now) || !h.serves(now) {
		return held{}, false, nil
	}
	// The 2 s are for the ways of two readings of one TTL.
	better := !t.held.serves(now) || left > refreshMargin || h.expires.After(t.held.expires.Add(2*time.Second))
	return h, better, nil
}

func (t *Tokens) lock(ctx context.Context, owner string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	ok, err := t.cache.Lock(ctx, t.app.AppID, owner, t.client.Timeout()+lockSlack)
	if err != nil {
		t.cacheFailed("lock", err)
	}
	return ok, err
}

func (t *Tokens) unlock(owner string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.life), cacheTimeout)
	defer cancel()
	if err := t.cache.Unlock(ctx, t.app.AppID, owner); err != nil {
		t.cacheFailed("unlock", err) // the lock's TTL ends it
	}
}

// share puts a fetched token into the cache, gives the lock back and writes the
// mirror. Without the lock nothing is put: the cache was down, and what it may
// hold by now is newer than ours.
func (t *Tokens) share(h held, owner string) {
	if owner != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.life), cacheTimeout)
		err := t.cache.Put(ctx, t.app.AppID, h.value, max(h.expires.Sub(t.now()), time.Second))
		cancel()
		if err != nil {
			t.cacheFailed("put", err, h.value)
		}
		t.unlock(owner)
	}
	if t.mirror != nil {
		t.writeMirror(h)
	}
}

// fetch asks WeChat for a token, in normal mode. Life counts from before the
// call, which errs to the safe side.
func (t *Tokens) fetch(ctx context.Context) (held, *Error) {
	at := t.now()
	call := t.client.StableToken
	if t.source == SourceClassic {
		call = t.client.ClassicToken
	}
	token, callErr := call(ctx, t.app)
	if callErr != nil {
		return held{}, t.fetchFailed(callErr)
	}
	t.mu.Lock()
	resting := t.refused.resting(token.Value, t.now())
	t.mu.Unlock()
	if !resting.IsZero() {
		return held{}, t.sameToken(token.Value)
	}
	h := t.hold(token.Value, originFetched, at, usableLife(token.ExpiresIn))
	t.mu.Lock()
	t.failures, t.nextFetch = 0, time.Time{}
	t.mu.Unlock()
	t.log.Info("token fetched", zap.Duration("expires_in", token.ExpiresIn))
	return h, nil
}

// fetchFailed notes a failed fetch and when the next may be.
func (t *Tokens) fetchFailed(callErr error) *Error {
	e, ok := callErr.(*Error) //nolint:errorlint // the client returns it unwrapped
	if !ok {
		e = t.fault("no token", callErr)
	}
	if t.life.Err() != nil {
		return e // Stop ended the call: that is no failure of WeChat's
	}
	t.mu.Lock()
	pause := min(fetchPauseFirst<<min(t.failures, 10), fetchPauseMost)
	pause = max(pause, min(e.RetryAfter, quotaPauseMost))
	t.failures++
	t.nextFetch = t.now().Add(pause)
	t.mu.Unlock()
	t.metrics.failed[e.Kind].Inc()
	t.log.Warn("token fetch failed", zap.Stringer("kind", e.Kind), zap.Int("errcode", e.Code), zap.Error(e))
	return e
}

// sameToken is the failure that the one token to be had was refused; it rests,
// and so does fetching.
func (t *Tokens) sameToken(value string) *Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	until := t.refused.resting(value, now)
	if until.IsZero() {
		until = now.Add(minRest)
	}
	t.nextFetch = until
	t.metrics.same.Inc()
	t.log.Error("WeChat issues a token that it refuses; look for what else fetches tokens for this appid")
	return &Error{
		API: t.api(), Kind: KindBadToken, RetryAfter: until.Sub(now), Err: ErrSameToken,
		Msg: ErrSameToken.Error(),
	}
}

// resting returns the last failure while the next fetch has to wait.
func (t *Tokens) resting() *Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now(); t.failure != nil && now.Before(t.nextFetch) {
		return t.failureLocked(now)
	}
	return nil
}

// readForeign returns the foreign token unless there is none to be used; that
// is counted, and logged when it changes.
func (t *Tokens) readForeign(ctx context.Context) (held, bool) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	at := t.now()
	value, err := t.foreign.Read(ctx)
	value = unquote(value)

	t.mu.Lock()
	defer t.mu.Unlock()
	var why string
	switch {
	case err != nil && t.held.origin == originForeign && t.held.serves(at):
		// Its server is away, but the token is none the worse.
		h := t.held
		h.check = at.Add(foreignCheck)
		return h, true
	case err != nil:
		why = fallbackUnreadable
	case value == "":
		why = fallbackEmpty
	case !plausible(value):
		why = fallbackUnreadable
	case t.refused.has(value, at):
		why = fallbackRefused
	}
	if why != t.fallback {
		t.fallback = why
		if why == "" {
			t.log.Info("foreign token in use")
		} else {
			t.log.Warn("foreign token not usable, stable_token in use", zap.String("reason", why))
		}
	}
	if why != "" {
		t.metrics.fallbacks[why].Inc()
		return held{}, false
	}
	return t.hold(value, originForeign, at, foreignLife), true
}

// unquote reads a value that was stored as a JSON string.
func unquote(value string) string {
	value = strings.TrimSpace(value)
	var s string
	if strings.HasPrefix(value, `"`) && json.Unmarshal([]byte(value), &s) == nil {
		return strings.TrimSpace(s)
	}
	return value
}

// cacheFailed notes that the shared copy could not be used; the token goes on
// without it.
func (t *Tokens) cacheFailed(op string, err error, private ...string) {
	t.metrics.cacheErrors.Inc()
	if t.life.Err() != nil {
		return
	}
	t.log.Warn("token cache unavailable", zap.String("op", op),
		zap.String("err", clean(err.Error(), append(private, t.app.Secret))))
}

// sleep waits for d or ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// jitter returns something around d, so that waiting processes do not march in
// step.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // spreads load, guards nothing
}
