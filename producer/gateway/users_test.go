package gateway

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	eachPeople(t, func(p *people) {
		id := p.waiting("u 1/2")
		path := "/v1/users/" + url.PathEscape("u 1/2")
		p.want("unbound", p.do(keyAll, "GET", path, nil), 404, CodeNotFound)
		a := p.want("put", p.do(keyAll, "PUT", path, `{"openid":"o-1","unionid":"union-1"}`), 200, "")
		p.wantJSON("put", a, `{"user_id":"u 1/2","app":"`+p.app+`","openid":"o-1","result":"created"}`)
		if n := p.get(id); n.State != store.Queued {
			p.Errorf("what waited is %s", n.State)
		}
		for want, body := range map[string]string{"unchanged": `{"openid":"o-1"}`, "created": `{"openid":"o-2","app":"` + p.other + `"}`} {
			if a := p.do(keyAll, "PUT", path, body); !strings.Contains(string(a.body), `"result":"`+want+`"`) {
				p.Errorf("put: %s, want %s", a.body, want)
			}
		}
		a = p.want("get", p.do(keyAll, "GET", path, nil), 200, "")
		p.wantJSON("get", a, `{"user_id":"u 1/2","bindings":[
			{"app":"`+p.app+`","openid":"o-1","unionid":"union-1","suspect":false},
			{"app":"`+p.other+`","openid":"o-2","suspect":false}]}`, "updated_at")
		if !strings.Contains(string(a.body), `"updated_at":"20`) {
			p.Errorf("no time in %s", a.body)
		}
		a = p.want("in one app", p.do(keyOther, "GET", path, nil), 200, "")
		p.wantJSON("in one app", a, `{"user_id":"u 1/2","bindings":[{"app":"`+p.other+`","openid":"o-2","suspect":false}]}`, "updated_at")

		a = p.want("changed", p.do(keyAll, "PUT", path, `{"openid":"o-3"}`), 200, "")
		p.wantJSON("changed", a, `{"user_id":"u 1/2","app":"`+p.app+`","openid":"o-3","result":"changed"}`)
		a = p.want("moved", p.do(keyAll, "PUT", "/v1/users/42", `{"openid":"o-3"}`), 200, "")
		p.wantJSON("moved", a, `{"user_id":"42","app":"`+p.app+`","openid":"o-3","result":"moved"}`)
		if got := p.metric("wxnotify_gateway_bindings_total", "moved", "put"); got != 1 {
			p.Errorf("%v moved", got)
		}
		p.leaks("o-1", "o-3", "u 1/2", "union-1")
	})
}

// A binding that WeChat refused shows as suspect until the next login.
func TestUserSuspect(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	v := newVictim()
	p.want("bind", p.do(keyAll, "PUT", "/v1/users/"+v.user, map[string]any{"app": p.other, "openid": v.openID}), 200, "")
	l := p.claim(p.send(v))
	_, err := p.store.Commit(p.Context(), store.Batch{Settlements: []store.Settlement{{
		ID: l.ID, Seq: l.Seq, State: store.Dead, Class: store.ClassFault, Reason: store.ReasonBadAddress, SuspectBinding: true,
		Attempt: store.Attempt{At: time.Now(), Outcome: "bad_address", Errcode: 40003},
	}}})
	p.must(err)
	suspect := func() bool {
		return strings.Contains(string(p.do(keyAll, "GET", "/v1/users/"+v.user, nil).body), `"suspect":true`)
	}
	if !suspect() {
		t.Error("not suspect")
	}
	p.want("login", p.do(keyAll, "POST", "/v1/logins", map[string]any{"user_id": v.user, "app": p.other, "code": p.code(p.other, v.user)}), 200, "")
	if suspect() {
		t.Error("still suspect after a login")
	}
}

func TestUsersChecked(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	for name, test := range map[string]struct {
		body, field string
		code        FieldCode
	}{
		"no openid":   {`{}`, "/openid", FieldRequired},
		"long openid": {`{"openid":"` + strings.Repeat("o", 129) + `"}`, "/openid", FieldTooLong},
		"unionid":     {`{"openid":"o","unionid":7}`, "/unionid", FieldWrongType},
		"app":         {`{"openid":"o","app":"wx9"}`, "/app", FieldNotInList},
		"unknown":     {`{"openid":"o","user_id":"u"}`, "/user_id", FieldUnknown},
	} {
		p.wantField(name, p.do(keyAll, "PUT", "/v1/users/u", test.body), test.field, test.code)
	}
	for _, id := range []string{strings.Repeat("u", 129), "%00", "%ff"} {
		p.wantField("put", p.do(keyAll, "PUT", "/v1/users/"+id, `{"openid":"o"}`), "user_id", FieldBadFormat)
		for method, path := range map[string]string{"GET": "", "DELETE": ""} {
			p.wantField(method, p.do(keyAll, method, "/v1/users/"+id+path, nil), "user_id", FieldBadFormat)
		}
		p.wantField("plan", p.do(keyAll, "GET", "/v1/users/"+id+"/consent-plan", nil), "user_id", FieldBadFormat)
		p.wantField("consents", p.do(keyAll, "GET", "/v1/users/"+id+"/consents", nil), "user_id", FieldBadFormat)
	}
}

