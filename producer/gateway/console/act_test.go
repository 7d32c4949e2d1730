package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/producer/gateway/console"
	"github.com/wxnotify/wxnotify/store"
)

// path is the page of a notification.
func path(n store.Notification) string { return "/admin/notifications/" + n.ID.String() }

// sendForm posts a form as the visitor saw it, and wants to be led on, or status.
func (v *visitor) sendForm(target string, status int, pairs ...string) string {
	v.Helper()
	a := v.post(target, pairs...)
	if a.Code != status {
		v.Fatalf("%s: %d, want %d\n%s", target, a.Code, status, a.Body)
	}
	return a.Body.String()
}

func TestActOnOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.operator()
	n := r.dead()
	v.sendForm(path(n)+"/replay", 303, "generation", "1")
	if got := r.row(n.ID); got.State != store.Queued || got.Generation != 2 || r.woken != 1 {
		t.Errorf("replayed: %s, generation %d, woken %d times", got.State, got.Generation, r.woken)
	}
	v.sendForm(path(n)+"/replay", 303, "generation", "1")
	if got := r.row(n.ID); got.Generation != 2 {
		t.Errorf("replayed twice: generation %d", got.Generation)
	}
	v.sendForm(path(n)+"/cancel", 303, "generation", "2")
	v.sendForm(path(n)+"/discard", 409, "generation", "2")
	want := []string{"console:olga replay ", "console:olga cancel "}
	if diff := cmp.Diff(want, r.actions(n.ID)); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}

	d := r.dead()
	v.sendForm(path(d)+"/discard", 303, "generation", "1")
	if got := r.row(d.ID); got.DiscardedAt.IsZero() {
		t.Error("not discarded")
	}
	v.sendForm(path(d)+"/discard", 400)
	v.sendForm(path(d)+"/replay", 409, "generation", "7")

	doubt := r.doubtful()
	v.sendForm(path(doubt)+"/replay", 409, "generation", "1")
	v.sendForm(path(doubt)+"/settle", 400, "generation", "1", "as", "expired")
	v.sendForm(path(doubt)+"/settle", 303, "generation", "1", "as", "sent")
	if got := r.row(doubt.ID); got.State != store.Sent || !got.Assumed {
		t.Errorf("settled: %s", got.State)
	}
	forced := r.doubtful()
	v.sendForm(path(forced)+"/replay", 303, "generation", "1", "force", "1")
	if diff := cmp.Diff([]string{"console:olga replay forced"}, r.actions(forced.ID)); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

// What the page of a notification offers is what can be done to it.
func TestPageOfANotification(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.operator()
	n := r.dead()
	text := v.want(path(n), 200)
	for _, want := range []string{"47003", "argument invalid", "Meaning.", `/replay"`, `/discard"`, `/edit"`, "openid-1", "pages/a?id=7", ">text<"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page of a dead letter does not show %s", want)
		}
	}
	if strings.Contains(text, `/cancel"`) || strings.Contains(text, `/settle"`) {
		t.Error("the page of a dead letter offers to cancel or settle it")
	}
	queued := v.want(path(r.accept()), 200)
	if !strings.Contains(queued, `/cancel"`) || strings.Contains(queued, `/replay"`) {
		t.Error("the page of a queued notification offers other things than to cancel it")
	}
	for _, offer := range []string{`/replay"`, `/discard"`, `/edit"`} {
		if strings.Contains(r.viewer().want(path(n), 200), offer) {
			t.Errorf("a viewer is offered %s", offer)
		}
	}
}

func TestEditAndReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.operator()
	n := r.dead()
	form := v.want(path(n)+"/edit", 200)
	for _, want := range []string{`value="template-1"`, `value="pages/a?id=7"`, `value="openid-1"`, `value="thing1"`, `value="text"`} {
		if !strings.Contains(form, want) {
			t.Errorf("the form lacks %s", want)
		}
	}
	base := []string{"generation", "1", "template_id", testTemplate, "page", "pages/a?id=7", "openid", "openid-1", "user_id", ""}
	for name, bad := range map[string][]string{
		"no data": {"key", "thing1", "text", ""}, "a NUL": {"key", "thing1", "text", "a\x00"}, "a bad key": {"key", strings.Repeat("k", 200), "text", "x"},
	} {
		text := v.sendForm(path(n)+"/edit", 422, append(slices.Clip(base), bad...)...)
		if !strings.Contains(text, `class="note bad"`) {
			t.Errorf("%s: no fault is shown", name)
		}
	}
	v.sendForm(path(n)+"/edit", 400, append(slices.Clip(base), "key", "thing1")...)
	if got := r.row(n.ID); got.State != store.Dead {
		t.Fatalf("it is %s", got.State)
	}
	v.sendForm(path(n)+"/edit", 303, "generation", "1", "template_id", testTemplate, "page", "pages/b", "openid", "", "user_id", "1042",
		"key", "thing1", "text", "better", "key", "time4", "text", "12:00", "key", "", "text", "")
	got := r.row(n.ID)
	if got.State != store.Queued || got.Page != "pages/b" || got.UserID != "1042" || got.OpenID != "" ||
		!cmp.Equal(got.Data, map[string]string{"thing1": "better", "time4": "12:00"}) {
		t.Errorf("edited: %+v", got)
	}
	want := []string{"console:olga replay set data.thing1, data.time4, page, user_id"}
	if diff := cmp.Diff(want, r.actions(n.ID)); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

