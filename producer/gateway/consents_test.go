package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// report posts what a user answered.
func (p *people) report(user, reportID string, results map[string]string) answer {
	p.Helper()
	return p.do(keyAll, "POST", "/v1/users/"+user+"/consents", map[string]any{"report_id": reportID, "results": results})
}

// boundUser gives u-1 an openid in the default app.
func (p *people) boundUser() {
	p.Helper()
	p.want("bind", p.do(keyAll, "PUT", "/v1/users/u-1", map[string]any{"openid": "o-u-1"}), 200, "")
}

// aliased gives 待审核通知 the alias review.
func aliased(p *people) {
	p.edit = func() { p.entries = append(p.entries, entryOf(p.app, simulator.SeedReview, "review")) }
}

func TestConsents(t *testing.T) {
	t.Parallel()
	eachPeople(t, func(p *people) {
		p.boundUser()
		const first = "0192f0c4-7a1e-7cc3-98c4-dc0c0c07398f"
		results := map[string]string{
			"errMsg": "requestSubscribeMessage:ok", "review": "accept", simulator.SeedApproval: "acceptWithAudio",
			simulator.SeedReport: "accept", simulator.SeedPickup: "reject", simulator.SeedWorkOrder: "ban",
		}
		entries := []string{ // in the order of the ids
			`{"template_id":"` + simulator.SeedApproval + `","title":"审批结果通知","kind":"one_time","balance":1,"long_term":false}`,
			`{"template_id":"` + simulator.SeedWorkOrder + `","title":"工单完成提醒","kind":"one_time","balance":null,"long_term":false}`,
			`{"template_id":"` + simulator.SeedReview + `","alias":"review","title":"待审核通知","kind":"one_time","balance":1,"long_term":false}`,
			`{"template_id":"` + simulator.SeedPickup + `","title":"领用单领用通知","kind":"one_time","balance":null,"long_term":false}`,
			`{"template_id":"` + simulator.SeedReport + `","title":"数据报表生成通知","kind":"long_term","balance":null,"long_term":true}`,
		}
		list := "[" + strings.Join(entries, ",") + "]"
		times := []string{"refused_at", "updated_at"}
		for _, duplicate := range []string{"false", "true", "true"} {
			// A UUID is the same however it is written.
			id := first
			if duplicate == "true" {
				id = strings.ToUpper(first)
			}
			a := p.want("report", p.report("u-1", id, results), 200, "")
			p.wantJSON("report", a, `{"report_id":"`+first+`","duplicate":`+duplicate+`,"released":0,"consents":`+list+`}`, times...)
		}
		a := p.want("balances", p.do(keyAll, "GET", "/v1/users/u-1/consents", nil), 200, "")
		p.wantJSON("balances", a, `{"user_id":"u-1","app":"`+p.app+`","bound":true,"items":`+list+`}`, times...)
		if got := strings.Count(string(a.body), `"refused_at":"20`); got != 1 {
			p.Errorf("%d refusals with a time, want 1: %s", got, a.body)
		}
		a = p.want("in scope", p.do(keyOne, "GET", "/v1/users/u-1/consents", nil), 200, "")
		p.wantJSON("in scope", a, `{"user_id":"u-1","app":"`+p.app+`","bound":true,"items":[`+entries[0]+`]}`, times...)

		a = p.want("another report", p.report("u-1", uuid.NewString(), map[string]string{"review": "accept"}), 200, "")
		if !strings.Contains(string(a.body), `"balance":2`) {
			p.Errorf("a second consent: %s", a.body)
		}
		for result, want := range map[string]float64{reportNew: 2, reportDuplicate: 2} {
			if got := p.metric("wxnotify_gateway_consent_reports_total", result); got != want {
				p.Errorf("%v reports were %s, want %v", got, result, want)
			}
		}
		a = p.want("unbound", p.do(keyAll, "GET", "/v1/users/u-9/consents?app="+p.other, nil), 200, "")
		p.wantJSON("unbound", a, `{"user_id":"u-9","app":"`+p.other+`","bound":false,"items":[]}`)
		p.leaks("o-u-1", "u-1")
	}, aliased)
}

