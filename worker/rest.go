package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Rests and faults in a row of a gate: what concerns one openid, one page or one
// template and leaves the rest of the app alone. They are fields of the same
// hash in Redis as the pause.

// rest keeps one openid or one page quiet; nobody else is affected.
type rest struct {
	UntilMS int64 `json:"until_ms"`
	Level   int   `json:"level"` // how often it was extended; doubles the next rest
	until   time.Time
}

// restMemory is how long a rest that is over still counts for the next one.
const restMemory = 24 * time.Hour

// longOver are the fields of rests that no longer count.
func longOver(rests map[string]rest) (fields []string) {
	for k, r := range rests {
		if time.Since(r.until) > restMemory {
			fields = append(fields, "rest:"+k)
		}
	}
	return fields
}

// Scope keys of rests and counts. An openid and a page are hashed: neither
// belongs into a key.
func openIDScope(openID string) string { return "openid:" + digest(openID) }
func templateScope(t string) string    { return "template:" + digest(t) }
func pageScope(template, page string) string {
	path, _, _ := strings.Cut(page, "?")
	return "page:" + digest(template+"\x00"+path)
}

func digest(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:12])
}

// resting is how long the first resting scope still rests; zero when none does.
func (g *gate) resting(scopes ...string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range scopes {
		if left := time.Until(g.rests[s].until); left > 0 {
			return left
		}
	}
	return 0
}

// Rests start at restFirst and double to restMax.
const (
	restFirst = 10 * time.Minute
	restMax   = 6 * time.Hour
)

// restScope lets a scope rest, at least for d, and returns for how long.
func (g *gate) restScope(ctx context.Context, scope string, d time.Duration) time.Duration {
	g.mu.Lock()
	r := g.rests[scope]
	if left := time.Until(r.until); left > 0 {
		g.mu.Unlock()
		return left // a call that was in flight: it does not double the rest
	}
	wait := max(d, min(restFirst<<min(r.Level, 10), restMax))
	r.Level++
	r.until = time.Now().Add(wait)
	g.rests[scope] = r
	g.version++
	g.mu.Unlock()
	defer g.changed()

	now, err := g.redis.Time(ctx).Result()
	if err == nil {
		r.UntilMS = now.Add(wait).UnixMilli()
		b, _ := json.Marshal(r) //nolint:errchkjson // two integers
		err = g.redis.HSet(ctx, g.key(), "rest:"+scope, b).Err()
	}
	if err != nil {
		g.logger.Warn("rest not shared: Redis does not answer", zap.String("app", g.app), zap.Error(err))
	}
	return wait
}

// fault counts a fault of a scope and returns how many came in a row.
func (g *gate) fault(ctx context.Context, scope string) int {
	n, err := g.redis.HIncrBy(ctx, g.key(), "count:"+scope, 1).Result()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		n = int64(g.count[scope]) + 1
	}
	g.count[scope] = int(n)
	g.version++
	return int(n)
}

// remembers reports whether there is anything for success to forget.
func (g *gate) remembers() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.count) > 0 || len(g.rests) > 0
}

// success ends the faults in a row and the rests of these scopes. It costs a
// round trip only when there is something to forget.
func (g *gate) success(ctx context.Context, scopes ...string) {
	var fields []string
	g.mu.Lock()
	for _, s := range scopes {
		if _, ok := g.count[s]; ok {
			delete(g.count, s)
			fields = append(fields, "count:"+s)
		}
		if _, ok := g.rests[s]; ok {
			delete(g.rests, s)
			fields = append(fields, "rest:"+s)
		}
	}
	if len(fields) > 0 {
		g.version++
	}
	g.mu.Unlock()
	if len(fields) == 0 {
		return
	}
	defer g.changed()
	if err := g.redis.HDel(ctx, g.key(), fields...).Err(); err != nil {
		g.logger.Warn("success not shared: Redis does not answer", zap.String("app", g.app), zap.Error(err))
	}
}
