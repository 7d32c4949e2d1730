package webhook

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/wxnotify/wxnotify/store"
)

// tracerName is the instrumentation scope of this package's spans.
const tracerName = "github.com/wxnotify/wxnotify/producer/webhook"

// spanTell is one try of telling a producer. What it tells of does not know the
// trace that it was accepted under, so each begins one.
const spanTell = "webhook"

// tellSpan are the options of spanTell, made once: a Start of a tracer that is
// off allocates nothing then.
var tellSpan = []trace.SpanStartOption{
	trace.WithSpanKind(trace.SpanKindClient),
	trace.WithAttributes(semconv.HTTPRequestMethodPost),
}

// describe says on the span of a try what came of it, without the URL, which may
// have a secret in it, and the producer's ref.
func (s *subscriber) describe(span trace.Span, d store.WebhookDelivery, a answer, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		attribute.String("wxnotify.notification.id", d.NotificationID.String()), attribute.String("wxnotify.producer", s.Producer),
		attribute.String("wxnotify.event", string(d.Event)), attribute.Int("wxnotify.attempt", d.Try),
	)
	if a.status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(a.status))
	}
	switch {
	case err != nil:
		span.SetStatus(codes.Error, "not told")
	case a.outcome != taken:
		span.SetStatus(codes.Error, string(a.outcome))
	}
}
