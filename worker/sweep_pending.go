package worker

import (
	"context"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

const (
	ghostWindow  = 500
	ghostWindows = 100 // of a queue and a turn
)

// ghostScript drops the ids without a task from a window of the pending list. It
// counts from the end that is taken next. Each would cost the queue one idle
// pass, and after an eviction there are thousands.
//
// KEYS[1] pending; ARGV[1] task key prefix, ARGV[2] offset, ARGV[3] window.
var ghostScript = redis.NewScript(`
local offset, n = tonumber(ARGV[2]), tonumber(ARGV[3])
local len = redis.call("LLEN", KEYS[1])
if offset >= len then
  return {0, 0}
end
local first, last = math.max(len - offset - n, 0), len - offset - 1
local ghosts = 0
for i, id in ipairs(redis.call("LRANGE", KEYS[1], first, last)) do
  if redis.call("HEXISTS", ARGV[1] .. id, "msg") == 0 then
    redis.call("LSET", KEYS[1], first + i - 1, "wxnotify:ghost")
    ghosts = ghosts + 1
  end
end
if ghosts > 0 then
  redis.call("LREM", KEYS[1], 0, "wxnotify:ghost")
end
return {last - first + 1, ghosts}`)

// sweepPending drops ghosts from the pending list. Their rows, if any, get a new
// task from Relay.
func (s *server) sweepPending(ctx context.Context) error {
	offset, dropped := int64(0), int64(0)
	for range ghostWindows {
		res, err := ghostScript.Run(ctx, s.w.cfg.Redis, []string{s.key("pending")}, s.key("t:"), offset, ghostWindow).Int64Slice()
		if err != nil {
			return err
		}
		dropped += res[1]
		offset += res[0] - res[1]
		if res[0] < ghostWindow {
			break
		}
	}
	if dropped > 0 {
		s.w.sweeps.count(sweptGhost, int(dropped))
		s.w.cfg.Logger.Warn("ids without a task dropped from the queue", zap.String("queue", s.queue), zap.Int64("ids", dropped))
	}
	return nil
}
