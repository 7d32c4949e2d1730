package wechat

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

const (
	// DefaultBaseURL is WeChat's nearest entry. The others, such as
	// https://api2.weixin.qq.com, answer the same calls with the same token:
	// https://developers.weixin.qq.com/doc/service/Basic_Information/Interface_field_description.html
	DefaultBaseURL = "https://api.weixin.qq.com"
	// DefaultMaxConns is the default of Config.MaxConns.
	DefaultMaxConns = 200
	// DefaultTimeout is the default of Config.Timeout.
	DefaultTimeout = 10 * time.Second
)

// Config holds the settings and dependencies of a Client.
type Config struct {
	// BaseURL is scheme and host of the API, with a path prefix if a gateway
	// needs one. Defaults to DefaultBaseURL.
	BaseURL string
	// MaxConns is how many sends may be on the wire at once; as many connections
	// are kept, and a few more so that a token fetch never queues behind sends.
	// Defaults to DefaultMaxConns.
	MaxConns int
	// Timeout bounds one call from the first lookup to the last byte of the
	// answer. A context that ends earlier wins. Defaults to DefaultTimeout.
	Timeout time.Duration
	// Proxy chooses a proxy as in http.Transport. Defaults to
	// http.ProxyFromEnvironment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS replaces the default TLS settings, which trust the system's roots
	// (SSL_CERT_FILE and SSL_CERT_DIR are honoured). Nil for the default.
	TLS *tls.Config
	// Logger gets one debug line a call. Failures are returned, not logged: who
	// handles one logs it. Nil logs nothing.
	Logger *zap.Logger
	// Registerer gets the metrics. Nil registers none.
	Registerer prometheus.Registerer
	// TracerProvider gets a span a call. Defaults to OpenTelemetry's global one.
	TracerProvider trace.TracerProvider
	// Now is the clock of waits that WeChat defines by the wall clock (next
	// minute, next day) when an answer has no Date header. Defaults to time.Now.
	Now func() time.Time
}

// check returns cfg with its defaults and the parsed base URL, or every fault
// at once.
func (cfg Config) check() (Config, *url.URL, error) {
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Proxy == nil {
		cfg.Proxy = http.ProxyFromEnvironment
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}

	var faults []error
	base, err := url.Parse(cfg.BaseURL)
	switch {
	case err != nil:
		// The parser's text repeats the URL, which may hold a password.
		faults = append(faults, errors.New("base URL cannot be parsed"))
	case base.Scheme != "https" && base.Scheme != "http", base.Host == "":
		faults = append(faults, errors.New("base URL has to be https://host or http://host"))
	case base.User != nil, base.RawQuery != "", base.Fragment != "":
		faults = append(faults, errors.New("base URL has to be without user, query and fragment"))
	}
	if cfg.MaxConns < 0 {
		faults = append(faults, fmt.Errorf("max conns is %d, has to be 1 or more", cfg.MaxConns))
	}
	if cfg.Timeout < 0 {
		faults = append(faults, fmt.Errorf("timeout is %s, has to be positive", cfg.Timeout))
	}
	return cfg, base, errors.Join(faults...)
}

// Client calls WeChat's server API. It is safe for concurrent use; a process
// shares one, whatever the number of apps, so that connections are shared too.
type Client struct {
	base      *url.URL // without a trailing slash
	host      string   // of base, without the port
	timeout   time.Duration
	transport *http.Transport
	log       *zap.Logger
	metrics   *callMetrics
	tracer    trace.Tracer
	now       func() time.Time
}

// New returns a client; it opens no connection yet.
func New(cfg Config) (*Client, error) {
	cfg, base, err := cfg.check()
	if err != nil {
		return nil, fmt.Errorf("wechat client: %w", err)
	}
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), strings.TrimRight(base.RawPath, "/")
	metrics, err := newCallMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("wechat client: register metrics: %w", err)
	}
	return &Client{
		base:      base,
		host:      base.Hostname(),
		timeout:   cfg.Timeout,
		transport: newTransport(cfg),
		log:       cfg.Logger,
		metrics:   metrics,
		tracer:    cfg.TracerProvider.Tracer(tracerName),
		now:       cfg.Now,
	}, nil
}

// Timeout is the bound of one call.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Close drops the idle connections. Calls in flight go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
