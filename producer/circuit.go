package producer

import (
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The first pause of a circuit and its longest. A caller who probes a silent
// Redis pays up to enqueueTimeout, one caller per pause does.
const (
	circuitPause    = 500 * time.Millisecond
	circuitPauseMax = 10 * time.Second
)

// circuit keeps a Redis that is away from costing every call its timeout: after
// a failure nobody tries for a while, then one caller probes. It is safe for
// concurrent use. A nil circuit lets everything through.
type circuit struct {
	outage outage
	now    func() time.Time

	mu      sync.Mutex
	pause   time.Duration // zero while closed
	until   time.Time
	probing bool
}

// ready reports whether a try now would be let through.
func (c *circuit) ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pause == 0 || !c.probing && !c.now().Before(c.until)
}

// verdict is what a try said about Redis.
type verdict int

const (
	worked verdict = iota
	failed
	unknown // the caller went away before anybody could tell
)

// try asks for leave to use Redis. When ok, the caller must report to done; err
// is for the log and belongs to failed.
func (c *circuit) try() (done func(v verdict, err error), ok bool) {
	if c == nil {
		return func(verdict, error) {}, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pause == 0 {
		return func(v verdict, err error) { c.report(v, err, false) }, true
	}
	if c.probing || c.now().Before(c.until) {
		return nil, false
	}
	c.probing = true
	return func(v verdict, err error) { c.report(v, err, true) }, true
}

func (c *circuit) report(v verdict, err error, probe bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if probe {
		c.probing = false
	}
	switch v {
	case unknown:
	case worked:
		c.pause = 0
		c.outage.over()
	case failed:
		// Of many callers that fail together only the first opens the circuit.
		if c.pause != 0 && !probe {
			return
		}
		c.pause = min(max(circuitPause, 2*c.pause), circuitPauseMax)
		c.until = c.now().Add(jitter(c.pause))
		c.outage.seen(err)
	}
}

// jitter is d with a random part of up to a quarter taken off, so that many
// processes do not come back at one moment.
func jitter(d time.Duration) time.Duration {
	return d - rand.N(d/4+1) //nolint:gosec // spreads load, keeps no secret
}

// The parts whose outages are logged.
const (
	partRedis = "redis"
	partStore = "store"
)

// outage logs one line when something goes away and one when it is back. It is
// not safe for concurrent use.
type outage struct {
	log  *zap.Logger
	part string
	now  func() time.Time
	from time.Time // zero while all is well
}

// lasts reports whether the part is away.
func (o *outage) lasts() bool { return !o.from.IsZero() }

func (o *outage) seen(err error) {
	if o.from.IsZero() {
		o.from = o.now()
		o.log.Error("part is away", zap.String("part", o.part), zap.Error(err))
	}
}

func (o *outage) over() {
	if !o.from.IsZero() {
		o.log.Info("part is back", zap.String("part", o.part), zap.Duration("away", o.now().Sub(o.from)))
		o.from = time.Time{}
	}
}
