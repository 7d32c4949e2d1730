package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// The archive of a queue is a view of the newest dead letters, for asynqmon; the
// store has them all. asynq trims it at 10,000 and at 90 days without a word,
// and its script for that breaks for good when some 8,000 are due at once, so
// the view is kept far below both.
const (
	archiveKeep  = 2000
	archiveAge   = 30 * 24 * time.Hour
	archivePage  = 500
	archivePages = 20 // of a queue and a turn: all that asynq keeps
)

// unarchiveScript removes tasks from the archive, unless someone ran them in the
// meantime, with the locks they may hold.
var unarchiveScript = redis.NewScript(`
local n = 0
for i = 2, #ARGV do
  if redis.call("ZREM", KEYS[1], ARGV[i]) == 1 then
    local key = ARGV[1] .. ARGV[i]
    local lock = redis.call("HGET", key, "unique_key")
    if lock and lock ~= "" and redis.call("GET", lock) == ARGV[i] then
      redis.call("DEL", lock)
    end
    redis.call("DEL", key)
    n = n + 1
  end
end
return n`)

// finishArchiveScript puts tasks right that asynq's own archive script left
// half-way: it moves the id first and says in the task last that it is archived,
// and in between it fails when there is too much to trim. Such a task is shown
// without its error and cannot be run. It is delivered once more, and its handler
// archives it again, as any dead letter that comes back. An id without a task is
// removed.
//
// KEYS archived, pending; ARGV[1] task key prefix, ARGV[2...] ids.
var finishArchiveScript = redis.NewScript(`
local n = 0
for i = 2, #ARGV do
  local id, key = ARGV[i], ARGV[1] .. ARGV[i]
  local state = redis.call("HGET", key, "state")
  if state ~= "archived" and redis.call("ZREM", KEYS[1], id) == 1 and state then
    redis.call("HSET", key, "state", "pending")
    redis.call("LPUSH", KEYS[2], id)
    n = n + 1
  end
end
return n`)

// sweepArchive adopts what asynq archived before any handler took it, prunes the
// view and finishes what asynq could not archive. While the store is away nothing of raw tasks is removed.
func (s *server) sweepArchive(ctx context.Context, now time.Time) error {
	rdb := s.w.cfg.Redis
	total, err := rdb.ZCard(ctx, s.key("archived")).Result()
	if err != nil {
		return err
	}
	extra := int(total) - archiveKeep
	start := int64(0)
	for range archivePages {
		page, err := rdb.ZRangeWithScores(ctx, s.key("archived"), start, start+archivePage-1).Result()
		if err != nil || len(page) == 0 {
			return err
		}
		removed, err := s.sweepArchived(ctx, page, extra, now)
		if err != nil {
			return err
		}
		extra -= len(page)
		start += int64(len(page) - removed)
	}
	return nil
}

// sweepArchived does one page, of which the first extra are too many.
func (s *server) sweepArchived(ctx context.Context, page []redis.Z, extra int, now time.Time) (removed int, err error) {
	ids := make([]string, len(page))
	for i, z := range page {
		ids[i], _ = z.Member.(string)
	}
	found, err := s.asides(ctx, ids)
	if err != nil {
		return 0, err
	}
	var drop, keep []any
	pruned := 0
	for i, a := range found {
		old := i < extra || int64(page[i].Score) < now.Add(-archiveAge).Unix()
		raw := !isOurs(a.taskID)
		gaveUp := raw && !a.garbled && a.msg.gaveUp()
		// What a person archived is set aside, not lost: it is recorded only
		// before the view forgets it.
		if raw && !a.known && !a.garbled && !a.msg.dead() && (gaveUp || old) {
			if err := s.rescue(ctx, a, now, !gaveUp); err != nil {
				return 0, fmt.Errorf("adopt an archived task: %w", err)
			}
		}
		// The row decides about what asynq gave up: a dead letter it is not.
		if old || gaveUp {
			drop = append(drop, a.taskID)
		} else {
			keep = append(keep, a.taskID)
		}
		if old {
			pruned++
		}
	}
	if len(drop) > 0 {
		removed, err = s.onArchive(ctx, unarchiveScript, drop)
		if err != nil {
			return 0, err
		}
		s.w.sweeps.count(sweptPruned, min(pruned, removed))
	}
	if len(keep) > 0 {
		finished, err := s.onArchive(ctx, finishArchiveScript, keep)
		if err != nil {
			return removed, err
		}
		s.w.sweeps.count(sweptFinished, finished)
		removed += finished
	}
	return removed, nil
}

// onArchive runs one of the scripts above on some of the archive's tasks.
func (s *server) onArchive(ctx context.Context, script *redis.Script, ids []any) (int, error) {
	keys := []string{s.key("archived"), s.key("pending")}
	return script.Run(ctx, s.w.cfg.Redis, keys, append([]any{s.key("t:")}, ids...)...).Int()
}
