package wechat

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store/tokencache"
)

// foreignKey is a key that someone else keeps.
type foreignKey struct {
	mu    sync.Mutex
	value string
	err   error
	reads int
}

func (f *foreignKey) Read(context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	return f.value, f.err
}

func (f *foreignKey) set(value string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value, f.err = value, err
}

func TestForeignToken(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	foreign := &foreignKey{}
	cache := newMemoryCache(now.Now)
	p := newProcess(t, s, TokensConfig{Cache: cache, Source: SourceForeign, Foreign: foreign, Now: now.Now})
	fallbacks := func(want map[string]float64) {
		t.Helper()
		got := counters(t, p.reg, "wxnotify_wechat_token_fallbacks_total")
		for _, why := range []string{fallbackEmpty, fallbackRefused, fallbackUnreadable} {
			if got[testApp.AppID+" "+why] != want[why] {
				t.Errorf("got fallbacks %v, want %v", got, want)
				return
			}
		}
	}
	// check makes the next look at the foreign key due and waits for it.
	check := func() {
		t.Helper()
		now.advance(foreignCheck + time.Second)
		p.token(t)
		p.landed(t)
	}
	fallbacks(nil)

	for _, stored := range []string{"plain-token", `"quoted-token"`, " \"blanks-token\" \n"} {
		foreign.set(stored, nil)
		check()
		want := strings.Trim(stored, "\" \n")
		if got := p.token(t); got != want {
			t.Errorf("%q: got %q, want %q", stored, got, want)
		}
	}
	reads := foreign.reads
	for range 50 {
		p.token(t)
	}
	if foreign.reads != reads || s.count() != 0 || len(cache.puts) != 0 {
		t.Fatalf("got %d reads, %d fetches, %d shared, want none", foreign.reads-reads, s.count(), len(cache.puts))
	}

	// Its server is away: the token is none the worse.
	foreign.set("", errors.New("dial: "+testSecret))
	check()
	if got := p.token(t); got != "blanks-token" || s.count() != 0 {
		t.Errorf("got %q and %d fetches while the key cannot be read", got, s.count())
	}
	fallbacks(nil)

	// WeChat refuses it: the stable token takes over, one fetch for all.
	foreign.set("blanks-token", nil)
	if failures := everybody(t, s, []process{p}); len(failures) > 0 {
		t.Fatal(failures[0])
	}
	if s.count() != 1 || p.token(t) != s.current {
		t.Errorf("got %d fetches, want 1 and the stable token", s.count())
	}
	fallbacks(map[string]float64{fallbackRefused: 1})
	check()
	if s.count() != 1 || p.token(t) != s.current {
		t.Errorf("got %d fetches, want the stable token kept", s.count())
	}
	fallbacks(map[string]float64{fallbackRefused: 2})

	// Its keeper has a new one.
	foreign.set("next-token", nil)
	check()
	if got := p.token(t); got != "next-token" {
		t.Errorf("got %q, want the foreign token back", got)
	}

	// It is empty, it is garbage, it cannot be read when nothing is held.
	foreign.set("", nil)
	check()
	foreign.set("\xac\xed\x00\x05t\x00", nil)
	check()
	fallbacks(map[string]float64{fallbackRefused: 2, fallbackEmpty: 1, fallbackUnreadable: 1})
	if s.count() != 1 || p.token(t) != s.current {
		t.Errorf("got %d fetches, want the shared stable token", s.count())
	}
	foreign.set("", errors.New("dial: "+testSecret))
	other := newProcess(t, s, TokensConfig{Cache: cache, Source: SourceForeign, Foreign: foreign, Now: now.Now})
	if other.token(t) != s.current || s.count() != 1 {
		t.Errorf("got %d fetches, want the shared stable token", s.count())
	}
}

// TestForeignFallbackIsRefreshed: the stable token in its place ends like any
// other, and one process replaces it in time.
func TestForeignFallbackIsRefreshed(t *testing.T) {
	t.Parallel()
	now := newClock()
	for name, cache := range map[string]Cache{"shared": newMemoryCache(now.Now), "alone": nil} {
		t.Run(name, func(t *testing.T) {
			s := newIssuer(t)
			p := newProcess(t, s, TokensConfig{Cache: cache, Source: SourceForeign, Foreign: &foreignKey{}, Now: now.Now})
			p.token(t)
			for range 240 {
				now.advance(time.Minute)
				p.token(t)
				p.landed(t)
			}
			if got := s.count(); got != 3 {
				t.Errorf("got %d fetches in four hours, want 3", got)
			}
		})
	}
}

