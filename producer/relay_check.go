package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// The pace of the check of a healthy Redis. A pass over a million rows takes a
// minute and seconds of reads; a task that vanished is missed by the next pass
// at the latest, so within checkInterval and the time of a pass.
const (
	checkPage     = 1000
	checkInterval = 2 * time.Minute // from the beginning of a pass to the next one
	// checkPause and checkBudget keep the check below a tenth of the time, of the
	// relay's loop and of the servers.
	checkPause  = 250 * time.Millisecond
	checkBudget = 25 * time.Millisecond
	// secondLook is how long after the first look a task must still be gone. The
	// statement that acts is guarded, so this only keeps a row from being touched
	// that is about to move on by itself. It is longer than rareInterval, so that
	// a Redis that was wiped is known as one before its tasks are missed singly.
	secondLook = 5 * time.Second
	// suspectMax bounds what waits for its second look; while it is full, the
	// pass stands still. It is also what may be put on the queue within seconds.
	suspectMax = 5000
)

// checkTimes are the pauses of a check.
type checkTimes struct {
	interval, pause, budget, secondLook time.Duration
}

var defaultCheckTimes = checkTimes{interval: checkInterval, pause: checkPause, budget: checkBudget, secondLook: secondLook}

// check is the rolling look for tasks that are gone although Redis is healthy:
// deleted or archived by hand, evicted, or taken out by a worker's sweep because
// a half-applied script had put them out of reach. It reads, and writes only
// what it repairs.
type check struct {
	begun    time.Time // of the pass; zero before the first
	lookedAt time.Time
	running  bool
	after    uuid.UUID // where the pass goes on
	rows     int       // of the pass so far
	suspects []suspect // oldest first
}

// suspect is a notification whose task was not where it must be.
type suspect struct {
	store.OnQueue
	at time.Time
}

// checkSome looks at the next rows and again at the suspects that are due.
func (r *Relay) checkSome(ctx context.Context) error {
	c, times := &r.check, r.checkTimes
	start := time.Now()
	if start.Sub(c.lookedAt) < times.pause {
		return nil
	}
	defer func() { c.lookedAt = time.Now() }()
	if err := r.lookAgain(ctx, start); err != nil {
		return err
	}
	if !c.running && (c.begun.IsZero() || start.Sub(c.begun) >= times.interval) {
		c.running, c.begun, c.after, c.rows = true, start, uuid.Nil, 0
	}
	for c.running && len(c.suspects) < suspectMax {
		if err := r.checkBlock(ctx); err != nil {
			return err
		}
		if time.Since(start) >= times.budget {
			break
		}
	}
	return nil
}

// checkBlock looks at one page.
func (r *Relay) checkBlock(ctx context.Context) error {
	c := &r.check
	page, err := r.config.Store.OnQueue(ctx, c.after, checkPage)
	if r.fromStore(ctx, err) != nil {
		return fmt.Errorf("list what is on the queue: %w", err)
	}
	states, err := r.taskStates(ctx, page)
	if err != nil {
		return err
	}
	now := time.Now()
	for i, o := range page {
		if !delivers(states[i]) {
			c.suspects = append(c.suspects, suspect{OnQueue: o, at: now})
		}
	}
	c.rows += len(page)
	if len(page) < checkPage {
		c.running = false
		r.config.Logger.Debug("queue checked", zap.Int("notifications", c.rows), zap.Duration("took", time.Since(c.begun)))
		return nil
	}
	c.after = page[len(page)-1].ID
	return nil
}

// lookAgain requeues the suspects whose task is still gone.
func (r *Relay) lookAgain(ctx context.Context, now time.Time) error {
	c := &r.check
	n := 0
	for n < len(c.suspects) && n < checkPage && now.Sub(c.suspects[n].at) >= r.checkTimes.secondLook {
		n++
	}
	if n == 0 {
		return nil
	}
	page := make([]store.OnQueue, n)
	for i, s := range c.suspects[:n] {
		page[i] = s.OnQueue
	}
	states, err := r.taskStates(ctx, page)
	if err != nil {
		return err
	}
	for _, kind := range []repair{repairLost, repairArchived} {
		if err := r.requeue(ctx, kind, page, states); err != nil {
			return err
		}
	}
	c.suspects = append([]suspect(nil), c.suspects[n:]...)
	return nil
}

