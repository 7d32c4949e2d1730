package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// ErrClosed is returned by a Client that was closed.
var ErrClosed = errors.New("producer: client closed")

// insertPage is how many rows one Insert writes: enough to hide the round trip,
// few enough that a transaction stays short.
const insertPage = 500

// Client accepts notifications. It is safe for concurrent use.
type Client struct {
	*core
	producer string
	webhook  store.WebhookSet
}

// core is what the clients of several producers share.
type core struct {
	config  Config
	queue   *queue   // nil without Redis
	inserts *inserts // nil without a store
	metrics clientMetrics
	tracer  trace.Tracer

	mu     sync.RWMutex // held for reading by every call, for writing by Close
	closed bool
}

// New makes a Client. It does not touch the network: Redis and the store may
// come up later.
func New(config Config) (*Client, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	metrics, err := newClientMetrics(config.Registerer)
	if err != nil {
		return nil, fmt.Errorf("producer: register metrics: %w", err)
	}
	tracer := config.TracerProvider.Tracer(tracerName)
	c := &Client{core: &core{config: config, metrics: metrics, tracer: tracer}, producer: config.Producer}
	if config.Store != nil {
		c.inserts = &inserts{store: config.Store, tracer: tracer}
	}
	if config.Redis != nil {
		c.queue = newQueue(config.Redis, config.Concurrency,
			newPublished(config.Redis, config.publishInterval, config.now),
			&circuit{now: config.now, outage: outage{log: config.Logger, part: partRedis, now: config.now}})
	}
	return c, nil
}

// For returns a Client that accepts in the name of another producer. The two
// share everything, their end too: to close one closes both.
func (c *Client) For(producer string) (*Client, error) {
	if !producerForm.MatchString(producer) {
		return nil, errProducerForm
	}
	return &Client{core: c.core, producer: producer}, nil
}

// Telling returns a Client like c whose producer is told of these events of what
// is accepted from now on (package producer/webhook). It needs a Store.
func (c *Client) Telling(events store.WebhookSet) *Client {
	return &Client{core: c.core, producer: c.producer, webhook: events}
}

// Close waits for the calls under way and refuses new ones, of every Client that
// For has made, too. It leaves Redis and the store open and may be called again.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.inserts != nil {
		c.inserts.wait()
	}
	if c.queue != nil {
		c.queue.wait()
	}
	return nil
}

// Send accepts one notification. See SendBatch for what accepted means and
// Result for the errors.
func (c *Client) Send(ctx context.Context, n Notification) (Accepted, error) {
	results, err := c.SendBatch(ctx, []Notification{n})
	if len(results) == 0 {
		return Accepted{}, err
	}
	return results[0].Accepted, results[0].Err
}

// SendBatch accepts notifications, each by itself: it is not atomic. The
// results are in order, one each. The error is not nil when the call was cut
// short: the client is closed, or the store (without one: the queue) is away;
// the results then still say what became of each.
//
// With a store, accepted means that the row's COMMIT was confirmed. The task is
// put on the queue at once when it is due; whatever keeps that from happening
// delays the notification, it does not fail the call: Relay does it later. A
// notification whose row was not confirmed is not on the queue; its row may
// exist when the store fell silent, so repeat the call with the same Ref.
//
// Without a store, accepted means that Redis took the task.
func (c *Client) SendBatch(ctx context.Context, ns []Notification) ([]Result, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	ctx, span := c.tracer.Start(ctx, spanAccept, producerSpan...)
	defer span.End()
	results, err := c.sendBatch(ctx, ns)
	if span.IsRecording() {
		describeAccept(span, results, err)
	}
	return results, err
}

