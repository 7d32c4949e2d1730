package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// outageVariable is how long TestOutage takes a server away, such as 5m. It is
// then run on a PostgreSQL of its own and prints figures; deploy/chaos.sh outage
// sets it. Without it the outage lasts until it has shown what it is for.
const outageVariable = "WXNOTIFY_OUTAGE"

// shortOutage is less than any lease lasts: what five minutes do to leases is
// then done by hand.
const shortOutage = 1500 * time.Millisecond

// outageRate is how many notifications are handed in per second.
const outageRate = 10

// Both servers go away under load, one at a time, in the two ways there are:
// nobody listens any more, and nobody answers any more. With Redis away every
// notification is accepted and waits; with PostgreSQL away the answers that
// WeChat gave are held. Afterwards everything goes out, once each, with no doubt
// and no attempt of its budget spent.
func TestOutage(t *testing.T) {
	d, long := shortOutage, false
	if text := os.Getenv(outageVariable); text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil || d < shortOutage {
			t.Fatalf("%s is %q; want a duration of at least %v", outageVariable, text, shortOutage)
		}
		long = true
	} else {
		t.Parallel()
	}
	// A third more than the outage, so that the load goes on before and after.
	span := d*4/3 + 2*time.Second
	size := chaosSize{
		rows: int(outageRate * span.Seconds()), page: 1, span: span,
		latency: 30 * time.Millisecond, deadline: patience + d, patient: long,
	}
	for _, s := range []scenario{
		{name: "Redis stopped", act: away(d, withoutRedis, (*chaos).stopRedis, (*chaos).startRedisAgain)},
		{name: "Redis frozen", slow: true, act: away(d, withoutRedis, (*chaos).freezeRedis, (*chaos).thawRedis)},
		{name: "PostgreSQL stopped", act: away(d, withoutPostgres, (*chaos).stopPostgres, (*chaos).startPostgresAgain)},
		{name: "PostgreSQL silent", slow: true, act: away(d, withoutPostgres, (*chaos).silencePostgres, (*chaos).rejoinPostgres)},
	} {
		s.env = map[string]string{"SEND_TIMEOUT": outageSendTimeout.String()}
		s.shown = onceEach
		if s.slow && !long {
			continue
		}
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			var db *ownPostgres
			if long {
				db = startPostgres(t)
				t.Setenv("TEST_DATABASE_URL", db.url())
			} else {
				t.Parallel()
			}
			s.build(t)
			o := &outcome{scenario: s.name}
			start := time.Now()
			runScenario(t, size, db, s, o)
			o.failed, o.took = t.Failed(), time.Since(start)
			t.Logf("\n%s", tabulate([]outcome{*o}))
		})
	}
}

// outageSendTimeout is longer than a slow machine needs to take a server away
// between a call and its answer, and much shorter than five minutes.
const outageSendTimeout = 20 * time.Second

// onceEach wants an outage to cost nothing but time.
func onceEach(o outcome) error {
	if o.sends != o.accepted || o.spent != 0 {
		return fmt.Errorf("%d calls for %d notifications, %d attempts of the budget spent; want a call each and none", o.sends, o.accepted, o.spent)
	}
	return leavesNothing(o)
}

// outageKind is what is different between the two servers while they are away.
type outageKind struct {
	part  string
	ready int // the status of /readyz
	// degraded is the part that /readyz names.
	degraded string
	holds    int // answers that every worker has in hand
	accepts  bool
	store    bool // look at the links to the store, else at those to Redis
}

var (
	withoutRedis    = outageKind{part: "Redis", ready: http.StatusOK, degraded: "redis", accepts: true}
	withoutPostgres = outageKind{part: "PostgreSQL", ready: http.StatusServiceUnavailable, degraded: "store", holds: chaosConcurrency, store: true}
)

