package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// The texts of a dead letter that nothing may show without --reveal.
const (
	letterText  = "张伟的离职申请"
	letterUser  = "employee-0001042-zhang"
	letterQuery = "id=4711"
)

// letter is a dead letter of a rejected field.
func letter(edits ...func(*store.Notification)) store.Acceptance {
	n := store.Notification{
		ID: uuid.Must(uuid.NewV7()), App: testApp, TemplateID: "T-approval", UserID: letterUser, Page: "pages/a?" + letterQuery,
		Data: map[string]string{"thing1": letterText, "phrase2": "已通过"}, Duplicates: store.DuplicatesAvoid, Generation: 1,
		State: store.Dead, Class: store.ClassFault, Reason: store.ReasonRejected, Errcode: 47003,
		Errmsg: "argument invalid! data.thing1.value invalid", Field: "thing1",
	}
	for _, edit := range edits {
		edit(&n)
	}
	return store.Acceptance{Notification: n, MaxAge: time.Hour}
}

// because makes a letter of another reason.
func because(reason store.Reason, errcode int) func(*store.Notification) {
	return func(n *store.Notification) { n.Reason, n.Errcode, n.Errmsg, n.Field = reason, errcode, "", "" }
}

func refused(n *store.Notification) {
	because(store.ReasonNotSubscribed, 43101)(n)
	n.Class = store.ClassRefused
}

// malformed makes a letter of a task that could not be read.
func malformed(n *store.Notification) {
	because(store.ReasonMalformed, 0)(n)
	n.TemplateID, n.UserID, n.Page, n.Data, n.Payload = "", "", "", nil, []byte(`{"template_id":"T","data":"`+letterText+`"}`)
}

// cupboard is a shell with letters in its database, which with opens beside the
// commands.
type cupboard struct{ shell }

func (c cupboard) with(t *testing.T, do func(context.Context, app.Store)) {
	t.Helper()
	s := c.open(t)
	defer s.Close() // SQLite lets one in at a time
	do(t.Context(), s)
}

func (c cupboard) put(t *testing.T, letters ...store.Acceptance) []uuid.UUID {
	t.Helper()
	ids := make([]uuid.UUID, len(letters))
	for i, l := range letters {
		ids[i] = l.Notification.ID
	}
	c.with(t, func(ctx context.Context, s app.Store) {
		for page := range slices.Chunk(letters, 1000) {
			if _, err := s.Insert(ctx, page); err != nil {
				t.Fatal(err)
			}
		}
	})
	return ids
}

func (c cupboard) get(t *testing.T, id uuid.UUID) (n store.Notification, actions []store.Action) {
	t.Helper()
	c.with(t, func(ctx context.Context, s app.Store) {
		var err error
		if n, _, err = s.Get(ctx, id); err != nil {
			t.Fatal(err)
		}
		if actions, err = s.Actions(ctx, id); err != nil {
			t.Fatal(err)
		}
	})
	return n, actions
}

// onEachStore runs a test on an empty, migrated database of each kind.
func onEachStore(t *testing.T, test func(*testing.T, cupboard)) {
	t.Helper()
	for name, newShell := range eachStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh := newShell(t)
			sh.must(t, "migrate", "up")
			test(t, cupboard{sh})
		})
	}
}

// wantMasked checks that an output holds nothing personal.
func wantMasked(t *testing.T, what, output string) {
	t.Helper()
	for _, secret := range []string{letterText, letterUser, letterQuery, testOpenID, "已通过"} {
		if strings.Contains(output, secret) {
			t.Errorf("%s shows %q:\n%s", what, secret, output)
		}
	}
}

// bulkLines are the lines of --json by id.
func bulkLines(t *testing.T, output string) map[uuid.UUID]bulkAnswer {
	t.Helper()
	answers := map[uuid.UUID]bulkAnswer{}
	for line := range strings.Lines(output) {
		var a bulkAnswer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, twice := answers[a.ID]; twice {
			t.Errorf("two answers for %s", a.ID)
		}
		answers[a.ID] = a
	}
	return answers
}

