package producer

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

func TestCheckNamesEveryBadField(t *testing.T) {
	t.Parallel()
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		change func(*Notification)
		raw    bool // without a store
		fields []string
	}{
		"good":                      {change: func(*Notification) {}},
		"good without a store":      {change: func(*Notification) {}, raw: true},
		"nothing":                   {change: func(n *Notification) { *n = Notification{} }, fields: []string{"template_id", "user_id", "data", "app"}},
		"no app without a store":    {change: func(n *Notification) { n.App = "" }, raw: true},
		"both addressees":           {change: func(n *Notification) { n.OpenID = "o" }, fields: []string{"openid"}},
		"NUL in a value":            {change: func(n *Notification) { n.Data["thing1"] = "a\x00" }, fields: []string{"data.thing1"}},
		"NUL in a user id":          {change: func(n *Notification) { n.UserID = "a\x00" }, fields: []string{"user_id"}},
		"page too long":             {change: func(n *Notification) { n.Page = strings.Repeat("p", task.MaxPage+1) }, fields: []string{"page"}},
		"braces in app":             {change: func(n *Notification) { n.App = "wx{1}" }, fields: []string{"app"}},
		"colon in app":              {change: func(n *Notification) { n.App = "wx:low" }, fields: []string{"app"}},
		"ref too long":              {change: func(n *Notification) { n.Ref = strings.Repeat("r", 129) }, fields: []string{"ref"}},
		"ref not UTF-8":             {change: func(n *Notification) { n.Ref = "\xff" }, fields: []string{"ref"}},
		"priority":                  {change: func(n *Notification) { n.Priority = "urgent" }, fields: []string{"priority"}},
		"duplicates":                {change: func(n *Notification) { n.Duplicates = "never" }, fields: []string{"duplicates"}},
		"lang and state":            {change: func(n *Notification) { n.Lang, n.MiniprogramState = "de", "beta" }, fields: []string{"lang", "miniprogram_state"}},
		"negative delay":            {change: func(n *Notification) { n.Delay = -1 }, fields: []string{"delay"}},
		"delay in the wrong unit":   {change: func(n *Notification) { n.Delay = 367 * 24 * time.Hour }, fields: []string{"delay"}},
		"send_at in the wrong unit": {change: func(n *Notification) { n.SendAt = now.AddDate(2, 0, 0) }, fields: []string{"send_at"}},
		"send_at and delay":         {change: func(n *Notification) { n.SendAt, n.Delay = now, 1 }, fields: []string{"delay"}},
		"send_at in the past":       {change: func(n *Notification) { n.SendAt = now.AddDate(-1, 0, 0) }},
		"expired":                   {change: func(n *Notification) { n.ExpiresAt = now.Add(-time.Hour) }, fields: []string{"expires_at"}},
		"expired by another clock":  {change: func(n *Notification) { n.ExpiresAt = now.Add(-time.Minute) }},
		"expires before send_at":    {change: func(n *Notification) { n.SendAt, n.ExpiresAt = now.Add(2*time.Hour), now.Add(time.Hour) }, fields: []string{"expires_at"}},
		"expires before its delay":  {change: func(n *Notification) { n.Delay, n.ExpiresAt = 2*time.Hour, now.Add(time.Hour) }, fields: []string{"expires_at"}},
		"expires in the wrong unit": {change: func(n *Notification) { n.ExpiresAt = now.AddDate(3, 0, 0) }, fields: []string{"expires_at"}},
		"what only a store keeps":   {change: func(n *Notification) { n.ExpiresAt, n.Duplicates = now.Add(time.Hour), store.DuplicatesAvoid }, raw: true, fields: []string{"expires_at", "duplicates"}},
		"waiting without a store": {change: func(n *Notification) {
			n.Wait, n.NoConsent, n.ReleaseOrder = 1, store.NoConsentWait, store.ReleaseOldest
		}, raw: true, fields: []string{"wait", "no_consent", "release"}},
		"waiting with a store": {change: func(n *Notification) {
			n.Wait, n.NoConsent, n.ReleaseOrder = MaxDelay, store.NoConsentWait, store.ReleaseOldest
		}},
		"negative wait":          {change: func(n *Notification) { n.Wait = -1 }, fields: []string{"wait"}},
		"wait in the wrong unit": {change: func(n *Notification) { n.Wait = MaxDelay + 1 }, fields: []string{"wait"}},
		"policies":               {change: func(n *Notification) { n.NoConsent, n.ReleaseOrder = "ask", "any" }, fields: []string{"no_consent", "release"}},
		"all at once": {
			change: func(n *Notification) { n.TemplateID, n.Page, n.Ref, n.Priority, n.Delay = "", "\x00", "\x00", "x", -1 },
			fields: []string{"template_id", "page", "ref", "priority", "delay"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := notice()
			n.App = "wx1"
			tc.change(&n)
			err := n.check(now, !tc.raw)
			var fields []string
			if faults, ok := errors.AsType[task.FieldErrors](err); ok {
				for _, f := range faults {
					fields = append(fields, f.Field)
				}
			} else if err != nil {
				t.Fatalf("check: %v, want task.FieldErrors", err)
			}
			if diff := cmp.Diff(tc.fields, fields); diff != "" {
				t.Errorf("bad fields (-want +got):\n%s", diff)
			}
		})
	}
}

