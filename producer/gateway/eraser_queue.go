package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// clearRaw takes a user's raw tasks, which no row knows of, out of the queues: by
// their payload. What is being worked on cannot be taken out; its row's id, which
// may not be there yet, is returned. A dead letter whose content was replaced has
// left the old one in the archive under a TaskID of ours, and goes too.
func (e *Eraser) clearRaw(ctx context.Context, who store.Erasure) (removed int, active []uuid.UUID, err error) {
	m := newMatcher(who, e.cfg.DefaultApp)
	err = task.EachKey(ctx, e.cfg.Redis, func(ctx context.Context, keys []string) error {
		suspects, err := e.suspects(ctx, m, keys)
		if err != nil {
			return err
		}
		for _, t := range suspects {
			info, err := e.info(ctx, t)
			if gone(err) {
				continue
			}
			if err != nil {
				return err
			}
			if info.Type != task.Type || !m.matches(t.queue, info.Payload) {
				continue
			}
			id, raw := t.row()
			if !raw && info.State != asynq.TaskStateArchived && info.State != asynq.TaskStateCompleted {
				continue // its row decides
			}
			ok, err := e.remove(ctx, t)
			switch {
			case err != nil:
				return err
			case ok:
				removed++
			case raw:
				active = append(active, id)
			}
		}
		return nil
	})
	if err != nil {
		return removed, active, err
	}
	return removed, active, e.clearPoison(ctx, m)
}

// clearTasks takes the tasks of notifications out of the queues, whatever their
// generation. kept are those that still have one: a worker has it.
func (e *Eraser) clearTasks(ctx context.Context, ids []uuid.UUID) (removed int, kept map[uuid.UUID]bool, err error) {
	kept = map[uuid.UUID]bool{}
	if len(ids) == 0 {
		return 0, kept, nil
	}
	wanted := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	err = task.EachKey(ctx, e.cfg.Redis, func(ctx context.Context, keys []string) error {
		for _, t := range placed(keys, e.cfg.DefaultApp) {
			id, _ := t.row()
			if !wanted[id] {
				continue
			}
			ok, err := e.remove(ctx, t)
			switch {
			case err != nil:
				return err
			case ok:
				removed++
			default:
				kept[id] = true
			}
		}
		return nil
	})
	return removed, kept, err
}

// placedTask is a task on one of our queues.
type placedTask struct{ queue, id string }

// row is the id of the notification that the task belongs to; raw: by its place
// and not by its TaskID.
func (t placedTask) row() (id uuid.UUID, raw bool) {
	if id, _, ours := task.ParseID(t.id); ours {
		return id, false
	}
	return task.RawID(t.queue, t.id), true
}

// placed are the tasks of keys that lie on queues of ours.
func placed(keys []string, defaultApp string) []placedTask {
	tasks := make([]placedTask, 0, len(keys))
	for _, key := range keys {
		queue, id, ok := task.ParseKey(key)
		if !ok {
			continue
		}
		if _, _, ours := task.ParseQueue(queue, defaultApp); ours {
			tasks = append(tasks, placedTask{queue, id})
		}
	}
	return tasks
}

// suspects are the tasks that may be the user's, by the bytes of what asynq
// stored.
func (e *Eraser) suspects(ctx context.Context, m matcher, keys []string) ([]placedTask, error) {
	tasks := placed(keys, e.cfg.DefaultApp)
	if len(tasks) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.StringCmd, len(tasks))
	_, err := e.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, t := range tasks {
			cmds[i] = p.HGet(ctx, "asynq:{"+t.queue+"}:t:"+t.id, "msg")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	found := tasks[:0]
	for i, t := range tasks {
		if msg, err := cmds[i].Bytes(); err == nil && m.suspects(msg) {
			found = append(found, t)
		}
	}
	return found, nil
}

