package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

// flushTime is what the last spans of a process have to reach the collector. It
// comes after everything else and is within the five seconds that a platform's
// grace period is longer than the time for that.
const flushTime = 3 * time.Second

// Traces is where the spans of a process go. The zero value is nowhere.
type Traces struct {
	provider *sdktrace.TracerProvider // nil: nowhere
	logger   *zap.Logger
}

// OpenTraces starts tracing as OpenTelemetry's standard variables say, which it
// and OpenTelemetry's own libraries read from the environment. Without any it
// starts nothing. It does not wait for the collector: whether there is one is
// found out with the first spans, and the log says when there is none.
//
// It sets OpenTelemetry's handlers of errors, which are the process's, so a
// process calls it once. Its TracerProvider is not made the global one.
//
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func OpenTraces(ctx context.Context, logger *zap.Logger) (*Traces, error) {
	protocol, err := traceProtocol(os.Getenv)
	if err != nil || protocol == "" {
		return &Traces{}, err
	}
	note := newTraceNotes(logger, os.Getenv)
	otel.SetErrorHandler(note)
	otel.SetLogger(note.logr())
	exporter, err := newTraceExporter(ctx, protocol)
	if err != nil {
		return nil, fmt.Errorf("the exporter of traces: %s", note.redact(err.Error()))
	}
	version, _ := build()
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("wxnotify"), semconv.ServiceVersion(version)),
		resource.WithFromEnv()) // last: it wins
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	// The sampler, the limits of a span and the queue's size are read from the
	// environment by the library. A queue that is full drops spans and delays
	// nobody.
	return &Traces{
		provider: sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res)),
		logger:   logger,
	}, nil
}

// newTraceExporter makes the exporter of a protocol; the collector's address, the
// headers and the rest it reads from the environment itself.
func newTraceExporter(ctx context.Context, protocol string) (*otlptrace.Exporter, error) {
	if protocol == protocolGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// Provider is what Parts.TracerProvider takes; nil when nothing is traced.
func (t *Traces) Provider() trace.TracerProvider {
	if t.provider == nil {
		return nil
	}
	return t.provider
}

// Stop hands over what is left, for at most flushTime whatever ctx says: what it
// cuts short is work, and this is the last thing that a process does. Spans that
// are lost are no failure of the process.
func (t *Traces) Stop(ctx context.Context) {
	if t.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.logger.Warn("the last spans may be lost", zap.Bool("collector_silent", ctx.Err() != nil))
	}
}

// off traces nothing, and at no cost: unlike OpenTelemetry's own it makes no
// context for a span that is none. Nor does a trace go on through it that came
// from outside.
type off struct{ noop.TracerProvider }

// Tracer implements trace.TracerProvider.
func (off) Tracer(string, ...trace.TracerOption) trace.Tracer { return offTracer{} }

type offTracer struct{ noop.Tracer }

// offSpan is every span of it.
var offSpan trace.Span = noop.Span{}

// Start implements trace.Tracer.
func (offTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	if trace.SpanContextFromContext(ctx).IsValid() {
		ctx = trace.ContextWithSpan(ctx, offSpan)
	}
	return ctx, offSpan
}
