package template_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/sqlite"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// newStore is an empty store.
func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func save(t *testing.T, s *sqlite.Store, list ...store.Template) {
	t.Helper()
	if _, err := s.SaveTemplates(t.Context(), store.TemplateList{App: app, Templates: list, Next: time.Hour}); err != nil {
		t.Fatal(err)
	}
}

// fragile is a store that can go away.
type fragile struct {
	*sqlite.Store
	away atomic.Bool
}

func (f *fragile) TemplateSyncs(ctx context.Context) ([]store.TemplateSync, error) {
	if f.away.Load() {
		return nil, store.ErrUnavailable
	}
	return f.Store.TemplateSyncs(ctx)
}

// run lets a loop go on until the test ends.
func run(t *testing.T, loop func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		loop(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// eventually asks every few milliseconds until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestSourceFollowsTheStore(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	source, err := template.NewSource(template.SourceConfig{Store: s, Entries: []template.Entry{entry()}, Refresh: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	first, err := source.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := resolve(t, first, "need_confirm").State; got != template.StateListed {
		t.Errorf("before a sync: %s", got)
	}
	run(t, source.Run)
	save(t, s, review())
	eventually(t, "the sync shows", func() bool {
		c, err := source.Catalog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return resolve(t, c, "need_confirm").State == template.StateSynced
	})
	if got := resolve(t, first, "need_confirm").State; got != template.StateListed {
		t.Errorf("a catalog changed: %s", got)
	}
}

func TestSourceKeepsTheLastCatalog(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	s := &fragile{Store: newStore(t)}
	save(t, s.Store, review())
	s.away.Store(true)
	source, err := template.NewSource(template.SourceConfig{Store: s, Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if c, err := source.Catalog(t.Context()); !errors.Is(err, store.ErrUnavailable) || c != nil {
			t.Fatalf("nothing was ever read: %v, %v", c, err)
		}
	}
	s.away.Store(false)
	if err := source.Refresh(t.Context()); err != nil || source.Err() != nil {
		t.Fatalf("the store is back: %v, %v", err, source.Err())
	}
	s.away.Store(true)
	for range 3 {
		if err := source.Refresh(t.Context()); !errors.Is(err, store.ErrUnavailable) || source.Err() == nil {
			t.Errorf("away: %v, %v", err, source.Err())
		}
	}
	c, err := source.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	resolve(t, c, "ID-review")
	if n := logs.FilterLevelExact(zap.WarnLevel).Len(); n != 2 {
		t.Errorf("%d warnings for two times away, want 2: %v", n, logs.All())
	}
}

func TestSourceLogsTheSettingsFilesFaultsOnce(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	s := newStore(t)
	save(t, s, review())
	wrong := entry()
	wrong.Fields = append(wrong.Fields, template.EntryField{Name: "object", Key: "thing10"})
	source, err := template.NewSource(template.SourceConfig{Store: s, Entries: []template.Entry{wrong}, Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := source.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := logs.FilterMessage("the catalog of templates").Len(); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
}

func TestNewRefusesFaults(t *testing.T) {
	t.Parallel()
	wrong := entry()
	wrong.Alias = "1 2"
	if _, err := template.NewSource(template.SourceConfig{Entries: []template.Entry{wrong}, Strict: "maybe", Refresh: -1}); err == nil {
		t.Error("a Source of faults was made")
	}
	if _, err := template.NewSyncer(template.SyncerConfig{Every: -1}); err == nil {
		t.Error("a Syncer of faults was made")
	}
}
