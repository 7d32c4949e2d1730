package callback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// Pattern is where an http.ServeMux has to have the Handler.
const Pattern = "/wechat/callback/{appid}"

// Store is what a Handler needs of a store; store/postgres and store/sqlite have
// it.
type Store interface {
	Inbox
	Ledger
}

// Inbox keeps pushes until they are applied.
type Inbox interface {
	// ReceivePushes keeps pushes, in one transaction. The answer tells for each
	// whether it is new.
	ReceivePushes(ctx context.Context, pushes []store.Push) ([]bool, error)
	// TakePushes hands out at most limit pushes of a kind, the oldest first. One
	// that is not finished within lease is handed out again.
	TakePushes(ctx context.Context, kind store.PushKind, lease time.Duration, limit int) ([]store.Push, error)
	// FinishPushes forgets the pushes, but for their keys.
	FinishPushes(ctx context.Context, keys []store.PushKey) error
}

// Ledger is where events have their effect. Each event counts once, however
// often it is recorded.
type Ledger interface {
	// Pushed notes that a verified push came for the app.
	Pushed(ctx context.Context, app string) error
	// RecordReceipts joins receipts to attempts and settles doubts.
	RecordReceipts(ctx context.Context, events []store.ReceiptEvent) ([]store.Receipted, error)
	// ReviewReceipts looks again at receipts that found nothing yet, at most
	// limit; n is how many were due, found are those that found their attempt.
	ReviewReceipts(ctx context.Context, limit int) (n int, found []store.Receipted, err error)
	// RecordConsents counts consents.
	RecordConsents(ctx context.Context, events []store.ConsentEvent) ([]store.ConsentRecorded, error)
}

// ConsentSource is who counts the consents of an app. The other one only fills
// gaps, since both tell of the same tap.
type ConsentSource string

// The sources.
const (
	ConsentClient ConsentSource = "client" // the Mini Program's reports
	ConsentEvent  ConsentSource = "event"  // WeChat's events
)

// AppConfig is the message push of one app, as it is set in WeChat's console.
type AppConfig struct {
	// Token signs; required.
	Token string
	// AESKey is the EncodingAESKey, 43 characters. Without it the app's address
	// answers 404, unless Plaintext is set.
	AESKey string
	// Plaintext also accepts pushes that are not encrypted. Their signature does
	// not cover their content, so they settle no doubt.
	Plaintext bool
	// ForwardURL gets the events that are not ours, by POST with the decrypted
	// body as WeChat wrote it and the headers Wxnotify-App (the appid) and
	// Wxnotify-Verified (true: the signature covered the body). An event stays in
	// the inbox until 2xx is answered, so it may come twice and out of order, and
	// is given up after some five minutes. Default: they are dropped.
	ForwardURL string
	// ConsentPrimary is who counts consents. Default: ConsentClient.
	ConsentPrimary ConsentSource
}

// Config holds the settings and dependencies of a Handler.
type Config struct {
	// Apps are the apps by appid. Default: none, and every address answers 404.
	Apps map[string]AppConfig
	// Store is required; the Handler does not close it.
	Store Store
	// InDoubtWait is IN_DOUBT_WAIT: how long after its attempt a receipt may
	// come and still settle a doubt. Default: 90 s.
	InDoubtWait time.Duration
	// LongTerm tells whether a template is a long-term one; an error means that it
	// cannot tell now, and WeChat sends the event again. It is called for each
	// consent while WeChat waits for its answer. Default: none is.
	LongTerm func(ctx context.Context, appID, templateID string) (bool, error)
	// Delivered is told how long after its acceptance the receipt of a delivered
	// message came, as [store.Receipted] says; it must not block. Default: nobody
	// is told.
	Delivered func(appID string, after time.Duration)
	// Transport carries forwarded events. Default: one of its own, which honours
	// HTTPS_PROXY and its like.
	Transport http.RoundTripper
	// Logger gets what is wrong with pushes, without their content, and outages
	// of the store. Default: none.
	Logger *zap.Logger
	// Registerer gets the metrics. Default: they are not registered.
	Registerer prometheus.Registerer
	// TracerProvider gets the spans. A trace that a push names is not gone on
	// with: WeChat names none. Default: OpenTelemetry's global one.
	TracerProvider trace.TracerProvider
	// Now is the clock that the age of a signature is measured by. Default:
	// time.Now.
	Now func() time.Time
}

const defaultInDoubtWait = 90 * time.Second

func (c Config) withDefaults() Config {
	if c.InDoubtWait == 0 {
		c.InDoubtWait = defaultInDoubtWait
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.LongTerm == nil {
		c.LongTerm = func(context.Context, string, string) (bool, error) { return false, nil }
	}
	if c.Delivered == nil {
		c.Delivered = func(string, time.Duration) {}
	}
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// check reports every bad field at once, and no secret.
func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("callback: "+format, args...)) }
	if c.Store == nil {
		bad("Config.Store is required")
	}
	if c.InDoubtWait < 0 {
		bad("Config.InDoubtWait is negative")
	}
	for _, appID := range slices.Sorted(maps.Keys(c.Apps)) {
		a := c.Apps[appID]
		if a.Token == "" {
			bad("app %s: Token is required", appID)
		}
		if a.AESKey != "" {
			if _, err := decodeAESKey(a.AESKey); err != nil {
				bad("app %s: AESKey: %w", appID, err)
			}
		}
		if a.ForwardURL != "" {
			if u, err := url.Parse(a.ForwardURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				bad("app %s: ForwardURL is not an http or https URL", appID)
			}
		}
		switch a.ConsentPrimary {
		case "", ConsentClient, ConsentEvent:
		default:
			bad("app %s: ConsentPrimary is neither %s nor %s", appID, ConsentClient, ConsentEvent)
		}
	}
	return errors.Join(errs...)
}