// requeue gives the rows whose task is in the state of a kind a new delivery.
func (r *Relay) requeue(ctx context.Context, kind repair, page []store.OnQueue, states []string) error {
	var gone []store.OnQueue
	for i, o := range page {
		if !delivers(states[i]) && (states[i] == taskArchived) == (kind == repairArchived) {
			gone = append(gone, o)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	n, err := r.config.Store.Requeue(ctx, gone)
	if r.fromStore(ctx, err) != nil {
		return fmt.Errorf("requeue notifications: %w", err)
	}
	if n == 0 {
		return nil // all of them moved on
	}
	r.metrics.repair(kind, n)
	r.config.Logger.Warn("tasks were gone, notifications requeued", zap.String("kind", string(kind)), zap.Int("notifications", n))
	if kind == repairArchived {
		// Afterwards, so that nothing is lost when this is the last thing done.
		// A twin that stays is stale and would be dropped.
		return r.dropArchived(ctx, gone)
	}
	return nil
}

// The states of a task, as asynq writes them.
const (
	taskPending   = "pending"
	taskActive    = "active"
	taskScheduled = "scheduled"
	taskRetry     = "retry"
	taskArchived  = "archived"
)

// delivers reports whether a task in this state comes to a worker by itself.
// That one is also where its state says is left to the worker's sweep, which
// removes a task that is nowhere; then it is gone here too.
func delivers(state string) bool {
	switch state {
	case taskPending, taskActive, taskScheduled, taskRetry:
		return true
	}
	return false
}

// taskStates reads the states of tasks; "" for one that is not there.
func (r *Relay) taskStates(ctx context.Context, page []store.OnQueue) ([]string, error) {
	if len(page) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.StringCmd, len(page))
	_, err := r.config.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, o := range page {
			key, _ := r.taskKey(o)
			cmds[i] = p.HGet(ctx, key, "state")
		}
		return nil
	})
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	states := make([]string, len(page))
	for i, cmd := range cmds {
		switch state, cmdErr := cmd.Result(); {
		case cmdErr == nil:
			states[i] = state
		case !errors.Is(cmdErr, redis.Nil) && err == nil:
			err = cmdErr
		}
	}
	if r.fromRedis(ctx, err) != nil {
		return nil, fmt.Errorf("look for tasks: %w", err)
	}
	return states, nil
}

// taskKey is the key of a task and that of its queue's archive.
func (r *Relay) taskKey(o store.OnQueue) (key, archive string) {
	base := "asynq:{" + task.Queue(o.App, r.config.DefaultApp, o.Priority) + "}:"
	return base + "t:" + task.ID(o.ID, o.Generation), base + "archived"
}

// dropArchivedScript removes a task from the archive, unless someone ran it in
// the meantime.
var dropArchivedScript = redis.NewScript(`
if redis.call("HGET", KEYS[1], "state") ~= "archived" then
  return 0
end
redis.call("ZREM", KEYS[2], ARGV[1])
return redis.call("DEL", KEYS[1])
`)

// dropArchived removes the archived tasks of generations that are over, so that
// asynqmon shows no dead letter that is none.
func (r *Relay) dropArchived(ctx context.Context, list []store.OnQueue) error {
	_, err := r.config.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, o := range list {
			key, archive := r.taskKey(o)
			dropArchivedScript.Eval(ctx, p, []string{key, archive}, task.ID(o.ID, o.Generation))
		}
		return nil
	})
	if r.fromRedis(ctx, err) != nil {
		return fmt.Errorf("remove archived tasks: %w", err)
	}
	return nil
}
