package callback

import (
	"errors"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/wxnotify/wxnotify/store"
)

// tracerName is the instrumentation scope of this package's spans. They hold
// counts and words of closed lists, nothing of what a push says.
const tracerName = "github.com/wxnotify/wxnotify/producer/callback"

// The spans. Between the first and the others is the inbox, which knows of no
// trace: each begins one.
const (
	spanReceive = http.MethodPost + " " + Pattern // a push whose signature is right
	spanApply   = "apply pushes"                  // a page of the inbox
	spanForward = "forward push"                  // one try
)

// The options of spans are made once: a Start of a tracer that is off allocates
// nothing then.
var (
	receiveSpan = []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodPost, semconv.HTTPRoute(Pattern)),
	}
	applySpan   = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)}
	forwardSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(semconv.HTTPRequestMethodPost)}
)

// attrApp is the attribute of the appid.
const attrApp = attribute.Key("wxnotify.app")

// describeReceived says on the span of a push what it was and what came of it.
func describeReceived(span trace.Span, a *app, p sorted, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attrApp.String(a.id), attribute.String("wxnotify.event", string(p.kind)),
		semconv.MessagingBatchMessageCount(len(p.pushes)))
	status := http.StatusOK
	switch {
	case err == nil:
	case errors.Is(err, errNotNow), errors.Is(err, store.ErrUnavailable):
		status = http.StatusServiceUnavailable
		span.SetStatus(codes.Error, "WeChat has to send it again")
	default:
		status = arrivedMalformed.status()
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(status))
}

// endApply ends the span of a page. The error's own text stays out of it: it may
// quote what a push says. So it is with endForward.
func endApply(span trace.Span, pushes int, err error) {
	if span.IsRecording() {
		span.SetAttributes(semconv.MessagingBatchMessageCount(pushes))
		if err != nil {
			span.SetStatus(codes.Error, "to be applied again")
		}
	}
	span.End()
}

func endForward(span trace.Span, appID string, err error) {
	if span.IsRecording() {
		span.SetAttributes(attrApp.String(appID))
		if err != nil {
			span.SetStatus(codes.Error, "not taken")
		}
	}
	span.End()
}
