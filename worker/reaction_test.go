package worker

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// expectation is where one answer leads.
type expectation struct {
	state   store.State
	class   store.Class
	reason  store.Reason
	field   string
	outcome string        // of the first attempt
	spent   int           // of the budget
	dueMin  time.Duration // from the attempt on, for retrying and in_doubt
	dueMax  time.Duration
	relay   bool          // a later delivery is Relay's: new generation
	pause   time.Duration // of the app; 0: none
	suspect bool
	sends   int  // calls that WeChat saw; 0 means 1
	rotate  bool // someone else replaces the token before the send
}

// expect is the reactions table of the design, by kind.
var expect = map[wechat.Kind]expectation{
	wechat.KindOK:              {state: store.Sent},
	wechat.KindBusy:            {state: store.Retrying, spent: 1, dueMin: 8 * time.Second, dueMax: 12 * time.Second},
	wechat.KindUnsure:          {state: store.Retrying, spent: 1, dueMin: 8 * time.Second, dueMax: 12 * time.Second},
	wechat.KindInDoubt:         {state: store.InDoubt, reason: store.ReasonInDoubt, dueMin: 4 * time.Second, dueMax: 5 * time.Second},
	wechat.KindConcurrent:      {state: store.Retrying, dueMin: time.Second, dueMax: 3 * time.Second},
	wechat.KindOpenIDThrottled: {state: store.Retrying, dueMin: 10 * time.Minute, dueMax: 10 * time.Minute, relay: true},
	wechat.KindThrottled:       {state: store.Retrying, dueMin: time.Second, dueMax: time.Second, pause: time.Minute},
	wechat.KindThrottledDay:    {state: store.Retrying, dueMin: time.Second, dueMax: time.Second, pause: 15 * time.Minute},
	wechat.KindAccount:         {state: store.Retrying, dueMin: time.Second, dueMax: time.Second, pause: time.Minute},
	wechat.KindTemplate:        {state: store.Dead, class: store.ClassFault, reason: store.ReasonTemplate, field: "template_id"},
	wechat.KindPage:            {state: store.Dead, class: store.ClassFault, reason: store.ReasonPage, field: "page"},
	wechat.KindRefused:         {state: store.Dead, class: store.ClassRefused, reason: store.ReasonNotSubscribed},
	wechat.KindBadAddress:      {state: store.Dead, class: store.ClassFault, reason: store.ReasonBadAddress, suspect: true},
	wechat.KindRejected:        {state: store.Dead, class: store.ClassFault, reason: store.ReasonRejected},
	wechat.KindBadCode:         {state: store.Retrying, spent: 1, dueMin: 8 * time.Minute, dueMax: 12 * time.Minute, relay: true},
	wechat.KindUnknown:         {state: store.Retrying, spent: 1, dueMin: 8 * time.Minute, dueMax: 12 * time.Minute, relay: true},
}

// Every errcode of the table, and one that nobody documented.
func TestReactionToEveryErrcode(t *testing.T) {
	t.Parallel()
	codes := append([]wechat.Errcode{{Code: 99999, Kind: wechat.KindUnknown}}, wechat.Errcodes...)
	for _, row := range codes {
		t.Run(strconv.Itoa(row.Code), func(t *testing.T) {
			t.Parallel()
			want, ok := expect[row.Kind]
			if row.Kind == wechat.KindBadToken {
				// The token is dropped, fetched again and the second call passes.
				want, ok = expectation{state: store.Sent, sends: 2, rotate: true}, true
			}
			if !ok {
				t.Fatalf("kind %v has no expectation", row.Kind)
			}
			want.outcome = row.Kind.String()
			r := newRig(t)
			if row.Kind == wechat.KindThrottled {
				// Until the end of WeChat's minute, which has just begun.
				now := r.sim.State().Now
				r.sim.ShiftTime(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
				want.pause = time.Minute
			}
			if row.Code != 0 {
				r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: row.Code, Count: 1})
			}
			p := r.checkReaction(want)
			label := strconv.Itoa(row.Code)
			if _, known := wechat.LookupErrcode(row.Code); !known {
				label = otherErrcode
			}
			if got := counter(t, p.registry, "wxnotify_worker_errcodes_total", "errcode", label); got < 1 {
				t.Errorf("errcode label %s counts %v", label, got)
			}
		})
	}
}

