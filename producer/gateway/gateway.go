package gateway

import (
	"context"
	"net/http"
	"path"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
)

// Gateway is the HTTP front door. It is safe for concurrent use.
type Gateway struct {
	config  Config // but for what served has
	served  atomic.Pointer[served]
	mux     *http.ServeMux
	metrics metrics
	tracer  trace.Tracer
	spans   map[string][]trace.SpanStartOption // by pattern
	// documents are what /openapi.json and /docs serve.
	documents documents
	people    peopleMetrics
	// exchanges are the login codes of the last minutes.
	exchanges *exchanges
	// memory is the bytes that bodies may take at once.
	memory *semaphore.Weighted

	mu       sync.Mutex
	draining bool
	underWay int
	idle     chan struct{} // closed when draining and nothing is under way
}

// New makes a Gateway. It touches neither the network nor the store, and needs
// no end: what it was given belongs to the caller.
func New(config Config) (*Gateway, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	keys, err := newKeyring(config.Producers, config.Client, nil)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		config: config, mux: http.NewServeMux(),
		memory: semaphore.NewWeighted(config.Limits.BodyMemory), idle: make(chan struct{}),
		exchanges: newExchanges(config.now),
		tracer:    config.TracerProvider.Tracer(tracerName), spans: map[string][]trace.SpanStartOption{},
	}
	g.served.Store(&served{apps: config.Apps, keys: keys})
	routes := g.routes()
	if g.documents, err = newDocuments(); err != nil {
		return nil, err
	}
	if g.metrics, err = newMetrics(config.Registerer, routes); err != nil {
		return nil, err
	}
	if g.people, err = newPeopleMetrics(config.Registerer); err != nil {
		return nil, err
	}
	for _, r := range routes {
		g.spans[r.pattern] = requestSpan(r.pattern)
		g.mux.Handle(r.pattern, g.frame(r))
	}
	return g, nil
}

// served is who may come in and what is served. It is replaced as a whole.
type served struct {
	apps []App
	keys *keyring
}

// Reload prepares to let these producers in from now on and to serve these apps;
// apply does it. An error names every fault, and nothing has changed. A key that
// is gone opens nothing any more; the requests that it opened for are finished.
// A key that stays keeps its rate's account.
func (g *Gateway) Reload(producers []Producer, apps []App) (apply func(), err error) {
	config := g.config
	config.Producers, config.Apps = producers, apps
	if err := config.check(); err != nil {
		return nil, err
	}
	keys, err := newKeyring(producers, config.Client, g.served.Load().keys)
	if err != nil {
		return nil, err
	}
	return func() { g.served.Store(&served{apps: apps, keys: keys}) }, nil
}

// Handler answers the API. Serve it with [NewServer], whose limits it relies on.
func (g *Gateway) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.enter() {
			p := refuse(http.StatusServiceUnavailable, CodeDraining, "this process is about to end; repeat the request")
			p.RetryAfter = retryAfter
			w.Header().Set("Connection", "close")
			p.write(w)
			return
		}
		defer g.leave()
		h, pattern := g.mux.Handler(r)
		// The mux answers by itself, in plain text, what it has no route for, and
		// would redirect a path that is not clean, which turns a POST into a GET.
		if escaped := r.URL.EscapedPath(); pattern == "" || escaped != path.Clean(escaped) {
			g.unknown(w, r, h)
			return
		}
		g.mux.ServeHTTP(w, r)
	})
}

// enter counts a request in, unless the Gateway is draining.
func (g *Gateway) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return false
	}
	g.underWay++
	return true
}

func (g *Gateway) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.underWay--; g.draining && g.underWay == 0 {
		close(g.idle)
	}
}

// Drain refuses new requests with 503 and waits for those under way, at most as
// long as ctx. Shut the server down first, so that no new ones come. It may be
// called again.
func (g *Gateway) Drain(ctx context.Context) error {
	g.mu.Lock()
	if !g.draining {
		g.draining = true
		if g.underWay == 0 {
			close(g.idle)
		}
	}
	g.mu.Unlock()
	select {
	case <-g.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unknown answers what there is no route for. The mux's own handler knows
// whether another method would do.
func (g *Gateway) unknown(w http.ResponseWriter, r *http.Request, h http.Handler) {
	probe := &probe{header: http.Header{}}
	h.ServeHTTP(probe, r)
	p := errNoPath
	if probe.status == http.StatusMethodNotAllowed {
		allow := probe.header.Get("Allow")
		w.Header().Set("Allow", allow)
		p = refuse(http.StatusMethodNotAllowed, CodeMethod, "this path takes "+allow)
	}
	g.metrics.requests.WithLabelValues(noRoute, codeLabel(p.Status)).Inc()
	p.write(w)
}

// probe takes the head of an answer and drops its body.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }
