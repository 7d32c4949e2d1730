package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// The parts whose CPU time is told apart.
const (
	partWorker    = "worker"
	partRedis     = "redis"
	partPostgres  = "postgres"
	partSimulator = "simulator"
)

// counters are what has been used up to a moment. A map lacks what cannot be
// had here.
type counters struct {
	at              time.Time
	sends, accepted int64
	cpu             map[string]time.Duration // by part
	redis           map[string]int64         // calls by command, those of scripts too
	statements      int64                    // -1: not counted here
	mallocs         float64                  // of the worker
}

// count reads the counters that are current at any moment.
func (s *scene) count(ctx context.Context) (counters, error) {
	state, err := s.state(ctx)
	if err != nil {
		return counters{}, err
	}
	c := counters{at: time.Now(), sends: state.Sends, accepted: state.Accepted, cpu: map[string]time.Duration{}}
	s.addCPU(&c, partSimulator, s.simulator, false)
	s.addCPU(&c, partWorker, s.worker, false)
	s.addCPU(&c, partPostgres, s.servers.postgres, true)
	if err := s.countRedis(ctx, &c); err != nil {
		return counters{}, err
	}
	if c.statements, err = s.countStatements(ctx); err != nil {
		return counters{}, err
	}
	if s.metrics != "" {
		c.mallocs, err = scrape(ctx, s.metrics, "go_memstats_mallocs_total")
	}
	return c, err
}

func (s *scene) addCPU(c *counters, part string, p *process, children bool) {
	if p == nil {
		return
	}
	if used, err := cpuTime(p.pid(), children); err == nil {
		c.cpu[part] = used
	}
}

// countRedis reads Redis's own figures, which know of everything it did.
func (s *scene) countRedis(ctx context.Context, c *counters) error {
	text, err := s.servers.rdb.Info(ctx, "cpu", "commandstats").Result()
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	c.redis = map[string]int64{}
	var cpu float64
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch command, ok := strings.CutPrefix(name, "cmdstat_"); {
		case ok:
			calls, _, _ := strings.Cut(strings.TrimPrefix(rest, "calls="), ",")
			if c.redis[command], err = strconv.ParseInt(calls, 10, 64); err != nil {
				return fmt.Errorf("redis: commandstats: %w", err)
			}
		case strings.HasPrefix(name, "used_cpu_") && !strings.HasSuffix(name, "_main_thread"):
			used, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				return fmt.Errorf("redis: %s: %w", name, err)
			}
			cpu += used
		}
	}
	c.cpu[partRedis] = time.Duration(cpu * float64(time.Second))
	return nil
}

// countStatements is how many statements the database was asked so far, -1 where
// it does not count them.
func (s *scene) countStatements(ctx context.Context) (n int64, err error) {
	if !s.statements {
		return -1, nil
	}
	err = s.conn.QueryRow(ctx, `
		SELECT coalesce(sum(calls), 0)::bigint
		FROM public.pg_stat_statements
		WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count statements: %w", err)
	}
	return n, nil
}

// durable is what PostgreSQL counts late: a connection tells of its work once a
// second, and at its end.
type durable struct {
	transactions, fsyncs, walBytes int64
}

func countDurable(ctx context.Context, conn *pgx.Conn) (d durable, err error) {
	// From version 18 on pg_stat_io counts the flushes of the log.
	fsyncs := `(SELECT wal_sync FROM pg_stat_wal)`
	if version, err := strconv.Atoi(conn.PgConn().ParameterStatus("server_version_num")); err == nil && version >= 180000 {
		fsyncs = `(SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal')`
	}
	err = conn.QueryRow(ctx, `
		SELECT xact_commit + xact_rollback, `+fsyncs+`, (SELECT wal_bytes::bigint FROM pg_stat_wal)
		FROM pg_stat_database
		WHERE datname = current_database()`).Scan(&d.transactions, &d.fsyncs, &d.walBytes)
	if err != nil {
		return d, fmt.Errorf("read the database's counters: %w", err)
	}
	return d, nil
}

// state asks the simulator.
func (s *scene) state(ctx context.Context) (state simulator.State, err error) {
	resp, err := get(ctx, s.base+"/_sim/state")
	if err != nil {
		return state, fmt.Errorf("simulator: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil {
		return state, fmt.Errorf("simulator: %w", err)
	}
	return state, nil
}

// httpClient is that of the bench itself.
var httpClient = &http.Client{Timeout: time.Minute}

func get(ctx context.Context, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	return httpClient.Do(req)
}

// scrape reads one series without labels.
func scrape(ctx context.Context, address, name string) (float64, error) {
	resp, err := get(ctx, address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(rest, 64)
		}
	}
	return 0, fmt.Errorf("%s: no series %s", address, name)
}
