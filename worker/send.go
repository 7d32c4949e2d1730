package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// delivery is one task in the hands of one handler.
type delivery struct {
	s          *server
	ctx        context.Context //nolint:containedctx // asynq's, or until the worker stops; for everything before the claim
	whole      context.Context //nolint:containedctx // asynq's own: over when asynq has taken the task back
	task       *asynq.Task
	taskID     string
	id         uuid.UUID
	generation int
	// raw: the task was not made by us, so it may have no retries left and a
	// timeout of its own; what needs a later attempt is left to Relay.
	raw bool
	// expected: the look is what the task says, and not yet the row's.
	expected bool
	supposed store.Look // what the task says
	// second: a call of this delivery failed for its token, and the one allowed
	// second call is due.
	second bool
}

// process is the handler of one queue.
func (s *server) process(ctx context.Context, t *asynq.Task) (err error) {
	s.busy.Add(1)
	defer s.busy.Add(-1)
	ctx, span := s.startProcess(ctx, t)
	defer func() { endProcess(span, err) }()
	d := &delivery{s: s, whole: ctx, task: t}
	d.taskID, _ = asynq.GetTaskID(ctx)
	var ours bool
	if d.id, d.generation, ours = task.ParseID(d.taskID); !ours {
		d.raw, d.id, d.generation = true, task.RawID(s.queue, d.taskID), 1
		defer s.w.running.enter(d.id)()
	}
	defer func() {
		if r := recover(); r != nil {
			s.w.cfg.Logger.Error("panic in a delivery", zap.String("task_id", d.taskID), traceID(ctx),
				zap.String("panic", fmt.Sprintf("%T", r)), zap.ByteString("stack", debug.Stack()))
			err = errPanic
		}
	}()
	var cancel context.CancelFunc
	d.ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()

	look, err := d.open()
	if err != nil {
		return err
	}
	return d.run(look)
}

// open finds the row of the task, or adopts a raw one.
func (d *delivery) open() (*store.Look, error) {
	d.describe()
	if d.raw {
		return d.adopt()
	}
	if look, ok := d.expect(); ok {
		d.expected = true
		return look, nil
	}
	return d.look()
}

// look reads the row of the task.
func (d *delivery) look() (*store.Look, error) {
	look, err := d.s.w.looker.look(d.ctx, d.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return d.insist(d.ownRow(store.Dead, store.ReasonRowMissing))
	case err != nil:
		return nil, d.unread(err)
	}
	return &look, nil
}

// unread answers a delivery whose row could not be read.
func (d *delivery) unread(err error) error {
	if !stopped(d.ctx) {
		d.log().Error("row not read", zap.Error(err))
	}
	return &handBackError{after: 5 * time.Second, why: "the store does not answer"}
}

// run takes one delivery from the look to the answer.
func (d *delivery) run(look *store.Look) error {
	for range 3 {
		app := d.s.w.app(look.App)                             // as it is set now: a reload does not change it under the attempt
		if d.expected && (app == nil || len(app.onlyTo) > 0) { // settings changed since it was expected
			d.expected = false
			var err error
			if look, err = d.look(); err != nil {
				return err
			}
			app = d.s.w.app(look.App)
		}
		if !d.expected {
			if answer, over := d.judge(app, look); over {
				return answer
			}
		}
		next, answer := d.attempt(app, look)
		if next == nil {
			return answer
		}
		d.expected = false
		look = next // another saw the row first, or a second call is due at once
	}
	return d.later(time.Second, "the row changed under the delivery")
}

