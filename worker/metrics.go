package worker

import (
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// metrics of the worker. Every label set is closed and starts at zero.
type metrics struct {
	sends     *prometheus.CounterVec   // app, kind
	templates *prometheus.CounterVec   // app, template, kind
	errcodes  *prometheus.CounterVec   // app, errcode
	outcomes  *prometheus.CounterVec   // app, state, reason
	latency   *prometheus.HistogramVec // app
	toSent    *prometheus.HistogramVec // app
	attempts  *prometheus.HistogramVec // app
	inFlight  *prometheus.GaugeVec     // app
	appPaused *prometheus.GaugeVec     // app
	pauses    *prometheus.CounterVec   // app, kind
	adopted   *prometheus.CounterVec   // app
	tokens    *prometheus.CounterVec   // app, kind

	// known are the apps that are counted. It is replaced, never changed.
	known atomic.Pointer[map[string]*appSeries]
}

// appSeries are those of one app that every message adds to, looked up once.
type appSeries struct {
	sends map[wechat.Kind]prometheus.Counter
	// templates are those with a label of their own, and otherTemplate.
	templates map[string]map[wechat.Kind]prometheus.Counter
	errcodes  map[int]prometheus.Counter
	// otherCode counts the errcodes that are not in the table.
	otherCode prometheus.Counter
	sent      prometheus.Counter // of the outcomes
	latency   prometheus.Observer
	toSent    prometheus.Observer
	attempts  prometheus.Observer
	inFlight  prometheus.Gauge
}

// otherTemplate is the label of every template that is not in App.Templates:
// what producers write there must not make series.
const otherTemplate = "other"

// otherErrcode is the label of every errcode that is not in the table.
const otherErrcode = "other"

func newMetrics(r prometheus.Registerer, apps []App) *metrics {
	m := &metrics{
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_worker_sends_total", Help: "Calls of subscribe/send by the kind of their answer.",
		}, []string{"app", "kind"}),
		templates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_worker_template_sends_total",
			Help: "Calls of subscribe/send by template and kind of their answer; other is a template that was not known when the process started or was reloaded.",
		}, []string{"app", "template", "kind"}),
		errcodes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_worker_errcodes_total", Help: "Answers of subscribe/send by errcode; other is one that is not documented.",
		}, []string{"app", "errcode"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_worker_outcomes_total", Help: "Changes of state made by this worker.",
		}, []string{"app", "state", "reason"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wxnotify_worker_send_seconds", Help: "Duration of one call of subscribe/send.",
			Buckets: []float64{.01, .025, .05, .1, .2, .4, .8, 1.5, 3, 6, 10, 20},
		}, []string{"app"}),
		toSent: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wxnotify_worker_accepted_to_sent_seconds",
			Help: "Time from acceptance to WeChat's yes, by the database's clock; from when it was due, where that was later and the first attempt was the one.",
			// From an idle queue to MAX_AGE.
			Buckets: []float64{.1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 72 * 3600},
		}, []string{"app"}),
		attempts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wxnotify_worker_attempts", Help: "Attempts that a notification had had when it was sent or died of an answer.",
			Buckets: []float64{1, 2, 3, 5, 8, 13, 21},
		}, []string{"app"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wxnotify_worker_in_flight", Help: "Calls of subscribe/send under way.",
		}, []string{"app"}),
		appPaused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wxnotify_worker_app_paused", Help: "1 while the app is paused or half open.",
		}, []string{"app"}),
		pauses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_worker_pauses_total", Help: "Pauses of the app that this process began, by the kind of the answer that led to them.",
		}, []string{"app", "kind"}),
		adopted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_worker_adopted_total", Help: "Raw tasks accepted: each is a notification in the store from then on.",
		}, []string{"app"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_worker_token_failures_total", Help: "Sends that were put off because no access token could be had.",
		}, []string{"app", "kind"}),
	}
	m.known.Store(&map[string]*appSeries{})
	m.serve(apps)
	if r != nil {
		r.MustRegister(m.sends, m.templates, m.errcodes, m.outcomes, m.latency, m.toSent, m.attempts, m.inFlight, m.appPaused, m.tokens, m.pauses, m.adopted)
	}
	return m
}

// serve starts the series of apps that come and of their templates, and drops
// those of templates that went. An app's own go with forget. Calls must not
// overlap.
func (m *metrics) serve(apps []App) {
	before := *m.known.Load()
	next := maps.Clone(before)
	for _, a := range apps {
		if before[a.ID] == nil {
			m.zero(a.ID)
		}
		next[a.ID] = m.series(a)
	}
	m.known.Store(&next)
	for app, had := range before {
		for t := range had.templates {
			if next[app].templates[t] == nil {
				m.templates.DeletePartialMatch(prometheus.Labels{"app": app, "template": t})
			}
		}
	}
}

// forget drops the series of an app. What is still heard of it is not counted.
func (m *metrics) forget(app string) {
	next := maps.Clone(*m.known.Load())
	delete(next, app)
	m.known.Store(&next)
	of := prometheus.Labels{"app": app}
	for _, c := range []*prometheus.CounterVec{m.sends, m.templates, m.errcodes, m.outcomes, m.tokens, m.pauses, m.adopted} {
		c.DeletePartialMatch(of)
	}
	for _, h := range []*prometheus.HistogramVec{m.latency, m.toSent, m.attempts} {
		h.DeletePartialMatch(of)
	}
	m.inFlight.DeletePartialMatch(of)
	m.appPaused.DeletePartialMatch(of)
}

// of are the series of an app; nil when it is not counted.
func (m *metrics) of(app string) *appSeries { return (*m.known.Load())[app] }

