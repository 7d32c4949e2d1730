package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wxnotify/wxnotify/store"
)

func (f *fixture) note(verb store.Verb, subject string) {
	f.Helper()
	e := store.AuditEntry{Actor: "ada", Verb: verb, Subject: subject, Detail: "because"}
	if err := f.RecordAudit(f.ctx, e); err != nil {
		f.Fatal(err)
	}
}

// audit lists the entries of a filter without what a store gives them.
func (f *fixture) audit(filter store.AuditFilter) (entries []store.AuditEntry) {
	f.Helper()
	entries = must[[]store.AuditEntry](f)(f.Audit(f.ctx, filter))
	for i, e := range entries {
		f.wantIn("at of an entry", e.At, time.Now(), 0)
		if e.Key == "" {
			f.Errorf("entry %d has no key", i)
		}
	}
	return entries
}

// testAudit: entries and actions are one list, the newest first.
func testAudit(f *fixture) {
	for _, verb := range store.AuditVerbs {
		f.note(verb, "subject of "+string(verb))
	}
	n := f.dead()
	f.discard(n)
	var want []store.AuditEntry
	for _, verb := range store.AuditVerbs {
		want = append([]store.AuditEntry{{Actor: "ada", Verb: verb, Subject: "subject of " + string(verb), Detail: "because"}}, want...)
	}
	action := store.AuditEntry{
		Actor: "ada", Verb: store.VerbDiscard, NotificationID: n.ID, Reason: store.ReasonRejected, Errcode: 47003,
	}
	given := cmpopts.IgnoreFields(store.AuditEntry{}, "At", "Key")
	f.diff("all", append([]store.AuditEntry{action}, want...), f.audit(store.AuditFilter{}), given)
	f.diff("by verb", []store.AuditEntry{action}, f.audit(store.AuditFilter{Verb: store.VerbDiscard}), given)
	f.diff("by subject", want[:1], f.audit(store.AuditFilter{Subject: want[0].Subject}), given)
	if got := f.audit(store.AuditFilter{Actor: "grace"}); len(got) != 0 {
		f.Errorf("of somebody else: %+v", got)
	}
}

// testAuditPages: a page goes on behind the last one, also among entries of one
// instant.
func testAuditPages(f *fixture) {
	const many = 7
	discards := make([]store.Discard, many)
	for i := range discards {
		n := f.dead()
		discards[i] = store.Discard{ID: n.ID, Generation: n.Generation, Actor: "ada"}
	}
	must[[]store.Acted](f)(f.Discard(f.ctx, discards))
	f.note(store.VerbLogin, "")
	seen := map[string]bool{}
	var cursor store.AuditCursor
	for range 2 * many {
		page := f.audit(store.AuditFilter{Before: cursor, Limit: 2})
		for _, e := range page {
			if seen[e.Key] {
				f.Fatalf("met twice: %+v", e)
			}
			seen[e.Key] = true
		}
		if len(page) == 0 {
			break
		}
		parsed, err := store.ParseAuditCursor(store.AfterEntry(page[len(page)-1]).String())
		if err != nil {
			f.Fatal(err)
		}
		cursor = parsed
	}
	if len(seen) != many+1 {
		f.Errorf("%d entries on the pages, want %d", len(seen), many+1)
	}
}

func testAuditChecked(f *fixture) {
	for name, e := range map[string]store.AuditEntry{
		"no actor":      {Verb: store.VerbLogin},
		"another verb":  {Actor: "ada", Verb: store.VerbReplay},
		"long detail":   {Actor: "ada", Verb: store.VerbLogin, Detail: strings.Repeat("x", 257)},
		"no valid text": {Actor: "ada\x00", Verb: store.VerbLogin},
	} {
		if err := f.RecordAudit(f.ctx, e); err == nil {
			f.Errorf("%s: recorded", name)
		}
	}
	if got := f.audit(store.AuditFilter{}); len(got) != 0 {
		f.Errorf("on record: %+v", got)
	}
}

