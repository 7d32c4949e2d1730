package app

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDoctorLeavesBehindWhoDoesNotEnd: a check that ignores its context costs
// one timeout, and what stands on it is not asked.
func TestDoctorLeavesBehindWhoDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var asked atomic.Int32
		stuck := func(context.Context) Result { <-release; return okay("late") }
		count := func(context.Context) Result { asked.Add(1); return okay("here") }
		polite := func(ctx context.Context) Result { <-ctx.Done(); return fail("in its own words", "do") }
		d := &Doctor{groups: []group{
			{{"stuck", stuck}, {"on stuck", count}},
			{{"there", count}, {"stuck too", stuck}, {"beside", count}},
			{{"polite", polite}},
		}}
		start := time.Now()
		found := d.Examine(t.Context())
		if took := time.Since(start); took != checkTimeout+checkGrace {
			t.Errorf("it took %s", took)
		}
		want := []string{
			"stuck fail no answer within 5s", "on stuck skipped needs stuck",
			"there ok here", "stuck too fail no answer within 5s", "beside ok here", "polite fail in its own words",
		}
		for i, f := range found {
			if got := f.Check + " " + string(f.Status) + " " + f.Found; got != want[i] {
				t.Errorf("finding %d: got %q, want %q", i, got, want[i])
			}
		}
		if asked.Load() != 2 {
			t.Errorf("%d were asked", asked.Load())
		}
		close(release)
	})
}

// TestDoctorJudges covers what no test server is like.
func TestDoctorJudges(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 15, 1, 0, 0, time.UTC)
	server := func(pairs ...string) redisServer {
		s := redisServer{address: "h:1", info: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			s.info[pairs[i]] = pairs[i+1]
		}
		return s
	}
	for name, tc := range map[string]struct {
		got    Result
		status Status
		says   string
	}{
		"clock in the middle of the way": {clockResult(at.Add(time.Second), at, at.Add(2*time.Second)), StatusOK, "+0.000 s"},
		"clock at the limit":             {clockResult(at.Add(-5*time.Second), at, at), StatusOK, "-5.000 s"},
		"clock beyond the limit":         {clockResult(at.Add(-5001*time.Millisecond), at, at), StatusWarn, "-5.001 s"},
		"near":                           {latencyResult(2 * time.Millisecond), StatusOK, "2.00 ms"},
		"far":                            {latencyResult(10 * time.Millisecond), StatusWarn, "at most 100 a second"},
		"schema missing":                 {schemaResult(0, 3), StatusFail, "no schema / run wxnotify migrate up"},
		"schema older":                   {schemaResult(2, 3), StatusFail, "version 2, this program needs 3 / run wxnotify migrate up"},
		"schema newer":                   {schemaResult(4, 3), StatusFail, "run a newer wxnotify"},
		"standby":                        {(&postgresFacts{standby: true}).checkRole(), StatusFail, "a standby"},
		"old PostgreSQL":                 {(&postgresFacts{number: 13_00_09, version: "13.9"}).checkVersion(), StatusFail, "13.9"},
		"oldest PostgreSQL":              {(&postgresFacts{number: 14_00_00, version: "14.0"}).checkVersion(), StatusOK, "14.0"},
		"fsync off":                      {(&postgresFacts{syncCommit: "on", fsync: "off"}).checkDurability(), StatusWarn, "fsync off"},
		"durable":                        {(&postgresFacts{syncCommit: "on", fsync: "on"}).checkDurability(), StatusOK, "on"},
		"few connections left":           {(&postgresFacts{limit: 100, reserved: 3, used: 89}).checkConnections(), StatusWarn, "raise max_connections"},
		"enough connections":             {(&postgresFacts{limit: 100, reserved: 3, used: 88}).checkConnections(), StatusOK, "88 of 100"},
		"old Redis":                      {server("redis_version", "6.0.16").version(), StatusFail, "6.2 or later"},
		"oldest Redis":                   {server("redis_version", "6.2.0").version(), StatusOK, "6.2.0"},
		"later Redis":                    {server("redis_version", "8.0.1").version(), StatusOK, "8.0.1"},
		"no version":                     {server().version(), StatusWarn, "cannot be read"},
		"disk full":                      {server("aof_enabled", "1", "aof_last_write_status", "err").persistence(), StatusWarn, "the last write failed"},
		"at 70 %":                        {server("used_memory", "700", "maxmemory", "1000").memory(), StatusWarn, "(70%)"},
		"below 70 %":                     {server("used_memory", "699", "maxmemory", "1000").memory(), StatusOK, "(69%)"},
	} {
		if got := tc.got.Found + " / " + tc.got.Do; tc.got.Status != tc.status || !strings.Contains(got, tc.says) {
			t.Errorf("%s: got %+v, want %s with %q", name, tc.got, tc.status, tc.says)
		}
	}
}

// TestDoctorTellsTheWorstOfACluster: one master of many is enough to fail.
func TestDoctorTellsTheWorstOfACluster(t *testing.T) {
	t.Parallel()
	f := &redisFacts{servers: []redisServer{
		{"a:1", map[string]string{"maxmemory_policy": "noeviction"}},
		{"b:1", map[string]string{"maxmemory_policy": "allkeys-lru"}},
		{"c:1", map[string]string{"maxmemory_policy": "noeviction"}},
	}}
	if r := f.each(redisServer.eviction)(t.Context()); r.Status != StatusFail || !strings.HasPrefix(r.Found, "b:1: ") {
		t.Errorf("got %+v", r)
	}
	f.infoErr = errors.New("NOPERM")
	if r := f.each(redisServer.eviction)(t.Context()); r.Status != StatusWarn {
		t.Errorf("without INFO: got %+v", r)
	}
}