// away takes a server away for d, looks at what the program does meanwhile and
// brings it back.
func away(d time.Duration, kind outageKind, take, bring func(*chaos)) func(*chaos) int {
	return func(c *chaos) int {
		for i := range c.workers {
			c.workers[i].field("worker runs", "concurrency")
		}
		c.awaitSim("the load is on", func(s simulator.State) bool { return s.Accepted >= outageRate/2 })
		before := c.measure()
		if kind.holds > 0 {
			c.fillHands(kind.holds)
		}
		took := time.Now()
		take(c)
		if kind.holds > 0 {
			c.sim.ClearFaults()
			c.sim.Release()
			c.awaitSim("WeChat has answered", func(s simulator.State) bool { return s.InFlight == 0 })
		}
		c.awaitReady(kind.ready, kind.degraded)
		if kind.accepts {
			eventually(c.t, "notifications are accepted", func() error {
				if n := accepted(c.acceptances(took)); n < outageRate {
					return fmt.Errorf("%d so far", n)
				}
				return nil
			})
		}
		dialed, pieces := c.traffic(kind.store)
		asked := time.Now()
		wait(c.t.Context(), d-time.Since(took))
		c.awaitReady(kind.ready, kind.degraded)
		c.wantHealthy()
		seconds := time.Since(asked).Seconds()
		dialedAfter, piecesAfter := c.traffic(kind.store)
		during, list, length := c.measure(), c.acceptances(took), time.Since(took)
		if !c.size.patient {
			c.ageClaims(d)
		}
		bring(c)
		back := time.Now()
		c.awaitReady(http.StatusOK, "")
		waiting := c.sent()
		c.drained(waiting)
		c.t.Logf("%s is back: %d notifications were accepted by then, the last of them is final %v later", kind.part,
			len(waiting), time.Since(back).Round(10*time.Millisecond))
		c.t.Logf("%s away for %v: %d notifications accepted meanwhile, in calls of %s", kind.part,
			length.Round(time.Millisecond), accepted(list), latencies(list))
		c.t.Logf("both workers, a second: %.1f connections asked for and %.1f pieces moved to and from %s",
			float64(dialedAfter-dialed)/seconds, float64(piecesAfter-pieces)/seconds, kind.part)
		c.t.Logf("%s\n%s\n%s", before.show("before"), during.show("during"), during.since(before))
		c.wantBounded(list, during, before, float64(dialedAfter-dialed)/seconds)
		return 1
	}
}

func (c *chaos) stopRedis()       { c.redis.stop() }
func (c *chaos) startRedisAgain() { c.redis.start(c.t) }
func (c *chaos) freezeRedis()     { c.signalRedis(syscall.SIGSTOP) }
func (c *chaos) silencePostgres() { c.linkStore(silent) }
func (c *chaos) rejoinPostgres()  { c.linkStore(passing) }

// thawRedis lets Redis go on. What asynq's servers asked it meanwhile, and gave
// up, it does now: the tasks that it hands out to nobody come back a minute or
// two later, when their leases are over.
func (c *chaos) thawRedis() { c.signalRedis(syscall.SIGCONT) }

// stopPostgres stops the server when it is ours to stop, and otherwise refuses
// every connection to it.
func (c *chaos) stopPostgres() {
	if c.db != nil {
		c.db.stop(immediate)
		return
	}
	c.linkStore(cut)
}

func (c *chaos) startPostgresAgain() {
	if c.db != nil {
		c.db.start(c.t)
		return
	}
	c.linkStore(passing)
}

func (c *chaos) signalRedis(sig syscall.Signal) {
	if err := c.redis.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
}

// linkStore sets the mode of every link to PostgreSQL.
func (c *chaos) linkStore(m linkMode) {
	for _, k := range c.links {
		if strings.HasSuffix(k.name, "DATABASE_URL") {
			k.set(m)
		}
	}
}

// traffic adds up what went over the workers' links to one of the servers.
func (c *chaos) traffic(toStore bool) (dialed, pieces int) {
	server := "REDIS_URL"
	if toStore {
		server = "DATABASE_URL"
	}
	for _, k := range c.links {
		if strings.HasPrefix(k.name, "worker") && strings.HasSuffix(k.name, server) {
			d, p := k.traffic()
			dialed, pieces = dialed+d, pieces+p
		}
	}
	return dialed, pieces
}

// fillHands lets calls hang until every worker has as many as it may.
func (c *chaos) fillHands(each int) {
	c.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang})
	c.awaitSim("all hands are full", func(s simulator.State) bool { return s.Hanging == each*len(c.workers) })
}

// ageClaims does what an outage does that is longer than the leases of the
// claims that are held.
func (c *chaos) ageClaims(d time.Duration) {
	c.t.Helper()
	c.execute(`UPDATE notifications SET lease_until = now() - $1::bigint * interval '1 second' WHERE state = 'sending'`, int64((5*time.Minute - d).Seconds()))
}

// execute runs one statement past the store and past the links.
func (r *rig) execute(statement string, args ...any) {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.databaseURL)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close(r.t.Context())
	if _, err := conn.Exec(r.t.Context(), statement, args...); err != nil {
		r.t.Fatal(err)
	}
}

func (c *chaos) acceptances(since time.Time) []acceptance {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := slices.BinarySearchFunc(c.calls, since, func(a acceptance, t time.Time) int { return a.at.Compare(t) })
	return slices.Clone(c.calls[i:])
}

func accepted(list []acceptance) (n int) {
	for _, a := range list {
		n += a.accepted
	}
	return n
}

