package gateway

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// code is a fresh login code of a WeChat user.
func (p *people) code(app, name string) string {
	p.Helper()
	code, err := p.sim.LoginCode(app, simulator.OpenID(name))
	p.must(err)
	return code
}

func TestLogin(t *testing.T) {
	t.Parallel()
	eachPeople(t, func(p *people) {
		id := p.waiting("u-1")
		openID := simulator.OpenID("phone-1")
		p.must(p.sim.AddUser(p.app, openID, "union-1"))
		a := p.want("login", p.do(keyAll, "POST", "/v1/logins", map[string]any{"user_id": "u-1", "code": p.code(p.app, "phone-1")}), 200, "")
		p.wantJSON("login", a, `{"user_id":"u-1","openid":"`+openID+`"}`)
		b, err := p.store.Resolve(p.Context(), p.app, "u-1")
		if err != nil || b.OpenID != openID || b.UnionID != "union-1" {
			p.Errorf("bound to %+v, %v", b, err)
		}
		if n := p.get(id); n.State != store.Queued {
			p.Errorf("what waited for the login is %s", n.State)
		}

		// An openid belongs to who logged in last.
		a = p.want("another user", p.do(keyAll, "POST", "/v1/logins", map[string]any{"user_id": 471100004711, "code": p.code(p.app, "phone-1")}), 200, "")
		p.wantJSON("another user", a, `{"user_id":"471100004711","openid":"`+openID+`"}`)
		if _, err := p.store.Resolve(p.Context(), p.app, "u-1"); err == nil {
			p.Error("the former user is still bound")
		}
		if got := p.metric("wxnotify_gateway_bindings_total", "moved", "login"); got != 1 {
			p.Errorf("%v bindings moved", got)
		}
		if got := strings.Count(p.logged(), "an openid moved to another user"); got != 1 {
			p.Errorf("%d lines about it", got)
		}

		// Another app is another binding.
		a = p.want("another app", p.do(keyAll, "POST", "/v1/logins",
			map[string]any{"user_id": "471100004711", "code": p.code(p.other, "phone-2"), "app": p.other}), 200, "")
		p.wantJSON("another app", a, `{"user_id":"471100004711","openid":"`+simulator.OpenID("phone-2")+`"}`)
		found, err := p.store.Bindings(p.Context(), "471100004711")
		if err != nil || len(found) != 2 {
			p.Errorf("%d bindings, %v", len(found), err)
		}

		p.mu.Lock()
		sessions := p.sessions
		p.mu.Unlock()
		if len(sessions) != 3 {
			p.Fatalf("WeChat gave %d session keys", len(sessions))
		}
		p.leaks(append(sessions, openID, "u-1", "471100004711", "union-1", simulator.SeedApp().Secret)...)
		for _, key := range sessions {
			if strings.Contains(p.answers.String(), key) {
				p.Error("a session key left the process")
			}
			for place := range p.dump() {
				if strings.Contains(place, key) {
					p.Error("a session key was stored")
				}
			}
		}
	})
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	login := func(code string) answer {
		return p.do(keyAll, "POST", "/v1/logins", map[string]any{"user_id": "u-1", "code": code})
	}
	p.want("wrong", login("nonsense"), 422, CodeCodeInvalid)
	p.want("another app's", login(p.code(p.other, "phone")), 422, CodeCodeInvalid)
	used := p.code(p.app, "phone")
	p.want("first", login(used), 200, "")
	// Another user with a code that was used: no memory helps.
	p.want("used", p.do(keyAll, "POST", "/v1/logins", map[string]any{"user_id": "u-2", "code": used}), 422, CodeCodeUsed)

	for name, test := range map[string]struct {
		fault  simulator.Fault
		status int
		code   Code
		log    string
	}{
		"blocked":      {simulator.Fault{Action: simulator.ActErrcode, Errcode: 40226}, 403, CodeCodeBlocked, ""},
		"minute quota": {simulator.Fault{Action: simulator.ActErrcode, Errcode: 45011}, 429, CodeWeChatThrottled, "warn"},
		"day quota":    {simulator.Fault{Action: simulator.ActErrcode, Errcode: 45009}, 429, CodeWeChatThrottled, "warn"},
		"wrong secret": {simulator.Fault{Action: simulator.ActErrcode, Errcode: 40125}, 503, CodeLoginUnavailable, "error"},
		"unknown":      {simulator.Fault{Action: simulator.ActErrcode, Errcode: 1700}, 503, CodeLoginUnavailable, "error"},
		"busy":         {simulator.Fault{Action: simulator.ActErrcode, Errcode: -1, Count: 2}, 503, CodeLoginUnavailable, "warn"},
		"HTML":         {simulator.Fault{Action: simulator.ActStatus, Status: 502}, 503, CodeLoginUnavailable, "warn"},
		"no answer":    {simulator.Fault{Action: simulator.ActDrop}, 503, CodeLoginUnavailable, "warn"},
	} {
		fault := test.fault
		fault.API = simulator.APICode2Session
		fault.Count = max(fault.Count, 1)
		_, err := p.sim.AddFault(fault)
		p.must(err)
		before := p.metric("wxnotify_gateway_logins_refused_total", string(test.code))
		logged := len(p.logged())
		a := p.want(name, login(p.code(p.app, "phone")), test.status, test.code)
		if after, err := strconv.Atoi(a.header.Get("Retry-After")); test.status != 403 && (err != nil || after < 1) {
			p.Errorf("%s: Retry-After %q", name, a.header.Get("Retry-After"))
		}
		if got := p.metric("wxnotify_gateway_logins_refused_total", string(test.code)) - before; got != 1 {
			p.Errorf("%s: counted %v", name, got)
		}
		if line := p.logged()[logged:]; test.log != "" && !strings.Contains(line, `"level":"`+test.log+`"`) {
			p.Errorf("%s: logged %s", name, line)
		}
		p.sim.ClearFaults()
	}

	// Once busy is no answer: the code was not used.
	_, err := p.sim.AddFault(simulator.Fault{API: simulator.APICode2Session, Action: simulator.ActErrcode, Errcode: -1, Count: 1})
	p.must(err)
	p.want("busy once", login(p.code(p.app, "phone")), 200, "")
	p.leaks(used, simulator.OpenID("phone"), "u-1", "u-2")
}

