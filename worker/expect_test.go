package worker

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// put puts a task of the row on its queue that says something else.
func (r *rig) put(n store.Notification, p task.Payload) {
	r.t.Helper()
	b, err := p.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.client.EnqueueContext(r.ctx, task.New(n.ID, n.Generation, r.queue(), b)); err != nil {
		r.t.Fatal(err)
	}
}

// countLooks counts the looks of the workers that start from now on.
func (r *rig) countLooks() *atomic.Int64 {
	var looks atomic.Int64
	r.edit = func(c *Config) {
		c.Store = &faultyStore{Store: c.Store, look: func(call func() ([]store.Look, error)) ([]store.Look, error) {
			looks.Add(1)
			return call()
		}}
	}
	return &looks
}

// A first delivery goes to the claim without a look, by openid or by user.
func TestAFirstDeliveryNeedsNoLook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	looks := r.countLooks()
	user := uuid.NewString()
	if _, err := r.store.Bind(r.ctx, []store.Binding{{App: r.appID, UserID: user, OpenID: simulator.OpenID(user)}}); err != nil {
		t.Fatal(err)
	}
	byOpenID := r.send()
	byUser := r.send(func(n *store.Notification) { n.OpenID, n.UserID = "", user })
	r.start()
	for _, id := range []uuid.UUID{byOpenID.ID, byUser.ID} {
		if n := r.awaitState(id, store.Sent); n.Seq != 1 {
			t.Errorf("%d claims, want 1", n.Seq)
		}
	}
	if got := looks.Load(); got != 0 {
		t.Errorf("%d looks, want none", got)
	}
}

// The row decides, whatever its task says: whose the message is, and what it says.
func TestATaskThatLies(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(*task.Payload){
		"the openid of another": func(p *task.Payload) { p.OpenID = simulator.OpenID("another") },
		"a user":                func(p *task.Payload) { p.OpenID, p.UserID = "", "another" },
		"nobody":                func(p *task.Payload) { p.OpenID = "" },
		"an app of nobody":      func(p *task.Payload) { p.App = "wx0000000000000000" },
		"no app":                func(p *task.Payload) { p.App = "" },
		"other data":            func(p *task.Payload) { p.Data = map[string]string{"thing9": "lie"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			n := r.accept()
			p := task.Payload{ID: n.ID, App: n.App, TemplateID: n.TemplateID, OpenID: n.OpenID, Data: n.Data}
			lie(&p)
			r.put(n, p)
			r.start()
			r.awaitState(n.ID, store.Sent)
			messages := r.sim.Calls(0)
			if len(messages) != 1 || messages[0].OpenID != n.OpenID || bytes.Contains(messages[0].Body, []byte("lie")) {
				t.Errorf("sent %+v, want one to the row's openid", messages)
			}
		})
	}
}

// What the claim refuses is looked at, and decided as ever.
func TestWhatIsNotAsExpected(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	unbound := r.send(func(n *store.Notification) { n.OpenID, n.UserID = "", uuid.NewString() })
	gone := store.Notification{ID: uuid.Must(uuid.NewV7()), App: r.appID, TemplateID: simulator.SeedReport, OpenID: simulator.OpenID("x"), Data: reportData, Generation: 1, Priority: store.Default}
	r.enqueue(gone)
	r.start()
	if n := r.awaitState(unbound.ID, store.Dead); n.Reason != store.ReasonUnbound {
		t.Errorf("reason %q of one whose user is not bound, want %q", n.Reason, store.ReasonUnbound)
	}
	if n := r.awaitState(gone.ID, store.Dead); n.Reason != store.ReasonRowMissing {
		t.Errorf("reason %q of one without a row, want %q", n.Reason, store.ReasonRowMissing)
	}
	r.wantSends(0)
}
