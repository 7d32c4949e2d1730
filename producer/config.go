package producer

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// Store is what a Client needs of a store; store/postgres and store/sqlite have it.
type Store interface {
	// Insert accepts notifications, each by itself. It is idempotent by id and by
	// ref, so it can be repeated after store.ErrUnavailable.
	Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error)
}

// PayloadMode is what a task carries of a notification that has a row
// (TASK_PAYLOAD).
type PayloadMode string

// The modes.
const (
	// PayloadFull lets admins see the notification in asynqmon.
	PayloadFull PayloadMode = "full"
	// PayloadID keeps everything personal out of Redis: the task carries the id,
	// the app and the template id.
	PayloadID PayloadMode = "id"
)

// Defaults of a Config.
const (
	// DefaultMaxAge is MAX_AGE: nothing is tried for longer.
	DefaultMaxAge = 72 * time.Hour
	// DefaultConcurrency is how many blocks of tasks, each one round trip, a call
	// has in flight: as many as a page of rows makes.
	DefaultConcurrency = insertPage / blockSize
)

// Config is what a Client is made of.
type Config struct {
	// Redis is the queue's; the Client does not close it. Build it with
	// ContextTimeoutEnabled, or a call on a silent Redis goes on in the
	// background until the socket's timeout after the Client stopped waiting
	// for it. nil means that Relay puts everything on the queue; then Store is
	// required.
	Redis redis.UniversalClient
	// Store keeps the rows. nil means that Redis alone carries what was accepted
	// until a worker adopts it: it can be lost with Redis, Send fails while Redis
	// is away, and ExpiresAt and Duplicates are refused.
	Store Store
	// Producer is the name that refs are unique under: letters, digits, dot,
	// dash and underscore, at most 64; "" is a name too.
	Producer string
	// App is the appid of notifications that name none. Default: DefaultApp.
	App string
	// DefaultApp is the app whose queues have no prefix; the workers have the
	// same setting.
	DefaultApp string
	// MaxAge is when a notification without ExpiresAt expires, after it is due.
	// Default: DefaultMaxAge.
	MaxAge time.Duration
	// Payload is what tasks carry. Default: PayloadFull. PayloadID needs a Store.
	Payload PayloadMode
	// Concurrency is how many round trips to the queue one call has in flight, each
	// with up to a hundred tasks. Default: DefaultConcurrency.
	Concurrency int
	// Wake is called when rows were accepted that are due and not on the queue;
	// give it Relay.Wake when one runs in this process. It must not block.
	Wake func()
	// Logger gets one line when Redis goes away and one when it is back.
	// Default: none.
	Logger *zap.Logger
	// Registerer gets the metrics. Default: they are not registered.
	Registerer prometheus.Registerer
	// TracerProvider gets the spans. Tasks carry the trace that they were accepted
	// under. Default: OpenTelemetry's global one.
	TracerProvider trace.TracerProvider

	now             func() time.Time // Default: time.Now
	publishInterval time.Duration    // Default: publishInterval
}

var producerForm = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

var errProducerForm = errors.New("producer: the name of a producer may have at most 64 letters, digits, dots, dashes and underscores")

// withDefaults returns c with every unset field that has a default set.
func (c Config) withDefaults() Config {
	if c.App == "" {
		c.App = c.DefaultApp
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.Payload == "" {
		c.Payload = PayloadFull
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.Wake == nil {
		c.Wake = func() {}
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.publishInterval == 0 {
		c.publishInterval = publishInterval
	}
	return c
}

// check reports every bad field.
func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("producer: Config."+format, args...)) }
	if c.Redis == nil && c.Store == nil {
		bad("Redis is required without a Store")
	}
	if !producerForm.MatchString(c.Producer) {
		bad("Producer may have at most 64 letters, digits, dots, dashes and underscores")
	}
	for name, app := range map[string]string{"App": c.App, "DefaultApp": c.DefaultApp} {
		if app != "" && !appIDForm.MatchString(app) {
			bad("%s may contain letters, digits, - and _ only", name)
		}
	}
	if c.MaxAge < time.Second {
		bad("MaxAge is %v; at least a second is needed", c.MaxAge)
	}
	if c.Concurrency < 1 {
		bad("Concurrency is %d; at least 1 is needed", c.Concurrency)
	}
	switch {
	case c.Payload != PayloadFull && c.Payload != PayloadID:
		bad("Payload must be full or id")
	case c.Payload == PayloadID && c.Store == nil:
		bad("Payload id needs a Store: without a row the task must carry everything")
	}
	return errors.Join(errs...)
}
