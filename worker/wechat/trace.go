package wechat

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// tracerName is the instrumentation scope of this package's spans.
const tracerName = "github.com/wxnotify/wxnotify/worker/wechat"

// callSpan are the options of a call's span, whose name is the API. They are
// made once: a Start of a tracer that is off allocates nothing then.
var callSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}

// describe says on the span of a call what it was and what came of it: numbers
// and words of closed lists. The URL has the token in it, and errmsg may quote
// what was sent, so neither is there. Nor does the trace go along to WeChat.
func (c *Client) describe(span trace.Span, r request, a answer, callErr *Error) {
	if !span.IsRecording() {
		return
	}
	method := "GET"
	if r.body != nil {
		method = "POST"
	}
	kind, code, rid := KindOK, 0, a.rid
	if callErr != nil {
		kind, code, rid = callErr.Kind, callErr.Code, callErr.RID
		span.SetStatus(codes.Error, kind.String())
		span.SetAttributes(semconv.ErrorTypeKey.String(kind.String()))
	}
	span.SetAttributes(
		semconv.HTTPRequestMethodKey.String(method), semconv.ServerAddress(c.host),
		attribute.String("wxnotify.kind", kind.String()), attribute.Int("wxnotify.errcode", code),
	)
	if a.status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(a.status))
	}
	if rid != "" {
		span.SetAttributes(attribute.String("wxnotify.rid", rid))
	}
}
