package template_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/sqlite"
)

// fetched plays WeChat: it answers what is set and counts.
type fetched struct {
	mu      sync.Mutex
	list    []store.Template
	errcode int
	err     error
	calls   int
}

func (f *fetched) fetch(context.Context, string) ([]store.Template, int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	return f.list, f.errcode, f.err
}

func newSyncer(t *testing.T, s *sqlite.Store, f *fetched, edits ...func(*template.SyncerConfig)) *template.Syncer {
	t.Helper()
	c := template.SyncerConfig{Store: s, FetchFunc: f.fetch, Apps: []string{app}, Ask: 5 * time.Millisecond}
	for _, edit := range edits {
		edit(&c)
	}
	made, err := template.NewSyncer(c)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// syncState is what the store knows about the app's syncs.
func syncState(t *testing.T, s *sqlite.Store) store.TemplateSync {
	t.Helper()
	syncs, err := s.TemplateSyncs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(syncs) == 0 {
		return store.TemplateSync{}
	}
	return syncs[0]
}

// TestSyncersSpendOneCall: however many processes ask, WeChat is asked once in
// its time.
func TestSyncersSpendOneCall(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), &fetched{list: []store.Template{review()}}
	var woken atomic.Int32
	synced := func(c *template.SyncerConfig) { c.Synced = func() { woken.Add(1) } }
	for range 4 {
		run(t, newSyncer(t, s, f, synced).Run)
	}
	eventually(t, "a sync", func() bool { return !syncState(t, s).SyncedAt.IsZero() })
	// Each of the four has asked again by then.
	other := newSyncer(t, s, &fetched{list: []store.Template{{App: "wx2", TemplateID: "T"}}}, func(c *template.SyncerConfig) { c.Apps = []string{app, "wx2"} })
	run(t, other.Run)
	eventually(t, "another app's sync", func() bool {
		list, err := s.Templates(t.Context(), "wx2")
		return err == nil && len(list) == 1
	})
	eventually(t, "the wake", func() bool { return woken.Load() == 1 })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls != 1 {
		t.Errorf("WeChat was asked %d times, want 1", f.calls)
	}
	if in := time.Until(syncState(t, s).NextAt); in < template.DefaultEvery-time.Hour || in > template.DefaultEvery {
		t.Errorf("the next one is in %s", in)
	}
}

// TestFailedSyncKeepsTheList: and the next call waits, longest when the quota is
// used up.
func TestFailedSyncKeepsTheList(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer  *fetched
		least   time.Duration // until the next
		most    time.Duration
		errcode int
	}{
		"sporadic":      {&fetched{errcode: 1700, err: errors.New("errcode 1700")}, 50 * time.Minute, time.Hour, 1700},
		"quota":         {&fetched{errcode: 45009, err: errors.New("errcode 45009")}, 5 * time.Hour, 6 * time.Hour, 45009},
		"no answer":     {&fetched{err: errors.New("timeout")}, time.Minute, 5 * time.Minute, 0},
		"an empty list": {&fetched{}, 50 * time.Minute, time.Hour, 0},
		"not a list":    {&fetched{list: []store.Template{{App: app}}}, time.Minute, 5 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, registry := newStore(t), prometheus.NewRegistry()
			save(t, s, review())
			if err := s.FailTemplateSync(t.Context(), app, 0, "", 0); err != nil { // it is time
				t.Fatal(err)
			}
			run(t, newSyncer(t, s, tt.answer, func(c *template.SyncerConfig) { c.Registerer = registry }).Run)
			eventually(t, "the failure", func() bool { return syncState(t, s).Problem != "" })
			state := syncState(t, s)
			if in := time.Until(state.NextAt); in < tt.least || in > tt.most || state.Errcode != tt.errcode {
				t.Errorf("the next one is in %s, want %s to %s; errcode %d, want %d", in, tt.least, tt.most, state.Errcode, tt.errcode)
			}
			list, err := s.Templates(t.Context(), app)
			if err != nil || len(list) != 1 || !list[0].GoneAt.IsZero() || state.SyncedAt.IsZero() {
				t.Errorf("left: %+v, %v", list, err)
			}
			if n := testutil.CollectAndCount(registry, "wxnotify_producer_template_syncs_total"); n != 2 {
				t.Errorf("%d series, want 2", n)
			}
		})
	}
}

// TestSyncNow: a person does not wait for the time, and an empty list is taken at
// its word.
func TestSyncNow(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), &fetched{list: []store.Template{review()}}
	syncer := newSyncer(t, s, f)
	for i, want := range []store.TemplatesSynced{{Total: 1, Added: []string{"ID-review"}}, {Total: 1}} {
		got, err := syncer.Sync(t.Context(), app)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sync %d (-want +got):\n%s", i, diff)
		}
	}
	f.err = errors.New("wechat gettemplate: day quota")
	if _, err := syncer.Sync(t.Context(), app); !errors.Is(err, f.err) || syncState(t, s).Problem != f.err.Error() {
		t.Errorf("failed: %v, kept %q", err, syncState(t, s).Problem)
	}
	f.list, f.err = nil, nil
	got, err := syncer.Sync(t.Context(), app)
	if diff := cmp.Diff(store.TemplatesSynced{Gone: []string{"ID-review"}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