// Where the template is known, an edit is held to it.
func TestEditChecksTheTemplate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, _, err := r.store.BeginTemplateSync(t.Context(), testApp, time.Hour, true); err != nil {
		t.Fatal(err)
	}
	_, err := r.store.SaveTemplates(t.Context(), store.TemplateList{App: testApp, Next: time.Hour, Templates: []store.Template{{
		App: testApp, TemplateID: testTemplate, Title: "报表", Type: store.TemplateOneTime, Keys: []store.TemplateKey{{Key: "thing1", Label: "名称"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	v := r.operator()
	n := r.dead()
	base := []string{"generation", "1", "page", "", "openid", "openid-1", "user_id", ""}
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"too long":         {[]string{"template_id", testTemplate, "key", "thing1", "text", strings.Repeat("长", 21)}, "data/thing1"},
		"a foreign key":    {[]string{"template_id", testTemplate, "key", "time4", "text", "12:00"}, "data/time4"},
		"another template": {[]string{"template_id", "template-9", "key", "thing1", "text", "x"}, "template_id"},
	} {
		if text := v.sendForm(path(n)+"/edit", 422, append(slices.Clip(base), c.pairs...)...); !strings.Contains(text, c.want) {
			t.Errorf("%s: no fault of %s", name, c.want)
		}
	}
	v.sendForm(path(n)+"/edit", 303, append(slices.Clip(base), "template_id", testTemplate, "key", "thing1", "text", "新")...)
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// next is the form of a bulk's page, as its button sends it.
func nextForm(text string) (pairs []string) {
	_, form, _ := strings.Cut(text, `action="/admin/dead/run"`)
	for _, m := range hiddenField.FindAllStringSubmatch(form, -1) {
		if m[1] != "csrf" {
			pairs = append(pairs, m[1], m[2])
		}
	}
	return pairs
}

// A preview changes nothing and says what will happen; the run does that.
func TestBulk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.operator()
	for range 3 {
		r.dead()
	}
	doubt := r.doubtful()
	text := v.sendForm("/admin/dead/preview", 200, "action", "replay", "scope", "all")
	for _, want := range []string{"Replay of 4 dead letters.", "would be replayed", "in doubt: tick", "Replay them"} {
		if !strings.Contains(text, want) {
			t.Errorf("the preview does not say %q", want)
		}
	}
	if r.counts(store.Dead) != 4 || len(r.audit()) != 1 {
		t.Fatalf("a preview changed something: %d dead, audit %q", r.counts(store.Dead), r.audit())
	}
	late := r.dead()
	text = v.sendForm("/admin/dead/run", 200, nextForm(text)...)
	if !strings.Contains(text, "3 of 4 done. 1 could not be.") {
		t.Errorf("the run says: %s", text)
	}
	if got := r.row(doubt.ID).State; got != store.Dead {
		t.Errorf("the one in doubt is %s", got)
	}
	if got := r.row(late.ID).State; got != store.Dead {
		t.Errorf("one that came after the preview is %s", got)
	}
	if got := r.audit()[0]; !strings.HasPrefix(got, "console:olga replay_many dead letters 4 chosen, until=") {
		t.Errorf("audit: %s", got)
	}

	text = v.sendForm("/admin/dead/preview", 200, "action", "discard", "scope", "selected", "id", doubt.ID.String())
	v.sendForm("/admin/dead/run", 200, nextForm(text)...)
	if r.row(doubt.ID).DiscardedAt.IsZero() || !r.row(late.ID).DiscardedAt.IsZero() {
		t.Error("not the selected one was discarded")
	}
	if got := r.audit()[0]; got != "console:olga discard_many dead letters 1 chosen by hand" {
		t.Errorf("audit: %s", got)
	}
	for name, pairs := range map[string][]string{
		"no scope": {"action", "replay"}, "no action": {"scope", "all"}, "nothing selected": {"action", "replay", "scope", "selected"},
		"no id": {"action", "replay", "scope", "selected", "id", "x"}, "a bad filter": {"action", "replay", "scope", "all", "errcode", "x"},
	} {
		if a := v.post("/admin/dead/preview", pairs...); a.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, a.Code)
		}
	}
}

func (r *rig) counts(s store.State) int {
	r.Helper()
	counts, err := r.store.CountByState(r.Context(), "")
	if err != nil {
		r.Fatal(err)
	}
	return counts[s]
}

// Many are worked off in steps, of which each says how far it got.
func TestBulkInSteps(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const many, step = 250, 200
	r.console.SetBulkStep(step)
	batch := make([]store.Acceptance, many)
	for i := range batch {
		batch[i] = store.Acceptance{Notification: r.template(), MaxAge: time.Hour}
	}
	if _, err := r.store.Insert(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	v := r.operator()
	text := v.sendForm("/admin/dead/preview", 200, "action", "replay", "scope", "all", "set_page", "pages/new", "until", "2099-01-01")
	if !strings.Contains(text, fmt.Sprintf("The first %d were looked at.", step)) {
		t.Error("the preview looked at more than it may")
	}
	steps := 0
	for strings.Contains(text, `action="/admin/dead/run"`) {
		if steps++; steps > 5 {
			t.Fatal("it does not end")
		}
		text = v.sendForm("/admin/dead/run", 200, nextForm(text)...)
	}
	if steps != 2 || !strings.Contains(text, fmt.Sprintf("%d of %d done.", many, many)) {
		t.Errorf("after %d steps: %s", steps, text)
	}
	list, err := r.store.List(t.Context(), store.Filter{States: []store.State{store.Queued}, Limit: 3})
	if err != nil || r.counts(store.Queued) != many || list[0].Page != "pages/new" {
		t.Errorf("%d queued, %v", r.counts(store.Queued), err)
	}
	if got := r.audit(); len(got) != 2 {
		t.Errorf("audit: %q", got)
	}
}

// template is a dead letter as it is inserted.
func (r *rig) template() store.Notification {
	n := r.accept()
	if _, err := r.store.Cancel(r.Context(), []store.Cancel{{ID: n.ID, Actor: "test"}}); err != nil {
		r.Fatal(err)
	}
	n.ID[15] ^= 0xff
	n.State, n.Class, n.Reason, n.Errcode = store.Dead, store.ClassFault, store.ReasonPage, 41030
	n.ExpiresAt = time.Time{}
	return n
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.operator()
	key := func(queue string) string { return "asynq:{" + queue + "}:paused" }
	if err := r.redis.Set(key("default"), "1"); err != nil { // an automatic one
		t.Fatal(err)
	}
	r.redis.SetTTL(key("default"), time.Minute)
	v.sendForm("/admin/pauses", 303, "app", testApp, "queue", "default", "action", "pause", "reason", "release at six")
	if !r.redis.Exists(key("default")) || r.redis.TTL(key("default")) != 0 || r.redis.Exists(key("critical")) {
		t.Error("not that queue alone is paused without an end")
	}
	text := r.viewer().want("/admin/pauses", 200)
	if !strings.Contains(text, "by a person, without an end: console:olga") || !strings.Contains(text, "(release at six)") || strings.Contains(text, "<button name") {
		t.Error("viewers do not see who paused it and why, or are offered to")
	}
	v.sendForm("/admin/pauses", 303, "app", otherApp, "action", "pause")
	for _, q := range []string{"critical", "default", "low"} {
		if !r.redis.Exists(key(otherApp + ":" + q)) {
			t.Errorf("%s is not paused", q)
		}
	}
	v.sendForm("/admin/pauses", 303, "app", testApp, "action", "resume")
	if r.redis.Exists(key("default")) {
		t.Error("not resumed")
	}
	r.paused[testApp] = &console.Pause{Kind: "account", Why: "48001: no permission", Errcode: 48001, Since: time.Now(), Until: time.Now().Add(time.Minute)}
	if text := v.want("/admin/pauses", 200); !strings.Contains(text, "48001: no permission") {
		t.Error("the app's pause is not shown")
	}
	v.sendForm("/admin/pauses", 303, "app", testApp, "action", "try")
	if r.paused[testApp] != nil {
		t.Error("the app's pause did not end")
	}
	v.sendForm("/admin/pauses", 400, "app", "wx9", "action", "pause")
	v.sendForm("/admin/pauses", 400, "app", testApp, "queue", "other", "action", "pause")
	v.sendForm("/admin/pauses", 400, "app", testApp, "action", "none")
	v.sendForm("/admin/pauses", 400, "app", testApp, "action", "pause", "reason", strings.Repeat("x", 300))
	want := []string{
		"console:olga resume " + testApp + " before the pause by WeChat's answers ends",
		"console:olga resume low", "console:olga resume default", "console:olga resume critical",
		"console:olga pause " + otherApp + ":low", "console:olga pause " + otherApp + ":default", "console:olga pause " + otherApp + ":critical",
	}
	if diff := cmp.Diff(want, r.audit()[:len(want)]); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	r.redis.SetError("away")
	if a := v.post("/admin/pauses", "app", testApp, "action", "pause"); a.Code != http.StatusServiceUnavailable {
		t.Errorf("without Redis: %d", a.Code)
	}
	if text := v.want("/admin/", 200); !strings.Contains(text, "Redis does not answer.") {
		t.Error("the overview does not say that Redis is away")
	}
}

func TestResumeTemplate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settle(r.accept(), func(s *store.Settlement) {
		s.Reason, s.Attempt.Errcode, s.PauseTemplate = store.ReasonTemplate, 40037, true
	})
	v := r.operator()
	v.sendForm("/admin/templates/resume", 409, "app", testApp, "template", "none")
	v.sendForm("/admin/templates/resume", 303, "app", testApp, "template", testTemplate)
	v.sendForm("/admin/templates/resume", 409, "app", testApp, "template", testTemplate)
	if pauses, err := r.store.PausedTemplates(t.Context(), ""); err != nil || len(pauses) != 0 {
		t.Errorf("paused: %+v, %v", pauses, err)
	}
	if got := r.audit()[0]; got != "console:olga resume_template "+testApp+"/"+testTemplate+" 0 notifications" {
		t.Errorf("audit: %s", got)
	}
}

// Pages of a list go on where the last one ended, and meet everything once.
func TestPagesOfAList(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const many = 120
	for i := range many {
		r.accept(func(n *store.Notification) { n.Ref = "r" + strconv.Itoa(i) })
	}
	v := r.viewer()
	seen := map[string]bool{}
	row, more := regexp.MustCompile(`href="/admin/notifications/([0-9a-f-]{36})"`), regexp.MustCompile(`rel="next" href="([^"]+)"`)
	target, pages := "/admin/notifications?state=queued", 0
	for target != "" {
		pages++
		text := v.want(target, 200)
		for _, m := range row.FindAllStringSubmatch(text, -1) {
			if seen[m[1]] {
				t.Fatalf("met twice: %s", m[1])
			}
			seen[m[1]] = true
		}
		target = ""
		if m := more.FindStringSubmatch(text); m != nil {
			target = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if len(seen) != many || pages != 3 {
		t.Errorf("%d rows on %d pages", len(seen), pages)
	}
	n := r.accept(func(n *store.Notification) { n.UserID, n.OpenID = "1042", "" })
	found := url.Values{"user": {"1042"}, "template": {testTemplate}, "since": {"2020-01-01"}, "until": {"2099-01-01 08:00"}}
	if text := v.want("/admin/notifications?"+found.Encode(), 200); strings.Count(text, n.ID.String()) == 0 || len(row.FindAllString(text, -1)) != 1 {
		t.Error("the search by user does not find one")
	}
	if a := v.get("/admin/notifications?id=" + n.ID.String()); a.Header().Get("Location") != path(n) {
		t.Errorf("the search by id leads to %q", a.Header().Get("Location"))
	}
}
