package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// callerTrace is the traceparent that a producer's own back end comes with.
const (
	callerTraceID = "0af7651916cd43dd8448eb211c80319c"
	callerSpanID  = "b7ad6b7169203331"
	callerTrace   = "00-" + callerTraceID + "-" + callerSpanID + "-01"
)

// collector takes OTLP over HTTP.
type collector struct {
	url string

	mu     sync.Mutex
	bodies []string
	spans  []span
}

// span is a span as it arrived, with the service it is of.
type span struct {
	*tracepb.Span
	service string
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req coltracepb.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &req)
		}
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
			t.Errorf("%s %s is no export: %v", r.Method, r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bodies = append(c.bodies, string(body))
		for _, rs := range req.ResourceSpans {
			service := ""
			for _, a := range rs.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					c.spans = append(c.spans, span{s, service})
				}
			}
		}
	}))
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

// env are the variables that send everything here; the header is a secret.
func (c *collector) env() map[string]string {
	return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.url, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=" + canary + "collector"}
}

// search searches every byte that arrived. The strings of protobuf are as they
// are.
func (c *collector) search(s *search) {
	s.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, body := range c.bodies {
		s.in("traces", body)
	}
	s.places["a span"] += len(c.spans)
}

// all are the spans of a name.
func (c *collector) all(name string) []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.spans), func(s span) bool { return s.Name != name })
}

// one is the only span of a name in a trace.
func (c *collector) one(t *testing.T, traceID, name string) span {
	t.Helper()
	found := slices.DeleteFunc(c.all(name), func(s span) bool { return fmt.Sprintf("%x", s.TraceId) != traceID })
	if len(found) != 1 {
		t.Fatalf("%d spans %q in trace %s, want 1; all there are:\n%s", len(found), name, traceID, c)
	}
	return found[0]
}

// String lists the spans.
func (c *collector) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, s := range c.spans {
		fmt.Fprintf(&b, "%s %x %x under %x: %s, %d links\n", s.service, s.TraceId, s.SpanId, s.ParentSpanId, s.Name, len(s.Links))
	}
	return b.String()
}

// attr is the text of an attribute; "" when there is none.
func (s span) attr(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			if text := a.Value.GetStringValue(); text != "" {
				return text
			}
			return fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return ""
}
