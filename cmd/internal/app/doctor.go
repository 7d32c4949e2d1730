package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// Status says how a check ended.
type Status string

// The statuses. A warning is what a deployment can live with, if it knows.
const (
	StatusOK      Status = "ok"
	StatusWarn    Status = "warn"
	StatusFail    Status = "fail"
	StatusSkipped Status = "skipped" // what it stands on failed, or is not set
)

// Result is what a check found and, unless all is well, what to do about it.
type Result struct {
	Status Status `json:"status"`
	Found  string `json:"found"`
	Do     string `json:"do,omitempty"`
}

// Finding is the result of one check.
type Finding struct {
	Check string `json:"check"`
	Result
}

// checkTimeout bounds every check, whatever the other side does.
const checkTimeout = 5 * time.Second

// checkGrace is how much longer a check may take to say in its own words that
// the time was over.
const checkGrace = 250 * time.Millisecond

// check is one question. run must not change anything anywhere.
type check struct {
	name string
	run  func(context.Context) Result
}

// group is checks of one thing: the first tells whether the thing is there, and
// when it fails the others are skipped. Only the first writes what they share.
type group []check

// Doctor examines what a deployment stands on: settings, Redis, the database,
// WeChat and each app's token. It sends no message, writes nothing, and never
// fetches a token in a way that ends the one in use.
type Doctor struct {
	groups []group
	stops  stops
}

// NewDoctor makes the checks for cfg; nothing is asked yet.
func NewDoctor(cfg *config.Config, logger *zap.Logger) *Doctor {
	d := &Doctor{}
	d.groups = append(d.groups, group{{"settings", func(context.Context) Result { return CheckSettings(cfg, nil) }}}, zoneCheck())
	d.groups = append(d.groups, configChecks(cfg)...)
	var shared redis.UniversalClient
	if cfg.Redis.IsZero() {
		d.groups = append(d.groups, unset("redis", "REDIS_URL"))
	} else {
		shared = d.redis(cfg.Redis)
		d.groups = append(d.groups, redisChecks(shared, cfg, logger))
	}
	d.groups = append(d.groups, d.databaseChecks(cfg, logger))
	d.groups = append(d.groups, group{{"producers", func(context.Context) Result { return checkProducers(cfg) }}})
	d.groups = append(d.groups, wechatChecks(cfg.APIBaseURL))
	for _, a := range cfg.Apps {
		d.groups = append(d.groups, d.appChecks(cfg, a, shared, logger)...)
	}
	return d
}

// redis is a client that ends with the doctor. It does not retry: a Redis that
// answers only the second time is worth a finding.
func (d *Doctor) redis(u config.RedisURL) redis.UniversalClient {
	c := u.NewClient(config.RedisTuning{
		DialTimeout: checkTimeout, ReadTimeout: checkTimeout, MaxRetries: -1, ClientName: "wxnotify-doctor",
	})
	d.stops.add("Redis client", func(context.Context) error { return c.Close() })
	return c
}

// Examine runs all checks, those of different things at once. It returns within
// two timeouts of a check.
func (d *Doctor) Examine(ctx context.Context) []Finding {
	found := make([][]Finding, len(d.groups))
	var all sync.WaitGroup
	for i, g := range d.groups {
		all.Go(func() { found[i] = g.examine(ctx) })
	}
	all.Wait()
	var list []Finding
	for _, f := range found {
		list = append(list, f...)
	}
	return list
}

// Close ends the connections.
func (d *Doctor) Close() error { return d.stops.run(context.Background()) }

// examine runs the first check and, when it did not fail, the others at once.
func (g group) examine(ctx context.Context) []Finding {
	found := make([]Finding, len(g))
	first := g[0].examine(ctx)
	found[0] = Finding{g[0].name, first}
	var rest sync.WaitGroup
	for i, c := range g[1:] {
		if first.Status == StatusFail || first.Status == StatusSkipped {
			found[i+1] = Finding{c.name, Result{Status: StatusSkipped, Found: "needs " + g[0].name}}
			continue
		}
		rest.Go(func() { found[i+1] = Finding{c.name, c.examine(ctx)} })
	}
	rest.Wait()
	return found
}

// examine runs one check. One that does not end with its context is left
// behind: a library that ignores it must not hang the doctor.
func (c check) examine(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	done := make(chan Result, 1)
	go func() { done <- c.run(ctx) }()
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r
	case <-time.After(checkGrace):
		return fail("no answer within "+checkTimeout.String(), "see what holds it up: the other side, or the way to it")
	}
}

func okay(format string, args ...any) Result {
	return Result{Status: StatusOK, Found: fmt.Sprintf(format, args...)}
}

func warn(found, do string) Result { return Result{Status: StatusWarn, Found: found, Do: do} }

func fail(found, do string) Result { return Result{Status: StatusFail, Found: found, Do: do} }

// unset is the group of a thing whose setting is missing, which the check of
// the settings has told already.
func unset(name, setting string) group {
	return group{{name, func(context.Context) Result {
		return Result{Status: StatusSkipped, Found: setting + " is not set"}
	}}}
}

// CheckSettings judges the settings: what loading them said, and whether
// anything is missing that a worker needs. cfg is not used when loadErr is not
// nil.
func CheckSettings(cfg *config.Config, loadErr error) Result {
	err := loadErr
	if err == nil {
		err = cfg.Needs(config.RoleWorker)
	}
	if err == nil {
		return okay("nothing is missing; apps: %d, CONCURRENCY: %d", len(cfg.Apps), cfg.Concurrency)
	}
	text := err.Error()
	if bad, ok := errors.AsType[*config.Error](err); ok {
		faults := make([]string, len(bad.Faults))
		for i, f := range bad.Faults {
			faults[i] = f.String()
		}
		text = strings.Join(faults, "; ")
	}
	return fail(text, "correct it; wxnotify config shows what is in force and where it came from")
}

// clockLimit is how far two clocks may be apart without a word.
const clockLimit = 5 * time.Second

// clockResult judges a clock that said there when this machine's said from to
// until, before and after asking.
func clockResult(there, from, until time.Time) Result {
	ahead := there.Sub(from.Add(until.Sub(from) / 2)).Round(time.Millisecond)
	found := fmt.Sprintf("%+.3f s against this machine", ahead.Seconds())
	if ahead.Abs() <= clockLimit {
		return okay("%s", found)
	}
	if looksLikeZone(ahead) {
		return warn(found+", which is what a wrong time zone makes",
			"set the clock of one of the two to UTC by NTP and its zone to where it is: it shows local time as if it were UTC. "+
				"send_at and expires_at, and the times that are shown, are off by as much")
	}
	return warn(found, "set the clocks by NTP. No lease, retry or token depends on them (those go by the database's clock "+
		"alone and by TTLs); send_at and expires_at that producers compute, and the times that are shown, are off by as much")
}
