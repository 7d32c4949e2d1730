package wechat

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/store/tokencache"
)

// issuer is a token endpoint: strict about its one credential, with one current
// token, which a fetch does not rotate.
type issuer struct {
	t   *testing.T
	url string

	mu        sync.Mutex
	fetches   int
	paths     map[string]int
	current   string
	expiresIn int
	fail      string        // answered instead of a token
	gate      chan struct{} // a fetch waits for it; nil lets it pass
	arrived   chan struct{} // gets one for each fetch that waits
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	s := &issuer{t: t, expiresIn: 7200, paths: make(map[string]int), arrived: make(chan struct{}, 100)}
	s.rotate()
	s.url = serve(t, s.answer)
	return s
}

func (s *issuer) answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // net/http notices a caller who left only then
	s.mu.Lock()
	s.fetches++
	s.paths[r.URL.Path]++
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		s.arrived <- struct{}{}
		select {
		case <-gate:
		case <-r.Context().Done():
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	body := s.fail
	if body == "" {
		body = fmt.Sprintf(`{"access_token":%q,"expires_in":%d}`, s.current, s.expiresIn)
	}
	reply(body)(w, r)
}

var serial atomic.Int64

// rotate makes the current token another one, as someone else's fetch would.
func (s *issuer) rotate() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = fmt.Sprintf("%s-%d", testToken, serial.Add(1))
	return s.current
}

