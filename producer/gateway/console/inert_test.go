package console_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/html"

	"github.com/wxnotify/wxnotify/producer/gateway/console"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// hostile is a text that would run in a page that does not escape it, with the
// name of the field that it is in.
func hostile(field string) string {
	return `<<` + field + `>>"'><script>alert(1)</script><img src=x onerror=alert(1)><a href="javascript:alert(1)">{{.}}`
}

// shown are the hostile fields that pages must show somewhere; private ones only
// to operators.
var (
	shown = []string{
		"app", "producer", "ref", "template_id", "errmsg", "lang", "queue", "rid", "outcome", "attempt_errmsg",
		"receipt_status", "action_actor", "audit_actor", "audit_subject", "audit_detail", "title", "label", "alias", "field_name",
		"paused_template", "sync_problem", "app_pause_why", "app_pause_kind", "token_problem", "token_origin", "consent_template", "user_name",
		"meaning", "do", "reason_of_a_pause",
	}
	private = []string{"user_id", "openid", "data_key", "data_text", "page?query", "payload", "field", "binding_openid"}
)

// fill puts hostile texts into every field of every table.
func (r *rig) fill() (ids []uuid.UUID) {
	r.Helper()
	ctx := r.Context()
	must := func(err error) {
		r.Helper()
		if err != nil {
			r.Fatal(err)
		}
	}
	odd := func(n *store.Notification) {
		n.App, n.Producer, n.Ref, n.TemplateID = hostile("app"), hostile("producer"), hostile("ref"), hostile("template_id")
		n.ContentHash = make([]byte, 32)
		n.Page, n.UserID, n.OpenID = "pages/a?"+hostile("page?query"), hostile("user_id"), ""
		n.Data = map[string]string{hostile("data_key"): hostile("data_text"), "thing1": hostile("data_text")}
		n.Lang, n.Queue = hostile("lang"), hostile("queue")
	}
	_, err := r.store.Bind(ctx, []store.Binding{{App: hostile("app"), UserID: hostile("user_id"), OpenID: hostile("binding_openid")}})
	must(err)
	end := func(s *store.Settlement) {
		s.Field = hostile("field")
		s.Attempt.Errmsg, s.Attempt.RID, s.Attempt.Outcome, s.Attempt.MsgID = hostile("attempt_errmsg"), hostile("rid"), hostile("outcome"), 77
	}
	dead := r.settle(r.accept(odd), end)
	refused := r.settle(r.accept(odd, func(n *store.Notification) { n.Ref += "2" }), func(s *store.Settlement) {
		end(s)
		s.Class, s.Reason, s.Attempt.MsgID = store.ClassRefused, store.ReasonNotSubscribed, 0
	})
	retrying := r.settle(r.accept(odd, func(n *store.Notification) { n.Ref += "3" }), func(s *store.Settlement) {
		end(s)
		s.State, s.Class, s.Reason, s.Attempt.MsgID = store.Retrying, "", "", 0
	})
	unread := store.Acceptance{Notification: store.Notification{
		ID: uuid.Must(uuid.NewV7()), App: hostile("app"), State: store.Dead, Class: store.ClassFault, Reason: store.ReasonMalformed,
		Payload: []byte(hostile("payload")), Errmsg: hostile("errmsg"), Field: hostile("field"), Generation: 1, Queue: hostile("queue"), OpenID: hostile("openid"),
	}}
	inserted, err := r.store.Insert(ctx, []store.Acceptance{unread})
	must(err)
	must(inserted[0].Err)
	_, err = r.store.RecordReceipts(ctx, []store.ReceiptEvent{{
		App: dead.App, OpenID: hostile("binding_openid"), TemplateID: dead.TemplateID, MsgID: 77, Code: 4, Status: hostile("receipt_status"),
		At: time.Now(), Wait: time.Minute,
	}})
	must(err)
	_, err = r.store.Discard(ctx, []store.Discard{{ID: dead.ID, Generation: 1, Actor: hostile("action_actor")}})
	must(err)
	for _, subject := range []string{hostile("audit_subject"), "default"} {
		must(r.store.RecordAudit(ctx, store.AuditEntry{
			Actor: hostile("audit_actor"), Verb: store.VerbPause, Subject: subject, Detail: hostile("audit_detail") + hostile("reason_of_a_pause"),
		}))
	}
	r.fillTemplates(must)
	_, err = r.store.RecordConsents(ctx, []store.ConsentEvent{{
		App: hostile("app"), OpenID: hostile("binding_openid"), TemplateID: hostile("consent_template"), Source: store.ConsentClient, Key: "k",
		Answer: store.ConsentAccept, Primary: true,
	}})
	must(err)
	return []uuid.UUID{dead.ID, refused.ID, retrying.ID, unread.Notification.ID}
}

