package webhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/wxnotify/wxnotify/store"
)

// defaultBackoff are the pauses after each try that failed: ten tries in 24 hours.
var defaultBackoff = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 3 * time.Hour, 7 * time.Hour, 12 * time.Hour,
}

const (
	// leaseMargin is what a lease has beyond the request, to write its result.
	leaseMargin = 30 * time.Second
	// giveUpAge is how long a delivery is kept that nobody takes, because its
	// producer is no longer configured: longer than all tries take.
	giveUpAge  = 48 * time.Hour
	cleanPage  = 1000
	cleanPause = 10 * time.Minute
	storePause = 5 * time.Second // while the store is away
	// storeTimeout bounds a call of the store: one that is silent, without closing
	// its connections, would otherwise stop the telling for good.
	storeTimeout = 20 * time.Second
)

// Sender tells producers. It is safe for concurrent use, and several processes
// may run one on the same store.
type Sender struct {
	config  Config // but for Subscriptions and Allow
	metrics senderMetrics
	tracer  trace.Tracer

	mu          sync.Mutex
	subscribers []*subscriber
	allow       []netip.Prefix
	client      *http.Client       // of all subscribers that allow leaves as they are
	life        context.Context    //nolint:containedctx // of the loops, from Start on
	cancel      context.CancelFunc // nil until started
	loops       sync.WaitGroup
	done        chan struct{}
	stopped     bool
}

// ErrStopped is returned when a Sender is started that was stopped.
var ErrStopped = errors.New("webhook: stopped before")

// New makes a Sender. It does not touch the network.
func New(config Config) (*Sender, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	metrics, err := newSenderMetrics(config.Registerer)
	if err != nil {
		return nil, fmt.Errorf("webhook: register metrics: %w", err)
	}
	s := &Sender{
		config: config, metrics: metrics, tracer: config.TracerProvider.Tracer(tracerName),
		allow: config.Allow, client: newClient(config.Allow, config.Timeout, config.Concurrency),
	}
	if s.subscribers, err = s.newSubscribers(config.Subscriptions, s.client, nil); err != nil {
		return nil, err
	}
	return s, nil
}

// newSubscribers makes those of subscriptions, but for the ones in keep that are
// the same.
func (s *Sender) newSubscribers(subscriptions []Subscription, client *http.Client, keep []*subscriber) ([]*subscriber, error) {
	var made []*subscriber
	for _, sub := range subscriptions {
		if sub.Events == 0 {
			sub.Events = store.NewWebhookSet(store.WebhookEvents...)
		}
		if i := slices.IndexFunc(keep, func(k *subscriber) bool { return k.Subscription == sub }); i >= 0 {
			made = append(made, keep[i])
			continue
		}
		signer, err := newSigner(sub.Secret)
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(sub.URL)
		if err != nil {
			return nil, errors.New("webhook: a URL cannot be parsed")
		}
		made = append(made, &subscriber{
			Subscription: sub, Sender: s, client: client, signer: signer, left: make(chan struct{}),
			log: s.config.Logger.With(zap.String("producer", sub.Producer), zap.String("host", u.Host)),
		})
	}
	return made, nil
}

// Reload prepares to tell these producers from now on, where allow has the
// networks that may be reached; apply does it. An error names every fault, and
// nothing has changed. A producer that stays as it is goes on undisturbed;
// requests under way to the others are finished. What is left for one that is
// gone is kept for two days, should it come back.
func (s *Sender) Reload(subscriptions []Subscription, allow []netip.Prefix) (apply func(), err error) {
	config := s.config
	config.Subscriptions, config.Allow = subscriptions, allow
	if err := config.check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	client, keep := s.client, s.subscribers
	if !slices.Equal(allow, s.allow) {
		client, keep = newClient(allow, config.Timeout, config.Concurrency), nil
	}
	next, err := s.newSubscribers(subscriptions, client, keep)
	if err != nil {
		return nil, err
	}
	return func() { s.change(next, client, allow) }, nil
}

func (s *Sender) change(next []*subscriber, client *http.Client, allow []netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.subscribers
	s.subscribers, s.allow = next, allow
	if s.client != client {
		s.client.CloseIdleConnections()
		s.client = client
	}
	for _, sub := range before {
		if !slices.Contains(next, sub) {
			close(sub.left)
		}
	}
	if s.cancel == nil || s.stopped {
		return
	}
	for _, sub := range next {
		if !slices.Contains(before, sub) {
			s.loops.Go(func() { sub.run(s.life) })
		}
	}
}

// Start lets the Sender run until Stop or until ctx is done. Started again it
// does nothing.
func (s *Sender) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return ErrStopped
	}
	if s.cancel != nil {
		return nil
	}
	s.life, s.cancel = context.WithCancel(ctx)
	ctx = s.life
	s.done = make(chan struct{})
	for _, sub := range s.subscribers {
		s.loops.Go(func() { sub.run(ctx) })
	}
	s.loops.Go(func() { s.clean(ctx) })
	go func() {
		defer close(s.done)
		s.loops.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.client.CloseIdleConnections()
	}()
	return nil
}