func TestDeadList(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, c cupboard) {
		if got := c.must(t, "dead", "list"); got != "none\n" {
			t.Errorf("without any: got %q", got)
		}
		open := letter(func(n *store.Notification) {
			because("", 0)(n)
			n.State, n.Class = store.Queued, ""
		})
		ids := c.put(t, letter(), letter(because(store.ReasonPage, 41030)), letter(refused), letter(malformed), open,
			letter(func(n *store.Notification) { n.App, n.UserID, n.OpenID = "wx2", "", testOpenID }))
		list := func(args ...string) []uuid.UUID {
			t.Helper()
			out := c.must(t, append([]string{"dead", "list", "--json"}, args...)...)
			wantMasked(t, "--json", out)
			var page listing[shownLetter]
			if err := json.Unmarshal([]byte(out), &page); err != nil {
				t.Fatal(err)
			}
			var got []uuid.UUID
			for _, l := range page.Items {
				got = append(got, l.ID)
			}
			return got
		}
		for _, tc := range []struct {
			args []string
			want []int
		}{
			{nil, []int{5, 3, 1, 0}},
			{[]string{"--class", "refused"}, []int{2}},
			{[]string{"--class", "all"}, []int{5, 3, 2, 1, 0}},
			{[]string{"--app", "wx2"}, []int{5}},
			{[]string{"--template", "T-approval"}, []int{5, 1, 0}},
			{[]string{"--user", letterUser}, []int{1, 0}},
			{[]string{"--openid", testOpenID}, []int{5}},
			{[]string{"--reason", "page"}, []int{1}},
			{[]string{"--errcode", "47003"}, []int{5, 0}},
			{[]string{"--since", "1h"}, []int{5, 3, 1, 0}},
			{[]string{"--until", "1h"}, nil},
			{[]string{"--since", time.Now().Add(time.Hour).Format(time.RFC3339)}, nil},
			{[]string{"--discarded"}, nil},
			{[]string{"--in-doubt"}, nil},
		} {
			var want []uuid.UUID
			for _, i := range tc.want {
				want = append(want, ids[i])
			}
			if got := list(tc.args...); !slices.Equal(got, want) {
				t.Errorf("%v: got %v, want %v", tc.args, got, want)
			}
		}

		text := c.must(t, "dead", "list")
		wantMasked(t, "the table", text)
		for _, want := range []string{ids[0].String(), "rejected: thing1", "47003", "user empl***hang", "openid oAbc***xyz1", "malformed"} {
			if !strings.Contains(text, want) {
				t.Errorf("the table has no %q:\n%s", want, text)
			}
		}
		if got := c.must(t, "dead", "list", "--reveal"); !strings.Contains(got, letterUser) {
			t.Errorf("--reveal: got %s", got)
		}
		if got := c.must(t, "dead", "list", "--count"); got != "4\n" {
			t.Errorf("--count: got %q", got)
		}
		if got, want := c.must(t, "dead", "list", "--by", "errcode"), "ERRCODE  COUNT\n47003    2\n0        1\n41030    1\n"; got != want {
			t.Errorf("--by errcode: got\n%s, want\n%s", got, want)
		}
	})
}

