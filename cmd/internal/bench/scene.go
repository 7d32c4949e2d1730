package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// pipeline is one of those that are measured beside each other.
type pipeline struct {
	// Name is what the report calls it.
	Name string
	kind string // ours, Bare or Naive
	// queueServers is how many asynq servers a Peer has.
	queueServers int
	// concurrency is how many calls are in flight; 0 is that of the run.
	concurrency int
}

// ours is the kind of the program's own pipeline.
const ours = "ours"

// scene is what one run needs, made for it alone.
type scene struct {
	*env
	pipeline
	latency   time.Duration // of the simulated API
	app       simulator.App
	base      string // of the simulated WeChat
	simulator *process
	worker    *process
	metrics   string // address of the worker's metrics, "" before its start

	databaseURL string
	conn        *pgx.Conn
	statements  bool // they are counted
	store       *postgres.Store
	client      *producer.Client // of ours
	queue       *asynq.Client    // of the others
	redisURL    string           // as the worker sees it

	stops []func()
}

// newScene starts a simulator and gives the pipeline a schema and an empty
// queue.
func (e *env) newScene(ctx context.Context, p pipeline, latency time.Duration) (_ *scene, err error) {
	app := simulator.SeedApp()
	app.Secret = strings.ToLower(rand.Text())
	s := &scene{env: e, pipeline: p, latency: latency, app: app, redisURL: e.servers.redisURL}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.startSimulator(ctx, latency); err != nil {
		return nil, err
	}
	var drop func()
	if s.databaseURL, drop, err = e.servers.schema(ctx); err != nil {
		return nil, err
	}
	s.stops = append(s.stops, drop)
	if s.conn, err = pgx.Connect(ctx, s.databaseURL); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	s.stops = append(s.stops, func() { _ = s.conn.Close(context.WithoutCancel(ctx)) })
	s.statements = s.countsStatements(ctx)
	if err := e.servers.clearRedis(ctx); err != nil {
		return nil, err
	}
	s.stops = append(s.stops, func() { _ = e.servers.clearRedis(context.WithoutCancel(ctx)) })
	if p.kind == ours {
		err = s.openOurs(ctx)
	} else {
		s.queue = asynq.NewClientFromRedisClient(e.servers.rdb)
		if p.kind == Naive {
			err = introduceNaive(ctx, s.conn)
		}
	}
	if err != nil {
		return nil, err
	}
	// What the last run left to be written does not count for this one.
	return s, s.checkpoint(ctx)
}

// checkpoint lets a PostgreSQL that was started for the run write what it holds.
// Somebody's own may not let us, and has its own pace.
func (s *scene) checkpoint(ctx context.Context) error {
	if s.servers.postgres == nil {
		return nil
	}
	if _, err := s.conn.Exec(ctx, `CHECKPOINT`); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// countsStatements reports whether the database counts statements. The view may
// be there without the library that fills it.
func (s *scene) countsStatements(ctx context.Context) bool {
	var n int
	return s.conn.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM public.pg_stat_statements LIMIT 1) AS s`).Scan(&n) == nil
}

// close ends what the run needed, the last first.
func (s *scene) close() {
	for _, stop := range slices.Backward(s.stops) {
		stop()
	}
	s.stops = nil
}

func (s *scene) openOurs(ctx context.Context) (err error) {
	if s.store, err = postgres.Open(ctx, postgres.Config{URL: s.databaseURL}); err != nil {
		return err
	}
	s.stops = append(s.stops, s.store.Close)
	if err := s.store.Migrate(ctx, nil); err != nil {
		return err
	}
	if err := introduce(ctx, s.conn, s.app.AppID); err != nil {
		return err
	}
	opts, err := redis.ParseURL(s.redisURL)
	if err != nil {
		return errors.New("REDIS_URL cannot be parsed")
	}
	opts.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opts)
	s.stops = append(s.stops, func() { _ = rdb.Close() })
	s.client, err = producer.New(producer.Config{Redis: rdb, Store: s.store, DefaultApp: s.app.AppID})
	if err != nil {
		return err
	}
	s.stops = append(s.stops, func() { _ = s.client.Close() })
	return s.letRelayBegin(ctx, rdb)
}

// letRelayBegin lets a relay take note of the queue while it is empty. The first
// one that ever looks would find a backlog without its mark in Redis and build
// the whole queue anew, which nobody wants to measure.
func (s *scene) letRelayBegin(ctx context.Context, rdb *redis.Client) error {
	r, err := producer.NewRelay(producer.RelayConfig{Store: s.store, Redis: rdb, DefaultApp: s.app.AppID})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		_, err := s.store.Mark(ctx)
		switch {
		case err == nil:
			return r.Stop(ctx)
		case !errors.Is(err, store.ErrNotFound):
			return errors.Join(err, r.Stop(ctx))
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the relay does not begin: %w", ctx.Err()), r.Stop(context.WithoutCancel(ctx)))
		case <-tick.C:
		}
	}
}

// load puts a backlog of n messages before the pipeline.
func (s *scene) load(ctx context.Context, n int) error {
	err := errors.New("nothing to load with")
	if s.client != nil {
		err = s.acceptBacklog(ctx, n)
	} else if s.queue != nil {
		err = enqueueAll(ctx, s.queue, n)
	}
	if err != nil {
		return fmt.Errorf("load the backlog: %w", err)
	}
	if s.kind == ours {
		// Both would come by themselves while the backlog grew over hours, and would
		// come into the run when it grew in a minute.
		if _, err := s.conn.Exec(ctx, `VACUUM ANALYZE notifications`); err != nil {
			return fmt.Errorf("load the backlog: %w", err)
		}
	}
	return s.awaitRewrite(ctx)
}

// acceptBacklog accepts a backlog. A large one is so much to write that PostgreSQL
// begins checkpoints by itself, and after each logs every page whole that is
// touched for the first time. So one is made before the last round of the users:
// their pages have been touched since, before a large backlog as before a small
// one, and none begins by itself in the run.
func (s *scene) acceptBacklog(ctx context.Context, n int) error {
	last := max(0, n-users)
	if err := acceptAll(ctx, s.client, 0, last); err != nil {
		return err
	}
	if err := s.checkpoint(ctx); err != nil {
		return err
	}
	return acceptAll(ctx, s.client, last, n)
}

// awaitRewrite waits until Redis has written its append-only file anew, which a
// large backlog makes it do.
func (s *scene) awaitRewrite(ctx context.Context) error {
	for {
		info, err := s.servers.rdb.InfoMap(ctx, "persistence").Result()
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		p := info["Persistence"]
		if p["aof_rewrite_in_progress"] != "1" && p["aof_rewrite_scheduled"] != "1" && p["rdb_bgsave_in_progress"] != "1" {
			return nil
		}
		if err := pause(ctx, 10*pollEvery); err != nil {
			return err
		}
	}
}

var (
	originLine  = regexp.MustCompile(`WECHAT_API_BASE_URL=(\S+)`)
	workerLine  = regexp.MustCompile(`"admin_addr":"([^"]+)"`)
	metricsLine = regexp.MustCompile(`metrics at (\S+)`)
)

