package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// scenario is one way in which a deployment is broken under load.
type scenario struct {
	name         string
	short, smoke bool          // is part of these runs too
	slow         bool          // an outage that is not part of a quick run
	latency      time.Duration // of WeChat, instead of the run's
	env          map[string]string
	clocks       [2]time.Duration
	// fault, if any, is what WeChat does once to some notifications, the i-th
	// among them.
	fault func(i int) simulator.Fault
	// act breaks things while the load lasts, leaves them whole and returns how
	// often it did.
	act func(*chaos) int
	// within is how long after the load everything must be final; zero is the
	// run's deadline.
	within time.Duration
	// shown tells what is missing for the scenario to have shown anything.
	shown func(outcome) error
}

// rebuildLimit is less than store.HandoverGrace and the interval of Relay's
// check, by which lost tasks are found even if nobody notices the wipe.
const rebuildLimit = 25 * time.Second

var scenarios = []scenario{
	{name: "workers killed", short: true, latency: 200 * time.Millisecond, act: killWorkers, shown: leavesDoubts},
	{name: "Redis wiped", short: true, smoke: true, within: rebuildLimit, act: wipeRedis, shown: leavesNothing},
	{name: "Redis restarted empty", within: rebuildLimit, act: restartRedis, shown: leavesNothing},
	{name: "Redis on an older copy", within: rebuildLimit, act: setRedisBack, shown: leavesNothing},
	{name: "Redis frozen past the lease", latency: 300 * time.Millisecond, act: freezeRedisForLong, shown: leavesNothing},
	{name: "Redis evicts tasks", within: evictionLimit, act: evictRedis, shown: leavesNothing},
	{name: "PostgreSQL restarted", short: true, act: restartPostgres, shown: leavesNothing},
	{name: "connections cut", act: breakLinks, shown: leavesDoubts},
	{name: "WeChat hangs", act: nothingElse, shown: oneDoubtEach, fault: func(i int) simulator.Fault {
		return simulator.Fault{Action: simulator.ActHang, After: i%4 < 2}
	}},
	{name: "WeChat drops", short: true, smoke: true, act: nothingElse, shown: oneSecondEach, fault: func(int) simulator.Fault {
		return simulator.Fault{Action: simulator.ActDrop, After: true}
	}},
	{name: "WeChat answers 502", act: nothingElse, shown: oneUnsureEach, fault: func(int) simulator.Fault {
		return simulator.Fault{Action: simulator.ActStatus, Status: http.StatusBadGateway, After: true}
	}},
	{name: "tokens rotated", act: rotateTokens, shown: leavesNothing},
	{name: "rate limited", act: limitRate, shown: leavesNothing},
	{
		name: "clocks off by minutes", clocks: [2]time.Duration{7 * time.Minute, -7 * time.Minute},
		latency: 300 * time.Millisecond, act: killWorkers, shown: leavesDoubts,
	},
	{
		name: "everything at once", latency: 200 * time.Millisecond, act: breakEverything, shown: leavesDoubts,
		fault: func(i int) simulator.Fault {
			if i%4 < 2 {
				return simulator.Fault{Action: simulator.ActDrop, After: true}
			}
			return simulator.Fault{Action: simulator.ActStatus, Status: http.StatusBadGateway, After: true}
		},
	},
}

// build makes the programs that the scenario needs, which takes minutes the
// first time the standard library has another clock.
func (s scenario) build(t *testing.T) {
	t.Helper()
	binary(t)
	if s.clocks != [2]time.Duration{} {
		shiftedBinary(t)
	}
}

// nothingElse is for scenarios in which WeChat alone misbehaves.
func nothingElse(c *chaos) int {
	<-c.fed
	return len(c.hits)
}

// killWorkers ends one worker after the other with kill -9 in the middle of its
// calls, and starts it again.
func killWorkers(c *chaos) (kills int) {
	for c.more(max(c.share(0.07), time.Second), kills) {
		i := kills % len(c.workers)
		c.workers[i].kill()
		c.spawnWorker(i)
		kills++
	}
	if !c.size.patient {
		c.hurry()
	}
	return kills
}

