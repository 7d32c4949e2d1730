package wechat

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		cfg  Config
		want []string
	}{
		{Config{}, nil},
		{Config{BaseURL: "http://127.0.0.1:1/prefix/"}, nil},
		{Config{BaseURL: "ftp://host", MaxConns: -1, Timeout: -1}, []string{"base URL has to be https://host", "max conns is -1", "timeout is -1ns"}},
		{Config{BaseURL: "api.weixin.qq.com"}, []string{"base URL has to be https://host"}},
		{Config{BaseURL: "https://user:hunter2@host"}, []string{"without user"}},
		{Config{BaseURL: "https://host?x=hunter2"}, []string{"without user, query"}},
		{Config{BaseURL: "https://user:hunter2@host:port"}, []string{"cannot be parsed"}},
	} {
		_, err := New(tc.cfg)
		if (err == nil) != (tc.want == nil) {
			t.Errorf("%+v: got %v", tc.cfg.BaseURL, err)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: got %v, want %q in it", tc.cfg.BaseURL, err, w)
			}
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
}

// seen is what a server got.
type seen struct {
	Method, Path, Query, Body, ContentType string
	Length                                 int64
	Chunked                                bool
}

func TestRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	var got seen
	c := newClient(t, Config{BaseURL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = seen{r.Method, r.URL.Path, r.URL.RawQuery, string(body), r.Header.Get("Content-Type"), r.ContentLength, len(r.TransferEncoding) > 0}
		if r.Header.Get("Idempotency-Key") != "" || r.Header.Get("X-Idempotency-Key") != "" {
			t.Error("a header that lets net/http replay a POST")
		}
		reply(`{"errcode":0,"access_token":"T","expires_in":7200,"openid":"o1","data":[]}`)(w, r)
	}) + "/prefix/"})
	send := func(m Message) func() error {
		return func() error { _, err := c.Send(t.Context(), "a&b=c", m); return err }
	}
	const json = "application/json; charset=utf-8"
	post := func(path, query, body string) seen {
		return seen{"POST", "/prefix" + path, query, body, json, int64(len(body)), false}
	}
	for _, tc := range []struct {
		name string
		call func() error
		want seen
	}{
		{
			"send", send(Message{
				ToUser: "o1", TemplateID: "T1", Page: "/pages/index?a=1&b=<2>", Lang: "en_US", MiniprogramState: "trial",
				Data: map[string]string{"time4": "2019年10月1日 15:01", "thing1": `引号"和\`, "amount2": "￥100", "number3": "42"},
			}), post("/cgi-bin/message/subscribe/send", "access_token=a%26b%3Dc",
				`{"touser":"o1","template_id":"T1","page":"pages/index?a=1&b=<2>","data":{"amount2":{"value":"￥100"},"number3":{"value":"42"},"thing1":{"value":"引号\"和\\"},"time4":{"value":"2019年10月1日 15:01"}},"miniprogram_state":"trial","lang":"en_US"}`),
		},
		{
			"send without page, data, state and lang", send(Message{ToUser: "o1", TemplateID: "T1", Page: "/"}),
			post("/cgi-bin/message/subscribe/send", "access_token=a%26b%3Dc",
				`{"touser":"o1","template_id":"T1","data":{},"miniprogram_state":"formal","lang":"zh_CN"}`),
		},
		{
			"stable token", func() error { _, err := c.StableToken(t.Context(), App{"wx1", "s1"}); return err },
			post("/cgi-bin/stable_token", "", `{"grant_type":"client_credential","appid":"wx1","secret":"s1","force_refresh":false}`),
		},
		{
			"classic token", func() error { _, err := c.ClassicToken(t.Context(), App{"wx1", "s&1"}); return err },
			seen{Method: "GET", Path: "/prefix/cgi-bin/token", Query: "appid=wx1&grant_type=client_credential&secret=s%261"},
		},
		{
			"login", func() error { _, err := c.Code2Session(t.Context(), App{"wx1", "s1"}, "c1"); return err },
			seen{Method: "GET", Path: "/prefix/sns/jscode2session", Query: "appid=wx1&grant_type=authorization_code&js_code=c1&secret=s1"},
		},
		{
			"templates", func() error { _, err := c.Templates(t.Context(), "T"); return err },
			seen{Method: "GET", Path: "/prefix/wxaapi/newtmpl/gettemplate", Query: "access_token=T"},
		},
	} {
		if err := tc.call(); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestMsgIDIsExact(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Receipt{
		`{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`:   {MsgID: 1988810812324364291},
		`{"errcode":0,"errmsg":"ok","msgid":"1988810812324364291"}`: {MsgID: 1988810812324364291},
		`{"errcode":0,"errmsg":"ok rid: 1-2-3"}`:                    {RID: "1-2-3"},
		`{"errcode":0,"msgid":null,"rid":"4-5-6"}`:                  {RID: "4-5-6"},
		`{"errcode":0,"msgid":1.5}`:                                 {},
	} {
		c := newClient(t, Config{BaseURL: serve(t, reply(body))})
		got, err := c.Send(t.Context(), testToken, testMessage())
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", body, got, err, want)
		}
	}
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{"7200": 2 * time.Hour, `"345"`: 345 * time.Second, "9223372036854775807": maxLife} {
		c := newClient(t, Config{BaseURL: serve(t, reply(`{"access_token":"T","expires_in":`+in+`}`))})
		got, err := c.StableToken(t.Context(), testApp)
		if err != nil || got.Value != "T" || got.ExpiresIn != want {
			t.Errorf("%s: got %s, %v, want %s", in, got.ExpiresIn, err, want)
		}
	}
}

func TestCode2Session(t *testing.T) {
	t.Parallel()
	c := newClient(t, Config{BaseURL: serve(t, reply(`{"openid":"o1","session_key":"KEY","unionid":"u1"}`))})
	got, err := c.Code2Session(t.Context(), testApp, testCode)
	if err != nil || got != (Session{OpenID: "o1", UnionID: "u1"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	const body = `{"errcode":0,"errmsg":"ok","data":[
		{"priTmplId":"T1","title":"报名结果通知","content":"会议时间:{{date2.DATA}}\n会议地点：{{thing1.DATA}}\n房间 {{enum_string2.DATA}}\n","example":"会议时间:2016年8月8日\n","type":2,
		 "keywordEnumValueList":[{"keywordCode":"enum_string2.DATA","enumValueList":["客厅","餐厅"]}]},
		{"priTmplId":"T2","title":"t","content":"a:{{thing10.DATA}} b:{{character_string3.DATA}}","example":"","type":"3"},
		{"priTmplId":"T3","content":"nothing {{x.DATA}} {{thing1}}"}]}`
	c := newClient(t, Config{BaseURL: serve(t, reply(body))})
	got, err := c.Templates(t.Context(), testToken)
	if err != nil {
		t.Fatal(err)
	}
	none := map[string][]string{}
	want := []Template{
		{
			PriTmplID: "T1", Title: "报名结果通知", Example: "会议时间:2016年8月8日\n", Type: TypeOneTime,
			Content: "会议时间:{{date2.DATA}}\n会议地点：{{thing1.DATA}}\n房间 {{enum_string2.DATA}}\n",
			Keys:    []string{"date2", "thing1", "enum_string2"},
			Labels:  map[string]string{"date2": "会议时间", "thing1": "会议地点", "enum_string2": "房间"},
			Enums:   map[string][]string{"enum_string2": {"客厅", "餐厅"}},
		},
		{
			PriTmplID: "T2", Title: "t", Type: TypeLongTerm, Content: "a:{{thing10.DATA}} b:{{character_string3.DATA}}",
			Keys: []string{"thing10", "character_string3"}, Labels: map[string]string{"thing10": "a", "character_string3": "b"}, Enums: none,
		},
		{PriTmplID: "T3", Content: "nothing {{x.DATA}} {{thing1}}", Labels: map[string]string{}, Enums: none},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// counters returns the values of a counter family by its labels' values.
func counters(t *testing.T, reg prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			values[strings.Join(labels, " ")] = m.GetCounter().GetValue()
		}
	}
	return values
}

func TestCallMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	c := newClient(t, Config{BaseURL: serve(t, reply(`{"errcode":43101}`)), Registerer: reg})
	const name = "wxnotify_wechat_calls_total"
	start := counters(t, reg, name)
	for _, api := range APIs {
		for _, kind := range Kinds {
			if v, ok := start[fmt.Sprintf("%s %s", api, kind)]; !ok || v != 0 {
				t.Errorf("%s %s: got %v, %t at the start, want 0", api, kind, v, ok)
			}
		}
	}
	if len(start) != len(APIs)*len(Kinds) {
		t.Errorf("got %d series, want %d", len(start), len(APIs)*len(Kinds))
	}
	_, _ = c.Send(t.Context(), testToken, testMessage())
	after := counters(t, reg, name)
	if after["subscribe_send refused"] != 1 || len(after) != len(start) {
		t.Errorf("got %v after one refused send", after)
	}
	if _, err := New(Config{Registerer: reg}); err == nil {
		t.Error("a second client on one registry was not refused")
	}
}

func TestKindsHaveNames(t *testing.T) {
	t.Parallel()
	var names []string
	for _, k := range Kinds {
		if slices.Contains(names, k.String()) {
			t.Errorf("kind %d has the name of another, %q", k, k)
		}
		names = append(names, k.String())
	}
}
