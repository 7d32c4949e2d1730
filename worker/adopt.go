package worker

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// adopt takes a raw task into the store. From then on the notification is
// accepted: the row decides, and a redelivery of the task finds it.
func (d *delivery) adopt() (*store.Look, error) {
	if d.task.Type() != task.Type {
		a := d.ownRow(store.Dead, store.ReasonUnknownType)
		a.Notification.Payload = capped(d.task.Payload())
		return d.insist(a)
	}
	p, err := task.Parse(d.task.Payload())
	if err != nil {
		a := d.ownRow(store.Dead, store.ReasonMalformed)
		a.Notification.Payload = capped(d.task.Payload())
		a.Notification.Errmsg = err.Error()
		if faults, ok := errors.AsType[task.FieldErrors](err); ok {
			a.Notification.Field = faults.First()
		}
		return d.insist(a)
	}
	if p.App != "" && !d.s.w.knows(p.App) {
		a := d.ownRow(store.Dead, store.ReasonUnknownApp)
		a.Notification.Payload = capped(d.task.Payload())
		a.Notification.Field = "app"
		return d.insist(a)
	}
	return d.insist(d.rawRow(p, store.Queued, store.ReasonNone))
}

// rawRow is the row of a readable raw task.
func (d *delivery) rawRow(p task.Payload, s store.State, r store.Reason) store.Acceptance {
	a := d.ownRow(s, r)
	a.Notification.Class = store.ClassNone
	n := &a.Notification
	if p.App != "" {
		n.App = p.App
	}
	n.TemplateID, n.Page, n.UserID, n.OpenID, n.Data = p.TemplateID, p.Page, p.UserID, p.OpenID, p.Data
	n.Lang, n.MiniprogramState = p.Lang, p.MiniprogramState
	return a
}

// ownRow is a row about this delivery's task without anything from its payload.
func (d *delivery) ownRow(s store.State, r store.Reason) store.Acceptance {
	class := store.ClassNone
	if s == store.Dead {
		class = store.ClassFault
	}
	return store.Acceptance{
		Notification: store.Notification{
			ID: d.id, App: d.s.appID, Queue: d.s.queue, Priority: d.s.prio,
			Duplicates: store.DuplicatesAllow, Receipt: store.ReceiptNone,
			State: s, Class: class, Reason: r, Generation: d.generation,
		},
		MaxAge:     d.s.w.cfg.MaxAge,
		HandoverIn: store.HandoverGrace,
	}
}

// capped keeps a hostile payload from filling the store.
func capped(b []byte) []byte { return b[:min(len(b), task.MaxPayload)] }

// insist adopts, waiting while the store is away until the delivery ends.
func (d *delivery) insist(a store.Acceptance) (*store.Look, error) {
	for {
		look, err := d.s.w.cfg.Store.Adopt(d.ctx, a)
		switch {
		case err == nil:
			d.noteAdopted(look)
			return &look, nil
		case stopped(d.ctx):
			if d.lastTry() {
				// There is no row to leave it to, and any answer would archive it.
				// asynq puts it back when its shutdown takes too long.
				<-d.whole.Done()
			}
			return nil, d.unread(err)
		case !errors.Is(err, store.ErrUnavailable):
			d.log().Error("raw task not adopted", zap.Error(err))
			return nil, &handBackError{after: 30 * time.Second, why: "the task was not adopted"}
		}
		t := time.NewTimer(d.s.w.looker.pause)
		select {
		case <-t.C:
		case <-d.ctx.Done():
			t.Stop()
		}
	}
}

// noteAdopted counts the task, and logs one that was dead on arrival: nothing
// else would tell of it. The row was made by this very call when it is as old as
// the look at it; a redelivery finds an older one.
func (d *delivery) noteAdopted(look store.Look) {
	if !look.CreatedAt.Equal(look.Now) {
		return
	}
	d.s.w.metrics.adopt(look.App)
	if look.State != store.Dead {
		return
	}
	d.s.w.metrics.outcome(d.s.appID, look.State, look.Reason)
	d.log().Error("task cannot be sent", zap.String("queue", d.s.queue), zap.String("task_id", d.taskID),
		zap.String("reason", string(look.Reason)), zap.String("field", shownField(look.Field)))
}

// neverRunTimeout bounds the note on a task that asynq gave up unrun.
const neverRunTimeout = 5 * time.Second

// neverRun notes a raw task whose own asynq deadline went by in the queue:
// asynq burns all its retries at once and archives it without ever calling the
// handler, and nothing else would know of it. It is called for every failure,
// before asynq writes it, so it must not conclude anything else: dead letters
// are settled in the store before they are answered.
func (s *server) neverRun(ctx context.Context, t *asynq.Task, err error) {
	taskID, ok := asynq.GetTaskID(ctx)
	if !ok || !errors.Is(err, context.DeadlineExceeded) || t.Type() != task.Type {
		return
	}
	id := task.RawID(s.queue, taskID)
	if s.w.running.count(id) > 0 {
		return // the handler has it; this is only asynq's own timeout
	}
	info, err := s.w.inspector.GetTaskInfo(s.queue, taskID)
	if err != nil || info.Deadline.IsZero() || info.Deadline.After(time.Now()) {
		return // its timeout went by before the handler began; it will be retried
	}
	if _, _, ours := task.ParseID(taskID); ours {
		return // the row knows, and Relay makes a new task
	}
	p, err := task.Parse(t.Payload())
	if err != nil {
		return // if it is ever run by hand it becomes a dead letter
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), neverRunTimeout)
	defer cancel()
	d := &delivery{s: s, ctx: late, task: t, taskID: taskID, raw: true, id: id, generation: 1}
	if _, err := s.w.cfg.Store.Adopt(late, d.rawRow(p, store.Expired, store.ReasonDeadline)); err != nil {
		d.log().Error("raw task past its deadline not noted", zap.Error(err))
	}
}
