package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// fixedCatalog is a catalog that nobody changes.
type fixedCatalog struct{ c *template.Catalog }

// Catalog implements Catalog.
func (f fixedCatalog) Catalog(context.Context) (*template.Catalog, error) { return f.c, nil }

// quietNow are quiet hours that began an hour ago and end in two.
func quietNow(critical template.QuietCritical) (q template.QuietHours, end time.Time) {
	now := time.Now().UTC()
	end = now.Add(2 * time.Hour).Truncate(time.Minute)
	return template.QuietHours{From: now.Add(-time.Hour).Format("15:04"), To: end.Format("15:04"), Zone: "UTC", Critical: critical}, end
}

// What comes within the quiet hours of its template is due at their end and not
// handed over before; its answer warns when it expires by then.
func TestQuietHours(t *testing.T) {
	t.Parallel()
	waits, end := quietNow("")
	sends, _ := quietNow(template.QuietCriticalSend)
	catalog := template.NewCatalog(template.Contents{Strict: template.StrictFalse, Entries: []template.Entry{
		{App: doorApp, TemplateID: "T-waits", Policy: template.Policy{QuietHours: waits}},
		{App: doorApp, TemplateID: "T-sends", Policy: template.Policy{QuietHours: sends}},
	}})
	d := sqliteDoor(t, func(c *Config) { c.Catalog = fixedCatalog{catalog} })
	at := func(moment time.Time) string { return moment.Format(time.RFC3339Nano) }
	for _, tt := range []struct {
		name   string
		edits  map[string]any
		quiet  bool
		due    time.Time // zero: now
		warned bool
	}{
		{"at once", map[string]any{"template_id": "T-waits"}, true, end, false},
		{"critical", map[string]any{"template_id": "T-waits", "priority": "critical"}, true, end, false},
		{"critical, sent", map[string]any{"template_id": "T-sends", "priority": "critical"}, false, time.Time{}, false},
		{"not critical", map[string]any{"template_id": "T-sends"}, true, end, false},
		{"other template", nil, false, time.Time{}, false},
		{"later within", map[string]any{"template_id": "T-waits", "send_at": at(end.Add(-time.Minute))}, true, end, false},
		{"later after", map[string]any{"template_id": "T-waits", "send_at": at(end)}, false, end, false},
		{"tomorrow", map[string]any{"template_id": "T-waits", "send_at": at(end.Add(23 * time.Hour))}, true, end.Add(24 * time.Hour), false},
		{"expires after", map[string]any{"template_id": "T-waits", "expires_at": at(end.Add(time.Second))}, true, end, false},
		{"expires before", map[string]any{"template_id": "T-waits", "expires_at": at(end.Add(-time.Second))}, true, end, true},
	} {
		got := d.post(keyBilling, report(tt.edits))
		n := d.row(got.ID)
		if n.State != store.Queued || (n.Reason == store.ReasonQuietHours) != tt.quiet || n.Reason != "" && !tt.quiet {
			t.Errorf("%s: %s, reason %q", tt.name, n.State, n.Reason)
		}
		if !tt.due.IsZero() && !n.DueAt.Equal(tt.due) || tt.due.IsZero() && n.DueAt.After(n.CreatedAt) {
			t.Errorf("%s: due at %v, want %v", tt.name, n.DueAt, tt.due)
		}
		if n.HandoverAt.Before(n.DueAt) {
			t.Errorf("%s: handed over at %v, before it is due", tt.name, n.HandoverAt)
		}
		if strings.HasPrefix(got.Warning, "it expires within the quiet hours") != tt.warned {
			t.Errorf("%s: warning %q", tt.name, got.Warning)
		}
	}
}

// A repeat after the quiet hours, or after they were changed, is the same
// notification.
func TestQuietHoursOfARepeat(t *testing.T) {
	t.Parallel()
	hours, _ := quietNow("")
	d := sqliteDoor(t, func(c *Config) {
		c.Catalog = fixedCatalog{template.NewCatalog(template.Contents{Strict: template.StrictFalse, Entries: []template.Entry{
			{App: doorApp, TemplateID: tmplReport, Policy: template.Policy{QuietHours: hours}},
		}})}
	})
	body := report(map[string]any{"ref": "r"})
	first := d.post(keyBilling, body)
	d.gateway.config.Catalog = d // without quiet hours
	if again := d.post(keyBilling, body); again.ID != first.ID || !again.Duplicate {
		t.Errorf("repeated: %+v, first %+v", again, first)
	}
}

// The catalog shows the quiet hours with their defaults.
func TestTemplatesShowQuietHours(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t, func(c *Config) {
		c.Catalog = fixedCatalog{template.NewCatalog(template.Contents{Entries: []template.Entry{
			{App: doorApp, TemplateID: "A", Title: "A", Policy: template.Policy{QuietHours: template.QuietHours{From: "22:00", To: "08:00"}}},
			{App: doorApp, TemplateID: "B", Title: "B"},
		}})}
	})
	list := parsed[page[templateView]](d, d.do(keyBilling, "GET", "/v1/templates", nil)).Items
	want := quietHours{From: "22:00", To: "08:00", Zone: "Asia/Shanghai", Critical: template.QuietCriticalWait}
	if len(list) != 2 || list[0].Policy.QuietHours == nil || *list[0].Policy.QuietHours != want || list[1].Policy.QuietHours != nil {
		t.Errorf("templates %+v", list)
	}
}
