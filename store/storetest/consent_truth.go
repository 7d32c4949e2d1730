package storetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// testConsentTruth lets users and WeChat do random things, and the events of that
// come in a random order, repeatedly and not at all. The ledger is never negative
// and never above what was granted. Without losses it is not below what WeChat
// knows, and when every event comes before the next message is sent, it is what
// WeChat knows.
func testConsentTruth(f *fixture) {
	long := *f
	long.ctx = f.Context() // it is as slow as the machine
	f = &long
	for seed := range uint64(4) {
		for _, w := range []truthWorld{
			{name: "in time"}, {name: "late", late: true}, {name: "late, lost", late: true, lossy: true},
		} {
			w.f, w.rng = f, rand.New(rand.NewPCG(seed, 1))
			w.openID = simulator.OpenID(fmt.Sprintf("%s %d", w.name, seed))
			w.run(fmt.Sprintf("%s, seed %d", w.name, seed))
		}
	}
}

// truthWorld is one user, WeChat, and what has not reached the store yet.
type truthWorld struct {
	name  string
	late  bool // messages are sent while events are under way
	lossy bool
	f     *fixture
	rng   *rand.Rand

	sim            *simulator.Simulator
	app            simulator.App
	token, openID  string
	pending        []store.ConsentEvent
	done           []store.ConsentEvent
	doubts         []store.Settlement // of attempts in doubt: the true answers
	granted, tells int
}

const truthTemplate, truthLongTerm = simulator.SeedApproval, simulator.SeedReport

func (w *truthWorld) run(what string) {
	f := w.f
	w.app = simulator.SeedApp()
	sim, err := simulator.New(simulator.Config{Apps: []simulator.App{w.app}})
	if err != nil {
		f.Fatal(err)
	}
	defer sim.Close()
	w.sim = sim
	w.token = w.call(http.MethodGet, "/cgi-bin/token?"+url.Values{
		"grant_type": {"client_credential"}, "appid": {w.app.AppID}, "secret": {w.app.Secret},
	}.Encode(), "").AccessToken
	// From something that is known: what was before the ledger it cannot tell.
	w.withdraw()
	for range 40 {
		switch w.rng.IntN(8) {
		case 0, 1, 2:
			w.accept()
		case 3:
			w.refuse()
		case 4:
			if w.rng.IntN(4) == 0 {
				w.withdraw()
			}
		case 5, 6:
			w.deliver(1)
		case 7:
			if !w.late {
				w.deliver(len(w.pending))
			}
			w.send()
		}
		w.check(what, false)
	}
	w.deliver(len(w.pending))
	for _, s := range w.doubts {
		f.mustSettle(s)
	}
	w.check(what, true)
}

// check compares the ledger with what was granted, and at the end with WeChat.
func (w *truthWorld) check(what string, end bool) {
	w.f.Helper()
	var oneTime, longTerm store.Consent
	for _, c := range must[[]store.Consent](w.f)(w.f.Consents(w.f.ctx, w.app.AppID, w.openID)) {
		if c.TemplateID == truthTemplate {
			oneTime = c
		} else {
			longTerm = c
		}
	}
	if oneTime.Balance < 0 || oneTime.Balance > w.granted {
		w.f.Fatalf("%s: balance %d of %d granted", what, oneTime.Balance, w.granted)
	}
	if !end {
		return
	}
	balance, _ := w.sim.Balance(w.app.AppID, w.openID, truthTemplate)
	if !w.lossy && oneTime.Balance < balance || !w.late && oneTime.Balance != balance {
		w.f.Errorf("%s: balance %d, WeChat knows %d", what, oneTime.Balance, balance)
	}
	if _, truth := w.sim.Balance(w.app.AppID, w.openID, truthLongTerm); !w.lossy && longTerm.LongTerm != truth {
		w.f.Errorf("%s: long-term %v, WeChat knows %v", what, longTerm.LongTerm, truth)
	}
}

