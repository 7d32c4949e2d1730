package worker

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/worker/task"
)

// The embedded queue of the dev command understands every script of the sweeps.
func TestSweepsOnTheEmbeddedQueue(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	core, logs := observer.New(zapcore.WarnLevel)
	w := &Worker{cfg: Config{Redis: rdb, Logger: zap.New(core)}, sweeps: newSweepMetrics(nil)}
	s := &server{queue: "default", w: w}
	w.now.Store(&serving{servers: []*server{s}})
	client := asynq.NewClientFromRedisClient(rdb)
	var ids []string
	for range 4 {
		id := uuid.Must(uuid.NewV7())
		ids = append(ids, task.ID(id, 1))
		if _, err := client.Enqueue(task.New(id, 1, s.queue, []byte(`{}`))); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	rdb.Del(ctx, s.key("t:"+ids[0]))           // a ghost
	rdb.LRem(ctx, s.key("pending"), 0, ids[1]) // an orphan
	rdb.LRem(ctx, s.key("pending"), 0, ids[2]) // archived long ago
	rdb.HSet(ctx, s.key("t:"+ids[2]), "state", "archived")
	rdb.ZAdd(ctx, s.key("archived"), redis.Z{Score: 1, Member: ids[2]})
	if err := sweep(ctx, rdb, s.queue, time.Now(), w.cfg.Logger); err != nil {
		t.Error(err)
	}
	w.sweepAll(ctx)
	s.passes(t, nil)
	for _, line := range logs.FilterMessage("queue not swept").All() {
		t.Errorf("%v", line.ContextMap())
	}
	s.wantSwept(t, sweptGhost, 1)
	s.wantSwept(t, sweptOrphan, 1)
	s.wantSwept(t, sweptPruned, 1)
	if got := rdb.LRange(ctx, s.key("pending"), 0, -1).Val(); len(got) != 1 || got[0] != ids[3] {
		t.Errorf("%d pending, want the one that is well", len(got))
	}
}