// A report releases what waited for the consent.
func TestConsentReleases(t *testing.T) {
	t.Parallel()
	eachPeople(t, func(p *people) {
		p.boundUser()
		id := uuid.Must(uuid.NewV7())
		a := store.Acceptance{
			Notification: store.Notification{
				ID: id, App: p.app, TemplateID: simulator.SeedApproval, UserID: "u-1", Data: map[string]string{"thing1": "x"},
				Generation: 1, NoConsent: store.NoConsentWait, Wait: time.Hour,
			},
			MaxAge: time.Hour,
		}
		_, err := p.store.Insert(p.Context(), []store.Acceptance{a})
		p.must(err)
		l := p.claim(p.get(id))
		_, err = p.store.Commit(p.Context(), store.Batch{Settlements: []store.Settlement{{
			ID: id, Seq: l.Seq, State: store.Waiting, Reason: store.ReasonNoConsent,
			Attempt: store.Attempt{At: l.Now, Outcome: "refused", Errcode: 43101},
		}}})
		p.must(err)
		plan := p.want("plan", p.do(keyAll, "GET", "/v1/users/u-1/consent-plan", nil), 200, "")
		if !strings.Contains(string(plan.body), `{"ask":["`+simulator.SeedApproval+`",`) || !strings.Contains(string(plan.body), `"why":"waiting","waiting":1`) {
			p.Errorf("plan %s", plan.body)
		}
		got := p.want("report", p.report("u-1", uuid.NewString(), map[string]string{simulator.SeedApproval: "accept"}), 200, "")
		if !strings.Contains(string(got.body), `"released":1`) {
			p.Errorf("report: %s", got.body)
		}
		if n := p.get(id); n.State != store.Queued {
			p.Errorf("still %s", n.State)
		}
	})
}

func TestConsentsRefused(t *testing.T) {
	t.Parallel()
	p := onePeople(t, aliased)
	p.boundUser()
	id := uuid.NewString()
	accept := map[string]string{simulator.SeedReview: "accept"}
	p.want("unbound", p.report("u-2", id, accept), 409, CodeUnbound)
	p.want("out of scope", p.do(keyOne, "POST", "/v1/users/u-1/consents", map[string]any{"report_id": id, "results": accept}), 403, CodeForbiddenTemplate)

	long := map[string]string{}
	for range 21 {
		long[uuid.NewString()] = "accept"
	}
	for name, test := range map[string]struct {
		body  any
		field string
		code  FieldCode
	}{
		"no id":         {map[string]any{"results": accept}, "/report_id", FieldRequired},
		"no UUID":       {map[string]any{"report_id": "7", "results": accept}, "/report_id", FieldBadFormat},
		"URN":           {map[string]any{"report_id": "urn:uuid:" + id, "results": accept}, "/report_id", FieldBadFormat},
		"no results":    {map[string]any{"report_id": id}, "/results", FieldRequired},
		"empty results": {map[string]any{"report_id": id, "results": map[string]string{}}, "/results", FieldRequired},
		"only errMsg":   {map[string]any{"report_id": id, "results": map[string]string{"errMsg": "ok"}}, "/results", FieldRequired},
		"list":          {map[string]any{"report_id": id, "results": []string{"a"}}, "/results", FieldWrongType},
		"too many":      {map[string]any{"report_id": id, "results": long}, "/results", FieldTooLong},
		"no answer":     {map[string]any{"report_id": id, "results": map[string]any{"review": 1}}, "/results/review", FieldWrongType},
		"unknown word":  {map[string]any{"report_id": id, "results": map[string]any{"review": "yes"}}, "/results/review", FieldNotInList},
		"unknown alias": {map[string]any{"report_id": id, "results": map[string]any{"a/b": "accept"}}, "/results/a~1b", "unknown_template"},
		"unknown field": {map[string]any{"report_id": id, "results": accept, "openid": "o"}, "/openid", FieldUnknown},
		"unknown app":   {map[string]any{"report_id": id, "results": accept, "app": "wx9"}, "/app", FieldNotInList},
		"named twice": {
			map[string]any{"report_id": id, "results": map[string]string{"review": "accept", simulator.SeedReview: "accept"}}, "", FieldDuplicate,
		},
	} {
		a := p.do(keyAll, "POST", "/v1/users/u-1/consents", test.body)
		if test.field == "" { // either of two
			test.field = "/results/review"
			if !strings.Contains(string(a.body), test.field+`"`) {
				test.field = "/results/" + simulator.SeedReview
			}
		}
		p.wantField(name, a, test.field, test.code)
	}
	if got, err := p.store.Consents(p.Context(), p.app, "o-u-1"); err != nil || len(got) != 0 {
		t.Errorf("what was refused left %d entries, %v", len(got), err)
	}
	// A template that no sync has seen yet: WeChat asked for it.
	fresh := strings.Repeat("N", 43)
	a := p.want("unseen", p.report("u-1", id, map[string]string{fresh: "accept"}), 200, "")
	if !strings.Contains(string(a.body), `"balance":1`) {
		t.Errorf("unseen: %s", a.body)
	}
}

