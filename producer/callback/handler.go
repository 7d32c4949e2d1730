package callback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// The bounds of a request. WeChat's own pushes have a few kilobytes, three times
// as many in compatible mode.
const (
	maxBody = 128 << 10
	maxEcho = 1 << 10
)

// How old a signature may be. Its time is when WeChat sent the push first, as far
// as is known, so a repeat may be old: what is a little old is only logged. What
// is older than maxAge is a replay; within it the keys of the inbox find one,
// which store.KeepPushes keeps longer.
const (
	oldAge = 5 * time.Minute
	maxAge = 24 * time.Hour
)

// app is an AppConfig that was checked.
type app struct {
	AppConfig
	id  string
	key []byte // nil without an AES key
}

// Handler receives pushes. It is safe for concurrent use.
type Handler struct {
	config  Config
	apps    *atomic.Pointer[map[string]*app] // by appid; replaced as a whole
	metrics metrics
	tracer  trace.Tracer
	inbox   *receiver
	applier *applier
	forward *forwarder
	quiet   quiet

	loops   sync.WaitGroup
	mu      sync.Mutex
	cancel  context.CancelFunc // nil until started
	stopped bool
}

// New makes a Handler. It does not touch the network.
func New(config Config) (*Handler, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	m, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, fmt.Errorf("callback: register metrics: %w", err)
	}
	apps, err := newApps(config.Apps)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		config: config, apps: new(atomic.Pointer[map[string]*app]), metrics: m, tracer: config.TracerProvider.Tracer(tracerName),
		quiet: quiet{now: config.Now},
	}
	h.apps.Store(&apps)
	h.applier = newApplier(config, m)
	h.forward = newForwarder(config, h.apps, m)
	h.inbox = newReceiver(config.Store)
	return h, nil
}

func newApps(configs map[string]AppConfig) (map[string]*app, error) {
	apps := make(map[string]*app, len(configs))
	for id, c := range configs {
		a := &app{AppConfig: c, id: id}
		if c.AESKey != "" {
			var err error
			if a.key, err = decodeAESKey(c.AESKey); err != nil {
				return nil, fmt.Errorf("callback: app %s: AESKey: %w", id, err)
			}
		}
		apps[id] = a
	}
	return apps, nil
}

// Reload prepares to receive the pushes of these apps from now on, as they are
// set; apply does it. An error names every fault, and nothing has changed. What
// an app that is gone has in the inbox is applied as before; its foreign events
// are passed on by who still has their address, or given up.
func (h *Handler) Reload(configs map[string]AppConfig) (apply func(), err error) {
	config := h.config
	config.Apps = configs
	if err := config.check(); err != nil {
		return nil, err
	}
	apps, err := newApps(configs)
	if err != nil {
		return nil, err
	}
	return func() { h.apps.Store(&apps) }, nil
}

