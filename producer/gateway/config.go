package gateway

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/store"
)

// Config is what a Gateway is made of.
type Config struct {
	// Producers are those who may come in. Without any, every request is refused.
	Producers []Producer
	// Apps are the Mini Programs that are served. At least one.
	Apps []App
	// DefaultApp is the appid of requests that name none. Default: that of the
	// only app; with several it is required.
	DefaultApp string
	// Client accepts notifications; whatever its own producer is, each is accepted
	// in the name of the key's. Its Store is required. The Gateway does not close it.
	Client *producer.Client
	// Notifications shows notifications and acts on them.
	Notifications NotificationStore
	// Requests knows requests by their Idempotency-Key.
	Requests RequestStore
	// MaxAge is when a notification that is replayed expires. Default:
	// producer.DefaultMaxAge.
	MaxAge time.Duration
	// Users keeps who has which openid.
	Users UserStore
	// Consents is the ledger of consents.
	Consents ConsentStore
	// Eraser erases users.
	Eraser *Eraser
	// Catalog is what is known about templates.
	Catalog Catalog
	// Logins asks WeChat whose a login code is.
	Logins Logins
	// Limits bound what a client can take. Zero fields have defaults.
	Limits Limits
	// Logger gets a line for each failure of ours, and each panic. Default: none.
	Logger *zap.Logger
	// Registerer gets the metrics. Default: they are not registered.
	Registerer prometheus.Registerer
	// TracerProvider gets a span for each request of a known caller. Default:
	// OpenTelemetry's global one.
	TracerProvider trace.TracerProvider

	now func() time.Time // Default: time.Now
}

// App is one Mini Program that is served.
type App struct {
	ID string // appid
	// Secret is the AppSecret, which logins need; "" when it is not here.
	Secret string
	// Tokens is the app's shared token; nil when it is not handed out.
	Tokens Tokens
	// ConsentSource is who counts the app's consents: store.ConsentClient, or
	// store.ConsentPopup for WeChat's events. Default: store.ConsentClient.
	ConsentSource store.ConsentSource
}

// Format implements fmt.Formatter, so that no verb prints the secret.
func (a App) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "app "+a.ID) }

// Limits bound what a client can take of the process.
type Limits struct {
	// Body is the longest body of a request, in bytes. Default: 256 KiB, four
	// times what a task can carry: escapes can make JSON three times as long as
	// its text.
	Body int64
	// BatchBody is that of a batch. Default: 8 MiB.
	BatchBody int64
	// BodyMemory is how many bytes of bodies may be in memory at once; who comes
	// when it is used up waits. Default: 128 MiB. At least BatchBody.
	BodyMemory int64
	// Request is how long one request may take, waiting included. Default: 30 s.
	Request time.Duration
}

func (l Limits) withDefaults() Limits {
	for _, n := range []struct {
		at  *int64
		def int64
	}{{&l.Body, 256 << 10}, {&l.BatchBody, 8 << 20}, {&l.BodyMemory, 128 << 20}} {
		if *n.at == 0 {
			*n.at = n.def
		}
	}
	if l.Request == 0 {
		l.Request = 30 * time.Second
	}
	return l
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.withDefaults()
	if c.DefaultApp == "" && len(c.Apps) == 1 {
		c.DefaultApp = c.Apps[0].ID
	}
	if c.MaxAge == 0 {
		c.MaxAge = producer.DefaultMaxAge
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
	return c
}

// check reports every bad field.
func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("gateway: Config."+format, args...)) }
	if c.Client == nil {
		bad("Client is required")
	}
	for name, missing := range map[string]bool{
		"Notifications": c.Notifications == nil, "Requests": c.Requests == nil, "Users": c.Users == nil, "Consents": c.Consents == nil, "Eraser": c.Eraser == nil,
		"Catalog": c.Catalog == nil, "Logins": c.Logins == nil,
	} {
		if missing {
			bad("%s is required", name)
		}
	}
	if len(c.Apps) == 0 {
		bad("Apps is empty")
	}
	if !slices.ContainsFunc(c.Apps, func(a App) bool { return a.ID == c.DefaultApp }) {
		bad("DefaultApp is not among Apps")
	}
	names, keys := map[string]bool{}, map[apikey.Hash]bool{}
	for i, p := range c.Producers {
		if err := p.check(); err != nil {
			bad("Producers[%d]: %w", i, err)
		}
		if names[p.Name] {
			bad("Producers[%d]: the name is there twice", i)
		}
		names[p.Name] = true
		for _, k := range p.Keys {
			if keys[k] {
				bad("Producers[%d]: a key is there twice", i)
			}
			keys[k] = true
		}
	}
	if l := c.Limits; l.Body < 1 || l.BatchBody < 1 || l.BodyMemory < max(l.Body, l.BatchBody) || l.Request <= 0 {
		bad("Limits: all must be positive, and BodyMemory no less than the longest body")
	}
	return errors.Join(errs...)
}