// judge decides on what the row says alone; over is false when it may be sent.
func (d *delivery) judge(app *app, look *store.Look) (answer error, over bool) {
	switch look.State {
	case store.Dead:
		return d.deadAgain(look), true
	case store.Sent, store.Expired, store.Cancelled:
		return nil, true
	case store.Waiting, store.InDoubt:
		return nil, true // what moves it on makes a task of its own
	case store.Sending:
		if look.Generation != d.generation {
			return nil, true
		}
		wait := 5 * time.Second // the lease is over: Relay turns it into a doubt
		if left := look.LeaseLeft(); left > 0 {
			wait = left + time.Second
		}
		return d.later(wait, "another delivery is sending"), true
	case store.Queued, store.Retrying:
	}
	switch {
	case look.Generation != d.generation:
		return nil, true // stale: a newer task exists or is due
	case look.Overdue():
		return d.move(store.Move{State: store.Expired, Reason: store.ReasonTooOld}), true
	case !look.Due():
		return d.later(look.DueAt.Sub(look.Now), "not due yet"), true
	case app == nil && d.s.w.now.Load().left[look.App]:
		return d.later(leftWait, "the app is no longer served here"), true
	case app == nil:
		return d.kill(store.ReasonUnknownApp, store.ClassFault), true
	case !app.allowed(look):
		return d.move(store.Move{State: store.Cancelled, Reason: store.ReasonOnlyTo}), true
	case app.quiet(look) > 0:
		return d.move(store.Move{State: store.Retrying, Reason: store.ReasonQuietHours, Delay: app.quiet(look), Requeue: true}), true
	case look.Paused != "":
		return d.move(store.Move{State: store.Waiting, Reason: store.ReasonTemplatePaused}), true
	case look.Address == "":
		return d.wait(look, store.ReasonUnbound, store.ReasonUnbound), true
	case look.Consent.Empty() && look.NoConsent == store.NoConsentDead:
		return d.kill(store.ReasonNotSubscribed, store.ClassRefused), true
	case look.Consent.Empty() && look.NoConsent == store.NoConsentWait:
		return d.wait(look, store.ReasonNoConsent, store.ReasonNotSubscribed), true
	}
	if left := app.gate.resting(openIDScope(look.Address), pageScope(look.TemplateID, look.Page)); left > 0 {
		return d.move(store.Move{State: store.Retrying, Delay: left, Requeue: true}), true
	}
	return nil, false
}

func (a *app) allowed(look *store.Look) bool {
	return len(a.onlyTo) == 0 || a.onlyTo[look.UserID] && look.UserID != "" || a.onlyTo[look.Address]
}

// patience is the longest a delivery waits for its turn with an app's rate or
// an openid; who would wait longer gives its slot back unclaimed.
const patience = time.Second

// attempt paces, claims, sends and settles. next is a newer look to go on with;
// otherwise answer is what asynq is told.
func (d *delivery) attempt(app *app, look *store.Look) (next *store.Look, answer error) {
	w := d.s.w
	if left := app.gate.closedFor(); left > 0 {
		app.gate.hold(d.ctx)
		return nil, d.later(min(left, pausedWait), "the app is paused")
	}
	unlock, ok := w.openIDs.tryLock(d.ctx, openIDKey(look), patience)
	if !ok {
		return nil, d.later(time.Second, "another call for this openid is running")
	}
	defer unlock()
	if after, ok := app.pacer.wait(d.ctx, look.Priority, patience); !ok {
		return nil, d.later(max(after, time.Second), "the app's rate is used up")
	}
	slot, err := w.slots.acquire(d.ctx, look.App, look.Priority)
	if err != nil {
		return nil, d.later(time.Second, "no slot")
	}
	defer slot.release()

	permit, no := app.gate.enter(d.ctx)
	if no != nil {
		return nil, d.later(no.after, "the app is paused")
	}
	o := appUnknown
	defer func() { permit.done(d.ctx, o) }()

	token, err := d.token(app, permit)
	if err != nil {
		var delay time.Duration
		delay, o = w.tokenFault(d.ctx, app, permit, err)
		return nil, d.later(delay, "no access token")
	}
	if stopped(d.ctx) {
		return nil, d.later(time.Second, "the worker stops")
	}

	c, answer := d.claim(app, look)
	if c == nil {
		return nil, answer
	}
	defer w.sends.Done()
	if !c.ok {
		return &c.look, nil
	}
	if look.Address == "" {
		unlock, ok := w.openIDs.tryLock(d.ctx, openIDKey(&c.look), 0)
		if !ok {
			return nil, d.giveBack(c, "another call for this openid is running")
		}
		defer unlock()
	}
	place, answer := d.begin(app, c, permit)
	if place == nil {
		return nil, answer
	}
	defer place.release()
	slot.call()
	a := d.send(app, c, token)
	p := w.react(d.ctx, app, &c.look, &a, permit)
	o = p.app
	if p.settlement.PauseTemplate {
		defer app.ahead.refuse(c.look.TemplateID)()
	}
	place.release()
	slot.release()
	app.ahead.called()
	return d.settle(&c.look, &p)
}

// sharingTimeout bounds what is told to the fleet between an answer and its
// settlement: the answer matters more, and the lease must not end over it.
const sharingTimeout = 2 * time.Second

