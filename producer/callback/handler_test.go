package callback

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wxnotify/wxnotify/store"
)

func TestAddressCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	official := url.Values{
		"signature": {"f464b24fc39322e44b38aa78f5edd27bd1441696"}, "timestamp": {"1714036504"}, "nonce": {"1514711492"},
		"echostr": {"4375120948345356249"},
	}
	with := func(name, value string) url.Values {
		q := maps.Clone(official)
		q[name] = []string{value}
		return q
	}
	for name, test := range map[string]struct {
		method, app string
		q           url.Values
		status      int
		text        string
	}{
		"official":          {http.MethodGet, vectorAppID, official, 200, "4375120948345356249"},
		"echo of markup":    {http.MethodGet, vectorAppID, with("echostr", "<b>&amp;"), 200, "<b>&amp;"},
		"another signature": {http.MethodGet, vectorAppID, with("signature", "f464b24fc39322e44b38aa78f5edd27bd1441697"), 403, "Forbidden"},
		"no signature":      {http.MethodGet, vectorAppID, with("signature", ""), 403, "Forbidden"},
		"another nonce":     {http.MethodGet, vectorAppID, with("nonce", "1514711493"), 403, "Forbidden"},
		"no echo":           {http.MethodGet, vectorAppID, with("echostr", ""), 400, "Bad Request"},
		"a long echo":       {http.MethodGet, vectorAppID, with("echostr", strings.Repeat("1", 2000)), 400, "Bad Request"},
		"unknown app":       {http.MethodGet, "wx-unknown", official, 404, "404 page not found"},
		"app without a key": {http.MethodGet, "wx-no-key", official, 404, "404 page not found"},
		"plaintext app":     {http.MethodGet, "wx-plain", official, 200, "4375120948345356249"},
		"another method":    {http.MethodPut, vectorAppID, official, 405, "method not allowed"},
	} {
		status, text := r.do(test.method, test.app, test.q, "")
		r.wantAnswer(name, status, text, test.status, test.text)
	}
	old := r.signedQuery(vectorNow.Add(-maxAge-time.Second), "")
	old.Set("echostr", "1")
	status, text := r.do(http.MethodGet, vectorAppID, old, "")
	r.wantAnswer("long ago", status, text, 403, "Forbidden")
	r.wantCounts("arrivals", r.handler.metrics.arrived, map[string]float64{
		"verify/accepted": 3, "verify/forged": 3, "verify/malformed": 2, "verify/stale": 1,
	})
}

func TestOfficialPush(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	q := url.Values{
		"signature": {"6c5c811b55cc85e0e1b54100749188c20beb3f5d"}, "timestamp": {"1714112445"}, "nonce": {"415670741"},
		"openid": {"o9AgO5Kd5ggOC-bXrbNODIiE3bGY"}, "encrypt_type": {"aes"}, "msg_signature": {"046e02f8204d34f8ba5fa3b1db94908f3df2e9b3"},
	}
	status, text := r.do(http.MethodPost, vectorAppID, q, envelope(vectorEvent, false))
	r.wantAnswer("official push", status, text, 200, "success")
	r.wantCounts("arrivals", r.handler.metrics.arrived, map[string]float64{"foreign/ignored": 1})
	r.eventually("the push to be noted", func() error {
		if _, ok := r.store.pushed.Load(vectorAppID); !ok {
			return fmt.Errorf("not yet")
		}
		return nil
	})
}

