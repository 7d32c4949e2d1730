package simulator

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// API names an endpoint. The names are those that wxnotify's metrics use.
type API string

// The endpoints.
const (
	APISend         API = "subscribe_send"
	APIStableToken  API = "stable_token"
	APIToken        API = "token"
	APICode2Session API = "code2session"
	APITemplates    API = "gettemplate"
	APIQuota        API = "quota_get"
	// APIEvent stands for the pushes to the callback URL, so that faults can be
	// scripted for them; nobody can call it.
	APIEvent API = "event"
)

// maxBody is how much of a request is read; what is longer is answered 45002.
// WeChat's own limit is not known.
const maxBody = 1 << 20

// Simulator is a WeChat. It is an http.Handler and safe for concurrent use.
type Simulator struct {
	cfg     Config
	control http.Handler
	shift   atomic.Int64 // nanoseconds added to cfg.Now
	events  *pusher

	mu     sync.Mutex // guards all below
	rng    *rand.Rand
	apps   map[string]*appState
	order  []*appState
	tokens map[string]*token
	codes  map[string]*loginCode
	faults []*activeFault
	// faultSeq numbers faults, msgID is the last one given out.
	faultSeq int
	msgID    int64
	latency  time.Duration
	busy     map[pair]occupancy
	truth    truth
	// release is closed, and replaced, to let hanging calls go on.
	release chan struct{}
	changed chan struct{} // closed, and replaced, on a change, if anyone waits
	waiting int

	done     chan struct{} // closed by Close
	closeAll func()
}

// appState is an app with everything that changes; guarded by Simulator.mu.
type appState struct {
	App
	templates map[string]*templateState
	pages     map[string]bool
	users     map[string]string // openid -> unionid
	consents  map[pair]consent
	lines     map[API]*tokenLine
	counters  map[API]*counter
	// minuteQuota and dayQuota are those of sends.
	minuteQuota, dayQuota int
	// errcode is the account fault in force; 0 is none.
	errcode int
	// deadTokens: send refuses every token of the app.
	deadTokens bool
}

// pair is an openid of an app, with a template where one matters.
type pair struct{ appID, openID, templateID string }

// New returns a WeChat as described by cfg. Close must be called when any app
// has a callback or a fault makes calls hang.
func New(cfg Config) (*Simulator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Simulator{
		cfg:     cfg,
		rng:     rand.New(rand.NewPCG(cfg.Seed, 0x77782d73696d)), //nolint:gosec // must be repeatable, guards nothing
		apps:    map[string]*appState{},
		tokens:  map[string]*token{},
		codes:   map[string]*loginCode{},
		msgID:   1988810812324364291, // above 2^53, where float64 loses digits
		latency: cfg.Latency,
		busy:    map[pair]occupancy{},
		truth:   newTruth(cfg.TruthLimit),
		release: make(chan struct{}),
		changed: make(chan struct{}),
		done:    make(chan struct{}),
	}
	s.closeAll = sync.OnceFunc(func() { close(s.done) })
	s.events = newPusher(s)
	s.control = s.controlMux()
	for _, a := range cfg.Apps {
		st := &appState{
			App:       a,
			templates: map[string]*templateState{},
			pages:     map[string]bool{},
			users:     map[string]string{},
			consents:  map[pair]consent{},
			lines:     map[API]*tokenLine{APIToken: {}, APIStableToken: {}},
			counters:  map[API]*counter{},

			minuteQuota: cfg.MinuteQuota,
			dayQuota:    cfg.DayQuota,
		}
		for _, t := range a.Templates {
			st.templates[t.PriTmplID] = &templateState{Template: t, fields: t.Fields()}
		}
		for _, p := range a.Pages {
			st.pages[pagePath(p)] = true
		}
		s.apps[a.AppID] = st
		s.order = append(s.order, st)
	}
	return s, nil
}

// Close lets hanging calls go and stops pushing events; what was not pushed yet
// is dropped. It returns when the last push has ended. It may be called twice.
func (s *Simulator) Close() {
	s.closeAll()
	s.events.close()
}

// now is WeChat's time.
func (s *Simulator) now() time.Time { return s.cfg.Now().Add(time.Duration(s.shift.Load())) }

// app returns the app of appID, the first one for "". s.mu must be held.
func (s *Simulator) app(appID string) (*appState, error) {
	if appID == "" {
		return s.order[0], nil
	}
	if a, ok := s.apps[appID]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("simulator: no app %q", appID)
}

// endpoint is what differs between the calls.
type endpoint struct {
	api    API
	method string
	// read decodes the request; no locks are held.
	read func(*exchange)
	// arrive runs under s.mu when the call comes in, before its latency.
	arrive func(*exchange)
	// decide runs after the latency and gives the answer; no locks are held.
	decide func(*exchange) answer
}