// testSessions: a session is found until it ends, rests too long or gets too
// old; only a use that counts keeps it from resting.
func testSessions(f *fixture) {
	rule := store.SessionRule{Idle: time.Hour, Life: 2 * time.Hour, Touch: true}
	session := func(name string) store.ConsoleSession {
		c := store.ConsoleSession{Key: [32]byte([]byte(fmt.Sprintf("%-32s", name))), User: name, Credential: [32]byte{1, 2, 3}}
		if err := f.BeginSession(f.ctx, c, rule.Life); err != nil {
			f.Fatal(err)
		}
		return c
	}
	ada, grace := session("ada"), session("grace")
	times := cmpopts.IgnoreFields(store.ConsoleSession{}, "CreatedAt", "SeenAt")
	found := must[store.ConsoleSession](f)(f.Session(f.ctx, ada.Key, rule))
	f.diff("session", ada, found, times)
	f.wantIn("created_at", found.CreatedAt, time.Now(), 0)
	untouched := rule
	untouched.Touch = false
	again := must[store.ConsoleSession](f)(f.Session(f.ctx, ada.Key, untouched))
	f.diff("a use that does not count", found, again)

	gone := func(what string, key [32]byte, rule store.SessionRule) {
		f.Helper()
		if got, err := f.Session(f.ctx, key, rule); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	gone("unknown", [32]byte{9}, rule)
	gone("rested", ada.Key, store.SessionRule{Idle: 0, Life: rule.Life})
	gone("old", ada.Key, store.SessionRule{Idle: rule.Idle, Life: 0})
	for range 2 {
		if err := f.EndSession(f.ctx, ada.Key); err != nil {
			f.Fatal(err)
		}
	}
	gone("ended", ada.Key, rule)
	must[store.ConsoleSession](f)(f.Session(f.ctx, grace.Key, rule))

	// A login forgets the sessions that are too old.
	if err := f.BeginSession(f.ctx, store.ConsoleSession{Key: [32]byte{7}, User: "eve"}, 0); err != nil {
		f.Fatal(err)
	}
	gone("forgotten", grace.Key, rule)
	if err := f.BeginSession(f.ctx, store.ConsoleSession{Key: [32]byte{8}}, rule.Life); err == nil {
		f.Error("a session of nobody began")
	}
}

func testOverview(f *fixture) {
	empty := must[store.Overview](f)(f.Overview(f.ctx))
	if !empty.OldestDue.IsZero() || empty.DeadLetters != 0 || len(empty.Open) != len(store.OpenStates) {
		f.Errorf("of an empty store: %+v", empty)
	}
	f.sources()
	later := f.accept(func(a *store.Acceptance) { a.Delay = time.Minute })
	f.dead()
	f.discard(f.dead())
	o := must[store.Overview](f)(f.Overview(f.ctx))
	counts := must[map[store.State]int](f)(f.CountByState(f.ctx, ""))
	for _, state := range store.OpenStates {
		if o.Open[state] != counts[state] || o.Open[state] == 0 {
			f.Errorf("%s: %d, want %d", state, o.Open[state], counts[state])
		}
	}
	letters := must[[]store.Counted](f)(f.Count(f.ctx, store.DeadLetters(), store.GroupNone))
	if o.DeadLetters != letters[0].Count {
		f.Errorf("%d dead letters, want %d", o.DeadLetters, letters[0].Count)
	}
	if o.OldestDue.IsZero() || !o.OldestDue.Before(later.DueAt) || o.OldestDue.After(o.Now) {
		f.Errorf("due since %s at %s", o.OldestDue, o.Now)
	}
	f.wantIn("now", o.Now, time.Now(), 0)

	var sum store.Outcome
	for _, one := range must[[]store.Outcome](f)(f.Outcomes(f.ctx, time.Hour)) {
		if one.App != testApp || one.TemplateID != testTemplate {
			f.Errorf("an outcome of %s, %s", one.App, one.TemplateID)
		}
		sum = sum.Add(one)
	}
	refused := must[[]store.Counted](f)(f.Count(f.ctx, store.Filter{Class: store.ClassRefused}, store.GroupNone))
	want := store.Outcome{Sent: counts[store.Sent], Expired: counts[store.Expired], Cancelled: counts[store.Cancelled], Dead: counts[store.Dead]}
	if len(refused) > 0 {
		want.Refused, want.Dead = refused[0].Count, counts[store.Dead]-refused[0].Count
	}
	f.diff("outcomes", want, sum)
	if got := must[[]store.Outcome](f)(f.Outcomes(f.ctx, 0)); len(got) != 0 {
		f.Errorf("outcomes of no time: %+v", got)
	}
}
