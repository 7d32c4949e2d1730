package worker

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/worker/task"
)

const (
	poisonKeep  = 100
	poisonAge   = 30 * 24 * time.Hour
	poisonBatch = 100 // of a queue and a turn
	poisonMax   = 64 << 10
)

// sweepPoison takes aside what asynq dequeued and could not read. It lies in the
// lease set for ever, and while it does, no task of this server whose worker
// died is recovered.
func (s *server) sweepPoison(ctx context.Context, now time.Time) error {
	rdb := s.w.cfg.Redis
	ids, err := rdb.ZRangeByScore(ctx, s.key("lease"), &redis.ZRangeBy{
		Min: "-inf", Max: strconv.FormatInt(now.Unix(), 10), Count: poisonBatch,
	}).Result()
	if err != nil || len(ids) == 0 {
		return err
	}
	cmds := make([]*redis.StringCmd, len(ids))
	_, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			cmds[i] = p.HGet(ctx, s.key("t:"+id), "msg")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	for i, id := range ids {
		b, err := cmds[i].Bytes()
		if err != nil {
			continue // no message: a ghost
		}
		if _, err := decodeMessage(b); err == nil || errors.Is(err, errNoMessageType) {
			continue
		}
		if err := s.takeAside(ctx, id, b, now); err != nil {
			return err
		}
	}
	return nil
}

// takeAside copies first, so that nothing is lost when this is the last thing
// done.
func (s *server) takeAside(ctx context.Context, id string, msg []byte, now time.Time) error {
	entry, err := json.Marshal(task.Poison{Queue: s.queue, TaskID: id, At: now.UTC(), Msg: msg[:min(len(msg), poisonMax)]})
	if err != nil {
		return err
	}
	rdb := s.w.cfg.Redis
	_, err = rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.LPush(ctx, task.PoisonKey, entry)
		p.LTrim(ctx, task.PoisonKey, 0, poisonKeep-1)
		p.Expire(ctx, task.PoisonKey, poisonAge)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.LRem(ctx, s.key("active"), 0, id)
		p.ZRem(ctx, s.key("lease"), id)
		p.Del(ctx, s.key("t:"+id))
		return nil
	})
	if err != nil {
		return err
	}
	s.w.sweeps.count(sweptPoison, 1)
	// Not the TaskID: a foreign one may be anything.
	s.w.cfg.Logger.Error("a message on the queue cannot be read and was taken aside",
		zap.String("queue", s.queue), zap.String("copied_to", task.PoisonKey))
	return nil
}