func (r *rig) fillTemplates(must func(error)) {
	r.Helper()
	ctx := r.Context()
	_, ok, err := r.store.BeginTemplateSync(ctx, hostile("app"), time.Hour, true)
	must(err)
	if !ok {
		r.Fatal("no sync began")
	}
	_, err = r.store.SaveTemplates(ctx, store.TemplateList{App: hostile("app"), Next: time.Hour, Templates: []store.Template{{
		App: hostile("app"), TemplateID: hostile("template_id"), Title: hostile("title"), Type: store.TemplateOneTime,
		Keys: []store.TemplateKey{{Key: "thing1", Label: hostile("label")}},
	}}})
	must(err)
	must(r.store.FailTemplateSync(ctx, hostile("app"), 40001, hostile("sync_problem"), time.Hour))
	r.settle(r.accept(func(n *store.Notification) { n.TemplateID = hostile("paused_template") }), func(s *store.Settlement) {
		s.Reason, s.Attempt.Errcode = store.ReasonTemplate, 40037
		s.PauseTemplate = true
	})
}

// hostileConfig makes what is not in a store hostile, too.
func hostileConfig(c *console.Config) {
	c.Entries = []template.Entry{{
		App: hostile("app"), TemplateID: hostile("template_id"), Alias: hostile("alias"),
		Fields: []template.EntryField{{Name: hostile("field_name"), Key: "thing1"}},
	}}
	c.Users = append(c.Users, console.User{Name: "<<user_name>><script>alert(1)</script>", Password: hashed, Role: console.Operator})
	c.Pause = func(context.Context, string) (*console.Pause, error) {
		return &console.Pause{Kind: hostile("app_pause_kind"), Why: hostile("app_pause_why")}, nil
	}
	c.Tokens = func() []console.Token {
		return []console.Token{
			{App: testApp, Problem: hostile("token_problem")},
			{App: otherApp, Origin: hostile("token_origin"), ObtainedAt: time.Now(), ExpiresAt: time.Now()},
		}
	}
	c.Explain = func(int, bool) console.Explanation {
		return console.Explanation{Meaning: hostile("meaning"), Do: hostile("do")}
	}
}

// allPages are the pages that show what is stored.
func (r *rig) allPages(ids []uuid.UUID) []string {
	user, app := url.QueryEscape(hostile("user_id")), url.QueryEscape(hostile("app"))
	pages := []string{
		"/admin/", "/admin/notifications", "/admin/notifications?state=dead", "/admin/dead", "/admin/refused", "/admin/refused?window=7d",
		"/admin/templates", "/admin/users?user=" + user, "/admin/pauses", "/admin/audit",
		"/admin/notifications?app=" + app + "&state=retrying",
	}
	for _, id := range ids {
		pages = append(pages, "/admin/notifications/"+id.String(), "/admin/notifications/"+id.String()+"/edit")
	}
	return pages
}