func latencies(list []acceptance) string {
	if len(list) == 0 {
		return "none"
	}
	took := make([]time.Duration, len(list))
	for i, a := range list {
		took[i] = a.took
	}
	slices.Sort(took)
	at := func(part float64) time.Duration {
		return took[int(part*float64(len(took)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, max %v (%d calls)", at(0.5), at(0.99), at(1), len(took))
}

// sent are the notifications that were accepted so far.
func (c *chaos) sent() []uuid.UUID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.accepted))
}

// drained waits until all of these are final.
func (c *chaos) drained(ids []uuid.UUID) {
	c.t.Helper()
	deadline := time.Now().Add(c.size.deadline)
	for len(ids) > 0 {
		n, _ := c.get(ids[0])
		switch {
		case n.State.Final():
			ids = ids[1:]
		case time.Now().After(deadline):
			c.t.Fatalf("%s is still %s, %v after the outage, and so may %d others be", n.ID, n.State, c.size.deadline, len(ids)-1)
		default:
			wait(c.t.Context(), 10*time.Millisecond)
		}
	}
}

// awaitReady waits until both workers answer /readyz with a status, and with a
// part that is degraded unless that is "".
func (c *chaos) awaitReady(want int, part string) {
	c.t.Helper()
	for i := range c.workers {
		eventually(c.t, fmt.Sprintf("worker %d answers /readyz with %d", i+1, want), func() error {
			status, got := askReady(c.t, c.envs[i]["ADMIN_ADDR"])
			if status != want || (part == "") != (len(got.Degraded) == 0) || part != "" && got.Degraded[0].Part != part {
				return fmt.Errorf("%d %+v", status, got)
			}
			return nil
		})
	}
}

// wantHealthy: who is killed for an outage makes it worse.
func (c *chaos) wantHealthy() {
	for i := range c.workers {
		if p := ask(c.t, "GET", c.envs[i]["ADMIN_ADDR"]+"/healthz", ""); p.status != http.StatusOK {
			c.t.Errorf("/healthz of worker %d is %d: %s", i+1, p.status, p.body)
		}
	}
}

// usage is what the processes use; the producer is in this one, with WeChat.
type usage struct {
	resident, heap   [2]float64 // bytes of the workers
	cpu              [2]float64 // seconds
	goroutines       [2]float64
	producerHeap     uint64
	producerRoutines int
	at               time.Time
}

func (c *chaos) measure() usage {
	c.t.Helper()
	u := usage{producerRoutines: runtime.NumGoroutine(), at: time.Now()}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.producerHeap = m.HeapAlloc
	for i := range c.workers {
		text := ask(c.t, "GET", c.envs[i]["ADMIN_ADDR"]+"/metrics", "").body
		u.resident[i] = gauge(text, "process_resident_memory_bytes")
		u.heap[i] = gauge(text, "go_memstats_heap_alloc_bytes")
		u.cpu[i] = gauge(text, "process_cpu_seconds_total")
		u.goroutines[i] = gauge(text, "go_goroutines")
	}
	return u
}

// gauge is the value of a metric without labels; zero where there is none.
func gauge(text, name string) float64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return v
		}
	}
	return 0
}

const mib = 1 << 20

func (u usage) show(when string) string {
	return fmt.Sprintf("%s: workers' resident memory %.1f and %.1f MiB, heap %.1f and %.1f MiB, %.0f and %.0f goroutines; producer's heap %.1f MiB, %d goroutines",
		when, u.resident[0]/mib, u.resident[1]/mib, u.heap[0]/mib, u.heap[1]/mib, u.goroutines[0], u.goroutines[1],
		float64(u.producerHeap)/mib, u.producerRoutines)
}

func (u usage) since(before usage) string {
	seconds := u.at.Sub(before.at).Seconds()
	return fmt.Sprintf("in between the workers used %.1f %% and %.1f %% of a CPU",
		100*(u.cpu[0]-before.cpu[0])/seconds, 100*(u.cpu[1]-before.cpu[1])/seconds)
}

// What a worker may use more while a server is away, and how often it may ask
// for a connection: each of its loops and each of go-redis's tries backs off, so
// there are some dozens a second.
const (
	outageMemory      = 64 * mib
	outageGoroutines  = 400
	outageConnections = 400
)

// wantBounded checks what an outage must not cost.
func (c *chaos) wantBounded(list []acceptance, during, before usage, dialed float64) {
	c.t.Helper()
	for _, a := range list {
		if a.took > patience/2 {
			c.t.Errorf("a call took %v", a.took)
		}
	}
	for i := range c.workers {
		if more := during.resident[i] - before.resident[i]; more > outageMemory {
			c.t.Errorf("worker %d uses %.0f MiB more", i+1, more/mib)
		}
		if more := during.goroutines[i] - before.goroutines[i]; more > outageGoroutines {
			c.t.Errorf("worker %d has %.0f goroutines more", i+1, more)
		}
	}
	// In the short form other tests use the same heap.
	if c.size.patient && during.producerHeap > before.producerHeap+outageMemory {
		c.t.Errorf("the producer uses %d MiB more", (during.producerHeap-before.producerHeap)/mib)
	}
	if dialed > outageConnections {
		c.t.Errorf("%.0f connections a second are asked for", dialed)
	}
}
