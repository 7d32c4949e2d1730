package producer

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wxnotify/wxnotify/store"
)

// clientMetrics counts what a Client did.
type clientMetrics struct {
	accepted      *prometheus.CounterVec
	enqueueErrors prometheus.Counter
}

func newClientMetrics(reg prometheus.Registerer) (clientMetrics, error) {
	accepted, err := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wxnotify_producer_accepted_total",
		Help: "Notifications accepted by the Go client, without duplicates.",
	}, []string{"priority"}))
	if err != nil {
		return clientMetrics{}, err
	}
	for _, p := range store.Priorities {
		accepted.WithLabelValues(string(p))
	}
	enqueueErrors, err := register(reg, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wxnotify_producer_enqueue_errors_total",
		Help: "Notifications that the Go client could not put on the queue itself; with a store Relay does.",
	}))
	return clientMetrics{accepted, enqueueErrors}, err
}

// repair is the kind of a repair, a label.
type repair string

const (
	repairLease         repair = "lease"          // a lease was over: in doubt
	repairDoubtRequeued repair = "doubt_requeued" // a doubt ended in another try
	repairDoubtDead     repair = "doubt_dead"     // a doubt ended as dead
	repairExpired       repair = "expired"        // its time was over
	repairWoken         repair = "woken"          // it waited for what was there
	repairRebuilt       repair = "rebuilt"        // requeued after Redis was wiped
	repairLost          repair = "lost"           // requeued: its task was gone
	repairArchived      repair = "archived"       // requeued: its task was archived by hand
)

var repairs = []repair{repairLease, repairDoubtRequeued, repairDoubtDead, repairExpired, repairWoken, repairRebuilt, repairLost, repairArchived}

// relayMetrics counts what a Relay did.
type relayMetrics struct {
	handedOver prometheus.Counter
	conflicts  prometheus.Counter
	repaired   *prometheus.CounterVec
	leader     prometheus.Gauge
}

func newRelayMetrics(reg prometheus.Registerer) (relayMetrics, error) {
	handedOver, err1 := register(reg, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wxnotify_relay_handed_over_total",
		Help: "Notifications put on the queue from the store, conflicts included.",
	}))
	conflicts, err2 := register(reg, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wxnotify_relay_conflicts_total",
		Help: "Handovers whose task was on the queue already.",
	}))
	repaired, err3 := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wxnotify_relay_repairs_total",
		Help: "Notifications moved on by the relay, by kind.",
	}, []string{"kind"}))
	leader, err4 := register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "wxnotify_relay_leader",
		Help: "1 when this process's relay is the one that works.",
	}))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return relayMetrics{}, err
	}
	for _, kind := range repairs {
		repaired.WithLabelValues(string(kind))
	}
	return relayMetrics{handedOver, conflicts, repaired, leader}, nil
}

func (m relayMetrics) repair(kind repair, n int) {
	m.repaired.WithLabelValues(string(kind)).Add(float64(n))
}

// register registers c, or finds the one registered before: a process may have
// several clients, and they count together.
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