// TestDeadListsTwentyFiveThousand lists, counts and replays more dead letters
// than asynq's archive would hold.
func TestDeadListsTwentyFiveThousand(t *testing.T) {
	t.Parallel()
	const all, pages = 25_000, 160
	onEachStore(t, func(t *testing.T, c cupboard) {
		letters := make([]store.Acceptance, all)
		for i := range letters {
			letters[i] = letter()
			if i%5 == 0 {
				because(store.ReasonPage, 41030)(&letters[i].Notification)
			}
		}
		c.put(t, letters...)
		if got := c.must(t, "dead", "list", "--count"); got != "25000\n" {
			t.Errorf("--count: got %q", got)
		}
		if got, want := c.must(t, "dead", "list", "--by", "reason"), "REASON    COUNT\nrejected  20,000\npage      5,000\n"; got != want {
			t.Errorf("--by reason: got\n%s, want\n%s", got, want)
		}
		seen := map[uuid.UUID]bool{}
		cursor := []string(nil)
		for range pages {
			var page listing[shownLetter]
			out := c.must(t, append([]string{"dead", "list", "--json", "--limit", "500"}, cursor...)...)
			if err := json.Unmarshal([]byte(out), &page); err != nil {
				t.Fatal(err)
			}
			for _, l := range page.Items {
				seen[l.ID] = true
			}
			if page.NextCursor == nil {
				break
			}
			cursor = []string{"--cursor", *page.NextCursor}
		}
		if len(seen) != all {
			t.Errorf("%d in all pages, want %d", len(seen), all)
		}

		got := c.run(t, "dead", "replay", "--reason", "page", "--dry-run")
		if want := "RESULT             REASON  ERRCODE  COUNT\nwould be replayed  page    41030    5,000\n"; got.stdout != want {
			t.Errorf("--dry-run: got\n%s, want\n%s", got.stdout, want)
		}
		got = c.run(t, "dead", "replay", "--all")
		if want := "RESULT    REASON    ERRCODE  COUNT\nreplayed  rejected  47003    20,000\nreplayed  page      41030    5,000\n"; got.code != exitOK || got.stdout != want {
			t.Errorf("--all: got %d\n%s%s, want\n%s", got.code, got.stdout, got.stderr, want)
		}
		if got := c.must(t, "dead", "list"); got != "none\n" {
			t.Errorf("afterwards: got %.300q", got)
		}
		c.with(t, func(ctx context.Context, s app.Store) {
			counts, err := s.CountByState(ctx, "")
			if err != nil || counts[store.Queued] != all {
				t.Errorf("%d queued, want all: %v", counts[store.Queued], err)
			}
		})
	})
}

func TestDeadShow(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, c cupboard) {
		a := letter(func(n *store.Notification) {
			because("", 0)(n)
			n.State, n.Class, n.UserID, n.OpenID = store.Queued, "", "", testOpenID
		})
		id := c.put(t, a)[0]
		c.with(t, func(ctx context.Context, s app.Store) {
			claimed, err := s.Commit(ctx, store.Batch{Claims: []store.Claim{{ID: id, Generation: 1, Owner: uuid.New(), Lease: time.Minute}}})
			if err != nil || !claimed.Claims[0].OK {
				t.Fatal(claimed, err)
			}
			if _, err := s.Commit(ctx, store.Batch{Settlements: []store.Settlement{{
				ID: id, Seq: 1, State: store.Dead, Class: store.ClassFault, Reason: store.ReasonRejected, Field: "thing1",
				Attempt: store.Attempt{At: time.Now(), Latency: 87 * time.Millisecond, Errcode: 47003, Errmsg: "argument invalid!", RID: "rid-1", Outcome: "rejected"},
			}}}); err != nil {
				t.Fatal(err)
			}
		})
		c.must(t, "dead", "discard", id.String(), "--yes", "--by", "ada")
		text, asJSON := c.must(t, "dead", "show", id.String()), c.must(t, "dead", "show", id.String(), "--json")
		wantMasked(t, "show", text+asJSON)
		for _, want := range []string{
			"dead, class fault", "rejected", "47003: a field is missing or its value breaks the rule of its type",
			"correct the field that is named, and replay", "wxnotify dead replay " + id.String() + " --set data.thing1=TEXT",
			"pages/a?***", "thing1 = *** (7 characters)", "openid oAbc***xyz1", "87ms", "rid-1", "discard", "ada", "rejected 47003",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		var d shownDetail
		if err := json.Unmarshal([]byte(asJSON), &d); err != nil {
			t.Fatal(err)
		}
		if len(d.List) != 1 || d.List[0].Errcode != 47003 || d.List[0].LatencyMS != 87 || len(d.Actions) != 1 || d.Actions[0].Actor != "ada" {
			t.Errorf("--json: got %+v", d)
		}
		revealed := c.must(t, "dead", "show", id.String(), "--reveal")
		for _, want := range []string{letterText, testOpenID, letterQuery} {
			if !strings.Contains(revealed, want) {
				t.Errorf("--reveal: no %q in\n%s", want, revealed)
			}
		}

		// A task that could not be read shows how to hand it in again.
		id = c.put(t, letter(malformed))[0]
		text = c.must(t, "dead", "show", id.String())
		wantMasked(t, "show of a payload", text)
		for _, want := range []string{"*** (", "wxnotify send FILE", "wxnotify dead show " + id.String() + " --reveal", "wxnotify dead discard"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if got := c.must(t, "dead", "show", id.String(), "--reveal"); !strings.Contains(got, letterText) {
			t.Errorf("--reveal of a payload: got\n%s", got)
		}
		// Where there is nothing to explain there is no room for it.
		id = c.put(t, letter(func(n *store.Notification) {
			n.State, n.Class, n.Reason, n.Errcode, n.Errmsg, n.Field = store.Queued, "", "", 0, "", ""
		}))[0]
		if text = c.must(t, "dead", "show", id.String()); strings.Contains(text, "\n\n\n") || !strings.Contains(text, "queued\n\napp ") {
			t.Errorf("of one that is queued: got\n%s", text)
		}
		if got := c.run(t, "dead", "show", uuid.NewString()); got.code != exitFailed || !strings.Contains(got.stderr, "no notification") {
			t.Errorf("of a stranger: got %+v", got)
		}
	})
}