// sendBatch is SendBatch of a client that is open.
func (c *Client) sendBatch(ctx context.Context, ns []Notification) ([]Result, error) {
	results := make([]Result, len(ns))
	items := make([]item, 0, len(ns))
	now := c.config.now()
	for i, n := range ns {
		n, err := c.check(n, now)
		if err != nil {
			results[i].Err = err
			continue
		}
		items = append(items, item{i: i, n: n})
	}
	accept := c.acceptRows
	if c.config.Store == nil {
		accept = func(ctx context.Context, page []item, results []Result) (func(), error) {
			return func() {}, c.acceptRaw(ctx, page, results) // on the queue is accepted
		}
	}
	var enqueues sync.WaitGroup // of a page while the next is inserted
	defer enqueues.Wait()
	for len(items) > 0 {
		page := items[:min(insertPage, len(items))]
		enqueue, err := accept(ctx, page, results)
		if err != nil {
			enqueues.Wait()
			for _, it := range items {
				if r := &results[it.i]; r.Err == nil && r.ID == uuid.Nil {
					r.Err = err
				}
			}
			return results, err
		}
		if items = items[len(page):]; len(items) > 0 {
			enqueues.Go(enqueue)
		} else {
			enqueue()
		}
	}
	return results, nil
}

// item is a checked notification and its place in the call.
type item struct {
	i int
	n Notification
}

// Check says what is wrong with a notification, as Send would, and accepts
// nothing. What only the store knows, such as a taken Ref, it does not see.
func (c *Client) Check(n Notification) error {
	_, err := c.check(n, c.config.now())
	return err
}

// check returns n with the client's app, if it names none, or what is wrong with
// it.
func (c *Client) check(n Notification, now time.Time) (Notification, error) {
	if n.App == "" {
		n.App = c.config.App
	}
	if err := n.check(now, c.config.Store != nil); err != nil {
		return n, err
	}
	// Escapes can make the JSON longer than the sum of the fields' limits.
	length, err := n.payload(uuid.Max).Length()
	if err != nil {
		return n, fmt.Errorf("payload: %w", err)
	}
	if length > task.MaxPayload {
		return n, task.FieldErrors{{Field: "data", Reason: fmt.Sprintf("makes a payload of %d bytes; at most %d are allowed", length, task.MaxPayload)}}
	}
	return n, nil
}

// acceptRows writes the rows of a page. enqueue puts those on the queue that are
// due. The error is the store's.
func (c *Client) acceptRows(ctx context.Context, page []item, results []Result) (enqueue func(), err error) {
	now := c.config.now()
	// When Redis is known to be away, Relay need not wait for a task of ours.
	direct := c.queue != nil && c.queue.circuit.ready()
	batch := make([]store.Acceptance, len(page))
	for k, it := range page {
		a, err := c.acceptance(it.n, now, direct)
		if err != nil {
			return nil, err
		}
		batch[k] = a
	}
	inserted, err := c.insert(ctx, batch)
	if err != nil {
		return nil, err
	}
	var rows []store.Notification
	var places []int // of the rows in results
	waiting := false
	for k, ins := range inserted {
		n := batch[k].Notification
		r := &results[page[k].i]
		*r = answer(ins)
		// A row with our own id is ours, also when the first reply was lost.
		if r.Err != nil || ins.ID != n.ID {
			continue
		}
		c.metrics.accepted.WithLabelValues(string(n.Priority)).Inc()
		switch {
		case ins.State != store.Queued || page[k].n.later(now):
		case direct:
			rows, places = append(rows, n), append(places, page[k].i)
		default:
			waiting = true
			if c.queue != nil {
				r.QueueErr = ErrQueueAway
			}
		}
	}
	if waiting {
		c.config.Wake()
	}
	return func() {
		for k, err := range c.enqueueRows(ctx, rows) {
			results[places[k]].QueueErr = err
		}
	}, nil
}

// answer is what the store's answer means to the caller.
func answer(ins store.Inserted) Result {
	switch {
	case errors.Is(ins.Err, store.ErrConflict):
		return Result{Err: fmt.Errorf("ref: was used for another notification: %w", ins.Err)}
	case ins.Err != nil:
		return Result{Err: fmt.Errorf("accept notification: %w", ins.Err)}
	}
	return Result{Accepted: Accepted{ID: ins.ID, State: ins.State, Duplicate: ins.Duplicate}}
}

