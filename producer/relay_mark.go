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
)

// MarkKey is a hash in Redis: the id of a mark -> its counter. The leader adds
// one each second, in Redis first and then in the store, so a healthy Redis is
// never behind the store. A field that is missing or behind means that Redis
// was wiped or went back to an older copy, and that tasks are gone. A field per
// id lets deployments share a Redis without taking each other's mark for a wipe.
const MarkKey = "wxnotify:relay:mark"

// bumpScript adds one to a mark that is there and not behind, and answers -1
// otherwise. Looking and adding must be one step: HINCRBY alone would make a
// mark that a wipe just took.
var bumpScript = redis.NewScript(`
local v = redis.call("HGET", KEYS[1], ARGV[1])
local n = v and tonumber(v)
if not n or n < tonumber(ARGV[2]) then
  return -1
end
return redis.call("HINCRBY", KEYS[1], ARGV[1], 1)
`)

// rebuild is the way through the open rows after Redis was wiped. Its mark is
// in Redis from the beginning and goes to the store at the end. So a second wipe
// on the way takes the mark along and is seen afterwards, and a relay that dies
// on the way leaves the old mark in the store, and the next one begins anew.
type rebuild struct {
	mark  store.Mark
	after uuid.UUID
	rows  int
	start time.Time
}

// checkMark looks for the mark in Redis and moves it on, or begins a rebuild.
func (r *Relay) checkMark(ctx context.Context) error {
	if r.rebuild != nil {
		// When it is missing again, the next look after the rebuild finds out.
		_, err := r.bump(ctx, &r.rebuild.mark)
		return err
	}
	mark, err := r.mark(ctx)
	if err != nil {
		return err
	}
	if mark.ID == uuid.Nil {
		r.config.Logger.Info("no mark yet, queue is built from the store")
		return r.startRebuild(ctx)
	}
	ok, err := r.bump(ctx, &mark)
	if err != nil {
		return err
	}
	if !ok {
		r.config.Logger.Warn("redis was wiped or rolled back, queue is rebuilt from the store")
		return r.startRebuild(ctx)
	}
	return r.setMark(ctx, mark)
}

// bump moves mark on in Redis; ok is false when it is missing there or behind.
func (r *Relay) bump(ctx context.Context, mark *store.Mark) (ok bool, err error) {
	n, err := bumpScript.Run(ctx, r.config.Redis, []string{MarkKey}, mark.ID.String(), mark.Counter).Int64()
	if r.fromRedis(ctx, err) != nil {
		return false, fmt.Errorf("move mark on: %w", err)
	}
	if n < 0 {
		return false, nil
	}
	mark.Counter = n
	return true, nil
}

// mark is the store's; its zero value when there is none yet.
func (r *Relay) mark(ctx context.Context) (store.Mark, error) {
	mark, err := r.config.Store.Mark(ctx)
	if errors.Is(err, store.ErrNotFound) {
		mark, err = store.Mark{}, nil
	}
	if r.fromStore(ctx, err) != nil {
		return store.Mark{}, fmt.Errorf("read mark: %w", err)
	}
	return mark, nil
}

func (r *Relay) setMark(ctx context.Context, mark store.Mark) error {
	if err := r.fromStore(ctx, r.config.Store.SetMark(ctx, mark)); err != nil {
		return fmt.Errorf("set mark: %w", err)
	}
	return nil
}

func (r *Relay) startRebuild(ctx context.Context) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("make mark: %w", err)
	}
	mark := store.Mark{ID: id, Counter: 1}
	if err := r.fromRedis(ctx, r.config.Redis.HSet(ctx, MarkKey, id.String(), mark.Counter).Err()); err != nil {
		return fmt.Errorf("put mark: %w", err)
	}
	r.queue.published.forget()
	r.rebuild = &rebuild{mark: mark, start: time.Now()}
	r.check = check{} // all of them are requeued
	return nil
}

// rebuildSome requeues the next pages of open rows; what it requeues is handed
// over by the same turn.
func (r *Relay) rebuildSome(ctx context.Context) error {
	for page := 0; r.rebuild != nil && page < rebuildPages; page++ {
		next, n, err := r.config.Store.RequeueOpen(ctx, r.rebuild.after, rebuildPage)
		if r.fromStore(ctx, err) != nil {
			return fmt.Errorf("requeue open rows: %w", err)
		}
		r.metrics.repair(repairRebuilt, n)
		r.rebuild.rows += n
		r.rebuild.after = next
		if n < rebuildPage {
			return r.endRebuild(ctx)
		}
	}
	return nil
}

// endRebuild writes the new mark to the store.
func (r *Relay) endRebuild(ctx context.Context) error {
	old, err := r.mark(ctx)
	if err != nil {
		return err
	}
	if err := r.setMark(ctx, r.rebuild.mark); err != nil {
		return err
	}
	r.config.Logger.Info("queue rebuilt", zap.Int("notifications", r.rebuild.rows),
		zap.Duration("took", time.Since(r.rebuild.start)))
	r.rebuild = nil
	// A field left behind costs a few bytes.
	r.config.Redis.HDel(ctx, MarkKey, old.ID.String())
	return nil
}