// TestPeopleRights: each operation asks for its right and its scope.
func TestPeopleRights(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	consents := `{"report_id":"0192f0c4-7a1e-7cc3-98c4-dc0c0c07398f","results":{"` + simulator.SeedReview + `":"accept"}}`
	for _, test := range []struct {
		method, path, body string
		other              int // status for a key of another app
	}{
		{"POST", "/v1/logins", `{"user_id":"u","code":"c"}`, 403},
		{"PUT", "/v1/users/u", `{"openid":"o"}`, 403},
		{"GET", "/v1/users/u", "", 404},
		{"DELETE", "/v1/users/u", "", 200},
		{"POST", "/v1/users/u/consents", consents, 403},
		{"GET", "/v1/users/u/consents", "", 403},
		{"GET", "/v1/users/u/consent-plan", "", 403},
		{"GET", "/v1/templates?app=" + p.app, "", 403},
		{"GET", "/v1/apps/" + p.app + "/token", "", 403},
	} {
		name := test.method + " " + test.path
		var body any
		if test.body != "" {
			body = test.body
		}
		p.want(name, p.do("", test.method, test.path, body), 401, CodeUnauthorized)
		p.want(name, p.do(keySend, test.method, test.path, body), 403, CodeForbiddenRight)
		code := map[int]Code{403: CodeForbiddenApp, 404: CodeNotFound}[test.other]
		p.want(name, p.do(keyOther, test.method, test.path, body), test.other, code)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	p := onePeople(t, func(p *people) {
		p.edit = func() {
			p.entries = append(p.entries, entryOf(p.app, simulator.SeedReview, "review"))
			p.pauses = []store.TemplatePause{{App: p.app, TemplateID: simulator.SeedPickup}}
		}
	})
	a := p.want("all", p.do(keyAll, "GET", "/v1/templates", nil), 200, "")
	if got := strings.Count(string(a.body), `"template_id"`); got != 10 {
		t.Errorf("%d templates of two apps, want 10", got)
	}
	a = p.want("of one", p.do(keyOne, "GET", "/v1/templates?app="+p.app, nil), 200, "")
	p.wantJSON("of one", a, `{"next_cursor":null,"items":[{
		"app":"`+p.app+`","template_id":"`+simulator.SeedApproval+`","title":"审批结果通知","kind":"one_time","state":"ok",
		"fields":[{"key":"thing1","type":"thing","label":"事项"}],
		"policy":{"overlong":"reject","duplicates":"allow","no_consent":"send","release":"newest","priority":"default"}}]}`,
		"rule", "example")
	a = p.want("of the app", p.do(keyAll, "GET", "/v1/templates?app="+p.app, nil), 200, "")
	for _, part := range []string{`"alias":"review"`, `"state":"paused"`, `"kind":"long_term"`, `"rule":"`, `"example":"`} {
		if !strings.Contains(string(a.body), part) {
			t.Errorf("no %s", part)
		}
	}
	p.wantField("app", p.do(keyAll, "GET", "/v1/templates?app=wx9", nil), "app", FieldNotInList)
	p.wantField("unknown", p.do(keyAll, "GET", "/v1/templates?name=x", nil), "name", FieldUnknown)
}

func TestToken(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	a := p.want("token", p.do(keyOther, "GET", "/v1/apps/"+p.other+"/token", nil), 200, "")
	token := strings.TrimSuffix(strings.TrimPrefix(string(a.body), `{"access_token":"`), `"}`)
	if len(token) < 32 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s, %v", a.body, a.header)
	}
	if again := p.do(keyAll, "GET", "/v1/apps/"+p.other+"/token", nil); string(again.body) != string(a.body) {
		t.Error("another token")
	}
	if got := p.metric("wxnotify_gateway_tokens_handed_out_total"); got != 2 {
		t.Errorf("counted %v", got)
	}
	if !strings.Contains(p.logged(), `"msg":"access token handed out","producer":"other","app":"`+p.other+`"`) {
		t.Error("not audited")
	}
	p.want("no such app", p.do(keyAll, "GET", "/v1/apps/wx9/token", nil), 404, CodeNotFound)
	_, err := p.sim.AddFault(simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActErrcode, Errcode: 40164})
	p.must(err)
	a = p.want("no token", p.do(keyAll, "GET", "/v1/apps/"+p.app+"/token", nil), 503, CodeTokenUnavailable)
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	p.leaks(token, simulator.SeedApp().Secret)
}