// remove takes a task out of its queue. ok is false when it cannot: a worker has
// it, or it lies nowhere, until a sweep finds it.
func (e *Eraser) remove(ctx context.Context, t placedTask) (ok bool, err error) {
	err = e.published(ctx, t.queue, func() error { return e.inspector.DeleteTask(t.queue, t.id) })
	if err == nil || gone(err) {
		return true, nil
	}
	// asynq has no error of its own for a task in the wrong state.
	_, err = e.info(ctx, t)
	if gone(err) {
		return true, nil
	}
	return false, err
}

// info is what asynq knows about a task.
func (e *Eraser) info(ctx context.Context, t placedTask) (info *asynq.TaskInfo, err error) {
	err = e.published(ctx, t.queue, func() error {
		info, err = e.inspector.GetTaskInfo(t.queue, t.id)
		return err
	})
	return info, err
}

func gone(err error) bool { return errors.Is(err, asynq.ErrTaskNotFound) }

// published asks asynq about a queue, and once more after adding the queue to
// asynq's set of them: where that was lost, the tasks are there all the same.
func (e *Eraser) published(ctx context.Context, queue string, ask func() error) error {
	err := ask()
	if !errors.Is(err, asynq.ErrQueueNotFound) {
		return err
	}
	if err := e.cfg.Redis.SAdd(ctx, "asynq:queues", queue).Err(); err != nil {
		return err
	}
	return ask()
}

// clearPoison removes messages that nobody could read and that give the user away
// from the list of those.
func (e *Eraser) clearPoison(ctx context.Context, m matcher) error {
	entries, err := e.cfg.Redis.LRange(ctx, task.PoisonKey, 0, -1).Result()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		var p task.Poison
		if json.Unmarshal([]byte(entry), &p) != nil || !m.inScope(m.appOf(p.Queue)) || !m.marked(p.Msg) {
			continue
		}
		if err := e.cfg.Redis.LRem(ctx, task.PoisonKey, 0, entry).Err(); err != nil {
			return err
		}
	}
	return nil
}

// matcher tells whether a payload is a user's.
type matcher struct {
	who        store.Erasure
	defaultApp string
	openIDs    map[store.Address]bool
	marks      [][]byte
	// number finds a user id that stands as a number in JSON; nil when it is none.
	number *regexp.Regexp
}

func newMatcher(who store.Erasure, defaultApp string) matcher {
	m := matcher{who: who, defaultApp: defaultApp, openIDs: map[store.Address]bool{}}
	for _, a := range who.Addresses {
		m.openIDs[a] = true
	}
	for _, mark := range who.Marks() {
		m.marks = append(m.marks, []byte(mark))
	}
	if strings.Trim(who.UserID, "0123456789") == "" {
		m.number = regexp.MustCompile(`[:\s]` + who.UserID + `[,}\s]`)
	}
	return m
}

// appOf is the app of a queue.
func (m matcher) appOf(queue string) string {
	app, _, _ := task.ParseQueue(queue, m.defaultApp)
	return app
}

func (m matcher) inScope(app string) bool {
	return m.who.Apps == nil || slices.Contains(m.who.Apps, app)
}

// suspects is a cheap look at bytes: text that is not escaped stands there as it
// is.
func (m matcher) suspects(msg []byte) bool {
	return bytes.IndexByte(msg, '\\') >= 0 || m.marked(msg) || m.number != nil && m.number.Match(msg)
}

// marked reports whether text that is no payload gives the user away.
func (m matcher) marked(text []byte) bool {
	return slices.ContainsFunc(m.marks, func(mark []byte) bool { return bytes.Contains(text, mark) })
}

// matches reports whether a payload on a queue is addressed to the user.
func (m matcher) matches(queue string, payload []byte) bool {
	app := m.appOf(queue)
	p, err := task.Parse(payload)
	if err != nil {
		return m.inScope(app) && m.marked(payload)
	}
	if p.App != "" {
		app = p.App
	}
	if p.UserID != "" {
		return p.UserID == m.who.UserID && m.inScope(app)
	}
	return m.openIDs[store.Address{App: app, OpenID: p.OpenID}]
}
