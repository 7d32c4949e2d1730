package app

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
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

		"clock in another zone":       {clockResult(at.Add(8*time.Hour+30*time.Second), at, at), StatusWarn, "what a wrong time zone makes / set the clock"},
		"clock in no zone":            {clockResult(at.Add(8*time.Hour+2*time.Minute), at, at), StatusWarn, "against this machine / set the clocks by NTP"},
		"process in UTC":              {zoneResult(at, true), StatusWarn, "UTC (UTC+00:00) / set TZ=Asia/Shanghai"},
		"process in China":            {zoneResult(at.In(time.FixedZone("CST", 8*3600)), true), StatusOK, "CST (UTC+08:00)"},
		"no zone database":            {zoneResult(at.In(time.FixedZone("CST", 8*3600)), false), StatusWarn, "install tzdata"},
		"keys were dropped":           {server("maxmemory_policy", "noeviction", "evicted_keys", "7").eviction(), StatusWarn, "7 keys were dropped"},
		"no key was dropped":          {server("maxmemory_policy", "noeviction", "evicted_keys", "0").eviction(), StatusOK, "noeviction"},
		"snapshot failed":             {server("aof_enabled", "1", "aof_last_write_status", "ok", "rdb_last_bgsave_status", "err").persistence(), StatusWarn, "Redis refuses writes"},
		"a sentinel":                  {server("redis_mode", "sentinel").mode(false), StatusFail, "redis-sentinel://"},
		"a node of a cluster":         {server("redis_mode", "cluster").mode(false), StatusFail, "redis-cluster://"},
		"no cluster":                  {server("redis_mode", "standalone").mode(true), StatusFail, "let REDIS_URL be redis://"},
		"a cluster":                   {server("redis_mode", "cluster").mode(true), StatusOK, "cluster"},
		"many clients":                {server("connected_clients", "80", "maxclients", "100").clients(), StatusWarn, "80 of 100"},
		"some clients":                {server("connected_clients", "79", "maxclients", "100").clients(), StatusOK, "79 of 100"},
		"clients without limit":       {server("connected_clients", "79").clients(), StatusOK, "79 connected"},
		"a master with replicas":      {server("role", "master", "connected_slaves", "2").role(), StatusOK, "master of 2 replicas"},
		"another encoding":            {(&postgresFacts{encoding: "SQL_ASCII"}).checkEncoding(), StatusFail, "ENCODING 'UTF8'"},
		"another session's statement": {fail("x", schemaAdvice(errors.New("schema version: SQLSTATE 42P05: prepared statement"))), StatusFail, "session mode"},
		"no right to the schema":      {fail("x", schemaAdvice(errors.New("schema version: SQLSTATE 42501: permission"))), StatusFail, "read the schema"},
		"transaction pooler":          {poolerResult(true, true), StatusFail, "no process leads"},
		"session pooler":              {poolerResult(false, true), StatusOK, "a session of its own"},
		"gateway in trouble":          {originResult("https://api.weixin.qq.com", 502, time.Second), StatusWarn, "HTTP 502"},
		"no TLS":                      {originResult("http://api.weixin.qq.com", 404, time.Second), StatusWarn, "without TLS / use https"},
		"WeChat":                      {originResult("https://api2.weixin.qq.com", 404, time.Second), StatusOK, "answers in 1000 ms"},
		"another host":                {originResult("https://weixin.qq.com.example.com", 404, time.Second), StatusOK, "not WeChat's own host"},
		"admin for all, no password":  {checkAdmin(&config.Config{AdminAddr: "0.0.0.0:9090"}), StatusWarn, "without a password"},
		"admin for all by omission":   {checkAdmin(&config.Config{AdminAddr: ":9090"}), StatusWarn, "without a password"},
		"admin for all, with one":     {checkAdmin(&config.Config{AdminAddr: ":9090", AdminPassword: "x"}), StatusOK, "a proxy with TLS"},
		"admin for this machine":      {checkAdmin(&config.Config{AdminAddr: "[::1]:9090"}), StatusOK, "for this machine only"},
		"no admin":                    {checkAdmin(&config.Config{}), StatusSkipped, "ADMIN_ADDR is empty"},
		"the secret of another app":   {checkSecrets(&config.Config{Apps: []config.App{{AppID: "wx1", Secret: "s"}, {AppID: "wx2", Secret: "s"}}}), StatusFail, "apps wx1 and wx2 have the same secret"},
		"apps with secrets of theirs": {checkSecrets(&config.Config{Apps: []config.App{{AppID: "wx1", Secret: "s"}, {AppID: "wx2", Secret: "t"}}}), StatusOK, "no two apps"},
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