// counts reports whether the app has series.
func (m *metrics) counts(app string) bool { return m.of(app) != nil }

// series starts the series of an app's templates and looks up those of the app.
func (m *metrics) series(a App) *appSeries {
	s := &appSeries{
		sends: make(map[wechat.Kind]prometheus.Counter), templates: make(map[string]map[wechat.Kind]prometheus.Counter),
		errcodes: make(map[int]prometheus.Counter), otherCode: m.errcodes.WithLabelValues(a.ID, otherErrcode),
		sent:    m.outcomes.WithLabelValues(a.ID, string(store.Sent), ""),
		latency: m.latency.WithLabelValues(a.ID), toSent: m.toSent.WithLabelValues(a.ID),
		attempts: m.attempts.WithLabelValues(a.ID), inFlight: m.inFlight.WithLabelValues(a.ID),
	}
	for _, t := range append([]string{otherTemplate}, a.Templates...) {
		s.templates[t] = make(map[wechat.Kind]prometheus.Counter)
		for _, k := range wechat.Kinds {
			s.templates[t][k] = m.templates.WithLabelValues(a.ID, t, k.String())
		}
	}
	for _, k := range wechat.Kinds {
		s.sends[k] = m.sends.WithLabelValues(a.ID, k.String())
	}
	for _, e := range wechat.Errcodes {
		s.errcodes[e.Code] = m.errcodes.WithLabelValues(a.ID, strconv.Itoa(e.Code))
	}
	return s
}

func (m *metrics) zero(app string) {
	for _, k := range wechat.Kinds {
		m.sends.WithLabelValues(app, k.String())
		m.tokens.WithLabelValues(app, k.String())
		m.pauses.WithLabelValues(app, k.String())
	}
	m.adopted.WithLabelValues(app)
	for _, e := range wechat.Errcodes {
		m.errcodes.WithLabelValues(app, strconv.Itoa(e.Code))
	}
	m.errcodes.WithLabelValues(app, otherErrcode)
	for _, s := range []store.State{store.Sent, store.Retrying, store.InDoubt, store.Cancelled, store.Expired, store.Waiting} {
		m.outcomes.WithLabelValues(app, string(s), "")
	}
	for _, r := range store.Reasons {
		m.outcomes.WithLabelValues(app, string(store.Dead), string(r))
	}
	m.latency.WithLabelValues(app)
	m.toSent.WithLabelValues(app)
	m.attempts.WithLabelValues(app)
	m.inFlight.WithLabelValues(app)
	m.appPaused.WithLabelValues(app)
}

// call counts a call as under way until ended.
func (m *metrics) call(app string) (ended func()) {
	of := m.of(app)
	if of == nil {
		return func() {}
	}
	of.inFlight.Inc()
	return of.inFlight.Dec
}

func (m *metrics) sent(app, template string, a answered) {
	of := m.of(app)
	if of == nil {
		return
	}
	kind, code := wechat.KindOK, 0
	if a.err != nil {
		kind, code = a.err.Kind, a.err.Code
	}
	if of.sends[kind] == nil {
		kind = wechat.KindUnknown // a Sender's own
	}
	of.sends[kind].Inc()
	byKind, own := of.templates[template]
	if !own {
		byKind = of.templates[otherTemplate]
	}
	byKind[kind].Inc()
	of.latency.Observe(a.latency.Seconds())
	if a.err != nil && code == 0 {
		return // no errcode was read
	}
	if c, known := of.errcodes[code]; known {
		c.Inc()
	} else {
		of.otherCode.Inc()
	}
}

func (m *metrics) settled(n *store.Look, s *store.Settlement) {
	of := m.of(n.App)
	if of == nil {
		return
	}
	switch s.State {
	case store.Sent:
		of.sent.Inc()
		of.toSent.Observe((n.Now.Sub(sendableSince(n)) + s.Attempt.Latency).Seconds())
		of.attempts.Observe(float64(n.Seq))
	case store.Dead:
		m.outcome(n.App, s.State, s.Reason)
		of.attempts.Observe(float64(n.Seq))
	case store.Queued, store.Sending, store.Retrying, store.InDoubt, store.Waiting, store.Expired, store.Cancelled:
		m.outcome(n.App, s.State, s.Reason)
	}
}

// sendableSince is when a claimed notification was accepted, or when it was due
// if that was later. Later attempts have another due time, so theirs is not it.
func sendableSince(n *store.Look) time.Time {
	if n.Seq == 1 && n.DueAt.After(n.CreatedAt) {
		return n.DueAt
	}
	return n.CreatedAt
}

func (m *metrics) moved(app string, v store.Move) { m.outcome(app, v.State, v.Reason) }

// outcome counts by reason among the dead only: there the reason is the news.
func (m *metrics) outcome(app string, s store.State, r store.Reason) {
	if !m.counts(app) {
		return
	}
	if s != store.Dead {
		r = ""
	}
	m.outcomes.WithLabelValues(app, string(s), string(r)).Inc()
}

func (m *metrics) noToken(app string, k wechat.Kind) {
	if !m.counts(app) {
		return
	}
	m.tokens.WithLabelValues(app, k.String()).Inc()
}

// adopt counts a raw task that became a notification.
func (m *metrics) adopt(app string) {
	if m.counts(app) {
		m.adopted.WithLabelValues(app).Inc()
	}
}

// paused tells that the app is closed, or open again; kind is why this process
// closed it.
func (m *metrics) paused(app, kind string, closed bool) {
	if !m.counts(app) {
		return
	}
	if kind != "" {
		m.pauses.WithLabelValues(app, kind).Inc()
	}
	v := 0.0
	if closed {
		v = 1
	}
	m.appPaused.WithLabelValues(app).Set(v)
}
