package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

func TestSendIsAccepted(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	c.accept(alice, simulator.SeedReport, 1)
	token := c.token()

	first, second := c.send(token, report(alice)), c.send(token, report(alice))
	first.want(t, 0)
	second.want(t, 0)
	if first.MsgID <= 1<<53 || second.MsgID != first.MsgID+1 {
		t.Errorf("got msgids %d, %d; want consecutive ones above 2^53", first.MsgID, second.MsgID)
	}
	if first.Errmsg != "ok" || strings.Contains(string(first.body), "rid") {
		t.Errorf("got %s, want errmsg ok without a rid", first.body)
	}

	calls := c.sim.Calls(0)
	if len(calls) != 2 {
		t.Fatalf("got %d calls, want 2", len(calls))
	}
	got := calls[0]
	if got.TokenHash == "" || strings.Contains(token, got.TokenHash) {
		t.Errorf("got token hash %q, want one that is no part of the token", got.TokenHash)
	}
	wantBody, err := json.Marshal(report(alice))
	must(t, err)
	if diff := cmp.Diff(string(wantBody), string(got.Body)); diff != "" {
		t.Errorf("body (-sent +kept):\n%s", diff)
	}
	got.Body, got.TokenHash, got.UserAgent = nil, "", ""
	want := simulator.Call{
		N: 1, At: clock(), AppID: app.AppID, OpenID: alice, TemplateID: simulator.SeedReport,
		Page: "pages/report/index?id=7", State: "formal", Lang: "zh_CN", Accepted: true, MsgID: first.MsgID,
		Status: 200, ContentLength: int64(len(wantBody)), ContentType: "application/json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("truth (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"thing1": "设备领用月报", "thing2": "2026年2月"}, calls[1].Values()); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if got, want := c.sim.Tally("", alice, simulator.SeedReport), (simulator.Tally{Received: 2, Accepted: 2}); got != want {
		t.Errorf("got tally %+v, want %+v", got, want)
	}
}

func TestSendRefuses(t *testing.T) {
	t.Parallel()
	seed := simulator.SeedApp()
	seed.Pages = []string{"pages/report/index", "/pages/index/index"}
	seed.Templates = append(seed.Templates, simulator.Template{
		PriTmplID: "enum", Title: "房间", Type: simulator.TypeLongTerm, Content: "房间:{{enum_string2.DATA}}\n",
		Enums: map[string][]string{"enum_string2": {"客厅", "餐厅"}},
	})
	c := start(t, simulator.Config{Apps: []simulator.App{seed}})
	c.accept(alice, simulator.SeedReport, 1)
	c.accept(alice, "enum", 1)
	token := c.token()

	data := func(thing1, thing2 any) message {
		return report(alice).with("data", map[string]any{"thing1": thing1, "thing2": thing2})
	}
	cases := map[string]struct {
		message message
		errcode int
		errmsg  string // without rid
	}{
		"no state and language":     {report(alice).with("lang", nil).with("miniprogram_state", nil), 0, "ok"},
		"no page":                   {report(alice).with("page", nil), 0, "ok"},
		"page with leading slash":   {report(alice).with("page", "/pages/report/index"), 0, "ok"},
		"page given with slash":     {report(alice).with("page", "pages/index/index?a=/b"), 0, "ok"},
		"page not released":         {report(alice).with("page", "pages/new/index"), 41030, "invalid page"},
		"unknown openid":            {report(bob), 40003, "invalid openid"},
		"no openid":                 {report(alice).with("touser", nil), 40003, "invalid openid"},
		"openid a number":           {report(alice).with("touser", 7), 47001, "data format error"},
		"unknown template":          {report(alice).with("template_id", "x"), 40037, "invalid template_id"},
		"names in capitals":         {report(alice).with("touser", nil).with("ToUser", alice), 40003, "invalid openid"},
		"no data":                   {report(alice).with("data", nil), 47003, "argument invalid! data.thing1.value is empty"},
		"data encoded twice":        {report(alice).with("data", `{"thing1":{"value":"a"}}`), 47003, "argument invalid! data.thing1.value is empty"},
		"data an array":             {report(alice).with("data", []any{value("a")}), 47003, "argument invalid! data.thing1.value is empty"},
		"text without value object": {data("a", value("b")), 47003, "argument invalid! data.thing1.value is empty"},
		"key missing":               {report(alice).with("data", map[string]any{"thing1": value("a")}), 47003, "argument invalid! data.thing2.value is empty"},
		"key with .DATA":            {report(alice).with("data", map[string]any{"thing1.DATA": value("a"), "thing2": value("b")}), 47003, "argument invalid! data.thing1.value is empty"},
		"first bad key is named":    {data(value(strings.Repeat("长", 21)), value("")), 47003, "argument invalid! data.thing1.value invalid"},
		"empty value":               {data(value("a"), value("")), 47003, "argument invalid! data.thing2.value is empty"},
		"blank value":               {data(value("a"), value(" ")), 47003, "argument invalid! data.thing2.value is empty"},
		"null value":                {data(value("a"), value(nil)), 47003, "argument invalid! data.thing2.value is empty"},
		"number instead of text":    {data(value(5), value("b")), 47003, "argument invalid! data.thing1.value invalid"},
		"twenty characters":         {data(value(strings.Repeat("长", 20)), value("b")), 0, "ok"},
		"extra key":                 {report(alice).with("data", map[string]any{"thing1": value("a"), "thing2": value("b"), "thing9": 1}), 0, "ok"},
		"escaped text":              {data(value("a\u2028\"\\b"), value("<&>")), 0, "ok"},
		"newline":                   {data(value("a\nb"), value("b")), 47003, "argument invalid! data.thing1.value invalid"},
		"enum member":               {report(alice).with("template_id", "enum").with("data", map[string]any{"enum_string2": value("餐厅")}), 0, "ok"},
		"enum stranger":             {report(alice).with("template_id", "enum").with("data", map[string]any{"enum_string2": value("书房")}), 47003, "argument invalid! data.enum_string2.value invalid"},
		"unknown state":             {report(alice).with("miniprogram_state", "prod"), 47003, "argument invalid! miniprogram_state invalid"},
		"unknown language":          {report(alice).with("lang", "zh-CN"), 47003, "argument invalid! lang invalid"},
		"no consent":                {review(alice), 43101, "user refuse to accept the msg"},
	}
	for name, tc := range cases {
		// One openid is used, so these run one after the other.
		t.Run(name, func(t *testing.T) {
			r := c.send(token, tc.message)
			r.want(t, tc.errcode)
			errmsg := r.Errmsg
			if tc.errcode != 0 {
				errmsg = trimRID(t, r, " ")
			}
			if errmsg != tc.errmsg {
				t.Errorf("got errmsg %q, want %q", errmsg, tc.errmsg)
			}
			wantType := "text/plain"
			if tc.errcode == 0 {
				wantType = "application/json; encoding=utf-8"
			}
			if got := r.header.Get("Content-Type"); got != wantType {
				t.Errorf("got Content-Type %q, want %q", got, wantType)
			}
		})
	}
}

