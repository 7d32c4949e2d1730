package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wxnotify/wxnotify/store"
)

// description is a template as WeChat would describe it.
func description(id string, edits ...func(*store.Template)) store.Template {
	t := store.Template{
		App: testApp, TemplateID: id, Title: "待审核通知", Type: store.TemplateOneTime,
		Content: "申请人:{{thing1.DATA}}\n结果:{{enum_string2.DATA}}\n", Example: "申请人:李雷\n结果:通过\n",
		Keys: []store.TemplateKey{
			{Key: "thing1", Label: "申请人"},
			{Key: "enum_string2", Label: "结果", Values: []string{"通过", "<不通过>"}},
		},
	}
	for _, edit := range edits {
		edit(&t)
	}
	return t
}

// began is a sync's beginning.
func (f *fixture) began() time.Time {
	f.Helper()
	began, ok, err := f.BeginTemplateSync(f.ctx, testApp, time.Hour, true)
	if err != nil || !ok {
		f.Fatalf("begin: %v, %v", ok, err)
	}
	return began
}

func (f *fixture) saveTemplates(list ...store.Template) store.TemplatesSynced {
	f.Helper()
	synced, err := f.SaveTemplates(f.ctx, store.TemplateList{App: testApp, Templates: list, Began: f.began(), Next: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	return synced
}

// testLearnLongTerm: what users allowed of a template before a list told that it
// is a long-term one is long-term from then on, unless they took it back.
func testLearnLongTerm(f *fixture) {
	isLong := func(t *store.Template) { t.Type = store.TemplateLongTerm }
	withdrawn := func(openID string) {
		f.answered(consentEvent(openID, "T-long", store.ConsentReject, from(store.ConsentChange, time.Second)))
	}
	for _, openID := range []string{"o-kept", "o-withdrawn", "o-later"} {
		f.answered(accepted(openID, "T-long"))
	}
	f.answered(accepted("o-kept", "T-once"))
	f.answered(consentEvent("o-refused", "T-long", store.ConsentReject))
	withdrawn("o-withdrawn")

	f.saveTemplates(description("T-long", isLong), description("T-once"))
	withdrawn("o-later")
	f.saveTemplates(description("T-long", isLong), description("T-once"))

	for _, want := range []struct {
		openID, template string
		longTerm         bool
	}{
		{"o-kept", "T-long", true},
		{"o-kept", "T-once", false},
		{"o-withdrawn", "T-long", false},
		{"o-refused", "T-long", false},
		{"o-later", "T-long", false},
	} {
		for _, c := range must[[]store.Consent](f)(f.Consents(f.ctx, testApp, want.openID)) {
			if c.TemplateID == want.template && c.LongTerm != want.longTerm {
				f.Errorf("%s, %s: long-term %t, want %t", want.openID, want.template, c.LongTerm, want.longTerm)
			}
		}
	}
	if c := must[[]store.Consent](f)(f.Consents(f.ctx, testApp, "o-later")); len(c) != 1 || !c[0].Empty() {
		f.Errorf("withdrawn after it was known: %+v", c)
	}
}

// testTemplates: what WeChat describes is kept, what it no longer lists is marked
// and not deleted.
func testTemplates(f *fixture) {
	first, second := description("T1"), description("T2", func(t *store.Template) {
		t.Type, t.Keys = store.TemplateLongTerm, nil
	})
	f.diff("first", store.TemplatesSynced{Total: 2, Added: []string{"T1", "T2"}}, f.saveTemplates(second, first))
	f.diff("unchanged", store.TemplatesSynced{Total: 2}, f.saveTemplates(first, second))
	other := description("T1", func(t *store.Template) { t.App = "wx2" })
	must[store.TemplatesSynced](f)(f.SaveTemplates(f.ctx, store.TemplateList{App: "wx2", Templates: []store.Template{other}}))

	noTimes := cmpopts.IgnoreFields(store.Template{}, "SyncedAt", "GoneAt")
	all := must[[]store.Template](f)(f.Templates(f.ctx, ""))
	f.diff("stored", []store.Template{first, second, other}, all, noTimes)
	f.wantIn("synced at", all[0].SyncedAt, time.Now(), 0)
	if !all[0].GoneAt.IsZero() {
		f.Errorf("gone at %v, want not", all[0].GoneAt)
	}

	second.Title = "数据报表生成通知"
	third := description("T3", func(t *store.Template) { t.Example = "" })
	f.diff("changed", store.TemplatesSynced{Total: 2, Added: []string{"T3"}, Changed: []string{"T2"}, Gone: []string{"T1"}},
		f.saveTemplates(second, third))
	f.diff("gone already", store.TemplatesSynced{Total: 2}, f.saveTemplates(second, third))
	mine := must[[]store.Template](f)(f.Templates(f.ctx, testApp))
	f.diff("stored", []store.Template{first, second, third}, mine, noTimes)
	if mine[0].GoneAt.IsZero() || !mine[1].GoneAt.IsZero() || mine[0].SyncedAt.After(mine[0].GoneAt) {
		f.Errorf("gone at %v and %v, want the first only", mine[0].GoneAt, mine[1].GoneAt)
	}
	f.diff("back", store.TemplatesSynced{Total: 3, Added: []string{"T1"}}, f.saveTemplates(first, second, third))
	if mine := must[[]store.Template](f)(f.Templates(f.ctx, testApp)); !mine[0].GoneAt.IsZero() {
		f.Errorf("back, and still gone at %v", mine[0].GoneAt)
	}
	f.diff("none", store.TemplatesSynced{Gone: []string{"T1", "T2", "T3"}}, f.saveTemplates())
	if theirs := must[[]store.Template](f)(f.Templates(f.ctx, "wx2")); len(theirs) != 1 || !theirs[0].GoneAt.IsZero() {
		f.Errorf("another app's templates: %+v", theirs)
	}
}

func testTemplatesRefused(f *fixture) {
	for name, list := range map[string]store.TemplateList{
		"no app":      {},
		"no id":       {App: testApp, Templates: []store.Template{description("")}},
		"twice":       {App: testApp, Templates: []store.Template{description("T1"), description("T1")}},
		"another app": {App: "wx2", Templates: []store.Template{description("T1")}},
		"no key": {App: testApp, Templates: []store.Template{description("T1", func(t *store.Template) {
			t.Keys = []store.TemplateKey{{Label: "申请人"}}
		})}},
		"not text": {App: testApp, Templates: []store.Template{description("T1", func(t *store.Template) {
			t.Keys[0].Label = "\xff"
		})}},
	} {
		if _, err := f.SaveTemplates(f.ctx, list); err == nil || errors.Is(err, store.ErrUnavailable) {
			f.Errorf("%s: %v, want it refused", name, err)
		}
	}
	if left := must[[]store.Template](f)(f.Templates(f.ctx, "")); len(left) != 0 {
		f.Errorf("a refused list left %+v", left)
	}
}

// testTemplateSyncs: one sync begins in its time, whoever asks; a failed one
// leaves the last good list.
func testTemplateSyncs(f *fixture) {
	if syncs := must[[]store.TemplateSync](f)(f.TemplateSyncs(f.ctx)); len(syncs) != 0 {
		f.Errorf("before any: %+v", syncs)
	}
	var began atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, ok, err := f.BeginTemplateSync(f.ctx, testApp, time.Hour, false); err != nil {
				f.Error(err)
			} else if ok {
				began.Add(1)
			}
		})
	}
	all.Wait()
	if began.Load() != 1 {
		f.Errorf("%d of 8 syncs began at once, want 1", began.Load())
	}
	if _, ok, err := f.BeginTemplateSync(f.ctx, "wx2", time.Hour, false); !ok || err != nil {
		f.Errorf("another app: %v, %v", ok, err)
	}
	start := f.began() // a person does not wait
	f.saveTemplates(description("T1"))
	if err := f.FailTemplateSync(f.ctx, testApp, 45009, "reach max api daily quota limit", 6*time.Hour); err != nil {
		f.Fatal(err)
	}
	state := must[[]store.TemplateSync](f)(f.TemplateSyncs(f.ctx))
	if len(state) != 2 || state[0].App != testApp || state[1].App != "wx2" {
		f.Fatalf("syncs %+v", state)
	}
	if s := state[0]; s.Errcode != 45009 || s.Problem == "" || s.SyncedAt.Before(start) || s.TriedAt.Before(start) {
		f.Errorf("after a failure: %+v", s)
	}
	f.wantIn("next", state[0].NextAt, time.Now(), 6*time.Hour)
	if s := state[1]; !s.SyncedAt.IsZero() {
		f.Errorf("never synced: %+v", s)
	}
	if left := must[[]store.Template](f)(f.Templates(f.ctx, testApp)); len(left) != 1 || !left[0].GoneAt.IsZero() {
		f.Errorf("after a failure: %+v", left)
	}
	// A time that is over lets the next one begin, and success clears the fault.
	if err := f.FailTemplateSync(f.ctx, testApp, 1700, "", 0); err != nil {
		f.Fatal(err)
	}
	if _, ok, err := f.BeginTemplateSync(f.ctx, testApp, time.Hour, false); !ok || err != nil {
		f.Errorf("in its time: %v, %v", ok, err)
	}
	f.saveTemplates(description("T1"))
	if s := must[[]store.TemplateSync](f)(f.TemplateSyncs(f.ctx))[0]; s.Errcode != 0 || s.Problem != "" {
		f.Errorf("after a success: %+v", s)
	}
}

