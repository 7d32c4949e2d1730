package producer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
)

// Relay carries notifications from the store to the queue, and moves on those
// that nobody else does: leases that are over, doubts that are due, rows whose
// time is over. One of all relays on a store works, the others wait to take
// over. Everything it does can be done twice without harm, so two that both
// believe to lead for a moment cost commands and nothing else.
//
// It is safe for concurrent use.
type Relay struct {
	config  RelayConfig
	metrics relayMetrics
	tracer  trace.Tracer
	queue   *queue
	wake    chan struct{}

	// Of the loop alone.
	release    func() // not nil while leading
	ledAt      time.Time
	repairedAt time.Time
	markedAt   time.Time
	confirm    confirm
	confirmFor time.Duration // the least time of a look; confirmBudget but in tests
	rebuild    *rebuild      // not nil while the queue is being rebuilt
	wakeAfter  uuid.UUID     // the last waiting row that was looked at
	check      check
	checkTimes checkTimes
	storeAway  outage
	redisAway  outage
	storeBack  time.Time // end of the last outage of the store that was seen

	loop   loop
	mu     sync.Mutex // guards health
	health RelayHealth
}

// RelayHealth tells whether a relay turns and whether it gets anywhere. Times
// are this machine's.
type RelayHealth struct {
	Leader bool
	// Turned is the end of the last turn: a loop that stands still is broken.
	Turned time.Time
	// Worked is the end of the last turn without an error, also of one that
	// found another relay leading.
	Worked time.Time
}

// NewRelay makes a Relay. It does not touch the network.
func NewRelay(config RelayConfig) (*Relay, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	metrics, err := newRelayMetrics(config.Registerer)
	if err != nil {
		return nil, fmt.Errorf("producer: register metrics: %w", err)
	}
	return &Relay{
		config:  config,
		metrics: metrics,
		tracer:  config.TracerProvider.Tracer(tracerName),
		// No circuit: the loop backs off by itself.
		queue:      newQueue(config.Redis, config.Concurrency, newPublished(config.Redis, publishInterval, time.Now), nil),
		wake:       make(chan struct{}, 1),
		checkTimes: defaultCheckTimes,
		confirmFor: confirmBudget,
		storeAway:  outage{log: config.Logger, part: partStore, now: time.Now},
		redisAway:  outage{log: config.Logger, part: partRedis, now: time.Now},
	}, nil
}

// Start lets the relay run until Stop or until ctx is done. Started again it
// does nothing.
func (r *Relay) Start(ctx context.Context) error {
	return r.loop.start(ctx, r.run)
}

// Stop ends the turn under way and waits for it, at most as long as ctx. It may
// be called again, and before Start.
func (r *Relay) Stop(ctx context.Context) error {
	return r.loop.stop(ctx, "relay")
}

// Wake makes a relay that rests look for due rows now. It does not block.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Health is the relay's state now.
func (r *Relay) Health() RelayHealth {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health
}

// The pauses of the loop.
const (
	// followInterval is how often a relay that does not lead asks again, and so
	// how soon it takes over once the leader's claim is gone.
	followInterval = time.Second
	// backoffMax is the longest pause while Redis or the store is away.
	backoffMax = 5 * time.Second
)

func (r *Relay) run(ctx context.Context) {
	defer r.queue.wait()
	defer r.follow()
	var backoff time.Duration
	for ctx.Err() == nil {
		more, err := r.turn(ctx)
		if ctx.Err() != nil {
			return
		}
		r.turned(err)
		switch {
		case err != nil:
			backoff = min(max(2*backoff, r.config.Interval), backoffMax)
			// A ring does not shorten this pause: what is away stays away.
			r.rest(ctx, jitter(backoff), nil)
			continue
		case more:
		case r.release == nil:
			r.rest(ctx, jitter(followInterval), nil)
		default:
			r.rest(ctx, r.config.Interval, r.wake)
		}
		backoff = 0
	}
}

// rest waits for d, a ring or the end.
func (r *Relay) rest(ctx context.Context, d time.Duration, ring <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ring:
	case <-ctx.Done():
	}
}

func (r *Relay) turned(err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Turned = now
	r.health.Leader = r.release != nil
	if err == nil {
		r.health.Worked = now
	}
}