var endpoints = map[string]endpoint{
	"/cgi-bin/token":                  {api: APIToken, method: http.MethodGet, decide: (*exchange).classicToken},
	"/cgi-bin/stable_token":           {api: APIStableToken, method: http.MethodPost, decide: (*exchange).stableToken},
	"/cgi-bin/message/subscribe/send": {api: APISend, method: http.MethodPost, read: (*exchange).readSend, arrive: (*exchange).arriveSend, decide: (*exchange).send},
	"/cgi-bin/openapi/quota/get":      {api: APIQuota, method: http.MethodPost, decide: (*exchange).quota},
	"/sns/jscode2session":             {api: APICode2Session, method: http.MethodGet, decide: (*exchange).code2Session},
	"/wxaapi/newtmpl/gettemplate":     {api: APITemplates, method: http.MethodGet, decide: (*exchange).listTemplates},
}

// exchange is one call on its way through the simulator.
type exchange struct {
	s      *Simulator
	api    API
	r      *http.Request
	query  url.Values
	body   []byte
	tooBig bool
	at     time.Time

	fault   *Fault        // the one that applies, nil if none
	latency time.Duration // of the simulator and of latency faults

	// The rest is of sends only.
	msg      message
	appState *appState
	token    *token
	refusal  int // why token or app may not send; 0 when they may
	tmpl     *templateState
	banned   bool
	slot     slot
	call     Call
}

// ServeHTTP implements http.Handler.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ep, ok := endpoints[r.URL.Path]
	if !ok {
		if r.URL.Path == "/_sim" || strings.HasPrefix(r.URL.Path, "/_sim/") {
			s.control.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
		return
	}
	x := &exchange{s: s, api: ep.api, r: r, query: r.URL.Query(), at: s.now()}
	if r.Method == http.MethodPost && r.ContentLength < 0 {
		// A chunked POST never reaches the application.
		s.arrive(x, endpoint{api: ep.api})
		a := answer{status: http.StatusPreconditionFailed}
		s.leave(x, a)
		a.write(w, s.now())
		return
	}
	if err := x.readBody(); err != nil {
		panic(http.ErrAbortHandler) // the client went away or broke its own framing
	}
	if ep.read != nil {
		ep.read(x)
	}
	s.arrive(x, ep)
	x.serve(ep).write(w, s.now())
}

// serve takes the call from its arrival to its answer.
func (x *exchange) serve(ep endpoint) answer {
	s := x.s
	if x.latency > 0 {
		timer := time.NewTimer(x.latency)
		select {
		case <-timer.C:
		case <-x.r.Context().Done():
			// A caller that gives up does not undo the call: WeChat has it.
			timer.Stop()
		case <-s.done:
			timer.Stop()
		}
	}
	before, after := x.fault, (*Fault)(nil)
	if before != nil && before.After {
		before, after = nil, before
	}
	if before != nil && before.Action == ActHang {
		if !s.hang(x) {
			a := answer{}
			s.leave(x, a)
			return a
		}
		before = nil
	}
	var a answer
	switch {
	case before != nil:
		a = before.answer(x)
	case x.r.Method != ep.method:
		a = x.wrongMethod(ep)
	default:
		a = ep.decide(x)
	}
	if after != nil && after.Action != ActHang {
		a = after.answer(x)
	}
	if after == nil || after.Action != ActHang {
		s.leave(x, a)
		return a
	}
	s.record(x, a)
	s.hang(x)
	s.leave(x, a)
	return a
}

func (x *exchange) wrongMethod(ep endpoint) answer {
	switch {
	case ep.api == APITemplates:
		return x.refuse(404)
	case ep.method == http.MethodPost:
		return x.refuse(43002)
	}
	return x.refuse(43001)
}

func (x *exchange) readBody() error {
	if x.r.Body == nil || x.r.Body == http.NoBody || x.r.ContentLength == 0 {
		return nil
	}
	if x.r.ContentLength > maxBody {
		x.tooBig = true
		return nil
	}
	x.body = make([]byte, x.r.ContentLength)
	if _, err := io.ReadFull(x.r.Body, x.body); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	return nil
}

// bodyFault is what is wrong with the body of a call that needs a JSON one; 0
// for nothing.
func (x *exchange) bodyFault() int {
	switch {
	case x.tooBig:
		return 45002
	case len(x.body) == 0:
		return 44002
	case !validJSON(x.body):
		return 47001
	}
	return 0
}

// arrive counts the call and finds the fault that applies to it.
func (s *Simulator) arrive(x *exchange, ep endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.truth.arrived(x.api)
	if ep.arrive != nil {
		ep.arrive(x)
	}
	x.latency = s.latency
	if ep.decide != nil && len(s.faults) > 0 {
		x.fault = s.pickFault(x.match(), &x.latency)
	}
	s.notify()
}

// leave records the call, if that has not been done, and frees what it holds.
// It comes before the answer is written, so that a caller who has the answer
// finds its openid free.
func (s *Simulator) leave(x *exchange, a answer) {
	s.record(x, a)
	s.mu.Lock()
	s.vacate(x)
	s.truth.inFlight--
	s.notify()
	s.mu.Unlock()
}

// hang holds the call until Release or Close, or until the client gives up; it
// reports false only for the last.
func (s *Simulator) hang(x *exchange) bool {
	s.mu.Lock()
	release := s.release
	s.truth.hanging++
	s.notify()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.truth.hanging--
		s.mu.Unlock()
	}()
	select {
	case <-release:
		return true
	case <-s.done:
		return true
	case <-x.r.Context().Done():
		return false
	}
}
