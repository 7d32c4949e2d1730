package worker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// gate decides whether messages of one app may go out now. It is closed by an
// answer that concerns the whole app, for as long as the answer says; then it
// is half open: one message at a time, held by whoever takes the probe key,
// until an answer shows that the app works again.
//
// The fleet shares it through one Redis hash per app (field "pause", the rests
// and the fault counts) and through asynq's own pause keys, which stop the
// dequeue, so that nothing churns while an app is paused. Pause keys carry a
// TTL: Redis ends an automatic pause whoever died. One without a TTL is a
// person's and is never touched. With Redis away the gate works for this
// process alone.
type gate struct {
	app    string
	queues []string
	redis  redis.UniversalClient
	logger *zap.Logger
	// probeTTL bounds a probe whose holder died: longer than one send.
	probeTTL time.Duration
	// onChange hears that the app is closed, or open again. kind says why where this
	// process closed it, and is "" where another did.
	onChange func(kind string, closed bool)

	mu sync.Mutex
	// version grows with every local change: a refresh that read before the
	// change and returns after it must not undo it.
	version int
	pause   *pause
	rests   map[string]rest // by scope key
	count   map[string]int  // faults in a row by scope key
}

// pause is why and until when an app is closed. It outlives its time: until an
// answer clears it the gate is half open. A pause is replaced, never changed, so
// that it can be read without the lock.
type pause struct {
	Kind     string        `json:"kind"`
	Errcode  int           `json:"errcode,omitempty"`
	Why      string        `json:"why"`
	SinceMS  int64         `json:"since_ms"` // Redis' clock
	UntilMS  int64         `json:"until_ms"` // Redis' clock
	Interval time.Duration `json:"interval"`

	until  time.Time // this process's clock, monotonic
	since  time.Time
	shared bool // the fleet can see it
	// local: only this process is held still, and nothing is written to Redis.
	local bool
}

func newGate(app string, queues []string, rdb redis.UniversalClient, l *zap.Logger, probeTTL time.Duration, onChange func(string, bool)) *gate {
	return &gate{
		app: app, queues: queues, redis: rdb, logger: l, probeTTL: probeTTL, onChange: onChange,
		rests: map[string]rest{}, count: map[string]int{},
	}
}

func (g *gate) key() string      { return gateKey(g.app) }
func (g *gate) probeKey() string { return "wxnotify:probe:" + g.app }

func pauseKey(queue string) string { return "asynq:{" + queue + "}:paused" }

// permit allows one attempt. done must be called with what came of it.
type permit struct {
	g     *gate
	probe string // value of the probe key; "" when the gate is open
}

// denied says when to come back.
type denied struct {
	after time.Duration
}

// probeWait is when those come back who found a probe under way.
const probeWait = time.Second

// pausedWait is when a delivery of a paused app comes back: soon, since the
// queue itself is paused, so it waits there and does not go round in a loop.
const pausedWait = 5 * time.Second

// closedFor is how long the app is still closed, as far as this process knows.
func (g *gate) closedFor() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pause == nil {
		return 0
	}
	return time.Until(g.pause.until)
}

// enter asks to send one message.
func (g *gate) enter(ctx context.Context) (*permit, *denied) {
	g.mu.Lock()
	p := g.pause
	g.mu.Unlock()
	if p == nil {
		return &permit{g: g}, nil
	}
	if left := time.Until(p.until); left > 0 {
		return nil, &denied{after: min(left, pausedWait)}
	}
	if p.local {
		return g.probeAlone()
	}
	token := rand.Text()
	ok, err := g.redis.SetNX(ctx, g.probeKey(), token, g.probeTTL).Result()
	switch {
	case err != nil:
		return g.probeAlone() // Redis is away
	case !ok:
		return nil, &denied{after: probeWait}
	}
	// Stop the others at the dequeue while the probe is out.
	g.pauseQueues(ctx, g.probeTTL)
	return &permit{g: g, probe: token}, nil
}

// probeAlone lets one message per interval of this process through.
func (g *gate) probeAlone() (*permit, *denied) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pause == nil {
		return &permit{g: g}, nil
	}
	if time.Until(g.pause.until) > 0 {
		return nil, &denied{after: probeWait}
	}
	next := *g.pause
	next.until = time.Now().Add(max(next.Interval, probeWait))
	g.pause = &next
	g.version++
	return &permit{g: g, probe: aloneProbe}, nil
}

// aloneProbe is the value of a probe that holds no key.
const aloneProbe = "alone"

