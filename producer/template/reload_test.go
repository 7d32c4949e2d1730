package template_test

import (
	"testing"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// Other entries are in the catalog at once, also while the store is away.
func TestSourceReload(t *testing.T) {
	t.Parallel()
	s := &fragile{Store: newStore(t)}
	save(t, s.Store, review())
	source, err := template.NewSource(template.SourceConfig{Store: s, Entries: []template.Entry{entry()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.away.Store(true)
	renamed := entry()
	renamed.Alias = "renamed"
	if _, err := source.Reload([]template.Entry{renamed, renamed}, template.StrictTrue); err == nil {
		t.Error("an alias that is there twice is taken over")
	}
	apply, err := source.Reload([]template.Entry{renamed}, template.StrictTrue)
	if err != nil {
		t.Fatal(err)
	}
	apply()
	c, err := source.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := resolve(t, c, "renamed").State; got != template.StateSynced {
		t.Errorf("the new alias is of a template that is %s", got)
	}
	if _, faults := c.Resolve(app, "need_confirm"); len(faults) == 0 {
		t.Error("the alias that is gone is known")
	}
}

// An app that comes is synced without waiting for the next look.
func TestSyncerReload(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), &fetched{list: []store.Template{{App: "wx2", TemplateID: "T"}}}
	syncer := newSyncer(t, s, f, func(c *template.SyncerConfig) { c.Apps, c.Ask = nil, patience })
	run(t, syncer.Run)
	syncer.Reload([]string{"wx2"})
	eventually(t, "the new app's sync", func() bool {
		list, err := s.Templates(t.Context(), "wx2")
		return err == nil && len(list) == 1
	})
}