func wipeRedis(c *chaos) (wiped int) {
	for c.more(c.share(0.2), wiped) {
		if err := c.rdb.FlushAll(c.t.Context()).Err(); err != nil {
			c.t.Fatal(err)
		}
		wiped++
	}
	return wiped
}

// restartRedis takes Redis away for a tenth of the time, and brings it back
// with nothing in it.
func restartRedis(c *chaos) (restarts int) {
	for c.more(c.share(0.2), restarts) {
		c.redis.stop()
		c.pause(c.share(0.1))
		_ = os.Remove(c.redis.dump()) // there is none
		c.redis.start(c.t)
		restarts++
	}
	return restarts
}

// setRedisBack restarts Redis on what it held a while ago, as a failover to a
// replica does that had fallen behind.
func setRedisBack(c *chaos) (times int) {
	for c.more(c.share(0.1), times) {
		older := c.redis.snapshot(c.t)
		c.pause(c.share(0.15))
		c.redis.restore(c.t, older)
		times++
	}
	return times
}

// asynqLease is how long asynq leases a task, which cannot be changed, with what
// it lets clocks differ by.
const asynqLease = 60 * time.Second

// freezeRedisForLong stops Redis until every lease of asynq is over, while calls
// are in flight whose ends it should be told.
func freezeRedisForLong(c *chaos) int {
	c.pause(c.share(0.3))
	c.freezeRedis()
	wait(c.t.Context(), asynqLease)
	c.thawRedis()
	return 1
}

// evictionLimit is for tasks that are left without a place in any list: two
// passes find them, two minutes apart and in an order of their own, and Relay's
// check misses them after that.
const evictionLimit = 10 * time.Minute

// evictRedis gives Redis less memory than it uses, and the leave to throw
// anything away, while the workers stand still: tasks, lists and marks.
func evictRedis(c *chaos) (times int) {
	for i := range c.workers {
		c.terminate(i)
	}
	for c.more(c.share(0.2), times) {
		used := c.redisNumber("memory", "used_memory")
		evicted := c.redisNumber("stats", "evicted_keys")
		c.configRedis("maxmemory-policy", "allkeys-lru")
		c.configRedis("maxmemory", strconv.FormatInt(used*9/10, 10))
		eventually(c.t, "Redis evicts", func() error {
			if c.redisNumber("stats", "evicted_keys") == evicted {
				return errors.New("not yet")
			}
			return nil
		})
		c.configRedis("maxmemory", "0")
		c.configRedis("maxmemory-policy", "noeviction")
		times++
	}
	c.t.Logf("%d keys evicted", c.redisNumber("stats", "evicted_keys"))
	for i := range c.workers {
		c.spawnWorker(i)
	}
	return times
}

func (c *chaos) configRedis(name, value string) {
	c.t.Helper()
	if err := c.rdb.ConfigSet(c.t.Context(), name, value).Err(); err != nil {
		c.t.Fatal(err)
	}
}

// redisNumber is a number of Redis's INFO.
func (c *chaos) redisNumber(section, name string) int64 {
	c.t.Helper()
	for line := range strings.Lines(c.rdb.Info(c.t.Context(), section).Val()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			return n
		}
	}
	c.t.Fatalf("INFO %s has no %s", section, name)
	return 0
}

// restartPostgres stops the database in both ways.
func restartPostgres(c *chaos) (restarts int) {
	for c.more(c.share(0.15), restarts) {
		how := immediate
		if restarts%2 == 1 {
			how = fast
		}
		c.db.stop(how)
		c.pause(c.share(0.1))
		c.db.start(c.t)
		restarts++
	}
	return restarts
}