// accept is a tap: both sources tell of it.
func (w *truthWorld) accept() {
	template := truthTemplate
	if w.rng.IntN(5) == 0 {
		template = truthLongTerm
	} else {
		w.granted++
	}
	if err := w.sim.Accept(w.app.AppID, w.openID, template, 1); err != nil {
		w.f.Fatal(err)
	}
	w.tell(template, store.ConsentAccept, store.ConsentClient, store.ConsentPopup)
}

// refuse is a refusal in the dialog, which changes nothing.
func (w *truthWorld) refuse() {
	w.tell(truthTemplate, store.ConsentReject, store.ConsentClient, store.ConsentPopup)
}

// withdraw is a refusal in the settings. Its event comes before those that are
// under way.
func (w *truthWorld) withdraw() {
	for _, template := range []string{truthTemplate, truthLongTerm} {
		if err := w.sim.Reject(w.app.AppID, w.openID, template); err != nil {
			w.f.Fatal(err)
		}
		under := w.pending
		w.pending = nil
		w.tell(template, store.ConsentReject, store.ConsentChange)
		w.deliver(len(w.pending))
		w.pending = under
	}
}

func (w *truthWorld) tell(template string, answer store.ConsentAnswer, sources ...store.ConsentSource) {
	w.tells++
	for _, source := range sources {
		e := store.ConsentEvent{
			App: w.app.AppID, OpenID: w.openID, TemplateID: template, Source: source, Key: fmt.Sprint(w.tells),
			Answer: answer, LongTerm: template == truthLongTerm, Primary: source == store.ConsentClient,
		}
		if source != store.ConsentClient {
			e.At = time.Now()
		}
		if !w.lossy || w.rng.IntN(4) > 0 {
			w.pending = append(w.pending, e)
		}
	}
}

// deliver records n events, in a random order, and now and then an old one again.
func (w *truthWorld) deliver(n int) {
	for ; n > 0 && len(w.pending) > 0; n-- {
		i := w.rng.IntN(len(w.pending))
		e := w.pending[i]
		w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
		w.done = append(w.done, e)
		w.f.answered(e)
		if w.rng.IntN(3) == 0 {
			if again := w.f.answered(w.done[w.rng.IntN(len(w.done))]); again.Result != store.ConsentRepeated {
				w.f.Fatalf("a repeated event was %s", again.Result)
			}
		}
	}
}

// send sends one message, and now and then nobody hears the answer until later.
func (w *truthWorld) send() {
	f := w.f
	_, l := f.claim(f.accept(row(func(n *store.Notification) {
		n.App, n.TemplateID, n.OpenID = w.app.AppID, truthTemplate, w.openID
	})))
	body, err := json.Marshal(map[string]any{
		"touser": w.openID, "template_id": truthTemplate, "miniprogram_state": "formal", "lang": "zh_CN",
		"data": map[string]any{
			"phrase1": map[string]string{"value": "已通过"}, "thing2": map[string]string{"value": "办公用品领用"},
			"name3": map[string]string{"value": "王芳"}, "time4": map[string]string{"value": "15:01"},
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	answer := w.call(http.MethodPost, "/cgi-bin/message/subscribe/send?access_token="+w.token, string(body))
	s := settlement(l, store.Sent, "ok")
	switch answer.Errcode {
	case 0:
	case 43101:
		s = settlement(l, store.Dead, "refused", refused)
	default:
		f.Fatalf("send: errcode %d", answer.Errcode)
	}
	if s.State == store.Sent && w.rng.IntN(4) == 0 {
		f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt, func(s *store.Settlement) { s.Delay = time.Hour }))
		if w.late {
			w.doubts = append(w.doubts, s)
			return
		}
	}
	f.mustSettle(s)
	f.settle(s) // the reply was lost
}

type truthAnswer struct {
	Errcode     int    `json:"errcode"`
	AccessToken string `json:"access_token"`
}

func (w *truthWorld) call(method, path, body string) (answer truthAnswer) {
	req := httptest.NewRequestWithContext(w.f.ctx, method, path, strings.NewReader(body))
	rec := httptest.NewRecorder()
	w.sim.ServeHTTP(rec, req)
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		w.f.Fatalf("%s: %d: %v", method, rec.Code, err)
	}
	return answer
}
