package gateway

import (
	"context"
	"net/http"
	"strings"

	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// tracerName is the instrumentation scope of this package's spans.
const tracerName = "github.com/wxnotify/wxnotify/producer/gateway"

// noSpan is the span of what is not traced.
var noSpan = trace.SpanFromContext(context.Background())

// requestSpan are the options of the spans of a route, whose name is its
// pattern. They are made once: a Start of a tracer that is off allocates nothing
// then.
func requestSpan(pattern string) []trace.SpanStartOption {
	method, path, _ := strings.Cut(pattern, " ")
	return []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.HTTPRoute(path)),
	}
}

// startRequest starts the span of a request whose caller is known: who has no
// key leaves no trace, so that strangers cannot fill the collector. It goes on
// with the caller's trace. His tracestate and baggage are other people's text
// and stay outside.
func (g *Gateway) startRequest(r *http.Request, rt route) (*http.Request, trace.Span) {
	ctx := r.Context()
	if parent := r.Header.Get("Traceparent"); parent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	}
	ctx, span := g.tracer.Start(ctx, rt.pattern, g.spans[rt.pattern]...)
	return r.WithContext(ctx), span
}

// endRequest ends the span of a request that was answered.
func endRequest(rec *recorder) {
	if rec.span.IsRecording() {
		rec.span.SetAttributes(semconv.HTTPResponseStatusCode(rec.status))
		if rec.status >= http.StatusInternalServerError || rec.status == 0 {
			rec.span.SetStatus(otelcodes.Error, http.StatusText(rec.status))
		}
	}
	rec.span.End()
}

// traceID is the field of a log line about what is traced.
func traceID(span trace.Span) zap.Field {
	if sc := span.SpanContext(); sc.IsSampled() {
		return zap.Stringer("trace_id", sc.TraceID())
	}
	return zap.Skip()
}