// Every mode, in both formats; what came in is what is recorded.
func TestPushIsRecorded(t *testing.T) {
	t.Parallel()
	sentXML := func(msgID int64) string {
		return fmt.Sprintf(`<xml>%s<Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><TemplateId>T1</TemplateId><MsgID>%d</MsgID>`+
			`<ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List></SubscribeMsgSentEvent></xml>`, headXML, msgID)
	}
	for name, test := range map[string]struct {
		app      string
		push     func(r *rig, app string, msgID int64) (int, string)
		verified bool
	}{
		"secure, JSON":  {vectorAppID, func(r *rig, app string, id int64) (int, string) { return r.push(app, sentEvent(id), false) }, true},
		"secure, XML":   {vectorAppID, func(r *rig, app string, id int64) (int, string) { return r.push(app, sentXML(id), true) }, true},
		"secure, mixed": {vectorAppID, func(r *rig, app string, id int64) (int, string) { return r.push(app, sentEvent(id), true) }, true},
		"secure, both allowed": {"wx-both", func(r *rig, app string, id int64) (int, string) {
			return r.push(app, sentEvent(id), false)
		}, true},
		"plain, JSON":         {"wx-plain", func(r *rig, app string, id int64) (int, string) { return r.pushPlain(app, sentEvent(id)) }, false},
		"plain, XML":          {"wx-plain", func(r *rig, app string, id int64) (int, string) { return r.pushPlain(app, sentXML(id)) }, false},
		"plain, both allowed": {"wx-both", func(r *rig, app string, id int64) (int, string) { return r.pushPlain(app, sentEvent(id)) }, false},
		"compatible": {vectorAppID, func(r *rig, app string, id int64) (int, string) {
			encrypted := sealMessage(r, sentEvent(id), app)
			body := strings.TrimSuffix(sentEvent(id+1000), "}") + `,"Encrypt":"` + encrypted + `"}`
			return r.do(http.MethodPost, app, r.signedQuery(vectorNow, encrypted), body)
		}, true},
		"compatible, without a key": {"wx-plain", func(r *rig, app string, id int64) (int, string) {
			body := strings.TrimSuffix(sentEvent(id), "}") + `,"Encrypt":"` + vectorEvent + `"}`
			return r.do(http.MethodPost, app, r.signedQuery(vectorNow, vectorEvent), body)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			l := r.sending(test.app)
			status, text := func() (int, string) { r.start(); return test.push(r, test.app, bigID) }()
			r.wantAnswer("push", status, text, 200, "success")
			r.wantCounts("arrivals", r.handler.metrics.arrived, map[string]float64{"sent/accepted": 1})
			r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"sent/pending": 1})
			// An attempt with this msgid finds it; a doubt only where the signature covers
			// the push.
			s := store.Settlement{
				ID: l.ID, Seq: 1, State: store.Sent, Attempt: store.Attempt{At: l.Now, Outcome: "ok", MsgID: bigID},
			}
			if _, err := r.store.Commit(t.Context(), store.Batch{Settlements: []store.Settlement{s}}); err != nil {
				t.Fatal(err)
			}
			n, _, err := r.store.Get(t.Context(), l.ID)
			if err != nil || n.Receipt != store.ReceiptOK {
				t.Errorf("the receipt was not recorded as it came: %s, %v", n.Receipt, err)
			}
			if _, noted := r.store.pushed.Load(test.app); noted != test.verified {
				t.Errorf("noted as a verified push: %v, want %v", noted, test.verified)
			}
		})
	}
}

