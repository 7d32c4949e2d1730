package worker

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// sweepInterval is how often a process looks after the queues it serves.
const sweepInterval = time.Minute

// ghostAge is how long an id without a task stays in the active list before it
// is dropped: longer than any lease, so that nothing that lives is touched.
const ghostAge = 2 * time.Minute

// sweepScript repairs two things that asynq v0.26 leaves for ever. An active
// task without a lease is given one that is over, so that asynq's own recovery
// takes it. An id whose task is gone delays the queue by one idle pass each time
// it is met and makes every statistic of the queue fail: it is dropped.
//
// Dequeue moves a task and writes its lease in one script, so an active id
// without a lease is never one that is just being taken.
var sweepScript = redis.NewScript(`
local fixed, ghosts = 0, 0
for _, id in ipairs(redis.call("LRANGE", KEYS[1], 0, -1)) do
  local lease = redis.call("ZSCORE", KEYS[2], id)
  local task = ARGV[2] .. id
  if redis.call("HEXISTS", task, "msg") == 1 then
    if not lease then
      redis.call("ZADD", KEYS[2], ARGV[1], id)
      fixed = fixed + 1
    end
  elseif not lease or tonumber(lease) < tonumber(ARGV[3]) then
    redis.call("LREM", KEYS[1], 0, id)
    redis.call("ZREM", KEYS[2], id)
    redis.call("DEL", task)
    ghosts = ghosts + 1
  end
end
return {fixed, ghosts}`)

// sweep looks after one queue: asynq's client publishes a queue's name once per
// process, so a lost set of names would hide the queue from asynqmon for ever.
func sweep(ctx context.Context, rdb redis.UniversalClient, queue string, now time.Time, l *zap.Logger) error {
	if err := rdb.SAdd(ctx, "asynq:queues", queue).Err(); err != nil {
		return err
	}
	base := "asynq:{" + queue + "}:"
	res, err := sweepScript.Run(ctx, rdb, []string{base + "active", base + "lease"},
		now.Add(-time.Hour).Unix(), base+"t:", now.Add(-ghostAge).Unix()).Int64Slice()
	if err != nil {
		return err
	}
	if len(res) == 2 && res[0]+res[1] > 0 {
		l.Warn("queue repaired", zap.String("queue", queue), zap.Int64("tasks_without_lease", res[0]), zap.Int64("ids_without_task", res[1]))
	}
	return nil
}