func TestDeadReplay(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, c cupboard) {
		swapped := letter(func(n *store.Notification) { n.Data = map[string]string{letterText: "thing1"} })
		ids := c.put(t, letter(), letter(because(store.ReasonInDoubt, 0)), letter(malformed), letter(refused), letter(), swapped)
		plain, doubt, unread, refusal, edited := ids[0].String(), ids[1].String(), ids[2].String(), ids[3].String(), ids[4].String()

		// Looking changes nothing and says what would happen.
		stranger := uuid.New()
		dry := c.must(t, "dead", "replay", plain, doubt, unread, refusal, stranger.String(), "--dry-run", "--json")
		for i, want := range []store.ActResult{store.ActDone, store.ActInDoubt, store.ActNoContent, store.ActDone} {
			if got := bulkLines(t, dry)[ids[i]]; got.Result != want || !got.DryRun {
				t.Errorf("dry run of %d: got %+v, want %s", i, got, want)
			}
		}
		if got := bulkLines(t, dry)[stranger]; got.Result != store.ActNotFound {
			t.Errorf("dry run of a stranger: got %+v", got)
		}
		if n, actions := c.get(t, ids[0]); n.State != store.Dead || len(actions) != 0 {
			t.Errorf("after a dry run: %+v", n)
		}

		// The real thing does just that.
		got := c.run(t, "dead", "replay", plain, doubt, unread, refusal, stranger.String(), "--json", "--by", "ada")
		if got.code != exitFailed || !strings.Contains(got.stderr, "3 notifications not replayed") {
			t.Errorf("got %d, %s", got.code, got.stderr)
		}
		for id, forecast := range bulkLines(t, dry) {
			forecast.DryRun = false
			if forecast.Result == store.ActDone {
				forecast.Generation++
			}
			if real := bulkLines(t, got.stdout)[id]; fmt.Sprint(real) != fmt.Sprint(forecast) {
				t.Errorf("got %+v, the dry run said %+v", real, forecast)
			}
		}
		n, actions := c.get(t, ids[0])
		if n.State != store.Queued || n.Generation != 2 || n.HandoverAt.IsZero() || n.ExpiresAt.Sub(n.DueAt) != 72*time.Hour ||
			n.Data["thing1"] != letterText {
			t.Errorf("replayed: %+v", n)
		}
		if len(actions) != 1 || actions[0].Actor != "ada" || actions[0].Reason != store.ReasonRejected {
			t.Errorf("actions: %+v", actions)
		}
		if got := c.run(t, "dead", "replay", plain); got.code != exitFailed || !strings.Contains(got.stdout, "cannot be, it is queued") {
			t.Errorf("again: got %+v", got)
		}
		if got := c.run(t, "dead", "replay", doubt); got.code != exitFailed || !strings.Contains(got.stderr, "perhaps a second time") {
			t.Errorf("a doubt: got %+v", got)
		}
		c.must(t, "dead", "replay", doubt, "--force")
		if n, actions := c.get(t, ids[1]); n.State != store.Queued || actions[0].Detail != "forced" {
			t.Errorf("forced: %+v, %+v", n, actions)
		}

		// Edits.
		got = c.run(t, "dead", "replay", edited, "--set", "data.thing1="+strings.Repeat("x", 2000))
		if got.code != exitFailed || !strings.Contains(got.stderr, "/data/thing1 has 2000 bytes") {
			t.Errorf("a text too long: got %+v", got)
		}
		c.must(t, "dead", "replay", edited, "--set", "data.thing1=短", "--set", "data.phrase2=", "--set", "page=", "--set", "openid="+testOpenID)
		n, actions = c.get(t, ids[4])
		if n.Data["thing1"] != "短" || len(n.Data) != 1 || n.Page != "" || n.OpenID != testOpenID || n.UserID != "" || n.TemplateID != "T-approval" {
			t.Errorf("edited: %+v", n)
		}
		if len(actions) != 1 || actions[0].Detail != "set data.phrase2, data.thing1, openid, page" {
			t.Errorf("actions: %+v", actions)
		}
		c.must(t, "dead", "replay", ids[5].String(), "--set", "data."+letterText+"=", "--set", "data.thing1=短")
		if _, actions := c.get(t, ids[5]); actions[0].Detail != "set data.***, data.thing1" {
			t.Errorf("the record tells a text: %+v", actions)
		}
		c.must(t, "dead", "replay", unread, "--set", "template_id=T", "--set", "user_id=u1", "--set", "data.thing1=短")
		if n, _ := c.get(t, ids[2]); n.State != store.Queued || n.Payload != nil || n.UserID != "u1" {
			t.Errorf("given a message: %+v", n)
		}
	})
}