// checkReaction sends one message and checks where the answer led.
func (r *rig) checkReaction(want expectation) *process {
	r.t.Helper()
	t := r.t
	user := "user-" + r.appID
	openID := simulator.OpenID(r.appID)
	if _, err := r.store.Bind(r.ctx, []store.Binding{{App: r.appID, UserID: user, OpenID: openID}}); err != nil {
		t.Fatal(err)
	}
	p := r.start()
	if want.rotate {
		if _, err := p.tokens.Token(r.ctx); err != nil {
			t.Fatal(err)
		}
		if err := r.sim.Rotate(r.appID, simulator.APIStableToken, true); err != nil {
			t.Fatal(err)
		}
	}
	n := r.send(func(n *store.Notification) { n.UserID, n.OpenID = user, "" })
	sends := max(want.sends, 1)
	got := r.await(n.ID, "settled", func(g store.Notification) bool {
		return g.Seq >= sends && g.State != store.Sending || want.state == store.Retrying && g.Seq > 0 && g.State == store.Retrying
	})
	as := r.attempts(n.ID)
	if len(as) == 0 {
		t.Fatal("no attempt is on record")
	}
	first := as[0]
	type facts struct {
		State   store.State
		Class   store.Class
		Reason  store.Reason
		Outcome string
		Spent   int
		Relay   bool
	}
	wanted := facts{want.state, want.class, want.reason, want.outcome, want.spent, want.relay}
	seen := facts{got.State, got.Class, got.Reason, first.Outcome, got.Spent, got.Generation > n.Generation}
	if seen != wanted {
		t.Errorf("got  %+v\nwant %+v", seen, wanted)
	}
	if want.field != "" && got.Field != want.field {
		t.Errorf("field %q, want %q", got.Field, want.field)
	}
	if want.dueMax > 0 {
		due := got.DueAt.Sub(got.UpdatedAt)
		if due < want.dueMin-50*time.Millisecond || due > want.dueMax+50*time.Millisecond {
			t.Errorf("due %v after the settlement, want %v to %v", due, want.dueMin, want.dueMax)
		}
	}
	if got := r.sim.State().Requests[simulator.APISend]; want.outcome != wechat.KindUnreachable.String() && got != sends {
		t.Errorf("WeChat saw %d calls, want %d", got, sends)
	}
	r.checkPause(p, want.pause)
	b, err := r.store.Resolve(r.ctx, r.appID, user)
	if err != nil || b.Suspect != want.suspect {
		t.Errorf("binding suspect %v (%v), want %v", b.Suspect, err, want.suspect)
	}
	if got := counter(t, p.registry, "wxnotify_worker_sends_total", "kind", want.outcome); got < 1 {
		t.Errorf("metric of kind %s is %v", want.outcome, got)
	}
	return p
}

// checkPause compares the app's pause with asynq's own key.
func (r *rig) checkPause(p *process, want time.Duration) {
	r.t.Helper()
	ttl := r.redis.PTTL(r.ctx, pauseKey(r.queue())).Val()
	degraded := p.Degraded()
	if want == 0 {
		if ttl > 0 || len(degraded) != 0 {
			r.t.Errorf("queue pause %v, degraded %+v; want none", ttl, degraded)
		}
		return
	}
	if ttl <= 0 || ttl > want+2*time.Second || ttl < want-10*time.Second {
		r.t.Errorf("queue paused for %v, want about %v", ttl, want)
	}
	if len(degraded) != 1 || degraded[0].App != r.appID || degraded[0].Reason == "" {
		r.t.Errorf("degraded %+v, want the app with its reason", degraded)
	}
	if v := counter(r.t, p.registry, "wxnotify_worker_app_paused", "app", r.appID); v != 1 {
		r.t.Errorf("metric app_paused is %v, want 1", v)
	}
}

// counter reads one metric by one label.
func counter(t *testing.T, reg *prometheus.Registry, name, label, value string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					return number(m)
				}
			}
		}
	}
	t.Errorf("metric %s{%s=%q} does not exist", name, label, value)
	return 0
}

func number(m *dto.Metric) float64 {
	if m.GetCounter() != nil {
		return m.GetCounter().GetValue()
	}
	return m.GetGauge().GetValue()
}

// Every way a call can fail below WeChat's JSON.
func TestReactionToTransportFailures(t *testing.T) {
	t.Parallel()
	busy, unsure, doubt := expect[wechat.KindBusy], expect[wechat.KindUnsure], expect[wechat.KindInDoubt]
	busy.outcome, unsure.outcome, doubt.outcome = "busy", "unsure", "in_doubt"
	later := busy
	later.dueMin, later.dueMax = 25*time.Second, 25*time.Second
	send := func(f simulator.Fault) simulator.Fault { f.API, f.Count = simulator.APISend, 1; return f }
	for name, tc := range map[string]struct {
		fault simulator.Fault
		want  expectation
	}{
		"412":                     {send(simulator.Fault{Action: simulator.ActStatus, Status: 412}), busy},
		"503 with Retry-After":    {send(simulator.Fault{Action: simulator.ActStatus, Status: 503, RetryAfter: 25 * time.Second}), later},
		"503 without Retry-After": {send(simulator.Fault{Action: simulator.ActStatus, Status: 503}), unsure},
		"502 HTML":                {send(simulator.Fault{Action: simulator.ActStatus, Status: 502}), unsure},
		"200 HTML":                {send(simulator.Fault{Action: simulator.ActStatus, Status: 200}), unsure},
		"empty":                   {send(simulator.Fault{Action: simulator.ActEmpty}), unsure},
		"truncated JSON":          {send(simulator.Fault{Action: simulator.ActTruncated}), unsure},
		"over-long":               {send(simulator.Fault{Action: simulator.ActLong}), unsure},
		"reset after the write":   {send(simulator.Fault{Action: simulator.ActDrop}), doubt},
		"half an answer":          {send(simulator.Fault{Action: simulator.ActCut}), doubt},
		"timeout":                 {send(simulator.Fault{Action: simulator.ActHang}), doubt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if name == "timeout" {
				r.sendTimeout = 1500 * time.Millisecond
			}
			r.fault(tc.fault)
			r.checkReaction(tc.want)
		})
	}
}

// Nothing was written: the message costs nothing and nothing is in doubt.
func TestReactionToUnreachable(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + closed.Addr().String()
	_ = closed.Close()
	for name, base := range map[string]string{
		"refused": refused,
		"DNS":     "http://wechat.invalid",
		"TLS":     "", // the simulator speaks plain HTTP
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if base == "" {
				base = strings.Replace(r.baseURL, "http://", "https://", 1)
			}
			elsewhere, err := wechat.New(wechat.Config{BaseURL: base, Timeout: r.sendTimeout, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(elsewhere.Close)
			r.edit = func(c *Config) { c.Sender = elsewhere }
			r.checkReaction(expectation{state: store.Retrying, outcome: "unreachable", dueMin: 4 * time.Second, dueMax: 6 * time.Second})
		})
	}
}
