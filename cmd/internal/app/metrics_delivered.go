package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// newDelivered is the histogram of the way from acceptance to the user. It is the
// process's: receipts find their notifications in the gateway, and in the worker
// those that were faster than the answer to their call.
func newDelivered(apps []config.App) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "wxnotify_accepted_to_delivered_seconds",
		Help: "Time from acceptance to WeChat's receipt of a delivered message, by the database's clock; from when it was due, where that was later and the first attempt was the one. Receipts that only the end of a doubt finds are not in it.",
		// From an idle queue to MAX_AGE, as wxnotify_worker_accepted_to_sent_seconds.
		Buckets: []float64{.1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 72 * 3600},
	}, []string{"app"})
	startDelivered(h, apps)
	return h
}

func startDelivered(h *prometheus.HistogramVec, apps []config.App) {
	for _, a := range apps {
		h.WithLabelValues(a.AppID)
	}
}

// noteDelivered takes what worker and callback tell of delivered messages. Those
// of an app that is not served any more are not counted.
func (p *Process) noteDelivered(appID string, after time.Duration) {
	if _, served := p.settings().App(appID); !served {
		return
	}
	p.delivered.WithLabelValues(appID).Observe(after.Seconds())
}