// The source that counts is the app's setting; the other one tells of the same.
func TestConsentSource(t *testing.T) {
	t.Parallel()
	for source, primary := range map[store.ConsentSource]bool{"": true, store.ConsentClient: true, store.ConsentPopup: false} {
		ledger := &ledgerSpy{}
		p := onePeople(t, func(p *people) { p.source = source })
		ledger.ConsentStore = p.gateway.config.Consents
		p.gateway.config.Consents = ledger
		p.boundUser()
		p.want("report", p.report("u-1", uuid.NewString(), map[string]string{simulator.SeedReview: "accept"}), 200, "")
		if len(ledger.events) != 1 || ledger.events[0].Primary != primary || ledger.events[0].Source != store.ConsentClient {
			t.Errorf("source %q: primary %v, want %v", source, ledger.events[0].Primary, primary)
		}
	}
}

// ledgerSpy keeps the events that it passes on.
type ledgerSpy struct {
	ConsentStore
	events []store.ConsentEvent
}

func (s *ledgerSpy) RecordConsents(ctx context.Context, events []store.ConsentEvent) ([]store.ConsentRecorded, error) {
	s.events = append(s.events, events...)
	return s.ConsentStore.RecordConsents(ctx, events)
}

// A report about a user whose openid moved on counts for the openid of now.
func TestConsentsStayWithThePhone(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	p.boundUser()
	p.want("report", p.report("u-1", uuid.NewString(), map[string]string{simulator.SeedReview: "accept"}), 200, "")
	p.want("moved", p.do(keyAll, "PUT", "/v1/users/u-2", `{"openid":"o-u-1"}`), 200, "")
	var list consentList
	p.must(json.Unmarshal(p.do(keyAll, "GET", "/v1/users/u-2/consents", nil).body, &list))
	if len(list.Items) != 1 || *list.Items[0].Balance != 1 {
		t.Errorf("the new user of the phone has %+v", list.Items)
	}
	p.want("the former", p.report("u-1", uuid.NewString(), map[string]string{simulator.SeedReview: "accept"}), 409, CodeUnbound)
}

func TestConsentWords(t *testing.T) {
	t.Parallel()
	if len(consentWords) != len(consentAnswers) {
		t.Errorf("%d words are shown of %d", len(consentWords), len(consentAnswers))
	}
	for _, word := range consentWords {
		if _, ok := consentAnswers[word]; !ok {
			t.Errorf("%s is no answer", word)
		}
	}
}
