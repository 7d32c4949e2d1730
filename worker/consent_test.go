package worker

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// newConsentRig is a rig whose WeChat refuses what the user has not allowed.
func newConsentRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.sim, r.baseURL = simulatortest.Start(t, simulator.Config{Apps: []simulator.App{r.app}})
	r.editTiming = func(tm *timing) { tm.backoff = []time.Duration{time.Millisecond} }
	return r
}

// tap is the user accepting the template, and the report of that.
func (r *rig) tap(openID string) store.ConsentRecorded {
	r.t.Helper()
	if err := r.sim.Accept(r.appID, openID, simulator.SeedApproval, 1); err != nil {
		r.t.Fatal(err)
	}
	recorded, err := r.store.RecordConsents(r.ctx, []store.ConsentEvent{{
		App: r.appID, OpenID: openID, TemplateID: simulator.SeedApproval,
		Source: store.ConsentClient, Key: uuid.NewString(), Answer: store.ConsentAccept, Primary: true,
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	return recorded[0]
}

// entry is the ledger's of openID.
func (r *rig) entry(openID string) store.Consent {
	r.t.Helper()
	list, err := r.store.Consents(r.ctx, r.appID, openID)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(list) == 0 {
		return store.Consent{}
	}
	return list[0]
}

// approval makes a notification one of the one-time template.
func approval(openID string, policy store.NoConsentPolicy, wait time.Duration) func(*store.Notification) {
	return func(n *store.Notification) {
		n.TemplateID, n.OpenID, n.NoConsent, n.Wait = simulator.SeedApproval, openID, policy, wait
		n.Data = map[string]string{"phrase1": "已通过", "thing2": "办公用品领用", "name3": "王芳", "time4": "15:01"}
	}
}

// What happens without a consent, for every policy and with and without a wait:
// where it leads, and whether WeChat was asked.
func TestNoConsent(t *testing.T) {
	t.Parallel()
	r := newConsentRig(t)
	r.start()
	for i, test := range []struct {
		name   string
		known  bool // the ledger says 0; otherwise it has no entry
		policy store.NoConsentPolicy
		wait   time.Duration
		state  store.State
		class  store.Class
		reason store.Reason
		asks   int
	}{
		{"unknown", false, store.NoConsentSend, 0, store.Dead, store.ClassRefused, store.ReasonNotSubscribed, 1},
		{"unknown, waits", false, store.NoConsentSend, time.Hour, store.Waiting, store.ClassNone, store.ReasonNoConsent, 1},
		{"unknown, policy wait", false, store.NoConsentWait, time.Hour, store.Waiting, store.ClassNone, store.ReasonNoConsent, 1},
		{"unknown, policy dead", false, store.NoConsentDead, 0, store.Dead, store.ClassRefused, store.ReasonNotSubscribed, 1},
		{"empty", true, store.NoConsentSend, 0, store.Dead, store.ClassRefused, store.ReasonNotSubscribed, 1},
		{"empty, waits", true, store.NoConsentSend, time.Hour, store.Waiting, store.ClassNone, store.ReasonNoConsent, 1},
		{"empty, policy wait", true, store.NoConsentWait, time.Hour, store.Waiting, store.ClassNone, store.ReasonNoConsent, 0},
		{"empty, policy wait, no wait", true, store.NoConsentWait, 0, store.Dead, store.ClassRefused, store.ReasonNotSubscribed, 0},
		{"empty, policy wait, too late", true, store.NoConsentWait, time.Microsecond, store.Expired, store.ClassNone, store.ReasonNoConsent, 0},
		{"empty, policy dead", true, store.NoConsentDead, time.Hour, store.Dead, store.ClassRefused, store.ReasonNotSubscribed, 0},
	} {
		openID := simulator.OpenID(fmt.Sprintf("user-%d", i))
		if err := r.sim.AddUser(r.appID, openID, ""); err != nil {
			t.Fatal(err)
		}
		if test.known {
			r.tap(openID)
			r.awaitState(r.send(approval(openID, store.NoConsentSend, 0)).ID, store.Sent)
		}
		before := len(r.attemptsTo(openID))
		n := r.awaitState(r.send(approval(openID, test.policy, test.wait)).ID, test.state)
		asks := len(r.attemptsTo(openID)) - before
		if n.Class != test.class || n.Reason != test.reason || asks != test.asks {
			t.Errorf("%s: class %q, reason %q, %d calls; want %q, %q, %d", test.name, n.Class, n.Reason, asks, test.class, test.reason, test.asks)
		}
		if c := r.entry(openID); !c.Empty() {
			t.Errorf("%s: the entry is %+v, want an empty one", test.name, c)
		}
	}
}

// attemptsTo are the calls that WeChat saw for openID.
func (r *rig) attemptsTo(openID string) (calls []simulator.Call) {
	for _, c := range r.sim.Calls(0) {
		if c.OpenID == openID {
			calls = append(calls, c)
		}
	}
	return calls
}

// A parked notification is queued by the consent, and by the binding, and sent.
func TestWaitsAndIsSent(t *testing.T) {
	t.Parallel()
	r := newConsentRig(t)
	r.start()
	openID := simulator.OpenID("waits")
	if err := r.sim.AddUser(r.appID, openID, ""); err != nil {
		t.Fatal(err)
	}
	n := r.send(approval("", store.NoConsentSend, time.Hour), func(n *store.Notification) { n.UserID = "user-1" })
	if got := r.awaitState(n.ID, store.Waiting); got.Reason != store.ReasonUnbound {
		t.Fatalf("waits for %q, want a binding", got.Reason)
	}
	if _, err := r.store.Bind(r.ctx, []store.Binding{{App: r.appID, UserID: "user-1", OpenID: openID}}); err != nil {
		t.Fatal(err)
	}
	r.enqueue(r.get(n.ID))
	if got := r.await(n.ID, "it waits again", func(n store.Notification) bool { return n.State == store.Waiting && n.Seq > 0 }); got.Reason != store.ReasonNoConsent {
		t.Fatalf("waits for %q, want a consent", got.Reason)
	}
	if got := r.tap(openID); got.Released != 1 {
		t.Fatalf("a consent released %d", got.Released)
	}
	r.enqueue(r.get(n.ID))
	r.awaitState(n.ID, store.Sent)
	if c := r.entry(openID); !c.Empty() {
		t.Errorf("the entry is %+v, want an empty one", c)
	}
}

// An acceptance that comes while WeChat's refusal is on its way is not lost: the
// notification goes out again.
func TestAcceptedDuringRefusal(t *testing.T) {
	t.Parallel()
	r := newConsentRig(t)
	r.start()
	openID := simulator.OpenID("meanwhile")
	if err := r.sim.AddUser(r.appID, openID, ""); err != nil {
		t.Fatal(err)
	}
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang, After: true, Count: 1})
	n := r.send(approval(openID, store.NoConsentSend, time.Hour))
	r.awaitSim("WeChat has refused", func(s simulator.State) bool { return s.Hanging == 1 })
	r.tap(openID)
	r.sim.Release()
	got := r.await(n.ID, "the refusal is settled", func(n store.Notification) bool { return n.State == store.Retrying })
	if got.Generation != 2 || got.HandoverAt.IsZero() || len(r.attempts(n.ID)) != 1 {
		t.Fatalf("%s, generation %d, handover at %v; want it to be sent again", got.State, got.Generation, got.HandoverAt)
	}
	r.enqueue(got)
	r.awaitState(n.ID, store.Sent)
}

// A refusal after an answer that proves nothing is taken for success when one
// message was left and nothing else touched the ledger.
func TestRefusalAfterADoubtIsSuccess(t *testing.T) {
	t.Parallel()
	r := newConsentRig(t)
	r.start()
	openID := simulator.OpenID("assumed")
	r.tap(openID)
	// WeChat sends the message and says that it does not know.
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: -1, After: true, Count: 1})
	n := r.awaitState(r.send(approval(openID, store.NoConsentSend, time.Hour)).ID, store.Sent)
	if !n.Assumed || n.Unsure != 1 || len(r.attempts(n.ID)) != 2 {
		t.Errorf("assumed %v, unsure %d, %d attempts; want a success that was concluded", n.Assumed, n.Unsure, len(r.attempts(n.ID)))
	}
	if c := r.entry(openID); !c.Empty() {
		t.Errorf("the entry is %+v, want an empty one", c)
	}
}