var ridPattern = regexp.MustCompile(`^(.*?)([, ]+)rid: ([0-9a-f]{8})-[0-9a-f]{8}-[0-9a-f]{8}$`)

// trimRID cuts the rid off errmsg after checking its form, its time and what
// comes before it.
func trimRID(t *testing.T, r result, sep string) string {
	t.Helper()
	m := ridPattern.FindStringSubmatch(r.Errmsg)
	if m == nil || m[2] != sep || m[3] != fmt.Sprintf("%08x", clock().Unix()) {
		t.Errorf("got errmsg %q, want a rid of the time of the call after %q", r.Errmsg, sep)
		return r.Errmsg
	}
	return m[1]
}

func TestSendRefusesBadBodies(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	token := c.token()
	for name, tc := range map[string]struct {
		body    string
		errcode int
	}{
		"empty":         {"", 44002},
		"not JSON":      {"touser=x", 47001},
		"cut":           {`{"touser":"x"`, 47001},
		"array":         {`[]`, 47001},
		"string":        {`"x"`, 47001},
		"two values":    {`{} {}`, 47001},
		"invalid UTF-8": {"{\"touser\":\"\xff\"}", 47001},
		"empty object":  {` { } `, 40003},
		"too big":       {`{"touser":"` + strings.Repeat("x", 1<<20) + `"}`, 45002},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.sendBody(token, tc.body).want(t, tc.errcode)
		})
	}
}

func TestSendRefusesTokens(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	c.accept(alice, simulator.SeedReport, 1)
	token := c.token()
	flipped := "A"
	if strings.HasSuffix(token, flipped) {
		flipped = "B"
	}
	for name, tc := range map[string]struct {
		token   string
		errcode int
	}{
		"good":     {token, 0},
		"missing":  {"", 41001},
		"cut":      {token[:511], 40014},
		"foreign":  {strings.Repeat("x", len(token)), 40014},
		"not ours": {token[:511] + flipped, 40001},
	} {
		t.Run(name, func(t *testing.T) { c.send(tc.token, report(alice)).want(t, tc.errcode) })
	}
	r := c.send(token[:511]+flipped, report(alice))
	if got, want := trimRID(t, r, " "), "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r"; got != want {
		t.Errorf("got errmsg %q, want %q", got, want)
	}
}

