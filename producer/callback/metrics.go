package callback

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wxnotify/wxnotify/store"
)

// eventKind is what a push is about, a label.
type eventKind string

const (
	eventSent    eventKind = "sent"
	eventPopup   eventKind = "popup"
	eventChange  eventKind = "change"
	eventForeign eventKind = "foreign"
	eventVerify  eventKind = "verify" // not an event: the check of the URL
	eventUnread  eventKind = "unread" // refused before anybody could tell
)

// arrival is what became of a push when it came, a label.
type arrival string

const (
	arrivedNew         arrival = "accepted"
	arrivedAgain       arrival = "duplicate"
	arrivedIgnored     arrival = "ignored"     // nobody wants it, or an answer that is not known
	arrivedForged      arrival = "forged"      // the signature is wrong
	arrivedUndecrypted arrival = "undecrypted" // the signature is right, the AES key is not
	arrivedPlain       arrival = "plaintext"   // not encrypted where it has to be
	arrivedStale       arrival = "stale"       // signed too long ago
	arrivedMalformed   arrival = "malformed"
	arrivedOversized   arrival = "oversized"
	arrivedUnavailable arrival = "unavailable" // the store is away: WeChat sends it again
)

// status is the answer to a push that came to this.
func (a arrival) status() int {
	switch a {
	case arrivedNew, arrivedAgain, arrivedIgnored:
		return http.StatusOK
	case arrivedForged, arrivedUndecrypted, arrivedPlain, arrivedStale:
		return http.StatusForbidden
	case arrivedMalformed:
		return http.StatusBadRequest
	case arrivedOversized:
		return http.StatusRequestEntityTooLarge
	case arrivedUnavailable:
	}
	return http.StatusServiceUnavailable
}

// effect is what became of an event afterwards, a label.
type effect string

const (
	effectFoundLater effect = "found_later" // a receipt that had been pending
	effectRecorded   effect = "recorded"    // a consent
	effectForwarded  effect = "forwarded"
	effectFailed     effect = "failed" // given up
)

type metrics struct {
	arrived *prometheus.CounterVec
	applied *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (metrics, error) {
	arrived, err1 := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wxnotify_callback_events_total",
		Help: "Events that WeChat pushed, by what became of them when they came; what was refused counts once a push.",
	}, []string{"event", "result"}))
	applied, err2 := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wxnotify_callback_applied_total",
		Help: "Events that were accepted, by what became of them afterwards.",
	}, []string{"event", "result"}))
	if err := errors.Join(err1, err2); err != nil {
		return metrics{}, err
	}
	m := metrics{arrived, applied}
	for _, k := range []eventKind{eventSent, eventPopup, eventChange, eventForeign} {
		m.arrivals(k, arrivedNew, 0)
		m.arrivals(k, arrivedAgain, 0)
		m.arrivals(k, arrivedIgnored, 0)
		m.arrivals(k, arrivedUnavailable, 0)
		m.effects(k, effectFailed, 0)
	}
	for _, k := range []eventKind{eventVerify, eventUnread} {
		m.arrivals(k, arrivedForged, 0)
		m.arrivals(k, arrivedStale, 0)
		m.arrivals(k, arrivedMalformed, 0)
	}
	m.arrivals(eventVerify, arrivedNew, 0)
	m.arrivals(eventUnread, arrivedUndecrypted, 0)
	m.arrivals(eventUnread, arrivedPlain, 0)
	m.arrivals(eventUnread, arrivedOversized, 0)
	for _, r := range store.ReceiptResults {
		m.effects(eventSent, effect(r), 0)
	}
	m.effects(eventSent, effectFoundLater, 0)
	m.effects(eventPopup, effectRecorded, 0)
	m.effects(eventChange, effectRecorded, 0)
	m.effects(eventForeign, effectForwarded, 0)
	return m, nil
}

func (m metrics) arrivals(k eventKind, a arrival, n int) {
	m.arrived.WithLabelValues(string(k), string(a)).Add(float64(n))
}

func (m metrics) effects(k eventKind, e effect, n int) {
	m.applied.WithLabelValues(string(k), string(e)).Add(float64(n))
}

// register registers c, or finds the one registered before.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) (C, error) {
	if reg == nil {
		return c, nil
	}
	err := reg.Register(c)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := known.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	return c, err
}
