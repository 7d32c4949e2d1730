package worker

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// metrics of the worker. Every label set is closed and starts at zero.
type metrics struct {
	sends     *prometheus.CounterVec   // app, kind
	errcodes  *prometheus.CounterVec   // app, errcode
	outcomes  *prometheus.CounterVec   // app, state, reason
	latency   *prometheus.HistogramVec // app
	inFlight  *prometheus.GaugeVec     // app
	appPaused *prometheus.GaugeVec     // app
	tokens    *prometheus.CounterVec   // app, kind
}

// otherErrcode is the label of every errcode that is not in the table.
const otherErrcode = "other"

func newMetrics(r prometheus.Registerer, apps []App) *metrics {
	m := &metrics{
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_worker_sends_total", Help: "Calls of subscribe/send by the kind of their answer.",
		}, []string{"app", "kind"}),
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
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wxnotify_worker_in_flight", Help: "Calls of subscribe/send under way.",
		}, []string{"app"}),
		appPaused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wxnotify_worker_app_paused", Help: "1 while the app is paused or half open.",
		}, []string{"app"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_worker_token_failures_total", Help: "Sends that were put off because no access token could be had.",
		}, []string{"app", "kind"}),
	}
	for _, a := range apps {
		m.zero(a.ID)
	}
	if r != nil {
		r.MustRegister(m.sends, m.errcodes, m.outcomes, m.latency, m.inFlight, m.appPaused, m.tokens)
	}
	return m
}

func (m *metrics) zero(app string) {
	for _, k := range wechat.Kinds {
		m.sends.WithLabelValues(app, k.String())
		m.tokens.WithLabelValues(app, k.String())
	}
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
	m.inFlight.WithLabelValues(app)
	m.appPaused.WithLabelValues(app)
}

func (m *metrics) sent(app string, a answered) {
	kind, code := wechat.KindOK, 0
	if a.err != nil {
		kind, code = a.err.Kind, a.err.Code
	}
	m.sends.WithLabelValues(app, kind.String()).Inc()
	m.latency.WithLabelValues(app).Observe(a.latency.Seconds())
	if a.err != nil && code == 0 {
		return // no errcode was read
	}
	label := otherErrcode
	if _, ok := wechat.LookupErrcode(code); ok {
		label = strconv.Itoa(code)
	}
	m.errcodes.WithLabelValues(app, label).Inc()
}

func (m *metrics) settled(app string, s store.Settlement) { m.outcome(app, s.State, s.Reason) }

func (m *metrics) moved(app string, v store.Move) { m.outcome(app, v.State, v.Reason) }

// outcome counts by reason among the dead only: there the reason is the news.
func (m *metrics) outcome(app string, s store.State, r store.Reason) {
	if s != store.Dead {
		r = ""
	}
	m.outcomes.WithLabelValues(app, string(s), string(r)).Inc()
}

func (m *metrics) noToken(app string, k wechat.Kind) {
	m.tokens.WithLabelValues(app, k.String()).Inc()
}

func (m *metrics) paused(app string, closed bool) {
	v := 0.0
	if closed {
		v = 1
	}
	m.appPaused.WithLabelValues(app).Set(v)
}
