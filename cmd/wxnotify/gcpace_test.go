package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, tc := range []struct {
		scanned uint64
		want    int
	}{
		{0, gcMost}, {mb, gcMost}, {12 * mb, 200}, {24 * mb, gcLeast}, {1000 * mb, gcLeast},
	} {
		if got := gcPercent(tc.scanned, 24*mb); got != tc.want {
			t.Errorf("%d MB: got %d, want %d", tc.scanned/mb, got, tc.want)
		}
	}
}

// The percentage follows the collections, until the end.
func TestGCPacer(t *testing.T) { //nolint:paralleltest // the collector is the process's
	g := &gcPacer{headroom: 1 << 40, percent: gcLeast}
	g.follow()
	g.mu.Lock()
	g.headroom, g.percent = 1, gcMost // as if that much more were in use
	g.mu.Unlock()
	deadline := time.Now().Add(time.Minute)
	for {
		runtime.GC()
		g.mu.Lock()
		percent := g.percent
		g.mu.Unlock()
		if percent == gcLeast {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no collection was noticed")
		}
		runtime.Gosched()
	}
	g.stop()
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	if got := s[0].Value.Uint64(); got != gcLeast {
		t.Errorf("after the end: %d %%", got)
	}
}

// Who has set how the collector runs has the last word.
func TestGCPaceIsForWhoSetsNone(t *testing.T) { //nolint:paralleltest // the collector is the process's
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		p := &program{lookupEnv: func(asked string) (string, bool) {
			if asked == name {
				return "150", true
			}
			return "", false
		}}
		if !p.setsGC() {
			t.Errorf("%s does not count", name)
		}
	}
	p := &program{lookupEnv: func(string) (string, bool) { return "", false }}
	if p.setsGC() {
		t.Error("nothing is set")
	}
}