func TestSendOfAnotherAppsOpenID(t *testing.T) {
	t.Parallel()
	other := simulator.App{AppID: "wx2", Secret: "s2", Templates: simulator.SeedTemplates()}
	c := start(t, simulator.Config{Apps: []simulator.App{app, other}})
	must(t, c.sim.Accept("wx2", bob, simulator.SeedReport, 1))
	r := c.post("/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"wx2","secret":"s2"}`)
	c.send(r.Token, report(bob)).want(t, 0)
	c.send(c.token(), report(bob)).want(t, 40003)
}

func TestChunkedPostIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	token := c.token()
	for _, path := range []string{"/cgi-bin/message/subscribe/send?access_token=" + token, "/cgi-bin/stable_token", "/cgi-bin/openapi/quota/get?access_token=" + token} {
		r := c.do(t.Context(), http.MethodPost, path, io.MultiReader(strings.NewReader(`{"touser":"x"}`)))
		if r.status != http.StatusPreconditionFailed || len(r.body) != 0 || r.err != nil {
			t.Errorf("%.30s: got status %d, body %q, err %v; want 412 and no body", path, r.status, r.body, r.err)
		}
	}
	calls := c.sim.Calls(0)
	if len(calls) != 1 || calls[0].ContentLength != -1 || !cmp.Equal(calls[0].TransferEncoding, []string{"chunked"}) || calls[0].Accepted {
		t.Errorf("got truth %+v, want the chunked call, not accepted", calls)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	for _, tc := range []struct {
		method, path string
		errcode      int
	}{
		{http.MethodGet, "/cgi-bin/message/subscribe/send", 43002},
		{http.MethodGet, "/cgi-bin/stable_token", 43002},
		{http.MethodPost, "/cgi-bin/token", 43001},
		{http.MethodPost, "/sns/jscode2session", 43001},
		{http.MethodPost, "/wxaapi/newtmpl/gettemplate", 404},
	} {
		c.do(t.Context(), tc.method, tc.path, nil).want(t, tc.errcode)
	}
	if r := c.get("/cgi-bin/menu/get"); r.status != http.StatusNotFound {
		t.Errorf("unknown path: got status %d, want 404", r.status)
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	token := c.token()
	must(t, c.sim.AddUser("", alice, ""))
	step := func(what string, m message, errcode int) {
		t.Helper()
		if r := c.send(token, m); r.Errcode != errcode {
			t.Errorf("%s: got %s, want errcode %d", what, r.body, errcode)
		}
	}
	step("nothing was allowed", review(alice), 43101)
	c.accept(alice, simulator.SeedReview, 2)
	step("bad data", review(alice).with("data", map[string]any{}), 47003)
	step("first of two: a refused call took none", review(alice), 0)
	if n, long := c.sim.Balance("", alice, simulator.SeedReview); n != 1 || long {
		t.Errorf("got balance %d, %t; want 1, false", n, long)
	}
	step("second of two", review(alice), 0)
	step("used up", review(alice), 43101)
	c.accept(alice, simulator.SeedReview, 3)
	must(t, c.sim.Reject("", alice, simulator.SeedReview))
	step("rejected", review(alice), 43101)

	c.accept(alice, simulator.SeedReport, 1)
	for range 3 {
		step("long-term", report(alice), 0)
	}
	must(t, c.sim.Reject("", alice, simulator.SeedReport))
	step("long-term rejected", report(alice), 43101)
	for name, err := range map[string]error{
		"unknown template": c.sim.Accept("", alice, "x", 1),
		"unknown app":      c.sim.Accept("wx0", alice, simulator.SeedReview, 1),
		"no openid":        c.sim.Accept("", "", simulator.SeedReview, 1),
		"no times":         c.sim.Accept("", alice, simulator.SeedReview, 0),
	} {
		if err == nil {
			t.Errorf("%s: Accept succeeded", name)
		}
	}
}

func TestOneCallAtATimePerOpenID(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	c.accept(alice, simulator.SeedReport, 1)
	c.accept(alice, simulator.SeedReview, 1)
	c.accept(bob, simulator.SeedReport, 1)
	token := c.token()
	c.fault(simulator.Fault{API: simulator.APISend, OpenID: alice, Count: 1, Action: simulator.ActHang})
	slow := c.goSend(t.Context(), token, report(alice))
	c.await("the hanging call", func(s simulator.State) bool { return s.Hanging == 1 })

	r := c.send(token, review(alice))
	r.want(t, 43108)
	if got, want := trimRID(t, r, " "), "Cannot make concurrent calls to the same OpenID, please try again"; got != want {
		t.Errorf("got errmsg %q, want %q", got, want)
	}
	c.send(token, review(alice)).want(t, 43108) // the refusal did not free the openid
	c.send(token, report(bob)).want(t, 0)
	c.sim.Release()
	(<-slow).want(t, 0)
	c.send(token, review(alice)).want(t, 0)

	s := c.sim.State()
	if s.MaxPerOpenID != 2 || s.MaxInFlight != 2 || s.InFlight != 0 {
		t.Errorf("got max per openid %d, max in flight %d, in flight %d; want 2, 2, 0", s.MaxPerOpenID, s.MaxInFlight, s.InFlight)
	}
}

// TestSerialCallerIsNeverConcurrent: whoever has its answer may call again.
func TestSerialCallerIsNeverConcurrent(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	c.accept(alice, simulator.SeedReport, 1)
	token := c.token()
	for range 300 {
		c.send(token, report(alice)).want(t, 0)
	}
	if s := c.sim.State(); s.MaxPerOpenID != 1 || s.MaxInFlight != 1 {
		t.Errorf("got max per openid %d, in flight %d; want 1, 1", s.MaxPerOpenID, s.MaxInFlight)
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{MinuteQuota: 2, DayQuota: 3})
	c.accept(alice, simulator.SeedReport, 1)
	token := c.token()
	send := func(errcode int) {
		t.Helper()
		c.send(token, report(alice)).want(t, errcode)
	}
	send(0)
	send(0)
	send(45011)
	c.sim.ShiftTime(29 * time.Second) // 10:00:59
	send(45011)
	c.sim.ShiftTime(time.Second) // the next minute
	send(0)
	send(45009)
	c.sim.ShiftTime(time.Minute)
	send(45009)

	r := c.post("/cgi-bin/openapi/quota/get?access_token="+token, `{"cgi_path":"/cgi-bin/message/subscribe/send"}`)
	if want := `"quota":{"daily_limit":3,"used":3,"remain":0},"rate_limit":{"call_count":2,"refresh_second":60}`; !strings.Contains(string(r.body), want) {
		t.Errorf("quota/get: got %s, want %s", r.body, want)
	}
	c.post("/cgi-bin/openapi/quota/get?access_token="+token, `{"cgi_path":"cgi-bin/token"}`).want(t, 76003)
	c.post("/cgi-bin/openapi/quota/get?access_token="+token, `{"cgi_path":"/x"}`).want(t, 76021)

	// 18:02 in Shanghai; the next day there begins in six hours less two minutes.
	c.sim.ShiftTime(6*time.Hour - 2*time.Minute - time.Second)
	token = c.token()
	send(45009)
	c.sim.ShiftTime(time.Second)
	send(0)
	must(t, c.sim.SetQuotas("", 0, 0))
	for range 5 {
		send(0)
	}
}

func TestTemplatesAndAccountGoBad(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	c.accept(alice, simulator.SeedReport, 1)
	token := c.token()

	must(t, c.sim.BanTemplate("", simulator.SeedReport, true))
	c.send(token, report(alice)).want(t, 43116)
	must(t, c.sim.BanTemplate("", simulator.SeedReport, false))
	c.send(token, report(alice)).want(t, 0)

	must(t, c.sim.SetAccountFault("", 48001))
	c.send(token, report(alice)).want(t, 48001)
	c.get("/wxaapi/newtmpl/gettemplate?access_token="+token).want(t, 48001)
	c.stable(false).want(t, 0)
	must(t, c.sim.SetAccountFault("", 40164))
	c.send(token, report(alice)).want(t, 0)
	r := c.stable(false)
	r.want(t, 40164)
	if got, want := trimRID(t, r, " "), "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist"; got != want {
		t.Errorf("got errmsg %q, want %q", got, want)
	}
	c.classic().want(t, 40164)
	must(t, c.sim.SetAccountFault("", 0))
	c.stable(false).want(t, 0)

	must(t, c.sim.DeleteTemplate("", simulator.SeedReport))
	c.send(token, report(alice)).want(t, 40037)
	if r := c.get("/wxaapi/newtmpl/gettemplate?access_token=" + token); strings.Contains(string(r.body), simulator.SeedReport) {
		t.Error("gettemplate still lists the deleted template")
	}
	if err := c.sim.DeleteTemplate("", simulator.SeedReport); err == nil {
		t.Error("a template was deleted twice")
	}
}

func TestAutoConsent(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{AutoConsent: true, TruthLimit: -1})
	token := c.token()
	for range 3 {
		c.send(token, review(alice)).want(t, 0)
	}
	c.send(token, review("o1")).want(t, 40003)
	if s := c.sim.State(); s.Sends != 4 || s.Accepted != 3 || s.Answers[0] != 3 || s.Answers[40003] != 1 || len(c.sim.Calls(0)) != 0 {
		t.Errorf("got %+v, want the counters of 4 sends and none kept", s)
	}
}
