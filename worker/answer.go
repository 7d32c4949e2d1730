package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// What a handler answers asynq is one of three things: nil (the delivery is
// done), a handBackError (the delivery comes back later and costs nothing), or a
// deadError (the delivery is archived, as a view of a dead letter). asynq stores
// the text of an error in Redis and asynqmon shows it, so these texts are made
// of closed lists and numbers only.

// handBackError returns a delivery unclaimed, or to wait for a short retry.
type handBackError struct {
	after time.Duration
	why   string // constant text
}

func (h *handBackError) Error() string { return "handed back: " + h.why }

// deadError is the marker a death leaves in the archived task. Its prefix
// "dead <seq>:" lets a later delivery tell a person's "run" in asynqmon from a
// redelivery.
type deadError struct {
	seq     int
	reason  store.Reason
	errcode int
	field   string
}

func (d *deadError) Error() string {
	s := markerPrefix(d.seq) + " " + string(d.reason)
	if d.errcode != 0 {
		s += fmt.Sprintf(", errcode %d", d.errcode)
	}
	if d.field != "" {
		s += ", field " + shownField(d.field)
	}
	return s
}

// ownFields are the fields of a payload that are not data keys.
var ownFields = map[string]bool{
	"id": true, "app": true, "template_id": true, "page": true, "user_id": true, "openid": true,
	"lang": true, "miniprogram_state": true, "data": true,
}

// shownField is the name of a field as it may be stored in Redis. The name of a
// data key is the producer's text: one who swaps keys and values puts an openid
// or a user id there. Such a key is only called data.
func shownField(field string) string {
	if ownFields[field] || task.IsTemplateKey(strings.TrimPrefix(field, "data.")) {
		return field
	}
	return "data"
}

// Unwrap makes asynq archive the task at once.
func (d *deadError) Unwrap() error { return asynq.SkipRetry }

func markerPrefix(seq int) string { return fmt.Sprintf("dead %d:", seq) }

// deathOf is the marker of a dead row.
func deathOf(n store.Notification) *deadError {
	return &deadError{seq: n.Seq, reason: n.Reason, errcode: n.Errcode, field: n.Field}
}

// isMarker reports whether lastErr is the marker of the death of n.
func isMarker(lastErr string, n store.Notification) bool {
	return strings.HasPrefix(lastErr, markerPrefix(n.Seq))
}

// errPanic is what asynq is told of a panic: its value may hold anything.
var errPanic = errors.New("internal fault, see the log")

// isFailure says which errors spend one of asynq's retries. Only a handBackError
// does not; a lease that expired must, or a task that kills its worker would
// come back for ever at full speed.
func isFailure(err error) bool {
	var h *handBackError
	return !errors.As(err, &h)
}

// defaultRetryDelay is for deliveries that asynq itself gave up (lease or
// timeout over, worker shut down): the row decides what happens then.
const defaultRetryDelay = 5 * time.Second

// retryDelay is asynq's RetryDelayFunc. asynq keeps whole seconds and cuts the
// fraction off, so a plain delay would come back up to a second early; the
// result is rounded so that the cut falls after the wanted moment.
func retryDelay(_ int, err error, _ *asynq.Task) time.Duration {
	d := defaultRetryDelay
	var h *handBackError
	switch {
	case errors.As(err, &h):
		d = h.after
	case errors.Is(err, errPanic):
		d = time.Minute
	}
	return ceilToSecond(time.Now(), d)
}

// ceilToSecond is the smallest delay of at least d after now whose end falls
// just after a whole second.
func ceilToSecond(now time.Time, d time.Duration) time.Duration {
	at := now.Add(max(d, 0))
	whole := at.Truncate(time.Second).Add(time.Second)
	// 5 ms more: asynq adds the delay to a slightly later now.
	return whole.Sub(now) + 5*time.Millisecond
}

// guarded runs f under recover: asynq calls the three hooks outside its own
// recover, and a panic there would end the process with every send in flight.
func guarded[T any](fallback T, f func() T) (v T) {
	defer func() {
		if recover() != nil {
			v = fallback
		}
	}()
	return f()
}

// stopped reports whether the delivery's context is over: asynq has given this
// delivery to someone else or will, so nothing may be claimed for it any more.
func stopped(ctx context.Context) bool { return ctx.Err() != nil }
