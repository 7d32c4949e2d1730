package task_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/wxnotify/wxnotify/worker/task"
)

const goodParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// newTracer is a tracer with what it recorded.
func newTracer(t *testing.T) (trace.Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	rec := tracetest.NewSpanRecorder()
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
	t.Cleanup(func() { _ = p.Shutdown(context.WithoutCancel(t.Context())) })
	return p.Tracer("test"), rec
}

func TestTraceHeaders(t *testing.T) {
	t.Parallel()
	tracer, _ := newTracer(t)
	state, err := trace.ParseTraceState("vendor=openid-of-somebody")
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := tracer.Start(trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
	})), "accept")
	defer span.End()
	for _, alone := range []bool{true, false} {
		headers := task.TraceHeaders(ctx, alone)
		if len(headers) != 1 || strings.Contains(strings.Join(slices.Collect(values(headers)), ""), "vendor") {
			t.Errorf("headers %v, want one and no tracestate", headers)
		}
		got, parent := task.TraceOf(headers)
		if got.TraceID() != span.SpanContext().TraceID() || got.SpanID() != span.SpanContext().SpanID() || !got.IsSampled() || parent != alone {
			t.Errorf("alone %t: %v parent %t", alone, got, parent)
		}
	}
	if got := task.TraceHeaders(t.Context(), true); got != nil {
		t.Errorf("without a span: %v", got)
	}
	dropped := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	if got := task.TraceHeaders(dropped, true); got != nil {
		t.Errorf("of a span that is not sampled: %v", got)
	}
}

func values(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// The headers of a task are whatever some client of asynq put there.
func TestTraceOfHostileHeaders(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string]map[string]string{
		"none":           nil,
		"others":         {"x-user": "wang", "tracestate": "a=b", "baggage": "user=wang"},
		"empty":          {task.HeaderParent: ""},
		"no hex":         {task.HeaderParent: strings.Replace(goodParent, "0af7", "zzzz", 1)},
		"capitals":       {task.HeaderParent: strings.ToUpper(goodParent)},
		"zero trace":     {task.HeaderParent: "00-00000000000000000000000000000000-b7ad6b7169203331-01"},
		"zero span":      {task.HeaderParent: "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"},
		"too long":       {task.HeaderParent: goodParent + "-extra"},
		"version ff":     {task.HeaderParent: "ff" + goodParent[2:]},
		"a megabyte":     {task.HeaderParent: strings.Repeat(goodParent, 1<<20/len(goodParent))},
		"control":        {task.HeaderParent: goodParent[:54] + "\n"},
		"link no better": {task.HeaderLink: "nonsense"},
	} {
		if got, parent := task.TraceOf(headers); got.IsValid() || parent {
			t.Errorf("%s: %v %t", name, got, parent)
		}
	}
	got, parent := task.TraceOf(map[string]string{task.HeaderParent: goodParent, "tracestate": "vendor=wang", "baggage": "user=wang"})
	if !got.IsValid() || !parent || got.TraceState().Len() != 0 {
		t.Errorf("of another client: %v %t", got, parent)
	}
}

func itself(s trace.Span) trace.Span { return s }

func TestStartShared(t *testing.T) {
	t.Parallel()
	tracer, rec := newTracer(t)
	none := trace.SpanFromContext(t.Context())
	_, first := tracer.Start(t.Context(), "first")
	_, second := tracer.Start(t.Context(), "second")

	if _, span := task.StartShared(t.Context(), tracer, "commit", []trace.Span{none, none}, itself); span.IsRecording() {
		t.Error("a span for nobody")
	}
	_, span := task.StartShared(t.Context(), tracer, "commit", []trace.Span{none, first, none, second}, itself,
		trace.WithAttributes(attribute.Int("n", 4)))
	span.End()

	ended := rec.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans", len(ended))
	}
	got := ended[0]
	if got.Parent().SpanID() != first.SpanContext().SpanID() || len(got.Links()) != 1 || !got.Links()[0].SpanContext.Equal(second.SpanContext()) {
		t.Errorf("parent %v links %v, want %v and one to %v", got.Parent(), got.Links(), first.SpanContext(), second.SpanContext())
	}
	if diff := cmp.Diff([]attribute.KeyValue{attribute.Int("n", 4)}, got.Attributes(), cmp.AllowUnexported(attribute.Value{})); diff != "" {
		t.Error(diff)
	}
}
