package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	for name, newShell := range eachStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh := newShell(t)
			sh.must(t, "migrate", "up")
			if got := sh.must(t, "templates", "paused"); got != "no template is paused\n" {
				t.Errorf("paused: got %q", got)
			}
			pauseTemplate(t, sh, "TEMPLATE")

			var list []shownPause
			if err := json.Unmarshal([]byte(sh.must(t, "templates", "paused", "--json")), &list); err != nil {
				t.Fatal(err)
			}
			if len(list) != 1 || list[0].App != testApp || list[0].TemplateID != "TEMPLATE" || list[0].Errcode != 40037 {
				t.Fatalf("paused: got %+v", list)
			}
			if got := sh.must(t, "templates", "paused"); !strings.Contains(got, "TEMPLATE  40037") {
				t.Errorf("paused: got %q", got)
			}
			if got := sh.must(t, "templates", "paused", "--json", "--app", "wxother"); got != "[]\n" {
				t.Errorf("paused in another app: got %q", got)
			}

			if got := sh.run(t, "templates", "resume", "OTHER"); got.code != exitFailed || !strings.Contains(got.stderr, "OTHER of app "+testApp+" is not paused") {
				t.Errorf("resume of another: got %+v", got)
			}
			if got, want := sh.must(t, "templates", "resume", "TEMPLATE"), "resumed; 2 notifications queued\n"; got != want {
				t.Errorf("resume: got %q, want %q", got, want)
			}
			if got := sh.run(t, "templates", "resume", "TEMPLATE", "--json"); got.code != exitFailed {
				t.Errorf("resume again: got %+v", got)
			}
			pauseTemplate(t, sh, "TEMPLATE")
			if got := sh.must(t, "templates", "resume", "TEMPLATE", "--json", "--app", testApp); got != "{\n  \"queued\": 2\n}\n" {
				t.Errorf("resume --json: got %q", got)
			}
		})
	}
}

// pauseTemplate lets WeChat refuse a template and two notifications wait for it.
func pauseTemplate(t *testing.T, sh shell, template string) {
	t.Helper()
	s := sh.open(t)
	defer s.Close()
	ctx := context.Background()
	ids := make([]uuid.UUID, 3)
	var batch []store.Acceptance
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
		batch = append(batch, store.Acceptance{
			Notification: store.Notification{ID: ids[i], App: testApp, TemplateID: template, OpenID: testOpenID, Data: map[string]string{}},
			MaxAge:       time.Hour,
		})
	}
	if _, err := s.Insert(ctx, batch); err != nil {
		t.Fatal(err)
	}
	looks, err := s.Look(ctx, ids)
	if err != nil {
		t.Fatal(err)
	}
	generation := looks[0].Generation
	commit := func(b store.Batch) store.Results {
		t.Helper()
		r, err := s.Commit(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	claimed := commit(store.Batch{Claims: []store.Claim{{ID: ids[0], Generation: generation, Owner: uuid.New(), Lease: time.Minute}}})
	if !claimed.Claims[0].OK {
		t.Fatalf("the claim failed: %+v", claimed.Claims[0])
	}
	settled := commit(store.Batch{Settlements: []store.Settlement{{
		ID: ids[0], Seq: claimed.Claims[0].Look.Seq, State: store.Dead, Class: store.ClassFault, Reason: store.ReasonTemplate,
		PauseTemplate: true, Attempt: store.Attempt{At: time.Now(), Errcode: 40037, Outcome: "template"},
	}}})
	if !settled.Settlements[0].Applied {
		t.Fatal("the settlement was not applied")
	}
	moved := commit(store.Batch{Moves: []store.Move{
		{ID: ids[1], Generation: generation, State: store.Waiting, Reason: store.ReasonTemplatePaused},
		{ID: ids[2], Generation: generation, State: store.Waiting, Reason: store.ReasonTemplatePaused},
	}})
	if !moved.Moves[0] || !moved.Moves[1] {
		t.Fatal("the moves were not applied")
	}
}
