package producer

import (
	"context"
	"errors"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// The bounds of a turn. A turn ends after them even when more is to do, so that
// leadership, repairs and the mark are looked at every second or so.
const (
	turnTimeout   = 30 * time.Second
	rareInterval  = time.Second // of repairs and the mark
	handoverPage  = 500
	handoverPages = 20
	repairPage    = 500
	repairPages   = 4
	rebuildPage   = 1000
	rebuildPages  = 5
)

// settleGrace is how long after an outage of the store no lease is called over:
// workers that hold answers write them first. It is longer than a worker's try
// to write, of which one may have begun just before the end of the outage.
const settleGrace = 20 * time.Second

// turn does what is due. more tells that something is left to do at once.
func (r *Relay) turn(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	ok, err := r.lead(ctx)
	if err != nil || !ok {
		return false, err
	}
	// The repairs need no Redis, so they come first.
	if time.Since(r.repairedAt) >= rareInterval {
		more, err = r.repairAll(ctx)
		if r.fromStore(ctx, err) != nil {
			return false, err
		}
		if !more {
			if err := r.wakeSome(ctx); err != nil {
				return false, err
			}
			r.repairedAt = time.Now()
		}
	}
	if time.Since(r.markedAt) >= rareInterval {
		if err := r.checkMark(ctx); err != nil {
			return false, err
		}
		r.queue.published.publish(ctx)
		r.markedAt = time.Now()
	}
	if err := r.rebuildSome(ctx); err != nil {
		return false, err
	}
	full, err := r.handOver(ctx)
	if err != nil {
		return false, err
	}
	lost, err := r.confirmSome(ctx)
	if err == nil && r.rebuild == nil {
		err = r.checkSome(ctx)
	}
	return more || full || lost || r.rebuild != nil, err
}

// fromStore and fromRedis note for the log how a part does, and return err. The
// end of the turn says nothing of the part.
func (r *Relay) fromStore(ctx context.Context, err error) error {
	if err == nil && r.storeAway.lasts() {
		r.storeBack = time.Now()
	}
	return note(ctx, &r.storeAway, err)
}

func (r *Relay) fromRedis(ctx context.Context, err error) error {
	return note(ctx, &r.redisAway, err)
}

func note(ctx context.Context, o *outage, err error) error {
	switch {
	case err == nil:
		o.over()
	case !errors.Is(ctx.Err(), context.Canceled):
		o.seen(err)
	}
	return err
}

// repairAll moves on what is due for it. more tells that pages were full.
func (r *Relay) repairAll(ctx context.Context) (more bool, err error) {
	for _, fix := range []func(context.Context) (int, error){
		func(ctx context.Context) (int, error) {
			if time.Since(r.storeBack) < settleGrace {
				return 0, nil
			}
			n, err := r.config.Store.ExpireLeases(ctx, r.config.InDoubtWait, repairPage)
			r.metrics.repair(repairLease, n)
			return n, err
		},
		func(ctx context.Context) (int, error) {
			requeued, dead, err := r.config.Store.ResolveDoubts(ctx, repairPage)
			r.metrics.repair(repairDoubtRequeued, requeued)
			r.metrics.repair(repairDoubtDead, dead)
			return requeued + dead, err
		},
		func(ctx context.Context) (int, error) {
			n, err := r.config.Store.ExpireOverdue(ctx, repairPage)
			r.metrics.repair(repairExpired, n)
			return n, err
		},
	} {
		n := repairPage
		for page := 0; page < repairPages && n >= repairPage; page++ {
			if n, err = fix(ctx); err != nil {
				return false, err
			}
		}
		more = more || n >= repairPage
	}
	return more, nil
}

// handOver puts due rows on the queue that nobody has put there. full tells that
// more are waiting.
func (r *Relay) handOver(ctx context.Context) (full bool, err error) {
	for range handoverPages {
		n, _, err := r.handOverPage(ctx, r.config.Store.Unqueued)
		if err != nil || n < handoverPage {
			return false, err
		}
	}
	return true, nil
}

// handOverPage puts a page of due rows on the queue. n is how many there were,
// and there how many of them were on the queue already.
func (r *Relay) handOverPage(ctx context.Context, list func(context.Context, int) ([]store.Handover, error)) (n, there int, err error) {
	page, err := list(ctx, handoverPage)
	if r.fromStore(ctx, err) != nil || len(page) == 0 {
		return 0, 0, err
	}
	put, there, redisErr := r.put(ctx, page)
	if len(put) > 0 {
		// The mark moves on with the tasks: a Redis that loses the last moment,
		// and these tasks with it, loses the mark's last step too and is seen.
		if err := r.checkMark(ctx); err != nil {
			return 0, 0, err
		}
		if err := r.fromStore(ctx, r.config.Store.HandedOver(ctx, put)); err != nil {
			return 0, 0, err
		}
		r.metrics.handedOver.Add(float64(len(put)))
	}
	return len(page), there, r.fromRedis(ctx, redisErr)
}

// put enqueues a page and returns those that are on the queue, and how many of
// them were there before.
func (r *Relay) put(ctx context.Context, page []store.Handover) (put []store.Handover, there int, err error) {
	ctx, span := r.tracer.Start(ctx, spanHandOver, producerSpan...)
	defer span.End()
	headers := task.TraceHeaders(ctx, len(page) == 1)
	ds := make([]delivery, 0, len(page))
	sent := make([]store.Handover, 0, len(page))
	for _, h := range page {
		d, err := deliver(h.Notification, r.config.DefaultApp, r.config.Payload, headers)
		if err != nil {
			r.config.Logger.Error("task cannot be made", zap.Stringer("notification_id", h.ID), zap.Error(err))
			continue
		}
		ds = append(ds, d)
		sent = append(sent, h)
	}
	for i, o := range r.queue.put(ctx, ds) {
		switch {
		case o.err != nil:
			if err == nil {
				err = o.err
			}
			continue
		case o.conflict:
			there++
			r.metrics.conflicts.Inc()
		}
		put = append(put, sent[i])
	}
	if span.IsRecording() {
		span.SetAttributes(semconv.MessagingBatchMessageCount(len(page)))
		fail(span, err)
	}
	return put, there, err
}
