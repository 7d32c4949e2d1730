package worker

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// aside is what a sweep found of a task that will not come to a handler by
// itself.
type aside struct {
	taskID  string
	msg     message
	garbled bool // there is no message, or asynq cannot read it
	known   bool // the store has a row of it
}

// asides reads tasks that are set aside and asks the store about the raw ones.
// Those of ours are known: where their row is open, Relay makes a new task.
func (s *server) asides(ctx context.Context, ids []string) ([]aside, error) {
	found := make([]aside, len(ids))
	cmds := make([]*redis.StringCmd, len(ids))
	var rows []uuid.UUID
	_, err := s.w.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			found[i] = aside{taskID: id, known: isOurs(id)}
			if found[i].known {
				continue
			}
			cmds[i] = p.HGet(ctx, s.key("t:"+id), "msg")
			rows = append(rows, task.RawID(s.queue, id))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) || len(rows) == 0 {
		return found, err
	}
	looks, err := s.w.cfg.Store.Look(ctx, rows)
	if err != nil {
		return nil, err
	}
	known := make(map[uuid.UUID]bool, len(looks))
	for _, l := range looks {
		known[l.ID] = true
	}
	for i := range found {
		if found[i].known {
			continue
		}
		found[i].known = known[task.RawID(s.queue, found[i].taskID)]
		b, err := cmds[i].Bytes()
		if err == nil {
			found[i].msg, err = decodeMessage(b)
		}
		found[i].garbled = err != nil
	}
	return found, nil
}

// rescue takes a raw task into the store that no handler ever took: it is sent
// as any other, or ends on record. A handler that had it would have adopted it
// before anything else, so without a row it never ran.
func (s *server) rescue(ctx context.Context, a aside, now time.Time, byHand bool) error {
	d := &delivery{
		s: s, ctx: ctx, task: a.msg.task(), taskID: a.taskID,
		raw: true, id: task.RawID(s.queue, a.taskID), generation: 1,
	}
	state, reason := store.Queued, store.ReasonNone
	switch {
	case byHand:
		state, reason = store.Cancelled, store.ReasonByAdmin
	case a.msg.tooLate(now):
		state, reason = store.Expired, store.ReasonDeadline
	}
	look, err := d.adoptAs(state, reason)
	if err != nil {
		return err
	}
	s.w.sweeps.count(sweptAdopted, 1)
	d.log().Warn("raw task without a handler adopted", zap.String("queue", s.queue), zap.String("state", string(look.State)))
	return nil
}

// adoptAs is adopt, with another state for what could be queued.
func (d *delivery) adoptAs(state store.State, reason store.Reason) (*store.Look, error) {
	if state != store.Queued && d.task.Type() == task.Type {
		if p, err := task.Parse(d.task.Payload()); err == nil {
			return d.insist(d.rawRow(p, state, reason))
		}
	}
	return d.adopt()
}

// key is one of asynq's keys of the queue.
func (s *server) key(name string) string { return "asynq:{" + s.queue + "}:" + name }