// Stop takes no new deliveries, gives up the requests under way, which are made
// again later, and waits at most as long as ctx. It may be called again, and
// before Start.
func (s *Sender) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	cancel, done := s.cancel, s.done
	s.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("webhook: stop: %w", ctx.Err())
	}
}

// clean gives up what nobody is subscribed to any more.
func (s *Sender) clean(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := s.deleteOld(ctx)
		s.metrics.deliveries.WithLabelValues(string(expired)).Add(float64(n))
		if err != nil || n < cleanPage {
			pause(ctx, cleanPause)
		}
	}
}

func (s *Sender) deleteOld(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.storeTimeout)
	defer cancel()
	return s.config.Store.DeleteWebhooks(ctx, giveUpAge, cleanPage)
}

// subscriber tells one producer: its endpoint may be slow or away without any
// other's noticing.
type subscriber struct {
	Subscription
	*Sender
	client  *http.Client
	signer  *standardwebhooks.Webhook
	log     *zap.Logger
	left    chan struct{} // closed when another takes its place, or none
	failing bool          // the last round's end; of one goroutine
}

// run tells until ctx is done, or the subscriber has left: then the round under
// way is finished.
func (s *subscriber) run(ctx context.Context) {
	turns, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.left:
			cancel()
		case <-turns.Done():
		}
	}()
	defer s.client.CloseIdleConnections() // also when the client has another's place
	for turns.Err() == nil {
		n, err := s.round(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			// Who watches the store has said so already.
			s.log.Debug("webhooks wait for the store", zap.Error(err))
			pause(turns, storePause)
		case n < s.config.Concurrency:
			pause(turns, s.config.Interval)
		}
	}
}

// round makes one try of at most Concurrency deliveries and writes the results.
func (s *subscriber) round(ctx context.Context) (n int, err error) {
	deliveries, err := s.take(ctx)
	if err != nil || len(deliveries) == 0 {
		return 0, err
	}
	answers := make([]answer, len(deliveries))
	var g errgroup.Group
	for i, d := range deliveries {
		if !s.Events.Has(d.Event) { // no longer wanted
			answers[i] = answer{outcome: gone}
			continue
		}
		g.Go(func() (err error) {
			answers[i], err = s.try(ctx, d)
			return err
		})
	}
	err = g.Wait()
	if ctx.Err() != nil {
		return 0, ctx.Err() // cut off: the leases end and everything is tried again
	}
	if err != nil {
		return 0, err
	}
	results := make([]store.WebhookResult, len(deliveries))
	for i, d := range deliveries {
		results[i] = s.result(d, answers[i])
	}
	s.tell(answers)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.storeTimeout)
	defer cancel()
	return len(deliveries), s.config.Store.SettleWebhooks(ctx, results)
}

func (s *subscriber) take(ctx context.Context) ([]store.WebhookDelivery, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.storeTimeout)
	defer cancel()
	return s.config.Store.TakeWebhooks(ctx, s.Producer, s.config.Timeout+leaseMargin, s.config.Concurrency)
}

// result is what an answer means for a delivery.
func (s *subscriber) result(d store.WebhookDelivery, a answer) store.WebhookResult {
	s.metrics.tries.WithLabelValues(string(a.outcome)).Inc()
	r := store.WebhookResult{ID: d.ID, Try: d.Try}
	switch {
	case a.outcome == taken:
		s.metrics.deliveries.WithLabelValues(string(delivered)).Inc()
	case a.outcome == gone, d.Try > len(s.config.backoff):
		s.metrics.deliveries.WithLabelValues(string(givenUp)).Inc()
		s.log.Warn("webhook given up", zap.Stringer("notification", d.NotificationID),
			zap.String("event", string(d.Event)), zap.Int("tries", d.Try), zap.String("why", a.why))
	default:
		after := s.config.backoff[max(d.Try, 1)-1]
		// A tenth of jitter, so that what failed together does not come back together.
		r.Again = max(a.after, after-after/20+rand.N(after/10+1)) //nolint:gosec // spreads load, keeps no secret
	}
	return r
}

// tell logs when an endpoint begins to fail and when it takes events again.
func (s *subscriber) tell(answers []answer) {
	failed := answers[len(answers)-1]
	failing := failed.outcome != taken
	switch {
	case failing && !s.failing:
		s.log.Warn("webhook fails", zap.String("outcome", string(failed.outcome)), zap.String("why", failed.why))
	case !failing && s.failing:
		s.log.Info("webhook works again")
	}
	s.failing = failing
}

// pause waits for d or the end.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
