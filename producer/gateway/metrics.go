package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests. The labels come from closed sets: the patterns of the
// routes and the status codes that there are.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// statuses are those that the API answers with. What else there may be counts
// together.
var statuses = []int{
	http.StatusOK, http.StatusAccepted, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	http.StatusMethodNotAllowed, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
	http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

const otherStatus = "other"

// noRoute is the route of requests for which there is none.
const noRoute = "none"

func newMetrics(reg prometheus.Registerer, routes []route) (metrics, error) {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_http_requests_total",
			Help: "Requests to the API, by route and status.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "wxnotify_http_request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
	}
	for _, r := range routes {
		m.duration.WithLabelValues(r.pattern)
		for _, status := range statuses {
			m.requests.WithLabelValues(r.pattern, codeLabel(status))
		}
		m.requests.WithLabelValues(r.pattern, otherStatus)
	}
	m.requests.WithLabelValues(noRoute, codeLabel(http.StatusNotFound))
	m.requests.WithLabelValues(noRoute, codeLabel(http.StatusMethodNotAllowed))
	if reg == nil {
		return m, nil
	}
	if err := errors.Join(reg.Register(m.requests), reg.Register(m.duration)); err != nil {
		return m, fmt.Errorf("gateway: register metrics: %w", err)
	}
	return m, nil
}

func (m metrics) observe(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, codeLabel(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

func codeLabel(status int) string {
	if !slices.Contains(statuses, status) {
		return otherStatus
	}
	return strconv.Itoa(status)
}