// afterwards is a context for what has to be done although the delivery may be
// over.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), sharingTimeout)
}

// token is the app's access token. A probe does not wait for it longer than its
// key lasts, or a second one would go out beside it.
func (d *delivery) token(app *app, permit *permit) (string, error) {
	ctx := d.ctx
	if permit.probe != "" {
		bounded, cancel := context.WithTimeout(ctx, leaseMargin)
		defer cancel()
		ctx = bounded
	}
	return app.Tokens.Token(ctx)
}

// answered is what came of one call.
type answered struct {
	at      time.Time
	latency time.Duration
	receipt wechat.Receipt
	err     *wechat.Error // nil: accepted
	token   string
	second  bool // the second call of this delivery, after a bad token
}

// send makes the call. asynq's context does not matter any more: the claim does.
func (d *delivery) send(app *app, c *claim, token string) answered {
	n := &c.look
	m := wechat.Message{
		ToUser: n.Address, TemplateID: n.TemplateID, Page: n.Page, Data: n.Data,
		MiniprogramState: n.MiniprogramState, Lang: n.Lang,
	}
	if m.MiniprogramState == "" {
		m.MiniprogramState = app.MiniprogramState
	}
	if m.Lang == "" {
		m.Lang = app.Lang
	}
	w := d.s.w
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), w.cfg.SendTimeout)
	defer cancel()
	defer w.metrics.call(app.ID)() // deferred: a panic below must not be counted for ever
	start := time.Now()
	receipt, err := w.cfg.Sender.Send(ctx, token, m)
	a := answered{at: start, latency: time.Since(start), receipt: receipt, token: token, second: d.second}
	if err != nil && !errors.As(err, &a.err) {
		// A Sender that breaks its contract: nobody knows what happened.
		a.err = &wechat.Error{API: wechat.APISend, Kind: wechat.KindInDoubt, Msg: "no typed error"}
	}
	w.metrics.sent(app.ID, n.TemplateID, a)
	return a
}

// settle writes what is known, however long that takes, and answers asynq.
func (d *delivery) settle(n *store.Look, p *plan) (next *store.Look, answer error) {
	w := d.s.w
	s := &p.settlement
	s.ID, s.Seq = n.ID, n.Seq
	if s.State == store.Retrying && !p.again && (d.raw || s.Delay >= relayFrom) {
		s.Requeue = true
	}
	ctx, span := w.tracer.Start(d.ctx, spanSettle)
	settled, err := w.committer.settle(ctx, s)
	fail(span, err, "the answer was not written")
	span.End()
	log := func() *zap.Logger {
		return d.log().With(zap.String("template_id", n.TemplateID), zap.Int("attempt", n.Seq),
			zap.String("kind", s.Attempt.Outcome), zap.Int("errcode", s.Attempt.Errcode))
	}
	switch {
	case err != nil:
		log().Error("answer not written; the attempt ends as a doubt", zap.Error(err))
		return nil, d.later(w.cfg.SendTimeout, "the answer was not written")
	case !settled.Applied:
		log().Warn("answer came too late: a later claim exists")
		return nil, nil
	}
	if s.Refused || s.State == store.Waiting {
		judged(s, settled)
	}
	if w.cfg.Logger.Core().Enabled(logLevel(s)) {
		p.log(log())
	}
	d.describeSettled(s)
	w.metrics.settled(n, s)
	if settled.Delivered > 0 && w.cfg.Delivered != nil {
		w.cfg.Delivered(n.App, settled.Delivered)
	}
	switch s.State {
	case store.Dead:
		if s.Class == store.ClassRefused {
			return nil, nil
		}
		return nil, &deadError{seq: s.Seq, reason: s.Reason, errcode: s.Attempt.Errcode, field: s.Field}
	case store.Retrying:
		if p.again {
			d.second = true
			if look, err := w.looker.look(d.ctx, d.id); err == nil {
				return &look, nil
			}
		}
		if s.Requeue {
			return nil, nil
		}
		return nil, &handBackError{after: s.Delay, why: "to be sent again"}
	case store.Sent, store.InDoubt, store.Waiting:
	case store.Queued, store.Sending, store.Expired, store.Cancelled:
	}
	return nil, nil
}