// mirrorKey is where others read.
type mirrorKey struct {
	mu    sync.Mutex
	value string
	life  time.Duration
	count int
	err   error
}

func (m *mirrorKey) Write(_ context.Context, value string, life time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
	if m.err == nil {
		m.value, m.life = value, life
	}
	return m.err
}

func (m *mirrorKey) writes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// TestMirror: each new token is written once, by the process that fetched it.
func TestMirror(t *testing.T) {
	t.Parallel()
	s, now := newIssuer(t), newClock()
	cache, mirror := newMemoryCache(now.Now), &mirrorKey{}
	a := newProcess(t, s, TokensConfig{Cache: cache, Mirror: mirror, Now: now.Now})
	b := newProcess(t, s, TokensConfig{Cache: cache, Mirror: mirror, Now: now.Now})
	for round := 1; round <= 3; round++ {
		if failures := everybody(t, s, []process{a, b}); len(failures) > 0 {
			t.Fatal(failures[0])
		}
		eventually(t, "the mirror", func() bool { return mirror.writes() >= round })
		if mirror.value != s.current || mirror.life != 7190*time.Second || mirror.writes() != round {
			t.Errorf("round %d: got %d writes, a life of %s", round, mirror.writes(), mirror.life)
		}
		s.rotate()
	}
}

// TestMirrorIsWrittenAgain after a failure, by the keeper.
func TestMirrorIsWrittenAgain(t *testing.T) {
	t.Parallel()
	s := newIssuer(t)
	mirror := &mirrorKey{err: errors.New("away, " + testToken + ", " + testSecret)}
	p := newProcess(t, s, TokensConfig{Mirror: mirror})
	value := p.token(t)
	eventually(t, "the first write", func() bool { return p.idle() <= mirrorRetry })
	mirror.mu.Lock()
	mirror.err = nil
	mirror.mu.Unlock()
	p.mirrorAgain()
	p.mirrorAgain()
	if mirror.value != value || mirror.writes() != 2 {
		t.Errorf("got %d writes, want a failed and a good one", mirror.writes())
	}
	if got := counters(t, p.reg, "wxnotify_wechat_token_mirror_errors_total")[testApp.AppID]; got != 1 {
		t.Errorf("got %v failures counted, want 1", got)
	}
}

// TestForeignAndMirrorInRedis runs both on real keys: the foreign one is never
// written, the mirror is a plain string with the token's life.
func TestForeignAndMirrorInRedis(t *testing.T) {
	t.Parallel()
	rdb := testRedis(t)
	prefix := "test:" + rand.Text() + ":"
	s := newIssuer(t)
	foreign, mirror := prefix+"foreign", prefix+"AppletToken"
	cache, err := tokencache.New(tokencache.Config{Redis: rdb, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.Set(t.Context(), foreign, `"dead-token"`, 0).Err(); err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, s, TokensConfig{
		Cache: cache, Source: SourceForeign,
		Foreign: tokencache.NewForeign(rdb, foreign), Mirror: tokencache.NewMirror(rdb, mirror),
	})
	if got := p.token(t); got != "dead-token" {
		t.Errorf("got %q, want the foreign token", got)
	}
	if failures := everybody(t, s, []process{p}); len(failures) > 0 {
		t.Fatal(failures[0])
	}
	if got, err := rdb.Get(t.Context(), foreign).Result(); err != nil || got != `"dead-token"` {
		t.Errorf("the foreign key is %q now, %v", got, err)
	}
	eventually(t, "the mirror", func() bool { return rdb.Get(t.Context(), mirror).Val() == s.current })
	if left := rdb.PTTL(t.Context(), mirror).Val(); left > 7190*time.Second || left < 7000*time.Second {
		t.Errorf("the mirror lives %s, want the rest of the token's life", left)
	}
}
