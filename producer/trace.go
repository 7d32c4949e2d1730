package producer

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/wxnotify/wxnotify/store"
)

// tracerName is the instrumentation scope of this package's spans. They hold
// ids, counts and words of closed lists, nothing of what producers wrote.
const tracerName = "github.com/wxnotify/wxnotify/producer"

// The spans.
const (
	spanAccept   = "accept notifications" // one call of Send, SendBatch or SendTx
	spanInsert   = "insert notifications" // one transaction, of one call or of several
	spanHandOver = "hand over notifications"
)

// The options of spans are made once: a Start of a tracer that is off allocates
// nothing then.
var (
	producerSpan = []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(semconv.MessagingSystemKey.String("asynq"), semconv.MessagingOperationTypeSend),
	}
	clientSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
)

// notificationID is the attribute of spans about one notification.
const notificationID = attribute.Key("wxnotify.notification.id")

// describeAccept says on a span what became of a call. It is not called while
// the span does not record.
func describeAccept(span trace.Span, results []Result, err error) {
	span.SetAttributes(semconv.MessagingBatchMessageCount(len(results)))
	accepted := 0
	for _, r := range results {
		if r.Err == nil && r.ID != uuid.Nil {
			accepted++
		}
	}
	span.SetAttributes(attribute.Int("wxnotify.accepted", accepted))
	if len(results) == 1 && accepted == 1 {
		span.SetAttributes(notificationID.String(results[0].ID.String()), attribute.Bool("wxnotify.duplicate", results[0].Duplicate))
	}
	fail(span, err)
}

// describeInsert says on the span of a transaction what it was.
func describeInsert(span trace.Span, rows int, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(semconv.DBOperationName("INSERT"), semconv.DBOperationBatchSize(rows))
	fail(span, err)
}

// waits is the span under which the caller waits.
func (c *insertCall) waits() trace.Span { return c.span }

// fail notes on a span that its work failed. The error's own text stays out of
// it: it may quote a server, and with it anybody's data.
func fail(span trace.Span, err error) {
	switch {
	case err == nil:
	case errors.Is(err, store.ErrUnavailable):
		span.SetStatus(codes.Error, "the store is away")
	case errors.Is(err, ErrQueueAway):
		span.SetStatus(codes.Error, "the queue is away")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		span.SetStatus(codes.Error, "the caller's time was over")
	default:
		span.SetStatus(codes.Error, "failed")
	}
}
