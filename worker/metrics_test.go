package worker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// series are the counts and sums of a registry that are not zero, by name and
// labels.
func series(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if v := value(m); v != 0 {
				got[name] = v
			}
		}
	}
	return got
}

// value is a counter's or gauge's value, or a histogram's sum.
func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
}

// TestMetrics: every series is there from the start, at zero; a template that
// nobody named has no label of its own.
func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := newMetrics(reg, []App{{ID: "wx1", Templates: []string{"known"}}})
	if got := series(t, reg); len(got) > 0 {
		t.Errorf("not at zero: %v", got)
	}
	before, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}

	m.sent("wx1", "known", answered{latency: time.Second})
	m.sent("wx1", "invented", answered{latency: time.Second, err: &wechat.Error{Kind: wechat.KindRefused, Code: 43101}})
	m.sent("wx1", "known", answered{latency: time.Second, err: &wechat.Error{Kind: wechat.KindUnknown, Code: 12345}})
	created := time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)
	look := func(seq int, due time.Duration) *store.Look {
		return &store.Look{
			Notification: store.Notification{App: "wx1", Seq: seq, CreatedAt: created, DueAt: created.Add(due)},
			Now:          created.Add(time.Minute),
		}
	}
	sent := &store.Settlement{State: store.Sent, Attempt: store.Attempt{Latency: time.Second}}
	m.settled(look(1, 0), sent)              // 61 s
	m.settled(look(1, 50*time.Second), sent) // 11 s: it was due later
	m.settled(look(3, 55*time.Second), sent) // 61 s: a retry was due later
	m.settled(look(8, 0), &store.Settlement{State: store.Dead, Reason: store.ReasonNotSubscribed})
	m.settled(look(2, 0), &store.Settlement{State: store.Retrying})

	m.paused("wx1", "throttled", true)
	m.paused("wx1", "", false)
	m.paused("wx1", "", true) // another process's
	m.adopt("wx1")

	want := map[string]float64{
		"wxnotify_worker_pauses_total wx1 throttled":             1,
		"wxnotify_worker_app_paused wx1":                         1,
		"wxnotify_worker_adopted_total wx1":                      1,
		"wxnotify_worker_sends_total wx1 ok":                     1,
		"wxnotify_worker_sends_total wx1 refused":                1,
		"wxnotify_worker_sends_total wx1 unknown":                1,
		"wxnotify_worker_template_sends_total wx1 ok known":      1,
		"wxnotify_worker_template_sends_total wx1 refused other": 1,
		"wxnotify_worker_template_sends_total wx1 unknown known": 1,
		"wxnotify_worker_errcodes_total wx1 0":                   1,
		"wxnotify_worker_errcodes_total wx1 43101":               1,
		"wxnotify_worker_errcodes_total wx1 other":               1,
		"wxnotify_worker_send_seconds wx1":                       3,
		"wxnotify_worker_accepted_to_sent_seconds wx1":           61 + 11 + 61,
		"wxnotify_worker_attempts wx1":                           1 + 1 + 3 + 8,
		"wxnotify_worker_outcomes_total wx1  sent":               3,
		"wxnotify_worker_outcomes_total wx1  retrying":           1,
		"wxnotify_worker_outcomes_total wx1 not_subscribed dead": 1,
	}
	if diff := cmp.Diff(want, series(t, reg)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	after, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range after {
		if have, had := len(f.GetMetric()), len(before[i].GetMetric()); have != had {
			t.Errorf("%s: %d series after use, %d from the start", f.GetName(), have, had)
		}
	}
}
