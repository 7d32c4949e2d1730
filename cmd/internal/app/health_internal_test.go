package app

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/worker"
)

// TestHealthzFailsWhenALoopStands: and for nothing else, for whoever asks it
// kills the process. A process that ends lets its loops rest.
func TestHealthzFailsWhenALoopStands(t *testing.T) {
	t.Parallel()
	long := time.Now().Add(-relaySilence - time.Second)
	for name, tc := range map[string]struct {
		process  *Process
		draining bool
		want     int
	}{
		"relay has not turned yet":      {&Process{started: time.Now()}, false, 200},
		"relay never turned":            {&Process{started: long}, false, 503},
		"worker's loop stands":          {&Process{started: time.Now(), Worker: new(worker.Worker)}, false, 503},
		"relay stands while it ends":    {&Process{started: long}, true, 200},
		"worker's stands while it ends": {&Process{started: time.Now(), Worker: new(worker.Worker)}, true, 200},
	} {
		tc.process.Relay = new(producer.Relay)
		tc.process.draining.Store(tc.draining)
		rec := httptest.NewRecorder()
		tc.process.healthz(rec, httptest.NewRequest("GET", "/healthz", nil))
		if rec.Code != tc.want {
			t.Errorf("%s: got %d, want %d", name, rec.Code, tc.want)
		}
	}
}
