package producer

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// acceptRaw enqueues a page without a store: as raw tasks, which the first
// worker that sees them adopts. The error is the queue's.
//
// A TaskID of the rows' form would be a dead letter (its row is missing), so
// these have their own: drawn from the ref, which lets Redis refuse the same
// ref again while the first task exists; later the row that a worker adopted
// lets a second one end without a send. What that cannot do is to tell other
// content under a known ref, or the same ref in another queue.
func (c *Client) acceptRaw(ctx context.Context, page []item, results []Result) error {
	now := c.config.now()
	ds := make([]delivery, len(page))
	ids := make([]uuid.UUID, len(page))
	headers := task.TraceHeaders(ctx, len(page) == 1)
	for k, it := range page {
		n := it.n
		taskID := "raw-" + uuid.NewString()
		if n.Ref != "" {
			taskID = "ref:" + c.producer + ":" + n.Ref
		}
		name := task.Queue(n.App, c.config.DefaultApp, n.Priority)
		// The id that the adopted row will have.
		ids[k] = task.RawID(name, taskID)
		b, err := n.payload(ids[k]).Marshal()
		if err != nil {
			return fmt.Errorf("payload: %w", err)
		}
		ds[k] = delivery{queue: name, task: asynq.NewTaskWithHeaders(task.Type, b, headers, asynq.TaskID(taskID), asynq.Queue(name),
			asynq.MaxRetry(task.MaxRetry), asynq.Timeout(task.Timeout))}
		if n.later(now) {
			at, _ := n.Begins(now)
			ds[k].opts = []asynq.Option{asynq.ProcessAt(wholeSecond(at))}
		}
	}
	var firstErr error
	for k, o := range c.queue.put(ctx, ds) {
		r, n := &results[page[k].i], page[k].n
		if o.err != nil {
			r.Err = fmt.Errorf("enqueue notification: %w", o.err)
			c.metrics.enqueueErrors.Inc()
			if firstErr == nil {
				firstErr = r.Err
			}
			continue
		}
		r.Accepted = Accepted{ID: ids[k], State: store.Queued, Duplicate: o.conflict && n.Ref != ""}
		if !r.Duplicate {
			c.metrics.accepted.WithLabelValues(string(priority(n.Priority))).Inc()
		}
	}
	return firstErr
}

// wholeSecond rounds up: asynq cuts the fraction off and would start early.
func wholeSecond(t time.Time) time.Time {
	s := t.Truncate(time.Second)
	if s.Before(t) {
		s = s.Add(time.Second)
	}
	return s
}