func (s *scene) startSimulator(ctx context.Context, latency time.Duration) (err error) {
	cmd := s.program(ctx, nil, "simulator", "--listen", "127.0.0.1:0", "--auto-consent", "--keep", strconv.Itoa(keptCalls),
		"--latency", latency.String(), "--appid", s.app.AppID, "--secret", s.app.Secret)
	if s.simulator, err = s.start(partSimulator, cmd); err != nil {
		return err
	}
	found, err := s.simulator.await(ctx, originLine)
	if err != nil {
		return err
	}
	s.base = found[1]
	return nil
}

// startWorker starts the process under measure with so many calls in flight.
func (s *scene) startWorker(ctx context.Context, concurrency int) (err error) {
	if s.concurrency != 0 {
		concurrency = s.concurrency
	}
	slots := strconv.Itoa(concurrency)
	env := []string{"REDIS_URL=" + s.redisURL, "DATABASE_URL=" + s.databaseURL}
	line := metricsLine
	var cmd *exec.Cmd
	if s.kind == ours {
		line = workerLine
		cmd = s.ourProgram(ctx, append(env,
			"WECHAT_API_BASE_URL="+s.base, "WECHAT_APPID="+s.app.AppID, "WECHAT_SECRET="+s.app.Secret,
			"ADMIN_ADDR=127.0.0.1:0", "CONCURRENCY="+slots), "worker")
	} else {
		cmd = s.program(ctx, append(env, "WECHAT_SECRET="+s.app.Secret), "bench", "peer", s.kind,
			"--wechat", s.base, "--appid", s.app.AppID, "--servers", strconv.Itoa(s.queueServers), "--slots", slots)
	}
	if s.worker, err = s.start(partWorker, cmd); err != nil {
		return err
	}
	found, err := s.worker.await(ctx, line)
	if err != nil {
		return err
	}
	s.metrics = "http://" + found[1] + "/metrics"
	return nil
}

// stopWorker ends the process under measure in order.
func (s *scene) stopWorker() {
	s.worker.stop()
	s.worker, s.metrics = nil, ""
}

func (s *scene) start(name string, cmd *exec.Cmd) (*process, error) {
	p, err := startProcess(name, s.dir, cmd)
	if err == nil {
		s.stops = append(s.stops, p.stop)
	}
	return p, err
}

// keptCalls is how many calls the simulator remembers, for the runs that look
// at single ones.
const keptCalls = 1000

const (
	// pollEvery is how often progress is looked at: often beside the seconds of a
	// run, rarely beside its messages.
	pollEvery = 20 * time.Millisecond
	// stallPatience is how long a pipeline may do nothing while there is work.
	stallPatience = time.Minute
)

// awaitCalls waits until the simulator has answered n sends and returns the
// counters of that moment.
func (s *scene) awaitCalls(ctx context.Context, n int64) (counters, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last int64
	moved := time.Now()
	for {
		state, err := s.state(ctx)
		switch {
		case err != nil:
			return counters{}, err
		case state.Sends >= n:
			return s.count(ctx)
		case state.Sends > last:
			last, moved = state.Sends, time.Now()
		case time.Since(moved) > stallPatience:
			return counters{}, fmt.Errorf("%s stands still at %d of %d messages: %s", s.Name, last, n, s.worker.tail())
		}
		select {
		case <-ctx.Done():
			return counters{}, ctx.Err()
		case <-s.worker.done:
			return counters{}, fmt.Errorf("%s ended at %d of %d messages: %s", s.Name, last, n, s.worker.tail())
		case <-tick.C:
		}
	}
}

// awaitEmpty waits until nothing is pending or active on the queues.
func (s *scene) awaitEmpty(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	end := time.Now().Add(stallPatience)
	for {
		left, err := s.onQueue(ctx)
		if err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s leaves %d tasks on the queue: %s", s.Name, left, s.worker.tail())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// onQueue is how many tasks are pending or active.
func (s *scene) onQueue(ctx context.Context) (int64, error) {
	base := "asynq:{" + task.Queue(s.app.AppID, s.app.AppID, "") + "}:"
	pipe := s.servers.rdb.Pipeline()
	pending, active := pipe.LLen(ctx, base+"pending"), pipe.LLen(ctx, base+"active")
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("redis: %w", err)
	}
	return pending.Val() + active.Val(), nil
}