func (s *issuer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *issuer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// send is what a worker does with a token: one second call after a refusal.
func (s *issuer) send(ctx context.Context, tokens *Tokens) error {
	for n := 1; ; n++ {
		token, err := tokens.Token(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		good := token == s.current
		s.mu.Unlock()
		if good {
			return nil
		}
		if n == 2 {
			return fmt.Errorf("the second token was refused too")
		}
		if err := tokens.Drop(ctx, token); err != nil {
			s.t.Logf("drop: %v", err)
		}
	}
}

// process is a manager with a client of its own, and what it logged.
type process struct {
	*Tokens
	reg  *prometheus.Registry
	logs *observer.ObservedLogs
}

func newProcess(t *testing.T, s *issuer, cfg TokensConfig) process {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	reg := prometheus.NewRegistry()
	cfg.App, cfg.Logger, cfg.Registerer = testApp, zap.New(core), reg
	if cfg.Client == nil {
		cfg.Client = newClient(t, Config{BaseURL: s.url, Logger: zap.New(core), Timeout: 5 * time.Second})
	}
	tokens, err := NewTokens(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := process{tokens, reg, logs}
	t.Cleanup(func() {
		if err := tokens.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		for _, entry := range logs.All() {
			holdsNone(t, "a log line", fmt.Sprint(entry.Message, entry.ContextMap()))
		}
	})
	return p
}

// everybody sends from 50 goroutines of each process at once and returns the
// failures.
func everybody(t *testing.T, s *issuer, fleet []process) []error {
	t.Helper()
	var mu sync.Mutex
	var failures []error
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, p := range fleet {
		for range 50 {
			all.Go(func() {
				<-start
				if err := s.send(t.Context(), p.Tokens); err != nil {
					mu.Lock()
					failures = append(failures, err)
					mu.Unlock()
				}
			})
		}
	}
	close(start)
	all.Wait()
	return failures
}

// TestFleet: on a cold cache and after a rotation by someone else, the fleet
// fetches once and nobody fails.
func TestFleet(t *testing.T) {
	t.Parallel()
	for _, fc := range fleetCaches {
		for _, source := range []Source{SourceStable, SourceClassic} {
			t.Run(fc.name+" "+string(source), func(t *testing.T) {
				t.Parallel()
				s, open := newIssuer(t), fc.open(t)
				var fleet []process
				for range 4 {
					fleet = append(fleet, newProcess(t, s, TokensConfig{Cache: open(), Source: source}))
				}
				for round := 1; round <= 5; round++ {
					if failures := everybody(t, s, fleet); len(failures) > 0 {
						t.Fatalf("round %d: %d sends failed, the first: %v", round, len(failures), failures[0])
					}
					if got := s.count(); got != round {
						t.Fatalf("round %d: got %d fetches, want %d", round, got, round)
					}
					s.rotate()
				}
				path := map[Source]string{SourceStable: "/cgi-bin/stable_token", SourceClassic: "/cgi-bin/token"}[source]
				if s.paths[path] != s.fetches {
					t.Errorf("got fetches at %v, want all at %s", s.paths, path)
				}
			})
		}
	}
}

// TestRedisDown: without the shared copy each process fetches for itself, once,
// and no send fails.
func TestRedisDown(t *testing.T) {
	t.Parallel()
	down := func() Cache {
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		c, err := tokencache.New(tokencache.Config{Redis: rdb})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	s := newIssuer(t)
	var fleet []process
	for range 4 {
		fleet = append(fleet, newProcess(t, s, TokensConfig{Cache: down()}))
	}
	for round := 1; round <= 2; round++ {
		if failures := everybody(t, s, fleet); len(failures) > 0 {
			t.Fatalf("%d sends failed, the first: %v", len(failures), failures[0])
		}
		if got := s.count(); got > 4*round {
			t.Errorf("round %d: got %d fetches of 4 processes", round, got)
		}
		s.rotate()
	}
	err := fleet[0].Drop(t.Context(), testToken)
	if err == nil {
		t.Error("a drop that did not reach the cache was not told")
	}
	noLeak(t, err)
	if got := counters(t, fleet[0].reg, "wxnotify_wechat_token_cache_errors_total")[testApp.AppID]; got == 0 {
		t.Error("the cache's errors were not counted")
	}
}

// TestHangingRedis: a server that accepts and never answers costs its timeout
// once, not a send.
func TestHangingRedis(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	s := newIssuer(t)
	p := newProcess(t, s, TokensConfig{Cache: blockingCache{hung}})
	defer close(hung)
	if failures := everybody(t, s, []process{p}); len(failures) > 0 {
		t.Fatalf("%d sends failed, the first: %v", len(failures), failures[0])
	}
	if got := s.count(); got != 1 {
		t.Errorf("got %d fetches, want 1", got)
	}
}

// blockingCache answers nothing before ctx ends.
type blockingCache struct{ hung chan struct{} }

func (c blockingCache) wait(ctx context.Context) error {
	select {
	case <-c.hung:
	case <-ctx.Done():
	}
	return context.DeadlineExceeded
}

func (c blockingCache) Get(ctx context.Context, _ string) (string, time.Duration, error) {
	return "", 0, c.wait(ctx)
}

func (c blockingCache) Put(ctx context.Context, _, _ string, _ time.Duration) error {
	return c.wait(ctx)
}
func (c blockingCache) Drop(ctx context.Context, _, _ string) error { return c.wait(ctx) }
func (c blockingCache) Lock(ctx context.Context, _, _ string, _ time.Duration) (bool, error) {
	return false, c.wait(ctx)
}
func (c blockingCache) Unlock(ctx context.Context, _, _ string) error { return c.wait(ctx) }

// TestLockHolderDies: who waits takes over when the lock ends, and not before.
func TestLockHolderDies(t *testing.T) {
	t.Parallel()
	for _, fc := range fleetCaches {
		t.Run(fc.name, func(t *testing.T) {
			t.Parallel()
			s, cache := newIssuer(t), fc.open(t)()
			const ttl = 300 * time.Millisecond
			start := time.Now()
			if ok, err := cache.Lock(t.Context(), testApp.AppID, "the dead", ttl); err != nil || !ok {
				t.Fatal(ok, err)
			}
			p := newProcess(t, s, TokensConfig{Cache: cache})
			if failures := everybody(t, s, []process{p}); len(failures) > 0 {
				t.Fatal(failures[0])
			}
			if took := time.Since(start); s.count() != 1 || took < ttl-10*time.Millisecond {
				t.Errorf("got %d fetches after %s, want 1 after %s", s.count(), took, ttl)
			}
			// The lock is given back for the next time.
			eventually(t, "the lock", func() bool {
				ok, err := cache.Lock(t.Context(), testApp.AppID, "next", ttl)
				return err == nil && ok
			})
		})
	}
}

// TestLoserTakesTheWinnersToken: who waits for the lock adopts what its holder
// puts there, without a fetch.
func TestLoserTakesTheWinnersToken(t *testing.T) {
	t.Parallel()
	s := newIssuer(t)
	cache := &watchedCache{memoryCache: newMemoryCache(time.Now), polled: make(chan struct{}, 1000)}
	if ok, err := cache.memoryCache.Lock(t.Context(), testApp.AppID, "winner", time.Minute); err != nil || !ok {
		t.Fatal(ok, err)
	}
	p := newProcess(t, s, TokensConfig{Cache: cache})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.send(t.Context(), p.Tokens); err != nil {
			t.Error(err)
		}
	}()
	<-cache.polled
	<-cache.polled
	if err := cache.Put(t.Context(), testApp.AppID, s.current, time.Hour); err != nil {
		t.Fatal(err)
	}
	within(t, done, "the loser's token")
	if got := s.count(); got != 0 {
		t.Errorf("got %d fetches, want none", got)
	}
	if got := p.State().Origin; got != "shared" {
		t.Errorf("got origin %q, want shared", got)
	}
}

// watchedCache tells of every try of the lock.
type watchedCache struct {
	*memoryCache
	polled chan struct{}
}

func (c *watchedCache) Lock(ctx context.Context, appID, owner string, ttl time.Duration) (bool, error) {
	ok, err := c.memoryCache.Lock(ctx, appID, owner, ttl)
	c.polled <- struct{}{}
	return ok, err
}

// TestTokenPutBeforeTheLock: who gets the lock right after a winner gave it back
// finds the winner's token, which its own look came too early for.
func TestTokenPutBeforeTheLock(t *testing.T) {
	t.Parallel()
	s := newIssuer(t)
	cache := &lateCache{memoryCache: newMemoryCache(time.Now), value: s.current}
	p := newProcess(t, s, TokensConfig{Cache: cache})
	if got := p.token(t); got != s.current || s.count() != 0 {
		t.Errorf("got %d fetches, want the shared token and none", s.count())
	}
	p.landed(t)
	if ok, err := cache.memoryCache.Lock(t.Context(), testApp.AppID, "next", time.Minute); err != nil || !ok {
		t.Errorf("got %t, %v, want the lock given back", ok, err)
	}
}

// lateCache is filled by someone else just before its lock is taken.
type lateCache struct {
	*memoryCache
	value string
}

func (c *lateCache) Lock(ctx context.Context, appID, owner string, ttl time.Duration) (bool, error) {
	if err := c.Put(ctx, appID, c.value, time.Hour); err != nil {
		return false, err
	}
	return c.memoryCache.Lock(ctx, appID, owner, ttl)
}

// TestFailuresSpareTheCache: while nothing can be fetched, a process looks at the
// cache once a second, however many ask.
func TestFailuresSpareTheCache(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	cache := &countingCache{memoryCache: newMemoryCache(now.Now)}
	p := newProcess(t, s, TokensConfig{Cache: cache, Now: now.Now})
	looks := func(what string, most int64) {
		t.Helper()
		before := cache.gets.Load()
		for range 100 {
			_, _ = p.Token(t.Context())
			p.landed(t)
		}
		if got := cache.gets.Load() - before; got < 1 || got > most {
			t.Errorf("%s: got %d looks at the cache, want 1 to %d", what, got, most)
		}
	}
	looks("no failure", 2)
	s.set(func() { s.fail = `{"errcode":-1}` })
	now.advance(7100 * time.Second)
	looks("a failing refresh", 2) // before the lock and under it
	now.advance(quiet)
	looks("a failing refresh, later", 2)
	now.advance(90 * time.Second)
	looks("no token", 2)
}

type countingCache struct {
	*memoryCache
	gets atomic.Int64
}

func (c *countingCache) Get(ctx context.Context, appID string) (string, time.Duration, error) {
	c.gets.Add(1)
	return c.memoryCache.Get(ctx, appID)
}