// testTemplateSyncResumes: a template that WeChat lists exists, so its pause for
// not existing is over; a ban is over when a person says so.
func testTemplateSyncResumes(f *fixture) {
	waiting := map[string]store.Notification{}
	pause := func(id string, errcode int) {
		_, l := f.claim(f.accept(row(func(n *store.Notification) { n.TemplateID = id })))
		n := f.accept(row(func(n *store.Notification) { n.TemplateID = id }))
		f.mustSettle(settlement(l, store.Dead, "template", func(s *store.Settlement) {
			s.PauseTemplate, s.Reason, s.Attempt.Errcode = true, store.ReasonTemplate, errcode
		}))
		if !f.move(store.Move{ID: n.ID, Generation: 1, State: store.Waiting, Reason: store.ReasonTemplatePaused}) {
			f.Fatal("move to waiting")
		}
		waiting[id] = n
	}
	before := f.began()
	pause("missing", 40037)
	pause("banned", 43116)
	pause("deleted", 40037)
	list := store.TemplateList{App: testApp, Templates: []store.Template{description("missing"), description("banned")}, Began: before}
	if got := must[store.TemplatesSynced](f)(f.SaveTemplates(f.ctx, list)); len(got.Resumed) != 0 {
		f.Errorf("a list that is older than the pauses resumed %v", got.Resumed)
	}
	list.Began = f.began()
	got := must[store.TemplatesSynced](f)(f.SaveTemplates(f.ctx, list))
	f.diff("by itself", store.TemplatesSynced{Total: 2, Resumed: []string{"missing"}, Released: 1}, got)
	if n := f.get(waiting["missing"].ID); n.State != store.Queued || n.Generation != 2 {
		f.Errorf("released: %s, generation %d", n.State, n.Generation)
	}
	list.ResumeAll = true
	got = must[store.TemplatesSynced](f)(f.SaveTemplates(f.ctx, list))
	f.diff("by a person", store.TemplatesSynced{Total: 2, Resumed: []string{"banned"}, Released: 1}, got)
	pauses := must[[]store.TemplatePause](f)(f.PausedTemplates(f.ctx, testApp))
	if len(pauses) != 1 || pauses[0].TemplateID != "deleted" || f.get(waiting["deleted"].ID).State != store.Waiting {
		f.Errorf("left paused: %+v", pauses)
	}
}
