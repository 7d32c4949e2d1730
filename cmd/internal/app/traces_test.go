package app_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// tracedDoor is a gateway and a worker as processes of their own, whose spans
// arrive at their ends only.
func tracedDoor(t *testing.T) (*rig, *door, *child, *collector) {
	t.Helper()
	c := startCollector(t)
	r := newRig(t, simulator.Config{}, doorEnv())
	maps.Copy(r.env, c.env())
	r.env["OTEL_BSP_SCHEDULE_DELAY"] = "3600000" // ms: what arrives is what SIGTERM flushed
	r.env["OTEL_SERVICE_NAME"] = "front"
	d := r.spawnGateway()
	delete(r.env, "OTEL_SERVICE_NAME")
	r.env["OTEL_RESOURCE_ATTRIBUTES"] = "service.name=back,deployment.environment.name=test"
	w := r.spawn()
	// A rebuild gives what is open a second task.
	eventually(t, "the new queue is built from the store", func() error {
		if !strings.Contains(d.log.String()+w.log.String(), "queue rebuilt") {
			return errors.New("not yet")
		}
		return nil
	})
	return r, d, w, c
}

// wireNotice is a notification for the API that nothing is wrong with.
func wireNotice() map[string]any {
	n := notice()
	return map[string]any{"template_id": n.TemplateID, "openid": n.OpenID, "page": n.Page, "data": n.Data}
}

// One trace leads from a producer's own span through the gateway, the store and
// the queue to the worker's call of WeChat and its settlement.
func TestOneTraceFromRequestToWeChat(t *testing.T) {
	t.Parallel()
	r, d, w, c := tracedDoor(t)
	d.header = map[string]string{"Traceparent": callerTrace}
	id := must[doorRow](d, http.StatusAccepted, http.MethodPost, "/v1/notifications", wireNotice()).ID
	d.awaitShown(id, store.Sent, nil)

	// One that fails: its log lines name the trace.
	const failing = "11111111111111111111111111111111"
	d.header["Traceparent"] = strings.Replace(callerTrace, callerTraceID, failing, 1)
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 47003, Count: 1})
	dead := must[doorRow](d, http.StatusAccepted, http.MethodPost, "/v1/notifications", wireNotice()).ID
	d.awaitShown(dead, store.Dead, nil)
	d.terminate()
	w.terminate()

	front := c.one(t, callerTraceID, "POST /v1/notifications")
	accept := c.one(t, callerTraceID, "accept notifications")
	insert := c.one(t, callerTraceID, "insert notifications")
	process := c.one(t, callerTraceID, "process default")
	claim := c.one(t, callerTraceID, "claim")
	call := c.one(t, callerTraceID, "subscribe_send")
	settle := c.one(t, callerTraceID, "settle")
	for _, want := range []struct {
		span    span
		parent  string
		service string
		kind    tracepb.Span_SpanKind
	}{
		{front, callerSpanID, "front", tracepb.Span_SPAN_KIND_SERVER},
		{accept, hex.EncodeToString(front.SpanId), "front", tracepb.Span_SPAN_KIND_PRODUCER},
		{insert, hex.EncodeToString(accept.SpanId), "front", tracepb.Span_SPAN_KIND_CLIENT},
		{process, hex.EncodeToString(accept.SpanId), "back", tracepb.Span_SPAN_KIND_CONSUMER},
		{claim, hex.EncodeToString(process.SpanId), "back", tracepb.Span_SPAN_KIND_INTERNAL},
		{call, hex.EncodeToString(process.SpanId), "back", tracepb.Span_SPAN_KIND_CLIENT},
		{settle, hex.EncodeToString(process.SpanId), "back", tracepb.Span_SPAN_KIND_INTERNAL},
	} {
		if got := hex.EncodeToString(want.span.ParentSpanId); got != want.parent || want.span.service != want.service || want.span.Kind != want.kind {
			t.Errorf("%s: parent %s, service %s, %s; want %s, %s, %s", want.span.Name, got, want.span.service, want.span.Kind,
				want.parent, want.service, want.kind)
		}
	}
	for _, commit := range c.all("commit") {
		if len(commit.ParentSpanId) == 0 {
			t.Errorf("a commit that nobody waited for: %v", commit.Span)
		}
	}
	for s, want := range map[*tracepb.Span]map[string]string{
		front.Span:   {"http.route": "/v1/notifications", "http.request.method": "POST", "http.response.status_code": "202"},
		accept.Span:  {"wxnotify.notification.id": id.String(), "wxnotify.accepted": "1"},
		process.Span: {"wxnotify.notification.id": id.String(), "wxnotify.state": "sent", "wxnotify.attempt": "1"},
		call.Span:    {"http.response.status_code": "200", "wxnotify.kind": "ok", "wxnotify.errcode": "0", "server.address": "127.0.0.1"},
	} {
		for key, text := range want {
			if got := (span{Span: s}).attr(key); got != text {
				t.Errorf("%s: %s is %q, want %q", s.Name, key, got, text)
			}
		}
	}
	refused := c.one(t, failing, "subscribe_send")
	if refused.attr("wxnotify.errcode") != "47003" || refused.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("a refused call: %v", refused.Span)
	}
	if got := c.one(t, failing, "process default").Status.GetMessage(); !strings.HasPrefix(got, "dead: ") {
		t.Errorf("status of a dead letter's delivery: %q", got)
	}
	if log := w.log.String(); !strings.Contains(log, `"trace_id":"`+failing+`"`) {
		t.Error("the failure's log line does not name the trace")
	}
}