// breakLinks cuts, slows and mutes every connection there is, one pair of
// processes at a time.
func breakLinks(c *chaos) (broken int) {
	rounds := [...]linkMode{cut, slowed, mute}
	each := c.share(1) / time.Duration(len(rounds)*len(c.links)+1)
	for _, mode := range rounds {
		for _, k := range c.links {
			k.set(mode)
			more := c.pause(each)
			k.set(passing)
			if !more {
				return broken
			}
			broken++
		}
	}
	<-c.fed
	return broken
}

// rotateTokens does what a foreign service does that fetches tokens too: the
// one in use is dead at once.
func rotateTokens(c *chaos) (rotated int) {
	for c.more(c.share(0.05), rotated) {
		if err := c.sim.Rotate("", simulator.APIStableToken, true); err != nil {
			c.t.Fatal(err)
		}
		rotated++
	}
	return rotated
}

// limitRate lets two thirds of the load through each minute.
func limitRate(c *chaos) int {
	if err := c.sim.SetQuotas("", c.size.rows*2/3, 0); err != nil {
		c.t.Fatal(err)
	}
	<-c.fed
	return 1
}

// breakEverything breaks one part while the last one has not recovered yet.
func breakEverything(c *chaos) (broken int) {
	ways := [...]func(){
		func() { c.workers[0].kill() },
		func() { c.rdb.FlushAll(c.t.Context()) },
		func() { c.db.stop(immediate) },
		func() { c.workers[1].kill() },
		func() { c.db.start(c.t) },
		func() { c.spawnWorker(0) },
		func() { c.redis.stop() },
		func() { c.links[broken%len(c.links)].set(cut) },
		func() { c.spawnWorker(1) },
		func() { c.redis.start(c.t) },
		func() { _ = c.sim.Rotate("", simulator.APIStableToken, true) }, // the app is there
		func() { c.links[(broken-4)%len(c.links)].set(passing) },
	}
	for c.more(c.share(0.03), broken) || broken%len(ways) != 0 {
		ways[broken%len(ways)]()
		broken++
	}
	return broken
}

// leavesNothing is for what everything can wait for: nothing is in doubt, and
// each is sent once.
func leavesNothing(o outcome) error {
	if o.acted == 0 || o.doubts+o.unsure+o.dead+o.second > 0 {
		return fmt.Errorf("broken %d times, %d doubts, %d dead, %d second sends; want some times and none of these", o.acted, o.doubts, o.dead, o.second)
	}
	return nil
}

func leavesDoubts(o outcome) error {
	if o.acted == 0 || o.doubts == 0 || o.dead == 0 {
		return fmt.Errorf("broken %d times, %d doubts, %d dead; want some of each", o.acted, o.doubts, o.dead)
	}
	return nil
}

// oneDoubtEach wants a doubt for every hang, and no other.
func oneDoubtEach(o outcome) error {
	if hits := o.hitAllow + o.hitAvoid; hits == 0 || o.doubts != hits || o.dead != o.hitAvoid {
		return fmt.Errorf("%d doubts and %d dead of %d calls that hang, %d of which may not be repeated", o.doubts, o.dead, hits, o.hitAvoid)
	}
	return nil
}

// oneSecondEach wants a second send wherever the policy allows it after WeChat
// took a message and did not say so, and nowhere else.
func oneSecondEach(o outcome) error {
	if o.second != o.hitAllow {
		return fmt.Errorf("%d second sends, want %d", o.second, o.hitAllow)
	}
	return oneDoubtEach(o)
}

// oneUnsureEach wants the same of answers that prove nothing.
func oneUnsureEach(o outcome) error {
	switch {
	case o.hitAllow == 0 || o.hitAvoid == 0:
		return errors.New("no call was answered 502")
	case o.unsure+o.doubts != o.hitAllow+o.hitAvoid || o.second != o.hitAllow || o.dead != o.hitAvoid:
		return fmt.Errorf("%d unsure, %d doubts, %d second sends, %d dead; want %d and %d of each policy", o.unsure, o.doubts, o.second, o.dead, o.hitAllow, o.hitAvoid)
	}
	return nil
}