// The fields that decide whether a repeated ref asks for the same, and those
// that do not.
func TestContentHash(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	first := notice().Hash()
	for name, tc := range map[string]struct {
		change func(*Notification)
		same   bool
	}{
		"nothing":          {func(*Notification) {}, true},
		"default priority": {func(n *Notification) { n.Priority = store.Default }, true},
		"delay":            {func(n *Notification) { n.Delay = time.Hour }, true},
		"template":         {func(n *Notification) { n.TemplateID = "TMPL-2" }, false},
		"page":             {func(n *Notification) { n.Page = "" }, false},
		"user":             {func(n *Notification) { n.UserID = "u-2" }, false},
		"openid for user":  {func(n *Notification) { n.UserID, n.OpenID = "", n.UserID }, false},
		"app":              {func(n *Notification) { n.App = "wx2" }, false},
		"priority":         {func(n *Notification) { n.Priority = store.Low }, false},
		"duplicates":       {func(n *Notification) { n.Duplicates = store.DuplicatesAvoid }, false},
		"lang":             {func(n *Notification) { n.Lang = "en_US" }, false},
		"state":            {func(n *Notification) { n.MiniprogramState = "trial" }, false},
		"send_at":          {func(n *Notification) { n.SendAt = at }, false},
		"expires_at":       {func(n *Notification) { n.ExpiresAt = at }, false},
		"a value":          {func(n *Notification) { n.Data["thing1"] = "x" }, false},
		"values exchanged": {func(n *Notification) { n.Data["thing1"], n.Data["time2"] = n.Data["time2"], n.Data["thing1"] }, false},
		"a key split anew": {func(n *Notification) {
			n.Data = map[string]string{"thing1月": "度报表", "time2": "2024-05-01 09:00"}
		}, false},
		"another key":       {func(n *Notification) { n.Data["a3"] = "" }, false},
		"page to the user":  {func(n *Notification) { n.Page, n.UserID = n.Page[:4], n.Page[4:]+n.UserID }, false},
		"wait":              {func(n *Notification) { n.Wait = time.Hour }, false},
		"no_consent":        {func(n *Notification) { n.NoConsent = store.NoConsentWait }, false},
		"release":           {func(n *Notification) { n.ReleaseOrder = store.ReleaseOldest }, false},
		"the ref by itself": {func(n *Notification) { n.Ref = "r" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := notice()
			tc.change(&n)
			if got := cmp.Equal(n.Hash(), first); got != tc.same {
				t.Errorf("same hash = %v, want %v", got, tc.same)
			}
		})
	}
	// A ref that was accepted by an earlier version must not become a conflict.
	if got := hex.EncodeToString(first); got != "cf1a128656fe6ef5306b9d3338829a70a542cbb55cd235f24484676a126ca1ac" {
		t.Errorf("the hash of a content has become %s", got)
	}
	n := notice()
	n.SendAt = at
	m := n
	m.SendAt = at.In(time.FixedZone("CST", 8*3600))
	if !cmp.Equal(n.Hash(), m.Hash()) {
		t.Error("the same moment in another zone is another content")
	}
}

// A payload in id mode carries nothing of the addressee or the message.
func TestPayloadModes(t *testing.T) {
	t.Parallel()
	row := store.Notification{
		ID: uuid.Must(uuid.NewV7()), App: "wx1", Generation: 3, Priority: store.Low,
		TemplateID: "TMPL-1", Page: "p?q=1", UserID: "u-1001", Data: map[string]string{"thing1": "hello"}, Lang: "en_US",
	}
	d, err := deliver(row, "", PayloadID, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, personal := range []string{"u-1001", "hello", "p?q"} {
		if strings.Contains(string(d.task.Payload()), personal) {
			t.Errorf("payload %s contains %q", d.task.Payload(), personal)
		}
	}
	if !strings.Contains(string(d.task.Payload()), row.ID.String()) {
		t.Errorf("payload %s lacks the id", d.task.Payload())
	}
	if d, err = deliver(row, "", PayloadFull, nil); err != nil {
		t.Fatal(err)
	}
	got, err := task.Parse(d.task.Payload())
	if err != nil {
		t.Fatal(err)
	}
	want := task.Payload{ID: row.ID, App: "wx1", TemplateID: "TMPL-1", Page: "p?q=1", UserID: "u-1001", Data: row.Data, Lang: "en_US"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	if d.queue != "wx1:low" {
		t.Errorf("queue = %q, want wx1:low", d.queue)
	}
}

func TestConfigCheckReportsEveryBadField(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Producer: "a:b", App: "wx 1", MaxAge: 1, Concurrency: -1, Payload: PayloadID})
	if err == nil {
		t.Fatal("New takes a config that is wrong throughout")
	}
	for _, field := range []string{"Redis", "Producer", "App", "MaxAge", "Concurrency", "Payload"} {
		if !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("the error does not name %s: %v", field, err)
		}
	}
	_, err = NewRelay(RelayConfig{DefaultApp: "{", Payload: "x", InDoubtWait: -1, Interval: 1, Concurrency: -1})
	if err == nil {
		t.Fatal("NewRelay takes a config that is wrong throughout")
	}
	for _, field := range []string{"Store", "Redis", "DefaultApp", "Payload", "InDoubtWait", "Interval", "Concurrency"} {
		if !strings.Contains(err.Error(), "RelayConfig."+field) {
			t.Errorf("the error does not name %s: %v", field, err)
		}
	}
}
