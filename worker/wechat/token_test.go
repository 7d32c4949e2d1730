package wechat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// token returns what Token has to return without an error.
func (p process) token(t *testing.T) string {
	t.Helper()
	value, err := p.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// landed waits until nothing is under way.
func (p process) landed(t *testing.T) {
	t.Helper()
	eventually(t, "the flight's end", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.flight == nil
	})
}

func TestTokensConfigFaults(t *testing.T) {
	t.Parallel()
	client := newClient(t, Config{})
	foreign := &foreignKey{}
	for _, tc := range []struct {
		cfg  TokensConfig
		want []string
	}{
		{TokensConfig{App: testApp, Client: client}, nil},
		{TokensConfig{App: testApp, Client: client, Source: SourceForeign, Foreign: foreign}, nil},
		{TokensConfig{}, []string{"appid", "secret", "client"}},
		{TokensConfig{App: testApp, Client: client, Source: "redis"}, []string{`"redis" is none of`}},
		{TokensConfig{App: testApp, Client: client, Source: SourceForeign}, []string{"foreign key is missing"}},
		{TokensConfig{App: testApp, Client: client, Foreign: foreign}, []string{"no use for a foreign key"}},
	} {
		_, err := NewTokens(tc.cfg)
		if (err == nil) != (tc.want == nil) {
			t.Errorf("%v: got %v", tc.want, err)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want %q in it", err, w)
			}
		}
	}
}

// TestRefreshBehindTheOldToken: near its end a token still serves while one
// process of the fleet fetches the next, and the other takes that over.
func TestRefreshBehindTheOldToken(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	cache := newMemoryCache(now.Now)
	a := newProcess(t, s, TokensConfig{Cache: cache, Now: now.Now})
	b := newProcess(t, s, TokensConfig{Cache: cache, Now: now.Now})
	first := a.token(t)
	if b.token(t) != first || s.count() != 1 {
		t.Fatalf("got %d fetches, want 1 and one token", s.count())
	}

	// 300 s before the end the call would only return the same token.
	now.advance(7200*time.Second - 10*time.Second - 300*time.Second)
	a.token(t)
	a.landed(t)
	if got := s.count(); got != 1 {
		t.Fatalf("got %d fetches before the last 300 s, want 1", got)
	}

	gate := make(chan struct{})
	second := s.rotate()
	s.set(func() { s.gate = gate })
	now.advance(100 * time.Second)
	for range 50 {
		if got := a.token(t); got != first {
			t.Fatal("the old token does not serve during the refresh")
		}
	}
	<-s.arrived
	close(gate)
	a.landed(t)
	if got := a.token(t); got != second {
		t.Error("the new token is not in use after the refresh")
	}
	b.token(t)
	eventually(t, "the other process's look", func() bool { return b.token(t) == second })
	if got := s.count(); got != 2 {
		t.Errorf("got %d fetches, want 2: one an expiry", got)
	}
	if got := b.State(); got.Origin != "shared" || got.Err != nil {
		t.Errorf("got %+v, want a shared token", got)
	}
	got := counters(t, a.reg, "wxnotify_wechat_token_obtained_total")
	if got[testApp.AppID+" fetched"] != 2 || got[testApp.AppID+" shared"] != 0 {
		t.Errorf("got %v tokens obtained, want 2 fetched", got)
	}
}