// What is about many is linked, not joined: each delivery has a trace of its own.
// What no trace led to begins one, and what Relay hands over goes on with its.
func TestTracesOfManyAndOfNone(t *testing.T) {
	t.Parallel()
	r, d, w, c := tracedDoor(t)
	d.header = map[string]string{"Traceparent": callerTrace}
	type batch struct{ Results []doorRow }
	many := must[batch](d, http.StatusOK, http.MethodPost, "/v1/notifications/batch",
		map[string]any{"notifications": []any{wireNotice(), wireNotice(), wireNotice()}})
	for _, row := range many.Results {
		d.awaitShown(row.ID, store.Sent, nil)
	}
	none := r.raw(rawNotice())
	hostile := r.rawWith(map[string]string{
		task.HeaderParent: strings.Repeat("00-", 1<<16), task.HeaderLink: canary, "tracestate": canary, "baggage": "user=" + canary, "": canary,
	})
	other := r.rawWith(map[string]string{task.HeaderParent: strings.Replace(callerTrace, callerTraceID, strings.Repeat("2", 32), 1), "tracestate": "v=" + canary})
	late := r.send(1, func(_ int, n *producer.Notification) { n.Delay = time.Second })[0]
	for _, s := range []sent{none, hostile, other, late} {
		eventually(t, "it is sent", func() error {
			if n, _, err := r.store.Get(t.Context(), s.id); err != nil || n.State != store.Sent {
				return fmt.Errorf("%s, %w", n.State, err)
			}
			return nil
		})
	}
	d.terminate()
	w.terminate()

	accept := c.one(t, callerTraceID, "accept notifications")
	process := func(s sent) span {
		t.Helper()
		found := slices.DeleteFunc(c.all("process default"), func(p span) bool { return p.attr("wxnotify.notification.id") != s.id.String() })
		if len(found) != 1 {
			t.Fatalf("%d deliveries of %s, want 1:\n%s", len(found), s.id, c)
		}
		return found[0]
	}
	for _, row := range many.Results {
		p := process(sent{id: row.ID})
		if len(p.ParentSpanId) != 0 || len(p.Links) != 1 || string(p.Links[0].SpanId) != string(accept.SpanId) {
			t.Errorf("of a batch: %v, want a root with a link to %x", p.Span, accept.SpanId)
		}
	}
	for _, s := range []sent{none, hostile} {
		if p := process(s); len(p.ParentSpanId) != 0 || len(p.Links) != 0 {
			t.Errorf("of no trace: %v, want a root", p.Span)
		}
	}
	if p := process(other); hex.EncodeToString(p.ParentSpanId) != callerSpanID || p.TraceState != "" {
		t.Errorf("of another client of asynq: %v, want one under its span", p.Span)
	}
	if p := process(late); !slices.ContainsFunc(c.all("hand over notifications"), func(h span) bool { return string(h.SpanId) == string(p.ParentSpanId) }) {
		t.Errorf("handed over by Relay: %v, want one under the hand-over's span", p.Span)
	}
	c.search(&search{t: t, places: map[string]int{}})
}

// rawNotice is a raw task's payload that nothing is wrong with.
func rawNotice() string {
	n := notice()
	return `{"template_id":"` + n.TemplateID + `","openid":"` + n.OpenID + `","data":{"thing1":"月报","thing2":"2026年10月"}}`
}

// rawWith puts a task with these headers on the queue, as any asynq client may.
func (r *rig) rawWith(headers map[string]string) sent {
	r.t.Helper()
	t := asynq.NewTaskWithHeaders(task.Type, []byte(rawNotice()), headers)
	info, err := asynq.NewClientFromRedisClient(r.rdb).EnqueueContext(r.t.Context(), t, asynq.Queue(defaultQueue))
	if err != nil {
		r.t.Fatal(err)
	}
	return sent{id: task.RawID(defaultQueue, info.ID)}
}

// A collector that takes connections and never answers keeps no message back,
// nor the end of the process, and is not what fills the log.
func TestACollectorThatNeverAnswers(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	r := newRig(t, simulator.Config{}, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://someone:" + canary + "@" + silent.Addr().String(),
		"OTEL_EXPORTER_OTLP_HEADERS":  "api-key=" + canary,
		"OTEL_EXPORTER_OTLP_TIMEOUT":  "100", "OTEL_BSP_SCHEDULE_DELAY": "10", "OTEL_BSP_EXPORT_TIMEOUT": "200", // ms: it fails again and again
		"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4", // full at once
	})
	start := time.Now()
	w := r.spawn()
	list := r.send(200, nil)
	r.awaitStates(map[store.State]int{store.Sent: len(list)})
	r.wantOnce(list)
	eventually(t, "it is in the log", func() error {
		if !strings.Contains(w.log.String(), "traces not exported") {
			return errors.New("not yet")
		}
		return nil
	})
	w.terminate()
	// One in a minute.
	if n, most := strings.Count(w.log.String(), "traces not exported"), 2+int(time.Since(start)/time.Minute); n > most {
		t.Errorf("%d lines about it, want at most %d", n, most)
	}
	(&search{t: t, places: map[string]int{}}).in("the log", w.log.String())
}

// A wrong variable stops the start, and its value is not shown.
func TestWrongTraceVariables(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:" + canary, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/xml", "OTEL_TRACES_SAMPLER": "some",
	})
	w := r.spawn()
	awaitEnd(t, w, 1)
	log := w.log.String()
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_SAMPLER"} {
		if !strings.Contains(log, name) {
			t.Errorf("%s is not named in: %s", name, log)
		}
	}
	if strings.Contains(log, canary) {
		t.Errorf("a value is shown: %s", log)
	}
}