// outcome is what an attempt says about the app as a whole.
type outcome int

const (
	// appWorks: WeChat answered something that does not concern the app.
	appWorks outcome = iota
	// appFails: the gate was closed (again) because of this attempt.
	appFails
	// appUnknown: nothing was learnt; the next one may probe.
	appUnknown
)

// done ends the permit, whether or not ctx is over.
func (p *permit) done(ctx context.Context, o outcome) {
	if p.probe == "" {
		return
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	switch o {
	case appWorks:
		p.g.open(ctx)
	case appUnknown:
		if p.probe != aloneProbe {
			p.g.unpauseQueues(ctx)
		}
	case appFails:
	}
	if p.probe == aloneProbe {
		return
	}
	if err := releaseProbe.Run(ctx, p.g.redis, []string{p.g.probeKey()}, p.probe).Err(); err != nil {
		p.g.logger.Warn("could not give the probe back; it ends by itself", zap.String("app", p.g.app), zap.Error(err))
	}
}

// releaseProbe deletes the probe key when it is still ours.
var releaseProbe = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// close pauses the app for d. The local part comes first and needs no Redis, so
// that no further call of this process starts after the answer was read.
func (g *gate) close(ctx context.Context, kind string, errcode int, why string, d time.Duration) {
	now := time.Now()
	g.mu.Lock()
	first := g.pause == nil
	np := &pause{Kind: kind, Errcode: errcode, Why: why, Interval: d, since: now, until: now.Add(d)}
	if !first {
		np.since, np.SinceMS = g.pause.since, g.pause.SinceMS
		// The calls that were in flight all answer the same: the first has closed
		// the gate, and an answer to an older call must not shorten a pause.
		if left := g.pause.until.Sub(now); left > 0 && left >= d/2 {
			g.mu.Unlock()
			return
		}
	}
	g.pause = np
	g.version++
	g.mu.Unlock()
	if first {
		g.onChange(kind, true)
		g.logger.Warn("app paused", zap.String("app", g.app), zap.String("kind", kind), zap.Int("errcode", errcode),
			zap.String("why", why), zap.Duration("for", d))
	}
	g.share(ctx, np)
}

// closeHere holds this process still for d, and no other: what it learnt may be
// its own fault. Nothing is written to Redis, so its servers go on taking tasks;
// hold keeps those from going round in a loop.
func (g *gate) closeHere(kind, why string, d time.Duration) {
	now := time.Now()
	g.mu.Lock()
	first := g.pause == nil
	if !first && !g.pause.local {
		g.mu.Unlock()
		return // the fleet is paused anyway
	}
	np := &pause{Kind: kind, Why: why, Interval: d, since: now, until: now.Add(d), local: true}
	if !first {
		np.since = g.pause.since
	}
	g.pause = np
	g.version++
	g.mu.Unlock()
	if first {
		g.onChange(kind, true)
		g.logger.Warn("app held still in this process", zap.String("app", g.app), zap.String("kind", kind),
			zap.String("why", why), zap.Duration("for", d))
	}
}

// hold waits with a delivery that came while only this process is held still: a
// queue that is not paused would hand it out again at once.
func (g *gate) hold(ctx context.Context) {
	p := g.state()
	if p == nil || !p.local {
		return
	}
	t := time.NewTimer(min(max(time.Until(p.until), 0), pausedWait))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// share writes the pause for the fleet; what could not be written is tried
// again at the next refresh.
func (g *gate) share(ctx context.Context, p *pause) {
	left := time.Until(p.until)
	now, err := g.redis.Time(ctx).Result()
	if err == nil {
		shared := *p
		shared.UntilMS = now.Add(left).UnixMilli()
		shared.SinceMS = now.Add(-time.Since(p.since)).UnixMilli()
		b, _ := json.Marshal(shared) //nolint:errchkjson // numbers and strings
		err = g.redis.HSet(ctx, g.key(), "pause", b).Err()
	}
	if err != nil {
		g.logger.Warn("pause not shared: Redis does not answer", zap.String("app", g.app), zap.Error(err))
		return
	}
	if left > 0 {
		g.pauseQueues(ctx, left)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.version++
	if g.pause == p {
		known := *p
		known.shared = true
		g.pause = &known
	}
}

// setPause sets asynq's pause key of a queue with a TTL, in place of an earlier
// automatic one, which may be shorter, or longer: that of a probe that failed. A
// pause without TTL is a person's.
var setPause = redis.NewScript(`
if redis.call("PTTL", KEYS[1]) ~= -1 then redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2]) end
return 0`)

// endPause removes an automatic pause.
var endPause = redis.NewScript(`if redis.call("PTTL", KEYS[1]) >= 0 then return redis.call("DEL", KEYS[1]) end return 0`)

func (g *gate) pauseQueues(ctx context.Context, d time.Duration) {
	for _, q := range g.queues {
		if err := setPause.Run(ctx, g.redis, []string{pauseKey(q)}, time.Now().Unix(), max(d.Milliseconds(), 1)).Err(); err != nil {
			g.logger.Warn("queue not paused: Redis does not answer", zap.String("queue", q), zap.Error(err))
			return
		}
	}
}

func (g *gate) unpauseQueues(ctx context.Context) {
	for _, q := range g.queues {
		if err := endPause.Run(ctx, g.redis, []string{pauseKey(q)}).Err(); err != nil {
			g.logger.Warn("queue still paused: Redis does not answer; the pause ends by itself", zap.String("queue", q), zap.Error(err))
			return
		}
	}
}

// open ends the pause for the fleet.
func (g *gate) open(ctx context.Context) {
	g.mu.Lock()
	p := g.pause
	g.pause = nil
	g.version++
	g.mu.Unlock()
	if p == nil {
		return
	}
	defer g.logOpen(p)
	if p.local {
		return
	}
	if err := g.redis.HDel(ctx, g.key(), "pause").Err(); err != nil {
		g.logger.Warn("end of pause not shared: Redis does not answer", zap.String("app", g.app), zap.Error(err))
	}
	g.changed()
	g.unpauseQueues(ctx)
}

func (g *gate) logOpen(p *pause) {
	g.onChange("", false)
	g.logger.Info("app resumed", zap.String("app", g.app), zap.String("kind", p.Kind), zap.Duration("after", time.Since(p.since)))
}

func (g *gate) changed() {
	g.mu.Lock()
	g.version++
	g.mu.Unlock()
}

// state is the pause now, nil when open.
func (g *gate) state() *pause {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pause == nil {
		return nil
	}
	p := *g.pause
	return &p
}

// refreshInterval is how often a process looks at the shared gate: the longest
// it may go on with what another process has learnt.
const refreshInterval = 500 * time.Millisecond

// refresh takes over what other processes wrote.
func (g *gate) refresh(ctx context.Context) error {
	g.mu.Lock()
	version := g.version
	unshared := g.pause
	g.mu.Unlock()
	if unshared != nil && !unshared.shared && !unshared.local {
		g.share(ctx, unshared)
		return nil
	}
	var now *redis.TimeCmd
	var all *redis.MapStringStringCmd
	_, err := g.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		now = p.Time(ctx)
		all = p.HGetAll(ctx, g.key())
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the gate of app %s: %w", g.app, err)
	}
	local := time.Now()
	toLocal := func(ms int64) time.Time { return local.Add(time.UnixMilli(ms).Sub(now.Val())) }

	var shared *pause
	rests, count := map[string]rest{}, map[string]int{}
	for field, v := range all.Val() {
		switch {
		case field == "pause":
			var p pause
			if json.Unmarshal([]byte(v), &p) == nil {
				p.until, p.since, p.shared = toLocal(p.UntilMS), toLocal(p.SinceMS), true
				shared = &p
			}
		case strings.HasPrefix(field, "rest:"):
			var r rest
			if json.Unmarshal([]byte(v), &r) == nil {
				r.until = toLocal(r.UntilMS)
				rests[strings.TrimPrefix(field, "rest:")] = r
			}
		case strings.HasPrefix(field, "count:"):
			if n, err := strconv.Atoi(v); err == nil {
				count[strings.TrimPrefix(field, "count:")] = n
			}
		}
	}
	old := longOver(rests)
	g.adopt(version, shared, rests, count) // and the maps are the gate's
	if len(old) == 0 {
		return nil
	}
	return g.redis.HDel(ctx, g.key(), old...).Err() // so that the hash stays small
}

func (g *gate) adopt(version int, shared *pause, rests map[string]rest, count map[string]int) {
	g.mu.Lock()
	if g.version != version {
		g.mu.Unlock()
		return
	}
	was := g.pause
	if shared == nil && was != nil && was.local {
		shared = was
	}
	g.pause, g.rests, g.count = shared, rests, count
	g.mu.Unlock()
	switch {
	case was == nil && shared != nil:
		g.onChange("", true)
	case was != nil && shared == nil:
		g.onChange("", false)
	}
}
