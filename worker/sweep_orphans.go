package worker

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/worker/task"
)

// asynq's scripts are not undone when they fail half-way, and some of the
// console's leave tasks behind: a task then exists but is in no list or set, is
// never delivered, cannot be run, deleted or enqueued again, and is shown
// nowhere. When Redis evicts the pending list, this happens to every task of it.
// Such orphans are found by looking at all tasks, and deleted; a raw one is
// adopted before. An open row of a deleted task gets a new one from Relay.

const (
	orphanInterval = 2 * time.Minute
	// orphanAge is how long apart two passes must find the same orphan.
	orphanAge = 2 * time.Minute
	// orphanMax bounds what one pass verifies and deletes, of one queue.
	orphanMax = 10_000
	// orphanScan bounds how many ids one script compares with the lists.
	orphanScan = 200_000
)

// orphanScript returns which tasks are in no list or set, and with ARGV[2] = 1
// deletes them. Where a task is can be told only by looking everywhere at once.
//
// KEYS pending, active, lease, scheduled, retry, archived, completed;
// ARGV[1] task key prefix, ARGV[2] 1 to delete, ARGV[3...] ids.
var orphanScript = redis.NewScript(`
local orphans = {}
for i = 3, #ARGV do
  local id, key = ARGV[i], ARGV[1] .. ARGV[i]
  local found = redis.call("EXISTS", key) == 0 or redis.call("HGET", key, "state") == "aggregating"
  for k = 3, 7 do
    found = found or redis.call("ZSCORE", KEYS[k], id)
  end
  found = found or redis.call("LPOS", KEYS[2], id) or redis.call("LPOS", KEYS[1], id, "RANK", -1)
  if not found then
    orphans[#orphans + 1] = id
    if ARGV[2] == "1" then
      local lock = redis.call("HGET", key, "unique_key")
      if lock and lock ~= "" and redis.call("GET", lock) == id then
        redis.call("DEL", lock)
      end
      redis.call("DEL", key)
    end
  end
end
return orphans`)

// orphanQueue is one queue in a pass.
type orphanQueue struct {
	*server
	// since is when the task that is next became pending, in nanoseconds; a
	// pending task older than that is suspicious, and any when none is next.
	since    int64
	empty    bool
	batch    int // ids that one script compares
	suspects []string
}

// orphansKey keeps when a queue's orphans were first found: pass after pass,
// whichever process makes it.
func (s *server) orphansKey() string { return "wxnotify:{" + s.queue + "}:orphans" }

// sweepOrphans makes one pass over all tasks of the queues whose turn it is.
func (w *Worker) sweepOrphans(ctx context.Context, now time.Time) error {
	queues := map[string]*orphanQueue{}
	for _, s := range w.now.Load().servers {
		// One process of the fleet makes the pass.
		turn := "wxnotify:{" + s.queue + "}:orphans:turn"
		err := w.cfg.Redis.SetArgs(ctx, turn, "1", redis.SetArgs{Mode: "NX", TTL: orphanInterval - time.Second}).Err()
		switch {
		case errors.Is(err, redis.Nil):
			continue
		case err != nil:
			return err
		}
		if queues[s.queue], err = s.orphanQueue(ctx); err != nil {
			return err
		}
	}
	return w.passOrphans(ctx, queues, now)
}

