package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

const (
	// minRedis is the version from which all commands in use exist.
	minRedisMajor, minRedisMinor = 6, 2
	// memoryWarn is the share of maxmemory from which to warn: with noeviction a
	// full Redis refuses every write.
	memoryWarn = 0.70
	// latencyPings is enough for a median that one slow answer does not move.
	latencyPings = 20
	// latencyWarn is the round trip from which one asynq server, which takes one
	// task a round trip, gets fewer than 500 a second.
	latencyWarn = 2 * time.Millisecond
)

// redisServer is what one server (of a cluster: one master) says of itself.
type redisServer struct {
	address string
	info    map[string]string
}

// redisFacts is what the first check learns and the others judge.
type redisFacts struct {
	servers []redisServer
	infoErr error
}

func redisChecks(c redis.UniversalClient, cfg *config.Config, logger *zap.Logger) group {
	f := new(redisFacts)
	_, cluster := c.(*redis.ClusterClient)
	return group{
		{"redis", func(ctx context.Context) Result { return f.reach(ctx, c, cfg.Redis.String()) }},
		{"redis mode", f.each(func(s redisServer) Result { return s.mode(cluster) })},
		{"redis version", f.each(redisServer.version)},
		{"redis eviction", f.each(redisServer.eviction)},
		{"redis persistence", f.each(redisServer.persistence)},
		{"redis memory", f.each(redisServer.memory)},
		{"redis clients", f.each(redisServer.clients)},
		{"redis role", f.each(redisServer.role)},
		{"redis sharing", func(ctx context.Context) Result { return redisSharing(ctx, c, cfg, logger) }},
		{"redis latency", func(ctx context.Context) Result { return redisLatency(ctx, c) }},
		{"redis clock", func(ctx context.Context) Result { return redisClock(ctx, c) }},
	}
}

// reach asks every server for a sign of life and for INFO.
func (f *redisFacts) reach(ctx context.Context, c redis.UniversalClient, address string) Result {
	if err := c.Ping(ctx).Err(); err != nil {
		return fail(address+": "+shortErr(err), redisAdvice(err))
	}
	var mu sync.Mutex
	f.infoErr = eachMaster(ctx, c, func(ctx context.Context, one *redis.Client) error {
		text, err := one.Info(ctx).Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		f.servers = append(f.servers, redisServer{one.Options().Addr, parseInfo(text)})
		return nil
	})
	slices.SortFunc(f.servers, func(a, b redisServer) int { return cmp.Compare(a.address, b.address) })
	return okay("%s answers", address)
}

// eachMaster calls do for every server that takes writes, at once.
func eachMaster(ctx context.Context, c redis.UniversalClient, do func(context.Context, *redis.Client) error) error {
	switch c := c.(type) {
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, do)
	case *redis.Client:
		return do(ctx, c)
	}
	return errors.New("a kind of client that is not known here")
}

// parseInfo reads the lines of INFO.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// each judges every server and tells the worst.
func (f *redisFacts) each(judge func(redisServer) Result) func(context.Context) Result {
	return func(context.Context) Result {
		if f.infoErr != nil {
			return warn("INFO: "+shortErr(f.infoErr), "let the user of REDIS_URL run INFO, or look it up yourself")
		}
		var worst Result
		for i, s := range f.servers {
			r := judge(s)
			if len(f.servers) > 1 {
				r.Found = s.address + ": " + r.Found
			}
			if i == 0 || severity(r.Status) > severity(worst.Status) {
				worst = r
			}
		}
		return worst
	}
}

func severity(s Status) int {
	return slices.Index([]Status{StatusOK, StatusSkipped, StatusWarn, StatusFail}, s)
}

func (s redisServer) version() Result {
	text := s.info["redis_version"]
	var major, minor int
	if n, err := fmt.Sscanf(text, "%d.%d", &major, &minor); n != 2 || err != nil {
		return warn(fmt.Sprintf("version %q cannot be read", text), "make sure that it has the commands of Redis 6.2")
	}
	if major < minRedisMajor || major == minRedisMajor && minor < minRedisMinor {
		return fail("version "+text, "Redis 6.2 or later is needed")
	}
	return okay("%s", text)
}

func (s redisServer) eviction() Result {
	policy := s.info["maxmemory_policy"]
	if evicted := s.info["evicted_keys"]; policy == "noeviction" && evicted != "" && evicted != "0" {
		return warn("noeviction now, but "+evicted+" keys were dropped since it started",
			"nothing, if that was before the policy was set: Relay finds the tasks that are gone within 10 minutes; else see who sets another policy")
	}
	if policy == "noeviction" {
		return okay("noeviction")
	}
	return fail("maxmemory-policy is "+policy,
		"set maxmemory-policy noeviction: otherwise a full Redis drops tasks without a word")
}

func (s redisServer) persistence() Result {
	const lost = "what is lost is rebuilt from the database, but later, and pauses and the shared token are forgotten"
	switch {
	case s.info["aof_enabled"] != "1":
		return warn("appendonly no", "set appendonly yes: with a restart "+lost)
	case s.info["aof_last_write_status"] != "ok":
		return warn("appendonly yes, but the last write failed", "see Redis's log, the disk may be full: with a restart "+lost)
	case s.info["rdb_last_bgsave_status"] == "err":
		return warn("appendonly yes, but the last snapshot failed",
			"see Redis's log, the disk or the memory may be full: with stop-writes-on-bgsave-error, the default, Redis refuses writes")
	}
	return okay("appendonly yes")
}

