package worker

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	// firstSweep is when a new process sweeps first: soon, so that one that
	// restarts often does so too, and not while everything starts.
	firstSweep = 10 * time.Second
	// sweepTimeout bounds one turn.
	sweepTimeout = 90 * time.Second
)

// sweepLoop keeps asynq's lists, sets and archives of the queues in order. It is
// apart from the care loop because a turn may take long; every process runs it,
// and each of its scripts does no harm when two do.
func (w *Worker) sweepLoop(ctx context.Context) {
	t := time.NewTimer(firstSweep)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		w.sweepAll(ctx)
		t.Reset(sweepInterval)
	}
}

// sweepAll makes one turn. A step that fails is made again in the next turn.
func (w *Worker) sweepAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	for _, s := range w.now.Load().servers {
		w.sweepStep(ctx, "ghosts", s.queue, func() error { return s.sweepPending(ctx) })
		w.sweepStep(ctx, "poison", s.queue, func() error { return s.sweepPoison(ctx, time.Now()) })
		w.sweepStep(ctx, "archive", s.queue, func() error { return s.sweepArchive(ctx, time.Now()) })
	}
	w.sweepStep(ctx, "orphans", "", func() error { return w.sweepOrphans(ctx, time.Now()) })
}

func (w *Worker) sweepStep(ctx context.Context, step, queue string, do func() error) {
	defer func() {
		if recover() != nil {
			w.cfg.Logger.Error("panic in a sweep", zap.String("step", step), zap.ByteString("stack", debug.Stack()))
		}
	}()
	if err := do(); err != nil && ctx.Err() == nil {
		w.cfg.Logger.Warn("queue not swept", zap.String("step", step), zap.String("queue", queue), zap.Error(err))
	}
}

// swept is the kind of what a sweep did, a label.
type swept string

const (
	sweptGhost   swept = "ghost"   // an id without a task left the pending list
	sweptPoison  swept = "poison"  // a message that cannot be read was taken aside
	sweptOrphan  swept = "orphan"  // a task in no list was deleted
	sweptAdopted swept = "adopted" // a raw task that no handler took became a row
	sweptPruned  swept = "pruned"  // the archive's view of a dead letter was dropped
	// sweptFinished: what asynq left half archived is delivered to be archived again.
	sweptFinished swept = "finished"
)

// sweepMetrics counts what sweeps did.
type sweepMetrics struct{ done *prometheus.CounterVec }

func newSweepMetrics(r prometheus.Registerer) *sweepMetrics {
	m := &sweepMetrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wxnotify_worker_sweeps_total", Help: "Tasks on the queue that a sweep put in order, by kind.",
	}, []string{"kind"})}
	for _, k := range []swept{sweptGhost, sweptPoison, sweptOrphan, sweptAdopted, sweptPruned, sweptFinished} {
		m.done.WithLabelValues(string(k))
	}
	if r != nil {
		r.MustRegister(m.done)
	}
	return m
}

func (m *sweepMetrics) count(k swept, n int) { m.done.WithLabelValues(string(k)).Add(float64(n)) }