func (w *Worker) passOrphans(ctx context.Context, queues map[string]*orphanQueue, now time.Time) error {
	if len(queues) == 0 {
		return nil
	}
	err := task.EachKey(ctx, w.cfg.Redis, func(ctx context.Context, keys []string) error {
		return w.suspectOrphans(ctx, queues, keys)
	})
	if err != nil {
		return err
	}
	for _, q := range queues {
		if err := q.endPass(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) orphanQueue(ctx context.Context) (*orphanQueue, error) {
	rdb := s.w.cfg.Redis
	q := &orphanQueue{server: s}
	n, err := rdb.LLen(ctx, s.key("pending")).Result()
	if err != nil {
		return nil, err
	}
	q.batch = int(max(1, min(100, orphanScan/(1+n))))
	next, err := rdb.LIndex(ctx, s.key("pending"), -1).Result()
	if errors.Is(err, redis.Nil) {
		q.empty = true
		return q, nil
	}
	if err != nil {
		return nil, err
	}
	// A task run by hand has no time; then only those without one are suspects.
	q.since, err = rdb.HGet(ctx, s.key("t:"+next), "pending_since").Int64()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return q, err
}

// suspectOrphans notes the tasks of a block that may be orphans, by reads that
// cost the same however long the lists are.
func (w *Worker) suspectOrphans(ctx context.Context, queues map[string]*orphanQueue, keys []string) error {
	type seen struct {
		q      *orphanQueue
		id     string
		fields *redis.SliceCmd
		place  *redis.FloatCmd
	}
	var block []*seen
	_, err := w.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			queue, id, ok := task.ParseKey(key)
			if q := queues[queue]; ok && q != nil {
				block = append(block, &seen{q: q, id: id, fields: p.HMGet(ctx, key, "state", "pending_since")})
			}
		}
		return nil
	})
	if err != nil || len(block) == 0 {
		return err
	}
	_, err = w.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, t := range block {
			state, since := taskFields(t.fields)
			switch state {
			case "pending":
				if t.q.empty || since == 0 || since < t.q.since {
					t.q.suspect(t.id)
				}
			case "active":
				t.place = p.ZScore(ctx, t.q.key("lease"), t.id)
			case "scheduled", "retry", "archived", "completed":
				t.place = p.ZScore(ctx, t.q.key(state), t.id)
			case "aggregating":
			default:
				t.q.suspect(t.id)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	for _, t := range block {
		if t.place != nil && errors.Is(t.place.Err(), redis.Nil) {
			t.q.suspect(t.id)
		}
	}
	return nil
}

func taskFields(cmd *redis.SliceCmd) (state string, since int64) {
	v := cmd.Val()
	if len(v) != 2 {
		return "", 0
	}
	state, _ = v[0].(string)
	text, _ := v[1].(string)
	since, _ = strconv.ParseInt(text, 10, 64)
	return state, since
}

func (q *orphanQueue) suspect(id string) {
	if len(q.suspects) < orphanMax {
		q.suspects = append(q.suspects, id)
	}
}

// endPass verifies the suspects, deletes those found long enough ago and
// remembers the others.
func (q *orphanQueue) endPass(ctx context.Context, now time.Time) error {
	rdb := q.w.cfg.Redis
	before, err := rdb.ZRangeWithScores(ctx, q.orphansKey(), 0, -1).Result()
	if err != nil {
		return err
	}
	first := make(map[string]time.Time, len(before))
	for _, z := range before {
		id, _ := z.Member.(string)
		first[id] = time.Unix(int64(z.Score), 0)
	}
	orphans, err := q.orphans(ctx, q.suspects, false)
	if err != nil {
		return err
	}
	var due []string
	keep := make([]redis.Z, 0, len(orphans))
	for _, id := range orphans {
		at, known := first[id]
		if !known {
			at = now
		}
		if known && now.Sub(at) >= orphanAge {
			due = append(due, id)
			continue
		}
		keep = append(keep, redis.Z{Score: float64(at.Unix()), Member: id})
	}
	if err := q.deleteOrphans(ctx, due, now); err != nil {
		return err
	}
	_, err = rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, q.orphansKey())
		if len(keep) > 0 {
			p.ZAdd(ctx, q.orphansKey(), keep...)
			p.Expire(ctx, q.orphansKey(), time.Hour)
		}
		return nil
	})
	return err
}

func (q *orphanQueue) deleteOrphans(ctx context.Context, due []string, now time.Time) error {
	deleted := 0
	for start := 0; start < len(due); start += archivePage {
		page := due[start:min(start+archivePage, len(due))]
		found, err := q.asides(ctx, page)
		if err != nil {
			return err
		}
		for _, a := range found {
			// Nobody chose that an orphan goes nowhere, so it is sent.
			if !a.known && !a.garbled && !a.msg.dead() {
				if err := q.rescue(ctx, a, now, false); err != nil {
					return err
				}
			}
		}
		gone, err := q.orphans(ctx, page, true)
		if err != nil {
			return err
		}
		deleted += len(gone)
	}
	if deleted > 0 {
		q.w.sweeps.count(sweptOrphan, deleted)
		q.w.cfg.Logger.Warn("tasks that were in no list removed", zap.String("queue", q.queue), zap.Int("tasks", deleted))
	}
	return nil
}

// orphans are those of ids that are in no list or set; they are deleted by the
// same step if so wanted.
func (q *orphanQueue) orphans(ctx context.Context, ids []string, remove bool) ([]string, error) {
	keys := make([]string, 0, 7)
	for _, name := range []string{"pending", "active", "lease", "scheduled", "retry", "archived", "completed"} {
		keys = append(keys, q.key(name))
	}
	flag := "0"
	if remove {
		flag = "1"
	}
	var orphans []string
	for start := 0; start < len(ids); start += q.batch {
		args := []any{q.key("t:"), flag}
		for _, id := range ids[start:min(start+q.batch, len(ids))] {
			args = append(args, id)
		}
		found, err := orphanScript.Run(ctx, q.w.cfg.Redis, keys, args...).StringSlice()
		if err != nil {
			return nil, err
		}
		orphans = append(orphans, found...)
	}
	return orphans, nil
}
