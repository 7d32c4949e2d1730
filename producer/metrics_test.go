package producer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wxnotify/wxnotify/store/sqlite"
)

// Every series exists at zero from the start, so that a rate over the first
// event is not lost; a second client of the process counts into the same.
func TestMetricsStartAtZero(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	rdb := sharedRedis(t)
	for range 2 {
		newClient(t, Config{Redis: rdb, Registerer: reg})
		if _, err := NewRelay(RelayConfig{Store: new(sqlite.Store), Redis: rdb, Registerer: reg}); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for _, f := range families {
		got[f.GetName()] = len(f.GetMetric())
		for _, m := range f.GetMetric() {
			if v := m.GetCounter().GetValue() + m.GetGauge().GetValue(); v != 0 {
				t.Errorf("%s starts at %v", f.GetName(), v)
			}
		}
	}
	want := map[string]int{
		"wxnotify_producer_accepted_total":       3,
		"wxnotify_producer_enqueue_errors_total": 1,
		"wxnotify_relay_handed_over_total":       1,
		"wxnotify_relay_conflicts_total":         1,
		"wxnotify_relay_repairs_total":           8,
		"wxnotify_relay_leader":                  1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}