// TestDeadReplayStops interrupts a slow replay, which then goes on.
func TestDeadReplayStops(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, c cupboard) {
		const all = 40
		letters := make([]store.Acceptance, all)
		for i := range letters {
			letters[i] = letter()
		}
		c.put(t, letters...)
		ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
		defer cancel()
		r := c.start(t, "dead", "replay", "--all", "--rate", "1", "--json")
		r.stdout.await(ctx, t, `"result":"done"`)
		if code := r.stop(ctx, t); code != exitFailed {
			t.Errorf("interrupted: exit code %d", code)
		}
		done := len(bulkLines(t, r.stdout.String()))
		if done == 0 || done == all {
			t.Fatalf("%d replayed when it was interrupted", done)
		}
		if got := c.must(t, "dead", "list", "--count"); got != strconv.Itoa(all-done)+"\n" {
			t.Errorf("%d of %d replayed, left: %s", done, all, got)
		}
		const pace, burst = 100, 10 // a second, and at once
		began := time.Now()
		rest := len(bulkLines(t, c.must(t, "dead", "replay", "--all", "--rate", strconv.Itoa(pace), "--json")))
		if rest != all-done {
			t.Errorf("went on with %d, want %d", rest, all-done)
		}
		if took, least := time.Since(began), time.Duration(rest-burst)*time.Second/pace; took < least {
			t.Errorf("%d took %s, want at least %s", rest, took, least)
		}
	})
}

func TestDeadDiscard(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, c cupboard) {
		ids := c.put(t, letter(), letter(), letter(because(store.ReasonPage, 41030)))
		if got := c.run(t, "dead", "discard", "--reason", "page"); got.code != exitUsage || !strings.Contains(got.stderr, "1 dead letter will be out of view") {
			t.Errorf("without --yes: got %+v", got)
		}
		if got := c.must(t, "dead", "discard", "--reason", "page", "--dry-run"); !strings.Contains(got, "would be discarded  page") {
			t.Errorf("--dry-run: got %s", got)
		}
		if got := c.must(t, "dead", "list", "--count"); got != "3\n" {
			t.Errorf("nothing is done yet, but %s are left", got)
		}
		c.must(t, "dead", "discard", ids[0].String(), "--yes")
		c.must(t, "dead", "discard", "--reason", "page", "--yes", "--by", "ada")
		if got := c.must(t, "dead", "list", "--count"); got != "1\n" {
			t.Errorf("left: %s", got)
		}
		if got := c.must(t, "dead", "list", "--discarded", "--count"); got != "2\n" {
			t.Errorf("discarded: %s", got)
		}
		if n, actions := c.get(t, ids[2]); n.State != store.Dead || n.DiscardedAt.IsZero() || actions[0].Actor != "ada" {
			t.Errorf("got %+v, %+v", n, actions)
		}
		if got := c.must(t, "dead", "discard", ids[0].String(), "--yes"); !strings.Contains(got, "discarded before") {
			t.Errorf("again: %s", got)
		}
		if got := c.run(t, "dead", "replay", "--all", "--json"); len(bulkLines(t, got.stdout)) != 1 {
			t.Errorf("a replay of all takes what was discarded: %s", got.stdout)
		}
		c.must(t, "dead", "replay", ids[0].String())
	})
}