// Nothing that is stored does anything in a page but stand there.
func TestHostileTextsAreInert(t *testing.T) {
	t.Parallel()
	r := newRig(t, hostileConfig)
	ids := r.fill()
	for _, q := range []string{"default", "critical"} {
		if err := r.redis.Set("asynq:{"+q+"}:paused", "1"); err != nil {
			t.Fatal(err)
		}
	}
	v := r.as("<<user_name>><script>alert(1)</script>")
	var all strings.Builder
	pages := r.allPages(ids)
	for _, page := range pages {
		all.WriteString(checkInert(t, page, v.want(page, 200)))
	}
	// What visitors send comes back on pages, too.
	for _, name := range []string{"id", "ref", "user", "openid", "template", "errcode", "reason", "state", "since", "app", "cursor", "next"} {
		page := "/admin/notifications?" + url.Values{name: {hostile(name)}}.Encode()
		checkInert(t, page, v.get(page).Body.String())
	}
	checkInert(t, "login", r.nobody().login(hostile("name"), "x").Body.String())
	checkInert(t, "login", r.nobody().get("/admin/login?next="+url.QueryEscape("/admin/"+hostile("next"))).Body.String())
	for _, action := range []string{"replay", "discard"} {
		a := v.post("/admin/dead/preview", "action", action, "scope", "all", "set_template", hostile("x"), "set_key", hostile("x"), "set_text", "x")
		if a.Code != 200 {
			t.Errorf("preview: %d", a.Code)
		}
		checkInert(t, "preview", a.Body.String())
	}
	a := v.post("/admin/notifications/"+ids[0].String()+"/edit", "generation", "1", "template_id", hostile("x"), "page", hostile("x"),
		"openid", hostile("x"), "user_id", hostile("x"), "key", hostile("x"), "text", hostile("x"))
	if a.Code != 422 {
		t.Errorf("edit: %d", a.Code)
	}
	checkInert(t, "edit", a.Body.String())
	for _, field := range append(shown, private...) {
		if !strings.Contains(all.String(), "<<"+field+">>") {
			t.Errorf("no page shows %s, so nothing was tried", field)
		}
	}
}

// Viewers see every page and nothing personal on it.
func TestViewersSeeNothingPersonal(t *testing.T) {
	t.Parallel()
	r := newRig(t, hostileConfig)
	ids := r.fill()
	operator, viewer := r.operator(), r.viewer()
	seen := map[string]bool{}
	bytes := 0
	for _, page := range r.allPages(ids) {
		if strings.Contains(page, "?user=") {
			page = "/admin/users?user=1042" // who asks for a user id knows it
			if _, err := r.store.Bind(t.Context(), []store.Binding{{App: testApp, UserID: "1042", OpenID: "<<binding_openid>>1042"}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, field := range private {
			text := operator.want(page, 200)
			seen[field] = seen[field] || strings.Contains(html.UnescapeString(text), "<<"+field+">>")
		}
		if strings.HasSuffix(page, "/edit") {
			viewer.want(page, 403)
			continue
		}
		text := viewer.want(page, 200)
		bytes += len(text)
		for _, field := range private {
			if strings.Contains(html.UnescapeString(text), "<<"+field+">>") || strings.Contains(text, url.QueryEscape("<<"+field+">>")) {
				t.Errorf("%s shows %s to a viewer", page, field)
			}
		}
	}
	for _, field := range private {
		if !seen[field] {
			t.Errorf("operators do not see %s either, so nothing was tried", field)
		}
	}
	for _, target := range []string{"/admin/notifications?openid=" + url.QueryEscape("<<openid>>")} {
		rows := strings.Count(viewer.want(target, 200), `href="/admin/notifications/0`)
		all := strings.Count(viewer.want("/admin/notifications", 200), `href="/admin/notifications/0`)
		if rows != all || all == 0 {
			t.Errorf("a viewer searches by openid: %d of %d rows", rows, all)
		}
	}
	t.Logf("searched %d bytes", bytes)
}

// checkInert parses a page as a browser does and fails on whatever could run. It
// returns the texts of the page.
func checkInert(t *testing.T, page, text string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	var texts strings.Builder
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
			texts.WriteString(n.Data)
		case html.ElementNode:
			checkElement(t, page, n)
			for _, a := range n.Attr {
				if n.Data == "input" && a.Key == "value" || a.Key == "href" {
					texts.WriteString(a.Val)
				}
			}
		case html.CommentNode, html.ErrorNode, html.RawNode:
			t.Errorf("%s has a comment, or what is no HTML", page)
		case html.DocumentNode, html.DoctypeNode:
		}
	}
	return texts.String()
}

func checkElement(t *testing.T, page string, n *html.Node) {
	t.Helper()
	switch n.Data {
	case "img", "iframe", "object", "embed", "svg", "base", "style", "video", "audio", "template", "math":
		t.Errorf("%s has an element %s", page, n.Data)
	case "script":
		if n.FirstChild != nil {
			t.Errorf("%s has a script within", page)
		}
	}
	for _, a := range n.Attr {
		address := a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "formaction"
		switch {
		case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc", a.Key == "http-equiv":
			t.Errorf("%s: an attribute %s of %s", page, a.Key, n.Data)
		case address && a.Val != "#main" && !strings.HasPrefix(a.Val, "/admin"):
			t.Errorf("%s: an address %q of %s", page, a.Val, n.Data)
		}
	}
}
