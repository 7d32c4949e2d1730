package producer

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/wxnotify/wxnotify/store"
)

// TxStore is a Store that can accept inside a transaction of the caller's;
// store/postgres is one.
type TxStore interface {
	InsertTx(ctx context.Context, tx pgx.Tx, batch []store.Acceptance) ([]store.Inserted, error)
}

// ErrNoTx is returned by SendTx when the Client's Store has no transactions that
// a caller could share.
var ErrNoTx = errors.New("producer: SendTx needs a Client whose Store is on PostgreSQL")

// SendTx accepts notifications inside tx, a transaction of the caller's on the
// database of the Client's Store: an approval and its notices commit together or
// not at all. They are accepted when the caller's COMMIT is confirmed, and Relay
// puts them on the queue then; SendTx touches no queue and sends no NOTIFY,
// which would cost the caller's commits more than half their rate.
//
// It is all or nothing. A bad field or a ref that was used for other content
// (store.ErrConflict) is an error that names it; the transaction is not aborted
// by it, so whoever goes on after a bad field has accepted nothing, but after a
// conflict must roll back, or the notifications before it stay.
//
// A ref that an open transaction holds makes SendTx wait for its end; at
// REPEATABLE READ and above, one that was taken since tx began is a
// serialization failure, as any write would be.
func (c *Client) SendTx(ctx context.Context, tx pgx.Tx, ns ...Notification) ([]Accepted, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	txs, ok := c.config.Store.(TxStore)
	if !ok {
		return nil, ErrNoTx
	}
	ctx, span := c.tracer.Start(ctx, spanAccept, producerSpan...)
	defer span.End()
	accepted, err := c.sendTx(ctx, txs, tx, ns)
	if span.IsRecording() {
		span.SetAttributes(semconv.MessagingBatchMessageCount(len(ns)), attribute.Int("wxnotify.accepted", len(accepted)))
		fail(span, err)
	}
	return accepted, err
}

// sendTx is SendTx of a client that is open and whose store can do it.
func (c *Client) sendTx(ctx context.Context, txs TxStore, tx pgx.Tx, ns []Notification) ([]Accepted, error) {
	batch, err := c.checkAll(ns)
	if err != nil {
		return nil, err
	}
	inserted, err := txs.InsertTx(ctx, tx, batch)
	if err != nil {
		return nil, fmt.Errorf("accept notifications: %w", err)
	}
	accepted := make([]Accepted, len(inserted))
	for i, ins := range inserted {
		r := answer(ins)
		if r.Err != nil {
			return nil, at(i, len(ns), r.Err)
		}
		accepted[i] = r.Accepted
		if !r.Duplicate {
			c.metrics.accepted.WithLabelValues(string(batch[i].Notification.Priority)).Inc()
		}
	}
	return accepted, nil
}

// checkAll checks every notification before the first is written.
func (c *Client) checkAll(ns []Notification) ([]store.Acceptance, error) {
	now := c.config.now()
	batch := make([]store.Acceptance, len(ns))
	var faults []error
	for i, n := range ns {
		n, err := c.check(n, now)
		if err == nil {
			batch[i], err = c.acceptance(n, now, false)
		}
		if err != nil {
			faults = append(faults, at(i, len(ns), err))
		}
	}
	return batch, errors.Join(faults...)
}

// at says which of several notifications an error is about.
func at(i, of int, err error) error {
	if of == 1 {
		return err
	}
	return fmt.Errorf("notification %d: %w", i, err)
}
