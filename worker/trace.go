package worker

import (
	"context"
	"errors"
	"slices"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// tracerName is the instrumentation scope of this package's spans. They hold
// ids, counts and words of closed lists, nothing of what producers wrote; a
// TaskID may be a producer's own text, so it is not among them.
const tracerName = "github.com/wxnotify/wxnotify/worker"

// The spans. A delivery that sends has that of its claim, of the call and of its
// settlement below it; what is between them is the wait for the turn.
const (
	spanProcess = "process" // one delivery of a task, followed by its queue
	spanClaim   = "claim"   // from asking for it to the confirmed COMMIT
	spanSettle  = "settle"  // as spanClaim
	spanCommit  = "commit"  // one transaction for whatever waited for it
)

// The attributes that no convention has a name for.
const (
	attrNotificationID = attribute.Key("wxnotify.notification.id")
	attrAttempt        = attribute.Key("wxnotify.attempt")
	attrState          = attribute.Key("wxnotify.state")
	attrReason         = attribute.Key("wxnotify.reason")
	attrKind           = attribute.Key("wxnotify.kind")
	attrErrcode        = attribute.Key("wxnotify.errcode")
	attrClaims         = attribute.Key("wxnotify.claims")
	attrSettlements    = attribute.Key("wxnotify.settlements")
)

// The options of spans are made once: a Start of a tracer that is off allocates
// nothing then.
var (
	processSpan = []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(semconv.MessagingSystemKey.String("asynq"), semconv.MessagingOperationTypeProcess),
	}
	commitSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
)

// startProcess starts the span of a delivery. It goes on with the trace under
// which its task was put on the queue, if that was about this one task.
func (s *server) startProcess(ctx context.Context, t *asynq.Task) (context.Context, trace.Span) {
	opts := processSpan
	if from, parent := task.TraceOf(t.Headers()); parent {
		ctx = trace.ContextWithRemoteSpanContext(ctx, from)
	} else if from.IsValid() {
		opts = append(slices.Clip(opts), trace.WithLinks(trace.Link{SpanContext: from}))
	}
	ctx, span := s.w.tracer.Start(ctx, spanProcess, opts...)
	if span.IsRecording() {
		span.SetName(spanProcess + " " + s.queue)
		span.SetAttributes(semconv.MessagingDestinationName(s.queue))
	}
	return ctx, span
}

// endProcess ends the span of a delivery with what asynq is told.
func endProcess(span trace.Span, answer error) {
	if span.IsRecording() {
		var dead *deadError
		var back *handBackError
		switch {
		case errors.As(answer, &dead):
			span.SetStatus(codes.Error, "dead: "+string(dead.reason))
		case errors.As(answer, &back):
			span.AddEvent("handed back", trace.WithAttributes(attrReason.String(back.why)))
		case answer != nil:
			span.SetStatus(codes.Error, errPanic.Error())
		}
	}
	span.End()
}

// describe says on a delivery's span whose it is.
func (d *delivery) describe() {
	if span := trace.SpanFromContext(d.ctx); span.IsRecording() {
		span.SetAttributes(attrNotificationID.String(d.id.String()))
	}
}

// describeSettled says on a delivery's span what came of an attempt.
func (d *delivery) describeSettled(s *store.Settlement) {
	if span := trace.SpanFromContext(d.ctx); span.IsRecording() {
		span.SetAttributes(attrAttempt.Int(s.Seq), attrState.String(string(s.State)), attrReason.String(string(s.Reason)),
			attrKind.String(s.Attempt.Outcome), attrErrcode.Int(s.Attempt.Errcode))
	}
}

// describeMoved says on a delivery's span what became of its row without an
// attempt.
func (d *delivery) describeMoved(m store.Move) {
	if span := trace.SpanFromContext(d.ctx); span.IsRecording() {
		span.SetAttributes(attrState.String(string(m.State)), attrReason.String(string(m.Reason)))
	}
}

// startCommit starts the span of a transaction.
func startCommit(tracer trace.Tracer, items []*item) (context.Context, trace.Span) {
	return task.StartShared(context.Background(), tracer, spanCommit, items, (*item).waits, commitSpan...)
}

// waits is the span under which the item is waited for.
func (it *item) waits() trace.Span { return it.span }

// describeCommit says on the span of a transaction what it wrote.
func describeCommit(span trace.Span, b store.Batch, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(semconv.DBOperationName("COMMIT"), attrClaims.Int(len(b.Claims)), attrSettlements.Int(len(b.Settlements)),
		semconv.DBOperationBatchSize(len(b.Claims)+len(b.Settlements)+len(b.Releases)+len(b.Moves)))
	fail(span, err, "the store refused the batch")
}

// fail notes that what a span is about failed. The error's own text stays out of
// it: it may quote a server, and with it anybody's data.
func fail(span trace.Span, err error, what string) {
	if err != nil {
		span.SetStatus(codes.Error, what)
	}
}

// traceID is the field of a log line about what is traced.
func traceID(ctx context.Context) zap.Field {
	if sc := trace.SpanContextFromContext(ctx); sc.IsSampled() {
		return zap.Stringer("trace_id", sc.TraceID())
	}
	return zap.Skip()
}
