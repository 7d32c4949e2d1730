package task

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The headers of a task that was put on the queue under a trace. Both have the
// form of the W3C header traceparent. No tracestate and no baggage come along:
// they are other people's text, which has no business in Redis.
//
// https://www.w3.org/TR/trace-context/#traceparent-header
const (
	// HeaderParent names the span that the delivery goes on under, as any asynq
	// client may.
	HeaderParent = "traceparent"
	// HeaderLink names a span that is about many tasks. Each delivery has a trace
	// of its own with a link to it: a batch of a thousand as one trace could be
	// neither looked at nor sampled.
	HeaderLink = "wxnotify-tracelink"
)

// TraceHeaders are the headers of tasks that are put on the queue under the span
// of ctx; nil when it is not sampled. alone says that the span is about this one
// task.
func TraceHeaders(ctx context.Context, alone bool) map[string]string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return nil
	}
	name := HeaderLink
	if alone {
		name = HeaderParent
	}
	headers := make(map[string]string, 1)
	propagation.TraceContext{}.Inject(ctx, carrier{name: name, headers: headers})
	return headers
}

// TraceOf is the span that a task was put on the queue under, and whether it is
// the parent of the delivery's. Headers are anybody's: what is not in order is as
// if it were not there.
func TraceOf(headers map[string]string) (span trace.SpanContext, parent bool) {
	if len(headers) == 0 {
		return trace.SpanContext{}, false
	}
	for _, name := range []string{HeaderParent, HeaderLink} {
		ctx := propagation.TraceContext{}.Extract(context.Background(), carrier{name: name, headers: headers})
		if span = trace.SpanContextFromContext(ctx); span.IsValid() {
			return span, name == HeaderParent
		}
	}
	return trace.SpanContext{}, false
}

// carrier lets the propagator see a traceparent, under our name of it, and
// nothing else.
type carrier struct {
	name    string
	headers map[string]string
}

// traceparent is the propagator's own name of it.
const traceparent = "traceparent"

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string {
	if key != traceparent {
		return ""
	}
	return c.headers[c.name]
}

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(key, value string) {
	if key == traceparent {
		c.headers[c.name] = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() []string { return []string{traceparent} }

// StartShared starts the span of work that is done at once for many, each of
// whom waits for it under a span of its own. It is a child of the first of those
// that are sampled, so that it is seen where it was waited for, and has links to
// the others. For none it is no span, at no cost.
func StartShared[T any](
	ctx context.Context, tracer trace.Tracer, name string, waiting []T, spanOf func(T) trace.Span, opts ...trace.SpanStartOption,
) (context.Context, trace.Span) {
	shared := noSpan
	for _, w := range waiting {
		span := spanOf(w)
		switch sc := span.SpanContext(); {
		case !sc.IsSampled():
		case !shared.IsRecording():
			_, shared = tracer.Start(trace.ContextWithSpan(ctx, span), name, opts...)
		default:
			shared.AddLink(trace.Link{SpanContext: sc})
		}
	}
	if shared.IsRecording() {
		ctx = trace.ContextWithSpan(ctx, shared)
	}
	return ctx, shared
}

// noSpan is the span of what is not traced.
var noSpan = trace.SpanFromContext(context.Background())