func (s redisServer) memory() Result {
	used, _ := strconv.ParseInt(s.info["used_memory"], 10, 64)
	limit, _ := strconv.ParseInt(s.info["maxmemory"], 10, 64)
	if limit <= 0 {
		return okay("%s used, no maxmemory", megabytes(used))
	}
	found := fmt.Sprintf("%s of %s used (%d%%)", megabytes(used), megabytes(limit), 100*used/limit)
	if float64(used) >= memoryWarn*float64(limit) {
		return warn(found, "raise maxmemory or see what fills it (wxnotify uses about 1 KB a queued task): a full Redis refuses writes")
	}
	return okay("%s", found)
}

// mode finds an address of another kind than the server is.
func (s redisServer) mode(cluster bool) Result {
	mode := s.info["redis_mode"]
	switch {
	case mode == "sentinel":
		return fail("this is a sentinel, which keeps no tasks", "let REDIS_URL be redis-sentinel://HOST:PORT,…/MASTER")
	case mode == "cluster" && !cluster:
		return fail("this is a node of a cluster, which has only some of the keys", "let REDIS_URL be redis-cluster://HOST:PORT,…")
	case mode == "standalone" && cluster:
		return fail("this is no cluster", "let REDIS_URL be redis://HOST:PORT/DB")
	case mode == "":
		return okay("not said")
	}
	return okay("%s", mode)
}

// clientsWarn is the share of maxclients from which to warn.
const clientsWarn = 0.8

// clients finds a server that is about to refuse connections.
func (s redisServer) clients() Result {
	used, _ := strconv.ParseInt(s.info["connected_clients"], 10, 64)
	limit, _ := strconv.ParseInt(s.info["maxclients"], 10, 64)
	if limit <= 0 {
		return okay("%d connected", used)
	}
	found := fmt.Sprintf("%d of %d connected", used, limit)
	if float64(used) >= clientsWarn*float64(limit) {
		return warn(found, "raise maxclients or see who connects: beyond it connections are refused")
	}
	return okay("%s", found)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }

func (s redisServer) role() Result {
	if role := s.info["role"]; role != "master" {
		return fail("role is "+role, "let REDIS_URL name the master, or use redis-sentinel://")
	}
	if n := s.info["connected_slaves"]; n != "" && n != "0" {
		return okay("master of %s replicas, which a failover may find a moment behind: Relay rebuilds what is missing then", n)
	}
	return okay("master")
}

func redisLatency(ctx context.Context, c redis.UniversalClient) Result {
	var (
		mu    sync.Mutex
		worst time.Duration
	)
	err := eachMaster(ctx, c, func(ctx context.Context, one *redis.Client) error {
		took := make([]time.Duration, latencyPings)
		for i := range took {
			start := time.Now()
			if err := one.Ping(ctx).Err(); err != nil {
				return err
			}
			took[i] = time.Since(start)
		}
		slices.Sort(took)
		mu.Lock()
		defer mu.Unlock()
		worst = max(worst, took[latencyPings/2])
		return nil
	})
	if err != nil {
		return fail(shortErr(err), redisAdvice(err))
	}
	return latencyResult(worst)
}

func latencyResult(median time.Duration) Result {
	found := fmt.Sprintf("%.2f ms, median of %d pings", float64(median)/float64(time.Millisecond), latencyPings)
	if median > latencyWarn {
		return warn(found, fmt.Sprintf("bring Redis nearer: a worker takes one task a round trip from each queue, here at most %d a second",
			int(time.Second/median)))
	}
	return okay("%s", found)
}

func redisClock(ctx context.Context, c redis.UniversalClient) Result {
	from := time.Now()
	there, err := c.Time(ctx).Result()
	if err != nil {
		return warn("TIME: "+shortErr(err), "let the user of REDIS_URL run TIME")
	}
	return clockResult(there, from, time.Now())
}

// redisAdvice says what to do about an error of Redis or of the way to it.
func redisAdvice(err error) string {
	text := err.Error()
	for _, a := range []struct{ part, do string }{
		{"NOAUTH", "give REDIS_URL a password"},
		{"WRONGPASS", "correct user and password in REDIS_URL"},
		{"NOPERM", "give the user of REDIS_URL the right to run it"},
		{"invalid DB index", "correct the database number in REDIS_URL"},
		{"LOADING", "wait: Redis is loading its data"},
		{"certificate", "see the certificate of Redis and SSL_CERT_FILE here"},
	} {
		if strings.Contains(text, a.part) {
			return a.do
		}
	}
	return "start Redis, or correct REDIS_URL; see also firewalls and TLS (rediss://)"
}

// shortErr is the text of an error on one line. Errors of drivers name hosts
// and users, which the person who reads them has set, and no passwords.
func shortErr(err error) string {
	if e, ok := errors.AsType[net.Error](err); errors.Is(err, context.DeadlineExceeded) || ok && e.Timeout() {
		return "no answer within " + checkTimeout.String()
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
