package task

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// scanBlock is how many keys one step of a scan looks at.
const scanBlock = 1000

// PoisonKey is a list in Redis: messages that asynq cannot read, the newest
// first, each a [Poison] as JSON, for whoever wrote them.
const PoisonKey = "wxnotify:poison"

// Poison is an entry of the list of PoisonKey.
type Poison struct {
	Queue  string    `json:"queue"`
	TaskID string    `json:"task_id"`
	At     time.Time `json:"at"`
	Msg    []byte    `json:"msg"`
}

// EachKey calls do with blocks of the keys of all tasks of all queues. A task that
// is there all the time is among them at least once. It takes a quarter of Redis's
// time at most.
func EachKey(ctx context.Context, rdb redis.UniversalClient, do func(ctx context.Context, keys []string) error) error {
	var mu sync.Mutex // nodes of a cluster are asked at once
	node := func(ctx context.Context, c redis.Cmdable) error {
		for cursor := uint64(0); ; {
			start := time.Now()
			keys, next, err := c.Scan(ctx, cursor, "asynq:{*}:t:*", scanBlock).Result()
			if err == nil && len(keys) > 0 {
				mu.Lock()
				err = do(ctx, keys)
				mu.Unlock()
			}
			if err != nil || next == 0 {
				return err
			}
			cursor = next
			t := time.NewTimer(3 * time.Since(start))
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return ctx.Err()
			}
		}
	}
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return node(ctx, c) })
	}
	return node(ctx, rdb)
}

// ParseKey is the queue and the TaskID of a key that EachKey gave.
func ParseKey(key string) (queue, taskID string, ok bool) {
	return strings.Cut(strings.TrimPrefix(key, "asynq:{"), "}:t:")
}
