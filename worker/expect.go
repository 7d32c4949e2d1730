package worker

import (
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// expect makes the look that a first delivery would find, of what the task says:
// a row that is queued, due and as it was enqueued. It spares the statement, since
// the claim asks for all of that again and answers with the row. ok is false where
// more has to be known before the claim: after an earlier delivery, of an app that
// is paused or may send to some only, or when a rest or quiet hours may concern
// the notification.
//
// A task may be anyone's: what it says decides where the delivery waits for its
// turn and no more, and a claim whose row says something else is given back.
func (d *delivery) expect() (look *store.Look, ok bool) {
	if retried, _ := asynq.GetRetryCount(d.ctx); retried > 0 || d.task.Type() != task.Type {
		return nil, false
	}
	p, ok := task.Peek(d.task.Payload())
	if !ok {
		return nil, false
	}
	app := d.s.w.app(p.App)
	if app == nil || len(app.onlyTo) > 0 || !app.gate.calm() {
		return nil, false
	}
	now, look := time.Now(), &d.supposed
	look.ID, look.Generation, look.State, look.Priority = d.id, d.generation, store.Queued, d.s.prio
	look.App, look.TemplateID, look.Page, look.UserID, look.OpenID = p.App, p.TemplateID, p.Page, p.UserID, p.OpenID
	look.Address, look.DueAt, look.Now = p.OpenID, now, now
	return look, app.quiet(look) == 0
}

// calm reports that no answer of late speaks against sending: there is no pause
// and no rest.
func (g *gate) calm() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pause == nil && len(g.rests) == 0
}

// fits reports whether the claimed row is that of the app and the openid as whom
// the delivery has waited for its turn.
func (d *delivery) fits(look, claimed *store.Look) bool {
	return claimed.App == look.App && (claimed.Address == look.Address || d.expected && look.Address == "")
}

// openIDKey is the key of the lock of an openid, or of a user whose openid only
// the claim will tell.
func openIDKey(look *store.Look) string {
	if look.Address == "" {
		return look.App + " user " + look.UserID
	}
	return look.App + " " + look.Address
}