// TestShortLives: whatever expires_in is, no TTL is nought and nothing loops.
func TestShortLives(t *testing.T) {
	t.Parallel()
	for _, seconds := range []int{1, 2, 10, 120, 299, 300, 301, 7200} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			t.Parallel()
			s, now := newIssuer(t), newClock()
			s.expiresIn = seconds
			cache := newMemoryCache(now.Now)
			p := newProcess(t, s, TokensConfig{Cache: cache, Now: now.Now})
			for range 20 {
				p.token(t)
			}
			p.landed(t)
			if got := s.count(); got != 1 {
				t.Errorf("got %d fetches at once, want 1", got)
			}
			// Sends all through three lives, ten a life.
			life := time.Duration(seconds) * time.Second
			for range 30 {
				now.advance(life / 10)
				p.token(t)
				p.landed(t)
			}
			if got := s.count(); got < 3 || got > 8 {
				t.Errorf("got %d fetches in three more lives, want 3 to 8", got)
			}
			if err := p.Stop(t.Context()); err != nil { // waits for the last sharing
				t.Fatal(err)
			}
			for _, put := range cache.puts {
				if put <= 0 || put > life {
					t.Errorf("got a TTL of %s for a life of %s", put, life)
				}
			}
			if len(cache.puts) != s.count() {
				t.Errorf("got %d tokens shared of %d", len(cache.puts), s.count())
			}
		})
	}
}

