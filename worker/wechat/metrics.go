package wechat

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// APIs lists every endpoint; metrics start each at zero.
var APIs = []API{APISend, APIStableToken, APIToken, APICode2Session, APITemplates}

type callMetrics struct {
	apis map[API]apiMetrics
}

// apiMetrics are the series of an endpoint, looked up once.
type apiMetrics struct {
	calls   map[Kind]prometheus.Counter
	seconds prometheus.Observer
}

func newCallMetrics(reg prometheus.Registerer) (*callMetrics, error) {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wxnotify_wechat_calls_total",
		Help: "Calls of WeChat's API by endpoint and kind of answer.",
	}, []string{"api", "kind"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "wxnotify_wechat_call_duration_seconds",
		Help: "How long calls of WeChat's API took, from lookup to the answer's last byte.",
		// Around the 100 ms of an ordinary call, up to SEND_TIMEOUT.
		Buckets: []float64{.02, .05, .1, .2, .5, 1, 2, 5, 10, 20},
	}, []string{"api"})
	m := &callMetrics{apis: make(map[API]apiMetrics, len(APIs))}
	for _, api := range APIs {
		one := apiMetrics{calls: make(map[Kind]prometheus.Counter, len(Kinds)), seconds: seconds.WithLabelValues(string(api))}
		for _, kind := range Kinds {
			one.calls[kind] = calls.WithLabelValues(string(api), kind.String())
		}
		m.apis[api] = one
	}
	return m, register(reg, calls, seconds)
}

// observe counts a call of one of APIs.
func (m *callMetrics) observe(api API, kind Kind, took time.Duration) {
	one := m.apis[api]
	one.calls[kind].Inc()
	one.seconds.Observe(took.Seconds())
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