// What is not WeChat's, or not whole, has no effect.
func TestPushRefused(t *testing.T) {
	t.Parallel()
	const sentinel = "sentinel-91ae"
	r := newRig(t)
	good := sealMessage(t, sentEvent(7), vectorAppID)
	post := func(app string, q url.Values, body string) func() (int, string) {
		return func() (int, string) { return r.do(http.MethodPost, app, q, body) }
	}
	with := func(q url.Values, name, value string) url.Values {
		q.Set(name, value)
		return q
	}
	signedAt := func(at time.Time) url.Values { return r.signedQuery(at, good) }
	for name, test := range map[string]struct {
		do     func() (int, string)
		status int
		result string
	}{
		"no signature":           {post(vectorAppID, url.Values{}, envelope(good, false)), 403, "forged"},
		"another signature":      {post(vectorAppID, with(signedAt(vectorNow), "msg_signature", strings.Repeat("0", 40)), envelope(good, false)), 403, "forged"},
		"only the weak one":      {post(vectorAppID, with(signedAt(vectorNow), "msg_signature", ""), envelope(good, false)), 403, "forged"},
		"another nonce":          {post(vectorAppID, with(signedAt(vectorNow), "nonce", "0"), envelope(good, false)), 403, "forged"},
		"another time":           {post(vectorAppID, with(signedAt(vectorNow), "timestamp", "1714112446"), envelope(good, false)), 403, "forged"},
		"another body":           {post(vectorAppID, signedAt(vectorNow), envelope(sealMessage(t, sentEvent(8), vectorAppID), false)), 403, "forged"},
		"another app's address":  {post("wx-both", signedAt(vectorNow), envelope(good, false)), 403, "undecrypted"},
		"plain where it may not": {func() (int, string) { return r.pushPlain(vectorAppID, sentEvent(7)) }, 403, "plaintext"},
		"plain and forged":       {post("wx-plain", with(r.signedQuery(vectorNow, ""), "signature", "0"), sentEvent(7)), 403, "forged"},
		"plain, unsigned":        {post("wx-plain", url.Values{}, sentEvent(7)), 403, "forged"},
		"encrypted badly, plain allowed": {
			post("wx-both", r.signedQuery(vectorNow, ""), strings.TrimSuffix(sentEvent(7), "}")+`,"Encrypt":"`+good+`"}`), 403, "forged",
		},
		"long ago":        {post(vectorAppID, signedAt(vectorNow.Add(-maxAge-time.Second)), envelope(good, false)), 403, "stale"},
		"far ahead":       {post(vectorAppID, signedAt(vectorNow.Add(maxAge+time.Second)), envelope(good, false)), 403, "stale"},
		"no body":         {post(vectorAppID, signedAt(vectorNow), ""), 400, "malformed"},
		"text":            {post(vectorAppID, signedAt(vectorNow), sentinel), 400, "malformed"},
		"two ciphertexts": {post(vectorAppID, signedAt(vectorNow), `{"Encrypt":"`+good+`","Encrypt":"`+good+`"}`), 400, "malformed"},
		"nothing inside":  {func() (int, string) { return r.push(vectorAppID, "", false) }, 400, "malformed"},
		"text inside":     {func() (int, string) { return r.push(vectorAppID, sentinel, false) }, 400, "malformed"},
		"an event without items": {func() (int, string) {
			return r.push(vectorAppID, `{`+headJSON+`,"Event":"subscribe_msg_sent_event"}`, false)
		}, 400, "malformed"},
		"one bad item of two": {func() (int, string) {
			return r.push(vectorAppID, `{`+headJSON+`,"Event":"subscribe_msg_sent_event","List":[{"TemplateId":"T1","MsgID":1,"ErrorCode":0},{"TemplateId":"T1"}]}`, false)
		}, 400, "malformed"},
		"too large": {post(vectorAppID, signedAt(vectorNow), `{"a":"`+strings.Repeat("x", maxBody)+`"}`), 413, "oversized"},
	} {
		before := r.counts(r.handler.metrics.arrived)
		if status, text := test.do(); status != test.status || strings.Contains(text, sentinel) {
			t.Errorf("%s: answered %d %q, want %d", name, status, text, test.status)
		}
		after := r.counts(r.handler.metrics.arrived)
		before["unread/"+test.result]++
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: counts (-want +got):\n%s", name, diff)
		}
	}
	if got := r.inbox(); len(got) > 0 {
		t.Errorf("%d of what was refused are in the inbox", len(got))
	}
	for _, entry := range r.logs.All() {
		text := fmt.Sprint(entry.Message, entry.ContextMap())
		for _, secret := range []string{sentinel, vectorKey, "o1", "T1", vectorToken} {
			if strings.Contains(text, secret) {
				t.Errorf("the log has %q: %s", secret, text)
			}
		}
	}
	if n := r.logs.Len(); n == 0 || n > 10 {
		t.Errorf("%d lines of log for twenty refusals, want one of a kind", n)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	const sentinel = "sentinel-55"
	_, err := New(Config{InDoubtWait: -1, Apps: map[string]AppConfig{
		"wx1": {AESKey: sentinel, ForwardURL: "ftp://" + sentinel, ConsentPrimary: "both"},
		"wx2": {Token: "t"},
	}})
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"Store", "InDoubtWait", "wx1: Token", "wx1: AESKey", "wx1: ForwardURL", "wx1: ConsentPrimary"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), sentinel) || strings.Contains(err.Error(), "wx2") {
		t.Errorf("the error says too much: %v", err)
	}
}

// Every series is there from the start.
func TestMetricsFromZero(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		a := c.Apps["wx-both"]
		a.ForwardURL = "http://127.0.0.1:1/"
		c.Apps["wx-both"] = a
	}).start()
	count := func() int {
		n, err := testutil.GatherAndCount(r.registry)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	if before == 0 {
		t.Fatal("no series")
	}
	r.push("wx-both", sentEvent(1), false)
	r.push("wx-both", sentEvent(1), false)
	r.push("wx-both", `{"a":1}`, false)
	r.push("wx-both", `nothing`, false)
	r.push(vectorAppID, `{"a":1}`, false)
	r.pushPlain(vectorAppID, `{}`)
	r.pushPlain("wx-plain", sentEvent(1))
	r.do(http.MethodPost, vectorAppID, url.Values{}, envelope(vectorEvent, false))
	r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"sent/pending": 2})
	if after := count(); after != before {
		t.Errorf("%d series afterwards, %d before", after, before)
	}
}
