package wechat

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// APIs lists every endpoint; metrics start each at zero.
var APIs = []API{APISend, APIStableToken, APIToken, APICode2Session, APITemplates}

type callMetrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newCallMetrics(reg prometheus.Registerer) (*callMetrics, error) {
	m := &callMetrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_wechat_calls_total",
			Help: "Calls of WeChat's API by endpoint and kind of answer.",
		}, []string{"api", "kind"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wxnotify_wechat_call_duration_seconds",
			Help: "How long calls of WeChat's API took, from lookup to the answer's last byte.",
			// Around the 100 ms of an ordinary call, up to SEND_TIMEOUT.
			Buckets: []float64{.02, .05, .1, .2, .5, 1, 2, 5, 10, 20},
		}, []string{"api"}),
	}
	for _, api := range APIs {
		for _, kind := range Kinds {
			m.calls.WithLabelValues(string(api), kind.String())
		}
		m.seconds.WithLabelValues(string(api))
	}
	return m, register(reg, m.calls, m.seconds)
}

func (m *callMetrics) observe(api API, kind Kind, took time.Duration) {
	m.calls.WithLabelValues(string(api), kind.String()).Inc()
	m.seconds.WithLabelValues(string(api)).Observe(took.Seconds())
}

// register hands the collectors to reg; a nil reg keeps them to themselves.
func register(reg prometheus.Registerer, collectors ...prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	var faults []error
	for _, c := range collectors {
		faults = append(faults, reg.Register(c))
	}
	return errors.Join(faults...)
}
