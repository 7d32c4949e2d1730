package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// TestConsentMetrics: what users have left is shown by template; templates that
// nobody lists count together, and apps that are not served not at all.
func TestConsentMetrics(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"API_KEYS": "approval:" + doorKey, "LISTEN_ADDR": "127.0.0.1:0"})
	if _, _, err := r.store.BeginTemplateSync(t.Context(), r.app.AppID, 1<<40, true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.SaveTemplates(t.Context(), store.TemplateList{App: r.app.AppID, Next: 1 << 50, Templates: []store.Template{
		{App: r.app.AppID, TemplateID: "listed", Title: "listed", Type: store.TemplateOneTime},
	}}); err != nil {
		t.Fatal(err)
	}
	for _, e := range []store.ConsentEvent{
		{App: r.app.AppID, OpenID: "o1", TemplateID: "listed"},
		{App: r.app.AppID, OpenID: "o2", TemplateID: "listed"},
		{App: r.app.AppID, OpenID: "o2", TemplateID: "listed"},
		{App: r.app.AppID, OpenID: "o1", TemplateID: "strange-1"},
		{App: r.app.AppID, OpenID: "o1", TemplateID: "strange-2", LongTerm: true},
		{App: "wx-another", OpenID: "o1", TemplateID: "listed"},
	} {
		e.Source, e.Key, e.Answer, e.Primary = store.ConsentClient, uuid.NewString(), store.ConsentAccept, true
		if _, err := r.store.RecordConsents(t.Context(), []store.ConsentEvent{e}); err != nil {
			t.Fatal(err)
		}
	}
	g := r.startGateway()
	want := map[string]float64{
		"wxnotify_store_consent_messages " + r.app.AppID + " listed":     3,
		"wxnotify_store_consent_messages " + r.app.AppID + " other":      1,
		"wxnotify_store_consent_openids " + r.app.AppID + " some listed": 2,
		"wxnotify_store_consent_openids " + r.app.AppID + " none listed": 0,
		"wxnotify_store_consent_openids " + r.app.AppID + " any other":   1,
	}
	eventually(t, "what is left is added up", func() error {
		got := gauges(t, g.Registry)
		for name, v := range want {
			if have, there := got[name]; !there || have != v {
				return fmt.Errorf("%s is %v (there: %t), want %v", name, have, there, v)
			}
		}
		for name := range got {
			if strings.Contains(name, "strange") || strings.Contains(name, "wx-another") {
				t.Fatalf("%s is shown", name)
			}
		}
		return nil
	})
}