func TestDeadSettle(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, c cupboard) {
		ids := c.put(t, letter(because(store.ReasonInDoubt, 0)), letter())
		doubt := ids[0].String()
		if got := c.must(t, "dead", "settle", doubt, "--as", "sent", "--by", "ada"); !strings.Contains(got, "settled as sent") {
			t.Errorf("got %s", got)
		}
		n, actions := c.get(t, ids[0])
		if n.State != store.Sent || !n.Assumed || len(actions) != 1 || actions[0].Verb != store.VerbSettleSent || actions[0].Actor != "ada" {
			t.Errorf("got %+v, %+v", n, actions)
		}
		if got := c.must(t, "dead", "settle", doubt, "--as", "sent"); !strings.Contains(got, "settled as sent before") {
			t.Errorf("again: %s", got)
		}
		if got := c.run(t, "dead", "settle", ids[1].String(), "--as", "sent"); got.code != exitFailed || !strings.Contains(got.stdout, "cannot be, it is dead") {
			t.Errorf("one that is no doubt: %+v", got)
		}
	})
}

func TestDeadWrongUsage(t *testing.T) {
	t.Parallel()
	sh := eachStore["sqlite"](t)
	sh.must(t, "migrate", "up")
	id := uuid.NewString()
	for name, args := range map[string][]string{
		"unknown class":       {"list", "--class", "x"},
		"unknown reason":      {"list", "--reason", "x"},
		"time without offset": {"list", "--since", "2026-03-02T15:01:00"},
		"negative duration":   {"list", "--since", "-1h"},
		"bad cursor":          {"list", "--cursor", "x"},
		"limit":               {"list", "--limit", "501"},
		"unknown group":       {"list", "--by", "user"},
		"two counts":          {"list", "--by", "app", "--count"},
		"no id":               {"show"},
		"not an id":           {"show", "x"},
		"nothing chosen":      {"replay"},
		"ids and filters":     {"replay", id, "--reason", "page"},
		"an id twice":         {"replay", id, id},
		"negative rate":       {"replay", "--all", "--rate", "-1"},
		"set without value":   {"replay", id, "--set", "page"},
		"set of what":         {"replay", id, "--set", "title=x"},
		"set of no key":       {"replay", id, "--set", "data.=x"},
		"set twice":           {"replay", id, "--set", "page=x", "--set", "page=y"},
		"two addressees":      {"replay", id, "--set", "user_id=x", "--set", "openid=y"},
		"actor":               {"replay", id, "--by", "a\x1b[2J"},
		"discard nothing":     {"discard", "--yes"},
		"settle as what":      {"settle", id},
		"settle as queued":    {"settle", id, "--as", "queued"},
		"settle nothing":      {"settle", "--as", "sent"},
	} {
		if got := sh.run(t, append([]string{"dead"}, args...)...); got.code != exitUsage || got.stdout != "" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if got := sh.run(t, "dead", "replay", "--all"); got.code != exitOK || !strings.Contains(got.stderr, "nothing to do") {
		t.Errorf("nothing there: %+v", got)
	}
}

// TestDeadReasonsAreExplained: every reason a notification can die of has a
// meaning and something to do.
func TestDeadReasonsAreExplained(t *testing.T) {
	t.Parallel()
	notDead := []store.Reason{
		store.ReasonNoConsent, store.ReasonTemplatePaused, store.ReasonTooOld, store.ReasonDeadline, store.ReasonOnlyTo,
		store.ReasonErased, store.ReasonByAdmin, store.ReasonQuietHours,
	}
	for _, r := range store.Reasons {
		n := letter(because(r, 0)).Notification
		a := advise(n)
		if dies := !slices.Contains(notDead, r); dies != (a.Meaning != "" && a.Do != "" && len(a.Commands) > 0) && dies {
			t.Errorf("%s: got %+v", r, a)
		}
	}
}

// TestDeadReplayIsSent replays a dead letter whose task still lies in asynq's
// archive, while a worker runs.
func TestDeadReplayIsSent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.work(t)
	s.awaitMark(t)
	s.run(t, sendArgs("--openid", siteOpenID, "--wait", "30s")...)
	n := s.rows(t)[0]
	if n.State != store.Dead || n.Class != store.ClassFault { // nobody has this openid yet
		t.Fatalf("got %+v", n)
	}
	if archived := s.archived(t); !slices.Equal(archived, []string{task.ID(n.ID, n.Generation)}) {
		t.Fatalf("archived: %v", archived)
	}
	if err := s.sim.Accept("", siteOpenID, n.TemplateID, 1); err != nil {
		t.Fatal(err)
	}
	s.must(t, "dead", "replay", "--all")
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.rows(t)[0].State != store.Sent {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not sent: %+v", s.rows(t)[0])
		}
	}
	if calls := s.sim.Accepted(); len(calls) != 1 {
		t.Errorf("WeChat accepted %d messages, want 1", len(calls))
	}
}

