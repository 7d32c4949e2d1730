package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/worker/task"
)

// What stands on the way of every message costs no allocation while nothing is
// traced. It is not parallel: allocations are the process's.
func TestTracingThatIsOffAllocatesNothing(t *testing.T) {
	tracer := off{}.Tracer("test")
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	ctx := t.Context()
	waiting := slices.Repeat([]trace.Span{offSpan}, 256)
	headers := map[string]string{}
	if n := testing.AllocsPerRun(1000, func() {
		ctx, outer := tracer.Start(ctx, "outer", opts...)
		if task.TraceHeaders(ctx, true) != nil {
			t.Error("a task gets headers")
		}
		if _, parent := task.TraceOf(headers); parent {
			t.Error("a parent out of nothing")
		}
		ctx, span := tracer.Start(ctx, "inner", opts...)
		_, shared := task.StartShared(ctx, tracer, "shared", waiting, func(s trace.Span) trace.Span { return s }, opts...)
		if span.IsRecording() || shared.IsRecording() || trace.SpanFromContext(ctx).IsRecording() {
			t.Error("a span that records")
		}
		shared.End()
		span.End()
		outer.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A trace from outside does not go on through a process that traces nothing.
func TestTracingThatIsOffEndsATrace(t *testing.T) {
	t.Parallel()
	from := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx, _ := off{}.Tracer("test").Start(trace.ContextWithRemoteSpanContext(t.Context(), from), "request")
	if h := task.TraceHeaders(ctx, true); h != nil {
		t.Errorf("a task gets %v", h)
	}
}

func BenchmarkTracingThatIsOff(b *testing.B) {
	tracer := off{}.Tracer("test")
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	b.ReportAllocs()
	for b.Loop() {
		ctx, span := tracer.Start(context.Background(), "span", opts...)
		_ = task.TraceHeaders(ctx, true)
		span.End()
	}
}

func TestTraceProtocol(t *testing.T) {
	t.Parallel()
	const url = "http://collector:4318"
	tests := []struct {
		name string
		env  map[string]string
		want string
		err  string // in the error; "" for none
	}{
		{"nothing set", nil, "", ""},
		{"a collector", map[string]string{envEndpoint: url}, protocolProtobuf, ""},
		{"a collector of traces", map[string]string{envTracesEndpoint: url + "/v1/traces"}, protocolProtobuf, ""},
		{"the exporter on its usual port", map[string]string{envExporter: "otlp"}, protocolProtobuf, ""},
		{"disabled", map[string]string{envEndpoint: url, envDisabled: "TRUE"}, "", ""},
		{"not disabled", map[string]string{envEndpoint: url, envDisabled: "false"}, protocolProtobuf, ""},
		{"no exporter", map[string]string{envEndpoint: url, envExporter: "none"}, "", ""},
		{"another exporter", map[string]string{envExporter: "zipkin"}, "", envExporter},
		{"gRPC", map[string]string{envEndpoint: url, envProtocol: "grpc"}, protocolGRPC, ""},
		{"JSON for traces, gRPC else", map[string]string{envEndpoint: url, envProtocol: "grpc", envTracesProtocol: "http/json"}, protocolJSON, ""},
		{"unknown protocol", map[string]string{envEndpoint: url, envTracesProtocol: "udp"}, "", envTracesProtocol},
		{"no URL", map[string]string{envEndpoint: "collector:4318"}, "", envEndpoint},
		{"no host", map[string]string{envTracesEndpoint: "http:///v1/traces"}, "", envTracesEndpoint},
		{"unknown sampler", map[string]string{envEndpoint: url, envSampler: "half"}, "", envSampler},
		{"a share of nothing", map[string]string{envEndpoint: url, envSamplerArg: "NaN"}, "", envSamplerArg},
		{"a share in percent", map[string]string{envEndpoint: url, envSamplerArg: "10"}, "", envSamplerArg},
		{"a share", map[string]string{envEndpoint: url, envSampler: " TraceIdRatio ", envSamplerArg: "0.1"}, protocolProtobuf, ""},
		{"a sampler", map[string]string{envEndpoint: url, envSampler: "parentbased_traceidratio"}, protocolProtobuf, ""},
		{"what is off is not looked at", map[string]string{envSampler: "half", envProtocol: "udp"}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := traceProtocol(func(name string) string { return tt.env[name] })
			if tt.err == "" && (err != nil || got != tt.want) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err+" must")) {
				t.Errorf("%q, %v; want %q, error with %q", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestTraceNotes(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	env := map[string]string{envHeaders: "api-key=s3cret%20word, x=1", envTracesHeaders: "authorization=Bearer abcd"}
	n := newTraceNotes(zap.New(core), func(name string) string { return env[name] })
	now := time.Unix(0, 0)
	n.now = func() time.Time { return now }

	n.Handle(errors.New(`traces export: Post "https://me:pass@collector/v1/traces?key=hidden": 401 for s3cret word, s3cret%20word and Bearer abcd` +
		"\n<html>" + strings.Repeat("x", 1000)))
	for range 5 {
		n.Handle(errors.New("again"))
	}
	n.Handle(nil)
	now = now.Add(traceNoteInterval)
	n.logr().WithName("otel").Error(errors.New("bad header"), "parse headers", "input", "api-key:s3cret word")
	n.logr().Info("chatter")

	all := logs.All()
	if len(all) != 2 {
		t.Fatalf("%d lines, want 2: %v", len(all), all)
	}
	first, second := all[0].ContextMap(), all[1].ContextMap()
	why, _ := first["why"].(string)
	for _, secret := range []string{"s3cret", "pass", "hidden", "abcd", "\n"} {
		if strings.Contains(why, secret) {
			t.Errorf("%q shows %q", why, secret)
		}
	}
	if len(why) > maxTraceNote+len("…") || !strings.Contains(why, "401") {
		t.Errorf("it says %d bytes: %q", len(why), why)
	}
	if second["why"] != "parse headers: bad header" || second["more"] != int64(5) {
		t.Errorf("the second line: %v", second)
	}
}