// judged takes over what the store made of a settlement: a refusal after a doubt,
// and a wait for what has come meanwhile.
func judged(s *store.Settlement, by store.Settled) {
	s.State, s.Class, s.Reason = by.State, by.Class, by.Reason
	s.Requeue = s.Requeue || by.State == store.Retrying
}

// relayFrom: a shorter delay is left to asynq's retry, a longer one to Relay.
const relayFrom = time.Minute

// later hands the delivery back unclaimed. A task without retries left would be
// archived for it, so that one is left to Relay.
func (d *delivery) later(after time.Duration, why string) error {
	if d.lastTry() {
		return d.move(store.Move{State: store.Retrying, Delay: after, Requeue: true})
	}
	return &handBackError{after: after, why: why}
}

// lastTry reports whether asynq would archive the task for any error.
func (d *delivery) lastTry() bool {
	retried, _ := asynq.GetRetryCount(d.ctx)
	most, _ := asynq.GetMaxRetry(d.ctx)
	return d.raw && retried >= most
}

// move changes the row without an attempt and acknowledges; when the row has
// changed meanwhile, whoever changed it is responsible for it.
func (d *delivery) move(m store.Move) error {
	m.ID, m.Generation = d.id, d.generation
	ok, err := d.s.w.committer.move(d.ctx, m)
	if err != nil {
		d.log().Error("row not moved", zap.String("to", string(m.State)), zap.Error(err))
		return &handBackError{after: 30 * time.Second, why: "the store refused a change"}
	}
	switch {
	case ok:
		d.describeMoved(m)
		d.s.w.metrics.moved(d.s.appID, m)
		d.log().Info("notification moved", zap.String("to", string(m.State)), zap.String("reason", string(m.Reason)))
	case m.State == store.Waiting:
		// What it was to wait for has just come: nobody makes a new task for a row
		// that did not wait.
		return d.later(time.Second, "there is nothing to wait for any more")
	}
	return nil
}

// kill ends the row as dead without an attempt.
func (d *delivery) kill(reason store.Reason, class store.Class) error {
	if err := d.move(store.Move{State: store.Dead, Class: class, Reason: reason}); err != nil {
		return err
	}
	if class == store.ClassRefused {
		return nil
	}
	look, err := d.s.w.looker.look(d.ctx, d.id)
	if err != nil {
		return d.unread(err)
	}
	if look.State != store.Dead {
		return nil
	}
	return deathOf(look.Notification)
}

// wait lets the notification wait for what is not there, if it may wait. One whose
// wait is over has expired, and one that was never to wait dies of why.
func (d *delivery) wait(look *store.Look, what, why store.Reason) error {
	switch {
	case look.MayWait():
		return d.move(store.Move{State: store.Waiting, Reason: what})
	case look.Wait > 0:
		return d.move(store.Move{State: store.Expired, Reason: what})
	default:
		return d.kill(why, store.ClassRefused)
	}
}

// unsendable are the deaths of tasks that never became a message: there is
// nothing that a replay could send.
var unsendable = map[store.Reason]bool{
	store.ReasonMalformed: true, store.ReasonUnknownType: true, store.ReasonUnknownApp: true, store.ReasonRowMissing: true,
}

// deadAgain answers a delivery of a dead notification. Only when the archived
// task carries the marker of this very death has a person pressed "run" in
// asynqmon: a replay. Anything else is a redelivery and is archived again.
func (d *delivery) deadAgain(look *store.Look) error {
	if look.Class == store.ClassRefused {
		return nil
	}
	if unsendable[look.Reason] || look.Reason == store.ReasonInDoubt {
		// A doubt may only be sent again by someone who was told what that means:
		// wxnotify dead replay --force.
		return deathOf(look.Notification)
	}
	info, err := d.s.w.inspector.GetTaskInfo(d.s.queue, d.taskID)
	if err != nil || !isMarker(info.LastErr, look.Notification) {
		return deathOf(look.Notification)
	}
	ok, err := d.s.w.committer.move(d.ctx, store.Move{ID: d.id, Generation: look.Generation, State: store.Queued, Replay: true, MaxAge: d.s.w.cfg.MaxAge})
	if err != nil || !ok {
		return deathOf(look.Notification)
	}
	d.log().Info("replayed: the archived task was run by hand")
	return nil
}

func (d *delivery) log() *zap.Logger {
	return d.s.w.cfg.Logger.WithLazy(zap.Stringer("notification_id", d.id), zap.String("app", d.s.appID), traceID(d.ctx))
}