// TestSameTokenAgain: a token that was refused and is issued again is neither
// used nor fetched in a loop; it rests, longer each time, and is then tried.
func TestSameTokenAgain(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	p := newProcess(t, s, TokensConfig{Cache: newMemoryCache(now.Now), Now: now.Now})
	for round, rest := range []time.Duration{5, 10, 20, 40, 60, 60} {
		rest *= time.Second
		dead := p.token(t)
		before := s.count()
		for range 50 { // all sends in flight report it
			if err := p.Drop(t.Context(), dead); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 50 {
			_, err := p.Token(t.Context())
			e := asError(t, err)
			if e.Kind != KindBadToken || !errors.Is(err, ErrSameToken) || !e.TokenSide() || e.RetryAfter <= 0 || e.RetryAfter > rest {
				t.Fatalf("round %d, call %d: got %+v, want bad_token with a rest up to %s", round, n, *e, rest)
			}
			noLeak(t, err)
			now.advance(rest / 100)
		}
		p.landed(t)
		if got := s.count() - before; got != 1 {
			t.Fatalf("round %d: got %d fetches within the rest, want 1", round, got)
		}
		now.advance(rest)
		if got := p.token(t); got != dead {
			t.Fatalf("round %d: the token is not tried again after its rest", round)
		}
	}
	// A real rotation ends it at once.
	dead := p.token(t)
	fresh := s.rotate()
	if err := p.Drop(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	if got := p.token(t); got != fresh {
		t.Error("the new token is not in use")
	}
	if got := counters(t, p.reg, "wxnotify_wechat_token_same_total")[testApp.AppID]; got != 6 {
		t.Errorf("got %v same tokens counted, want 6", got)
	}
}

// TestLateReportHarmsNothing: a report about a token that was replaced drops
// neither the new one here nor the shared one, and costs no fetch.
func TestLateReportHarmsNothing(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	cache := newMemoryCache(now.Now)
	p := newProcess(t, s, TokensConfig{Cache: cache, Now: now.Now})
	other := newProcess(t, s, TokensConfig{Cache: cache, Now: now.Now})
	old := p.token(t)
	other.token(t)
	fresh := s.rotate()
	for range 3 {
		if err := p.Drop(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		if got := p.token(t); got != fresh {
			t.Fatal("the new token is gone")
		}
		p.landed(t)
	}
	if err := p.Drop(t.Context(), old); err != nil || p.State().Origin != "fetched" {
		t.Errorf("got %v and state %+v, want the new token held as before", err, p.State())
	}
	// The other process learns of it later, and finds the new one in the cache.
	if got := other.token(t); got != old {
		t.Fatal("an old token that nobody complained about is not served")
	}
	if err := other.Drop(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if got := other.token(t); got != fresh {
		t.Error("the shared token was not taken")
	}
	if got := s.count(); got != 2 {
		t.Errorf("got %d fetches, want 2", got)
	}
}

// TestRefusedSharedTokenIsNotTaken: the cache may hold it again, from a process
// that has not noticed.
func TestRefusedSharedTokenIsNotTaken(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	cache := newMemoryCache(now.Now)
	p := newProcess(t, s, TokensConfig{Cache: cache, Now: now.Now})
	old := p.token(t)
	fresh := s.rotate()
	if err := p.Drop(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{old, "not a token", "\xac\xed\x00\x05"} {
		if err := cache.Put(t.Context(), testApp.AppID, value, time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := p.token(t); got != fresh {
			t.Fatalf("got %q out of the cache", got)
		}
		p.landed(t)
		if err := p.Drop(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		fresh = s.rotate()
	}
}

// TestFetchFailures: everybody gets the typed error, one fetch is made for all,
// and the next waits longer each time.
func TestFetchFailures(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	s.fail = `{"errcode":40125,"errmsg":"invalid appsecret ` + testSecret + ` rid: 1-2-3"}`
	p := newProcess(t, s, TokensConfig{Cache: newMemoryCache(now.Now), Now: now.Now})
	for n, pause := range []time.Duration{1, 2, 4, 8, 10, 10} {
		for range 20 {
			_, err := p.Token(t.Context())
			e := asError(t, err)
			if e.Kind != KindAccount || e.Code != 40125 || !e.TokenSide() || e.API != APIStableToken {
				t.Fatalf("got %+v, want account, errcode 40125", *e)
			}
			noLeak(t, err)
		}
		if got := s.count(); got != n+1 {
			t.Fatalf("got %d fetches, want %d", got, n+1)
		}
		now.advance(pause*time.Second - time.Millisecond)
		_, _ = p.Token(t.Context())
		if got := s.count(); got != n+1 {
			t.Fatalf("fetched again before %s were over", pause*time.Second)
		}
		now.advance(2*quiet + time.Millisecond)
	}
	if got := p.State(); got.Err == nil || got.Origin != "" || !got.ExpiresAt.IsZero() || got.FailedAt.IsZero() {
		t.Errorf("got state %+v, want a failure and no token", got)
	}
	failed := counters(t, p.reg, "wxnotify_wechat_token_fetch_failures_total")
	if of := failed[testApp.AppID+" account"]; of != 6 || len(failed) != len(Kinds) {
		t.Errorf("counted %v", failed)
	}
	s.set(func() { s.fail = "" })
	now.advance(maxRest)
	p.token(t)
	if got := p.State(); got.Err != nil || got.Origin != "fetched" || !got.ExpiresAt.After(now.Now()) {
		t.Errorf("got state %+v, want a token and no failure", got)
	}
}

// TestQuotaPause: a token endpoint out of quota is asked once a minute at most.
func TestQuotaPause(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	s.fail = `{"errcode":45009,"errmsg":"reach max api daily quota limit"}`
	p := newProcess(t, s, TokensConfig{Now: now.Now})
	for range 60 {
		_, err := p.Token(t.Context())
		if e := asError(t, err); e.Kind != KindThrottledDay || e.RetryAfter <= 0 {
			t.Fatalf("got %+v", *e)
		}
		now.advance(2 * time.Second)
	}
	if got := s.count(); got != 2 {
		t.Errorf("got %d fetches in two minutes, want 2", got)
	}
}

// TestFailingRefreshKeepsServing until the very end of the old token.
func TestFailingRefreshKeepsServing(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	p := newProcess(t, s, TokensConfig{Cache: newMemoryCache(now.Now), Now: now.Now})
	old := p.token(t)
	s.set(func() { s.fail = `{"errcode":-1,"errmsg":"system error"}` })
	now.advance(7190*time.Second - 200*time.Second)
	for range 199 {
		if got := p.token(t); got != old {
			t.Fatal("another token")
		}
		p.landed(t)
		now.advance(time.Second)
	}
	if got := s.count(); got < 10 || got > 30 {
		t.Errorf("got %d fetches in 200 s, want one in 10 s or so", got)
	}
	if p.State().Err == nil {
		t.Error("the state does not tell of the failure")
	}
	now.advance(2 * time.Second)
	_, err := p.Token(t.Context())
	if e := asError(t, err); e.Kind != KindUnsure || e.Code != -1 {
		t.Errorf("got %v after the end, want the refresh's failure", err)
	}
}

// TestCallerLeaves: a caller whose context ends does not end the fetch of the
// others.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	s := newIssuer(t)
	gate := make(chan struct{})
	s.gate = gate
	p := newProcess(t, s, TokensConfig{Cache: newMemoryCache(time.Now)})
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := p.Token(ctx)
		left <- err
	}()
	<-s.arrived
	cancel()
	err := <-left
	if e := asError(t, err); e.Kind != KindUnreachable || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want unreachable because of context.Canceled", err)
	}
	close(gate)
	p.token(t)
	if got := s.count(); got != 1 {
		t.Errorf("got %d fetches, want 1", got)
	}
}

// TestStop: it ends a fetch under way and waits for it; a held token serves on.
func TestStop(t *testing.T) {
	t.Parallel()
	s := newIssuer(t)
	cold := newProcess(t, s, TokensConfig{})
	warm := newProcess(t, s, TokensConfig{})
	warm.Start()
	value := warm.token(t)
	s.set(func() { s.gate = make(chan struct{}) })
	result := make(chan error)
	go func() {
		_, err := cold.Token(t.Context())
		result <- err
	}()
	<-s.arrived
	for range 2 {
		for _, p := range []process{cold, warm} {
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if e := asError(t, <-result); e.Kind == KindOK {
		t.Errorf("got %v", e)
	}
	if got, err := warm.Token(t.Context()); err != nil || got != value {
		t.Errorf("got %v after Stop, want the held token", err)
	}
	if _, err := cold.Token(t.Context()); !errors.Is(err, errStopped) {
		t.Errorf("got %v after Stop, want errStopped", err)
	}
	warm.Start() // too late: nothing begins
}

// TestKeeper: Start keeps the token fresh though nobody asks for it.
func TestKeeper(t *testing.T) {
	t.Parallel()
	s := newIssuer(t)
	s.expiresIn = 1
	p := newProcess(t, s, TokensConfig{Cache: newMemoryCache(time.Now)})
	p.Start()
	p.Start()
	eventually(t, "the third fetch", func() bool { return s.count() >= 3 })
	if got := p.State(); got.Origin != "fetched" || got.Err != nil {
		t.Errorf("got %+v", got)
	}
}

// TestKeeperRests: a fault that stands is not asked about all the time.
func TestKeeperRests(t *testing.T) {
	t.Parallel()
	s := newIssuer(t)
	s.fail = `{"errcode":40125}`
	p := newProcess(t, s, TokensConfig{})
	p.Start()
	eventually(t, "the first failure", func() bool { return p.State().Err != nil })
	if got := p.idle(); got < keepRetry-20*time.Second || got > keepRetry {
		t.Errorf("the keeper rests %s after a failure, want %s", got, keepRetry)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	var r refusals
	now := time.Now()
	for n := range 10 * maxRefusals {
		r.add(fmt.Sprint(n), now.Add(time.Duration(n)*time.Millisecond))
	}
	if len(r.seen) != maxRefusals || !r.has(fmt.Sprint(10*maxRefusals-1), now) || r.has("0", now) {
		t.Errorf("got %d remembered, want the newest %d", len(r.seen), maxRefusals)
	}
	r.add("late", now.Add(2*refusalMemory))
	if len(r.seen) != 1 || r.has("late", now.Add(4*refusalMemory)) {
		t.Errorf("got %d remembered after their time, want the one", len(r.seen))
	}
}

func TestUsableLifeIsPositive(t *testing.T) {
	t.Parallel()
	for _, left := range []time.Duration{math.MinInt64 / 2, -1, 0, 1, time.Second, 300 * time.Second, 2 * time.Hour, maxLife} {
		got := usableLife(left)
		if got < time.Second || (left > time.Second && got >= left) {
			t.Errorf("%s: got %s", left, got)
		}
	}
}