// awaitMark waits until the relay has built the queue of its new Redis: until
// then it may put a notification there a second time, as its next generation.
func (s site) awaitMark(t *testing.T) {
	t.Helper()
	st := s.open(t)
	defer st.Close()
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := st.Mark(ctx)
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the relay made no mark in time")
		}
	}
}

// archived are the TaskIDs in asynq's archive, once there is one.
func (s site) archived(t *testing.T) []string {
	t.Helper()
	rdb := s.config(t).Redis.NewClient(config.RedisTuning{})
	defer func() { _ = rdb.Close() }()
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		tasks, err := inspector.ListArchivedTasks("default")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, info := range tasks {
			ids = append(ids, info.ID)
		}
		if len(ids) > 0 {
			return ids
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// TestDeadBulkHoldsOnePage: a replay of everything asks for one page at a time.
func TestDeadBulkHoldsOnePage(t *testing.T) {
	t.Parallel()
	c := choice{filter: store.DeadLetters()}
	s := &pagedStore{t: t, left: 3*bulkChunk + 1}
	var out bytes.Buffer
	w := &bulkWork{
		p: &program{stdout: &out, stderr: &out}, store: s, flags: &bulkFlags{}, verb: "replayed",
		act: func(_ context.Context, page []store.Notification, _ bool) ([]bulkAnswer, error) {
			answers := make([]bulkAnswer, len(page))
			for i, n := range page {
				answers[i] = bulkForecast(n, store.ActDone, store.Queued)
			}
			return answers, nil
		},
	}
	if err := w.run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if s.asked != 5 || w.handled != 3*bulkChunk+1 {
		t.Errorf("asked for %d pages and handled %d", s.asked, w.handled)
	}
}

// pagedStore lists made-up dead letters and does nothing else.
type pagedStore struct {
	app.Store
	t           *testing.T
	left, asked int
	last        store.Cursor
}

func (s *pagedStore) Count(context.Context, store.Filter, store.Group) ([]store.Counted, error) {
	return []store.Counted{{Count: s.left}}, nil
}

func (s *pagedStore) List(_ context.Context, f store.Filter) ([]store.Notification, error) {
	s.asked++
	if f.PageSize() > bulkChunk || f.Before != s.last {
		s.t.Errorf("asked for %d behind %v, want at most %d behind %v", f.PageSize(), f.Before, bulkChunk, s.last)
	}
	page := make([]store.Notification, min(s.left, f.PageSize()))
	for i := range page {
		page[i] = store.Notification{ID: uuid.New(), State: store.Dead, CreatedAt: time.Unix(int64(s.left-i), 0)}
	}
	s.left -= len(page)
	if len(page) > 0 {
		s.last = store.After(page[len(page)-1])
	}
	return page, nil
}
