package app

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
)

// markWatch is a little longer than the second in which a leader moves its mark
// on.
const markWatch = 1500 * time.Millisecond

// redisSharing looks for the mark of another deployment's relay. A mark that
// stands still was left behind, one that moves has a leader.
func redisSharing(ctx context.Context, c redis.UniversalClient, cfg *config.Config, logger *zap.Logger) Result {
	if _, ok := cfg.Database.Postgres(); !ok {
		return Result{Status: StatusSkipped, Found: "needs DATABASE_URL of PostgreSQL"}
	}
	s, err := OpenStore(ctx, cfg, logger)
	if err != nil {
		return Result{Status: StatusSkipped, Found: "needs database"}
	}
	defer s.Close()
	own := ""
	if mark, err := s.Mark(ctx); err == nil {
		own = mark.ID.String()
	}
	before, err := c.HGetAll(ctx, producer.MarkKey).Result()
	if err != nil {
		return warn("HGETALL: "+shortErr(err), "let the user of REDIS_URL read hashes")
	}
	delete(before, own)
	if len(before) == 0 {
		return okay("no other deployment uses it")
	}
	select {
	case <-time.After(markWatch):
	case <-ctx.Done():
	}
	after, err := c.HGetAll(ctx, producer.MarkKey).Result()
	if err != nil {
		return warn("HGETALL: "+shortErr(err), "let the user of REDIS_URL read hashes")
	}
	others := 0
	for id, n := range before {
		if now, there := after[id]; there && now != n {
			others++
		}
	}
	if others == 0 {
		return okay("no other deployment uses it now")
	}
	return warn(fmt.Sprintf("other databases whose relay uses this Redis now: %d", others),
		"give each deployment a database of its own in Redis (REDIS_URL …/1) or another Redis: the default app's queues have the same "+
			"names, and a task that meets the other's worker ends there as a dead letter, reason row_missing, while Relay repeats it here")
}