// acceptance is what the store is asked to write.
func (c *Client) acceptance(n Notification, now time.Time, direct bool) (store.Acceptance, error) {
	// The id is ours and made before the first try, so that a repeated Insert
	// finds the row of the first.
	id := n.ID
	if id == uuid.Nil {
		var err error
		if id, err = uuid.NewV7(); err != nil {
			return store.Acceptance{}, fmt.Errorf("make id: %w", err)
		}
	}
	a := store.Acceptance{
		Notification: store.Notification{
			ID: id, App: n.App, Producer: c.producer, Ref: n.Ref,
			TemplateID: n.TemplateID, Page: n.Page, UserID: n.UserID, OpenID: n.OpenID, Data: n.Data,
			Lang: n.Lang, MiniprogramState: n.MiniprogramState, Priority: priority(n.Priority), Duplicates: n.Duplicates,
			Wait: n.Wait, NoConsent: n.NoConsent, ReleaseOrder: n.ReleaseOrder,
			State: store.Queued, Receipt: store.ReceiptNone, Generation: firstGeneration,
			DueAt: n.SendAt, ExpiresAt: n.ExpiresAt,
		},
		Delay: n.Delay, MaxAge: c.config.MaxAge, Webhook: c.webhook,
	}
	if end, quiet := n.Begins(now); quiet {
		// A moment: with a clock that is some minutes off it is the right one still,
		// and who begins too early because of it is put off by the worker.
		a.Notification.DueAt, a.Delay, a.Notification.Reason = end, 0, store.ReasonQuietHours
	}
	if a.Notification.Duplicates == "" {
		a.Notification.Duplicates = store.DuplicatesAllow
	}
	if n.Ref != "" {
		if a.Notification.ContentHash = n.ContentHash; n.ContentHash == nil {
			a.Notification.ContentHash = n.Hash()
		}
	}
	if direct && !n.later(now) {
		a.HandoverIn = store.HandoverGrace
	}
	return a, nil
}

// firstGeneration is that of a row that was just accepted.
const firstGeneration = 1

// insert writes the rows, and once more when the store fell silent: the reply
// may be all that was lost. When the store refuses the page as a whole, the page
// is split, so that one row it will not take costs no other its acceptance.
func (c *Client) insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	inserted, err := c.inserts.Insert(ctx, batch)
	if errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil {
		inserted, err = c.inserts.Insert(ctx, batch)
	}
	switch {
	case err == nil && len(inserted) != len(batch):
		return nil, fmt.Errorf("accept notifications: the store answered %d of %d", len(inserted), len(batch))
	case err == nil:
		return inserted, nil
	case ctx.Err() != nil, errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrSchema):
		return nil, fmt.Errorf("accept notifications: %w", err)
	case len(batch) == 1:
		return []store.Inserted{{Err: err}}, nil
	}
	half := len(batch) / 2
	first, err := c.insert(ctx, batch[:half])
	if err != nil {
		return nil, err
	}
	second, err := c.insert(ctx, batch[half:])
	if err != nil {
		// The first half is accepted; what became of it must be told.
		second = make([]store.Inserted, len(batch)-half)
		for i := range second {
			second[i].Err = err
		}
	}
	return append(first, second...), nil
}

// enqueueRows puts rows on the queue that were just accepted. What fails is
// counted, answered in the place of its row, and left to Relay, which looks
// after HandoverGrace.
func (c *Client) enqueueRows(ctx context.Context, rows []store.Notification) []error {
	errs := make([]error, len(rows))
	ds := make([]delivery, 0, len(rows))
	places := make([]int, 0, len(rows)) // of the deliveries in rows
	headers := task.TraceHeaders(ctx, len(rows) == 1)
	for i, n := range rows {
		d, err := deliver(n, c.config.DefaultApp, c.config.Payload, headers)
		if err != nil {
			errs[i] = fmt.Errorf("%w: %w", ErrQueueAway, err)
			continue
		}
		ds, places = append(ds, d), append(places, i)
	}
	if len(ds) > 0 {
		for k, o := range c.queue.put(ctx, ds) {
			errs[places[k]] = o.err
		}
	}
	for _, err := range errs {
		if err != nil {
			c.metrics.enqueueErrors.Inc()
		}
	}
	return errs
}