func TestLoginChecked(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	for name, test := range map[string]struct {
		body  string
		field string
		code  FieldCode
	}{
		"no user":      {`{"code":"c"}`, "/user_id", FieldRequired},
		"no code":      {`{"user_id":"u"}`, "/code", FieldRequired},
		"float":        {`{"user_id":1.5,"code":"c"}`, "/user_id", FieldWrongType},
		"long user":    {`{"user_id":"` + strings.Repeat("u", 129) + `","code":"c"}`, "/user_id", FieldTooLong},
		"long code":    {`{"user_id":"u","code":"` + strings.Repeat("c", 129) + `"}`, "/code", FieldTooLong},
		"NUL":          {`{"user_id":"u\u0000","code":"c"}`, "/user_id", FieldBadFormat},
		"unknown app":  {`{"user_id":"u","code":"c","app":"wx9"}`, "/app", FieldNotInList},
		"unknown name": {`{"user_id":"u","code":"c","openid":"o"}`, "/openid", FieldUnknown},
	} {
		p.wantField(name, p.do(keyAll, "POST", "/v1/logins", test.body), test.field, test.code)
	}
	p.want("another's app", p.do(keyOther, "POST", "/v1/logins", `{"user_id":"u","code":"c"}`), 403, CodeForbiddenApp)
	p.gateway.served.Load().apps[0].Secret = ""
	p.want("no secret", p.do(keyAll, "POST", "/v1/logins", `{"user_id":"u","code":"c"}`), 503, CodeLoginUnavailable)
}

// A login whose answer was lost can be repeated with the same code, also while
// the first call is still under way.
func TestLoginRepeated(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	code := p.code(p.app, "phone")
	body := map[string]any{"user_id": "u-1", "code": code}
	_, err := p.sim.AddFault(simulator.Fault{API: simulator.APICode2Session, Action: simulator.ActHang, Count: 1})
	p.must(err)
	ctx, hangUp := context.WithCancel(p.Context())
	first := make(chan error, 1)
	go func() {
		_, err := p.try(ctx, keyAll, "POST", "/v1/logins", body)
		first <- err
	}()
	p.must(p.sim.Await(p.Context(), func(s simulator.State) bool { return s.Hanging == 1 }))
	hangUp()
	if err := <-first; err == nil {
		p.Fatal("the first call was answered")
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.want("repeated", p.do(keyAll, "POST", "/v1/logins", body), 200, "") })
	p.sim.Release()
	wg.Wait()
	p.want("and again", p.do(keyAll, "POST", "/v1/logins", body), 200, "")
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sessions) != 1 {
		p.Errorf("WeChat was asked %d times, want once", len(p.sessions))
	}
}

func TestExchangesForget(t *testing.T) {
	t.Parallel()
	now := time.Now()
	x := newExchanges(func() time.Time { return now })
	asked := 0
	do := func(n byte) {
		_, err := x.do(t.Context(), [32]byte{n}, func() (s wechat.Session, err error) { asked++; return s, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	do(1)
	do(1)
	now = now.Add(exchangeMemory + time.Second)
	do(2)
	do(1)
	if asked != 3 || len(x.all) != 2 || len(x.order) != 2 {
		t.Errorf("asked %d times, %d kept, want 3 and 2", asked, len(x.all))
	}
	// A panic is no answer for those who wait.
	func() {
		defer func() { _ = recover() }()
		_, _ = x.do(t.Context(), [32]byte{9}, func() (wechat.Session, error) { panic("x") })
	}()
	if _, kept := x.all[[32]byte{9}]; kept {
		t.Error("a panic is remembered")
	}
}
