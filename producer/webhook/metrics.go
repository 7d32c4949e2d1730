package webhook

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// ending is what became of a delivery, a label.
type ending string

const (
	delivered ending = "delivered"
	givenUp   ending = "given_up" // ten tries failed, or the endpoint said 410
	expired   ending = "expired"  // its producer is no longer configured
)

type senderMetrics struct {
	tries, deliveries *prometheus.CounterVec
}

func newSenderMetrics(reg prometheus.Registerer) (senderMetrics, error) {
	m := senderMetrics{
		tries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_webhook_tries_total", Help: "Requests to producers' webhooks, by outcome.",
		}, []string{"outcome"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_webhook_deliveries_total", Help: "Events that producers were told of, or were not in the end, by ending.",
		}, []string{"ending"}),
	}
	for _, o := range []outcome{taken, refused, forbidden, silent, gone} {
		m.tries.WithLabelValues(string(o))
	}
	for _, e := range []ending{delivered, givenUp, expired} {
		m.deliveries.WithLabelValues(string(e))
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.tries), reg.Register(m.deliveries))
}
