package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// Store keeps what producers are still to be told; store/postgres and
// store/sqlite have it.
type Store interface {
	// TakeWebhooks begins a try of at most limit deliveries of a producer that are
	// due. Nobody else gets them for lease.
	TakeWebhooks(ctx context.Context, producer string, lease time.Duration, limit int) ([]store.WebhookDelivery, error)
	// SettleWebhooks writes what came of tries.
	SettleWebhooks(ctx context.Context, results []store.WebhookResult) error
	// DeleteWebhooks gives up at most limit deliveries older than age.
	DeleteWebhooks(ctx context.Context, age time.Duration, limit int) (int, error)
}

// Subscription is where one producer is told.
type Subscription struct {
	Producer string
	// URL is https, or http to an address that Config.Allow holds.
	URL string
	// Secret signs: "whsec_" and 24 to 64 bytes in base64.
	Secret string
	// Events are those that are told; the empty set means all.
	Events store.WebhookSet
}

// Config is what a Sender is made of.
type Config struct {
	// Store is required; the Sender does not close it.
	Store Store
	// Subscriptions are one for each producer at most.
	Subscriptions []Subscription
	// Allow are networks that may be reached although they are not public.
	Allow []netip.Prefix
	// Timeout is that of one request, from the lookup of the name to the end of the
	// answer. Default: 15 s.
	Timeout time.Duration
	// Concurrency is how many requests one producer's endpoint gets at once from
	// this process. Default: 16.
	Concurrency int
	// Interval is how long an event waits at most before it is looked for. Default:
	// a second.
	Interval time.Duration
	// Logger gets one line when an endpoint begins to fail and one when it takes
	// events again, with the host and never the whole URL. Default: none.
	Logger *zap.Logger
	// Registerer gets the metrics. Default: they are not registered.
	Registerer prometheus.Registerer
	// TracerProvider gets a span for each try. Default: OpenTelemetry's global one.
	TracerProvider trace.TracerProvider

	backoff      []time.Duration // Default: defaultBackoff
	storeTimeout time.Duration   // Default: storeTimeout
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	if c.Concurrency == 0 {
		c.Concurrency = 16
	}
	if c.Interval == 0 {
		c.Interval = time.Second
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	if c.backoff == nil {
		c.backoff = defaultBackoff
	}
	if c.storeTimeout == 0 {
		c.storeTimeout = storeTimeout
	}
	return c
}

// check reports every bad field, without quoting a URL: it may hold a secret.
func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("webhook: Config."+format, args...)) }
	if c.Store == nil {
		bad("Store is required")
	}
	if c.Timeout < 0 || c.Interval < 0 || c.Concurrency < 0 {
		bad("Timeout, Interval and Concurrency must not be negative")
	}
	seen := map[string]bool{}
	for i, s := range c.Subscriptions {
		if s.Producer == "" || seen[s.Producer] {
			bad("Subscriptions[%d].Producer is empty or there twice", i)
		}
		seen[s.Producer] = true
		u, err := url.Parse(s.URL)
		switch {
		case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
			bad("Subscriptions[%d].URL is not an http or https URL", i)
		case u.Scheme == "http" && len(c.Allow) == 0:
			bad("Subscriptions[%d].URL must be https: Allow names no network", i)
		}
		if _, err := newSigner(s.Secret); err != nil {
			bad("Subscriptions[%d].Secret: %w", i, err)
		}
	}
	return errors.Join(errs...)
}