// ServeHTTP answers WeChat: GET to check the address, POST for a push. What is
// not WeChat's is refused without effect.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := (*h.apps.Load())[r.PathValue("appid")]
	if a == nil || a.key == nil && !a.Plaintext {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet:
		h.verify(w, a, r.URL.Query())
	case http.MethodPost:
		h.receive(w, r, a)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// verify answers the check that WeChat's console makes of the address, which is
// never encrypted: the text as it came.
func (h *Handler) verify(w http.ResponseWriter, a *app, q url.Values) {
	echo := q.Get("echostr")
	switch {
	case !signed(q.Get("signature"), a.Token, q.Get("timestamp"), q.Get("nonce")):
		h.refuse(w, a, eventVerify, arrivedForged, errForged)
		return
	case h.stale(a, q) != nil:
		h.refuse(w, a, eventVerify, arrivedStale, errStale)
		return
	case echo == "" || len(echo) > maxEcho:
		h.refuse(w, a, eventVerify, arrivedMalformed, malformed("no echostr, or too long"))
		return
	}
	h.metrics.arrivals(eventVerify, arrivedNew, 1)
	answer(w, echo)
}

// receive takes a push into the inbox and says so.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, a *app) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			h.refuse(w, a, eventUnread, arrivedOversized, err)
			return
		}
		h.refuse(w, a, eventUnread, arrivedMalformed, malformed("the body ended early"))
		return
	}
	root, message, verified, why, err := a.open(r.URL.Query(), body)
	if err == nil {
		why, err = arrivedStale, h.stale(a, r.URL.Query())
	}
	if err != nil {
		h.refuse(w, a, eventUnread, why, err)
		return
	}
	ctx, span := h.tracer.Start(r.Context(), spanReceive, receiveSpan...)
	defer span.End()
	p, err := h.sort(ctx, a, root, message, verified)
	describeReceived(span, a, p, err)
	if errors.Is(err, errNotNow) {
		h.notNow(w, a, p.kind, 1, err)
		return
	}
	if err != nil {
		h.refuse(w, a, eventUnread, arrivedMalformed, err)
		return
	}
	if verified {
		h.applier.notePushed(a.id)
	}
	h.metrics.arrivals(p.kind, arrivedIgnored, p.ignored)
	if len(p.pushes) > 0 {
		news, err := h.inbox.put(ctx, p.pushes)
		if err != nil {
			describeReceived(span, a, p, err)
			h.notNow(w, a, p.kind, len(p.pushes), err)
			return
		}
		for _, isNew := range news {
			if isNew {
				h.metrics.arrivals(p.kind, arrivedNew, 1)
			} else {
				h.metrics.arrivals(p.kind, arrivedAgain, 1)
			}
		}
		h.wake(p.kind)
	}
	answer(w, "success")
}

// errNotNow means that a push cannot be kept now, and could be later.
var errNotNow = errors.New("not now")

// notNow lets WeChat send a push again.
func (h *Handler) notNow(w http.ResponseWriter, a *app, kind eventKind, n int, err error) {
	h.metrics.arrivals(kind, arrivedUnavailable, n)
	h.quiet.log(string(arrivedUnavailable), func() {
		h.config.Logger.Error("push not taken, WeChat has to send it again", zap.String("app", a.id), zap.Error(err))
	})
	w.Header().Set("Retry-After", "5")
	http.Error(w, "not now", http.StatusServiceUnavailable)
}

// answer is what WeChat takes for an acknowledgement.
func answer(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = io.WriteString(w, text) //nolint:gosec // plain text, and only to who signed it; who does not read it sends the push again
}

// refuse answers what has no effect. The answer does not say what was wrong: the
// log does, once in a while.
func (h *Handler) refuse(w http.ResponseWriter, a *app, k eventKind, why arrival, err error) {
	h.metrics.arrivals(k, why, 1)
	h.quiet.log(string(why), func() {
		h.config.Logger.Warn("push refused", zap.String("app", a.id), zap.String("result", string(why)), zap.Error(err))
	})
	status := why.status()
	http.Error(w, http.StatusText(status), status)
}

// stale refuses a signature of long ago. It comes after the signature was found
// right, which covers the timestamp.
func (h *Handler) stale(a *app, q url.Values) error {
	seconds, err := strconv.ParseInt(q.Get("timestamp"), 10, 64)
	if err != nil || seconds < earliest || seconds > latest {
		return errStale
	}
	age := h.config.Now().Sub(time.Unix(seconds, 0))
	if age.Abs() > maxAge {
		return errStale
	}
	if age.Abs() > oldAge {
		h.quiet.log("old", func() {
			h.config.Logger.Warn("push with an old signature; is this machine's clock right?", zap.String("app", a.id), zap.Duration("age", age))
		})
	}
	return nil
}

// quiet keeps a log from being filled by whoever sends us nonsense: one line of
// a kind in a minute, the metrics count the others.
type quiet struct {
	now func() time.Time

	mu   sync.Mutex
	next map[string]time.Time
}

func (q *quiet) log(kind string, write func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	if now.Before(q.next[kind]) {
		return
	}
	if q.next == nil {
		q.next = map[string]time.Time{}
	}
	q.next[kind] = now.Add(time.Minute)
	write()
}
