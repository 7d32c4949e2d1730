package app_test

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/tokencache"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// crashPoint is one moment at which a process dies, and what becomes of the
// notification that it had in its hands.
type crashPoint struct {
	name string
	// die brings a process to that moment and kills it with -9.
	die func(*crash)
	// at is where the notification is then; "" means that there is no row.
	at           store.State
	allow, avoid crashEnd
}

// crashEnd is how it ends, by the policy for duplicates.
type crashEnd struct {
	state    store.State
	accepted int // how often WeChat took the message
	doubts   int // on record
}

var (
	once  = crashEnd{store.Sent, 1, 0}
	again = crashEnd{store.Sent, 1, 1} // WeChat had not taken it, and nobody could know
	twice = crashEnd{store.Sent, 2, 1} // WeChat had taken it, and nobody could know
	never = crashEnd{store.Dead, 0, 1} // the same for a message that must not come twice
	maybe = crashEnd{store.Dead, 1, 1}
)

// crashPoints are the steps in their order, and what lies between each and the
// next. A claim that was written and no answer is the only thing that leaves a
// doubt: before it nothing was sent, after the settlement everything is known.
var crashPoints = []crashPoint{
	{"accept asked for", (*crash).acceptAsked, "", once, once},
	{"accepted, producer not told", (*crash).acceptedUntold, store.Queued, once, once},
	{"accepted, not enqueued", (*crash).notEnqueued, store.Queued, once, once},
	{"enqueued, producer not told", (*crash).enqueuedUntold, store.Queued, once, once},
	{"dequeued, worker not told", (*crash).dequeuedUntold, store.Queued, once, once},
	{"dequeued", (*crash).dequeued, store.Queued, once, once},
	{"looked at", (*crash).lookedAt, store.Queued, once, once},
	{"claim asked for", (*crash).claimAsked, store.Queued, once, once},
	{"claimed, worker not told", (*crash).claimedUntold, store.Sending, again, never},
	{"claimed, call not written", (*crash).callNotWritten, store.Sending, again, never},
	{"called, not taken", (*crash).calledNotTaken, store.Sending, again, never},
	{"called, taken", (*crash).calledTaken, store.Sending, twice, maybe},
	{"answered, worker not told", (*crash).answeredUntold, store.Sending, twice, maybe},
	{"settlement asked for", (*crash).settleAsked, store.Sending, twice, maybe},
	{"settled, worker not told", (*crash).settledUntold, store.Sent, once, once},
	{"settled, not acknowledged", (*crash).notAcknowledged, store.Sent, once, once},
	{"acknowledged, worker not told", (*crash).acknowledgedUntold, store.Sent, once, once},
	{"acknowledged", (*crash).acknowledged, store.Sent, once, once},
}

// A process that dies between any two steps loses nothing. What it leaves is
// finished by whoever comes next, and only where nobody can know whether WeChat
// took the message does the notification's policy decide.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, p := range crashPoints {
		for _, policy := range []store.Duplicates{store.DuplicatesAllow, store.DuplicatesAvoid} {
			t.Run(strings.ReplaceAll(p.name, " ", "_")+"/"+string(policy), func(t *testing.T) {
				t.Parallel()
				want := p.allow
				if policy == store.DuplicatesAvoid {
					want = p.avoid
				}
				c := newCrash(t, policy)
				p.die(c)
				c.wantRow(p.at)
				c.goOn()
				c.wantEnd(want)
			})
		}
	}
}

// crash is a deployment for one notification, whose processes reach their
// servers through links.
type crash struct {
	*rig
	policy store.Duplicates
	openID string

	database, tasks, wechat *link
	// producer is the command that hands the notification in, when it is killed
	// on the way: a producer that was not told hands it in again.
	producer []string
	led      bool // by none of the workers
}

func newCrash(t *testing.T, policy store.Duplicates) *crash {
	t.Helper()
	c := &crash{
		rig:    newRig(t, simulator.Config{}, map[string]string{"SEND_TIMEOUT": "30s", "IN_DOUBT_WAIT": "1s"}),
		policy: policy, openID: notice().OpenID,
	}
	c.database, c.tasks, c.wechat = c.linked("DATABASE_URL"), c.linked("REDIS_URL"), c.linked("WECHAT_API_BASE_URL")
	return c
}

// linked puts a link in front of the server of a setting.
func (c *crash) linked(setting string) *link {
	c.t.Helper()
	u, err := url.Parse(c.env[setting])
	if err != nil {
		c.t.Fatal(err)
	}
	return newLink(c.t, setting, u.Host)
}

// through are the settings of the process that will die: they lead through the
// links.
func (c *crash) through() map[string]string {
	c.t.Helper()
	env := maps.Clone(c.env)
	for _, k := range []*link{c.database, c.tasks, c.wechat} {
		u, err := url.Parse(env[k.name])
		if err != nil {
			c.t.Fatal(err)
		}
		u.Host = k.addr()
		env[k.name] = u.String()
	}
	return env
}

// What the statements of each step have in common with no other.
const (
	acceptText  = "INSERT INTO notifications"
	claimText   = "AS w (id, generation, owner, lease)"
	settleText  = "AS s (id, seq, outcome, state"
	callText    = "/message/subscribe/send"
	enqueueText = "LPUSH" // in asynq's script; a Redis that is new has it sent in full
	// How PostgreSQL reports one row, and how it answers a settlement: the message
	// is sent, without class and reason. A claim is answered with the row.
	insertedText = "INSERT 0 1\x00"
	settledText  = "\x00\x00\x00\x04sent\x00\x00\x00\x00\x00\x00\x00\x00"
)

// await waits for what a link was set to.
func (c *crash) await(what string, done <-chan struct{}) {
	c.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-done:
	case <-deadline.C:
		c.t.Fatalf("%s: not within %v", what, patience)
	}
}

// produce starts the command that hands the notification in.
func (c *crash) produce() *child {
	c.t.Helper()
	c.producer = []string{
		"send", "--template", simulator.SeedReport, "--openid", c.openID, "--ref", "crash-1",
		"--data", "thing1=设备领用月报", "--data", "thing2=2026年10月", "--duplicates", string(c.policy),
	}
	return spawn(c.t, binary(c.t), c.through(), c.producer...)
}

func (c *crash) acceptAsked() {
	asked := c.database.setAt(silent, false, acceptText)
	p := c.produce()
	c.await("the row is asked for", asked)
	p.kill()
}

func (c *crash) acceptedUntold() {
	written := c.database.setAt(silent, true, insertedText)
	p := c.produce()
	c.await("the row is written", written)
	p.kill()
}

func (c *crash) notEnqueued() {
	first := c.spawn() // a Redis that is known, so that nobody takes it for wiped
	awaitLog(c.t, first.log, `"queue rebuilt"`)
	first.terminate()
	c.tasks.set(silent)
	p := c.produce()
	eventually(c.t, "the row is there", func() error {
		if states, err := c.store.CountByState(c.t.Context(), ""); err != nil || states[store.Queued] != 1 {
			return fmt.Errorf("%v %w", states, err)
		}
		return nil
	})
	p.kill()
	c.wantTasks(asynq.QueueInfo{})
}

func (c *crash) enqueuedUntold() {
	asked := c.tasks.setAt(unanswered, false, enqueueText)
	p := c.produce()
	c.await("the task is put on the queue", asked)
	eventually(c.t, "the task is there", func() error {
		if info, err := c.queue(); err != nil || info.Pending != 1 {
			return fmt.Errorf("%+v %w", info, err)
		}
		return nil
	})
	p.kill()
}

// work starts the worker that will die, and waits until it is at rest.
func (c *crash) work() *child {
	c.t.Helper()
	w := spawn(c.t, binary(c.t), c.through(), "worker")
	awaitLog(c.t, w.log, `"worker runs"`)
	if !c.led {
		awaitLog(c.t, w.log, `"queue rebuilt"`)
	}
	return w
}

// hand puts the notification on the queue.
func (c *crash) hand() {
	c.t.Helper()
	c.send(1, func(_ int, n *producer.Notification) { n.OpenID, n.Duplicates = c.openID, c.policy })
}

// inCall starts a worker and lets it call WeChat, which hangs; with taken it
// has taken the message before.
func (c *crash) inCall(taken bool) *child {
	c.t.Helper()
	c.fault(simulator.Fault{API: simulator.APISend, OpenID: c.openID, Action: simulator.ActHang, After: taken, Count: 1})
	w := c.work()
	c.hand()
	c.awaitSim("the call is under way", func(s simulator.State) bool { return s.Hanging == 1 })
	return w
}

// dieAt kills a worker when a link has read a text of the notification's way.
func (c *crash) dieAt(k *link, replies bool, text string) {
	c.t.Helper()
	w := c.work()
	there := k.setAt(silent, replies, text)
	c.hand()
	c.await("the step is reached", there)
	w.kill()
}

func (c *crash) dequeuedUntold() {
	c.dieAt(c.tasks, true, c.openID)
	c.wantTasks(asynq.QueueInfo{Active: 1})
}

func (c *crash) dequeued() {
	w := c.work()
	c.database.set(silent)
	c.hand()
	eventually(c.t, "the task is taken", func() error {
		if info, err := c.queue(); err != nil || info.Active != 1 {
			return fmt.Errorf("%+v %w", info, err)
		}
		return nil
	})
	w.kill()
	c.wantTasks(asynq.QueueInfo{Active: 1})
}

func (c *crash) lookedAt() {
	c.fault(simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActHang, Count: 1})
	w := c.work()
	c.awaitSim("the token is waited for", func(s simulator.State) bool { return s.Hanging == 1 })
	looked := c.database.setAt(passing, true, c.openID)
	c.hand()
	c.await("the row is looked at", looked)
	w.kill()
}

func (c *crash) claimAsked()     { c.dieAt(c.database, false, claimText) }
func (c *crash) claimedUntold()  { c.dieAt(c.database, true, c.openID) }
func (c *crash) callNotWritten() { c.dieAt(c.wechat, false, callText) }
func (c *crash) calledNotTaken() { c.inCall(false).kill() }
func (c *crash) calledTaken()    { c.inCall(true).kill() }

func (c *crash) answeredUntold() {
	w := c.inCall(false)
	c.wechat.set(unanswered)
	c.letGo()
	w.kill()
}

func (c *crash) settleAsked() {
	w := c.inCall(false)
	asked := c.database.setAt(silent, false, settleText)
	c.letGo()
	c.await("the answer is about to be written", asked)
	w.kill()
}

func (c *crash) settledUntold() {
	w := c.inCall(false)
	written := c.database.setAt(silent, true, settledText)
	c.letGo()
	c.await("the answer is written", written)
	w.kill()
}

func (c *crash) notAcknowledged() {
	w := c.inCall(false)
	c.tasks.set(silent)
	c.letGo()
	c.awaitStates(map[store.State]int{store.Sent: 1})
	w.kill()
	c.wantTasks(asynq.QueueInfo{Active: 1})
}

func (c *crash) acknowledgedUntold() {
	w := c.work()
	first := c.send(1, nil) // Redis knows the script from now on
	c.awaitStates(map[store.State]int{store.Sent: 1})
	c.awaitDrained()
	c.wantOnce(first)
	c.fault(simulator.Fault{API: simulator.APISend, OpenID: c.openID, Action: simulator.ActHang, Count: 1})
	c.hand()
	c.awaitSim("the call is under way", func(s simulator.State) bool { return s.Hanging == 1 })
	c.tasks.set(unanswered)
	c.letGo()
	c.awaitDrained()
	w.kill()
}

func (c *crash) acknowledged() {
	w := c.work()
	c.hand()
	c.awaitStates(map[store.State]int{store.Sent: 1})
	c.awaitDrained()
	w.kill()
}

// letGo lets the call go on, and waits until WeChat has taken the message.
func (c *crash) letGo() {
	c.t.Helper()
	before := c.sim.State().Accepted
	c.sim.Release()
	c.awaitSim("WeChat has taken it", func(s simulator.State) bool { return s.Accepted == before+1 })
}

func (c *crash) wantTasks(want asynq.QueueInfo) {
	c.t.Helper()
	got, err := c.queue()
	if err != nil || got.Pending != want.Pending || got.Active != want.Active {
		c.t.Fatalf("%d pending and %d active tasks, want %d and %d (%v)", got.Pending, got.Active, want.Pending, want.Active, err)
	}
}

// row is the notification; found is false when there is none.
func (c *crash) row() (n store.Notification, found bool) {
	c.t.Helper()
	rows, err := c.store.List(c.t.Context(), store.Filter{OpenID: c.openID})
	if err != nil || len(rows) > 1 {
		c.t.Fatalf("%d rows, %v; want one at most", len(rows), err)
	}
	if len(rows) == 0 {
		return store.Notification{}, false
	}
	return rows[0], true
}

func (c *crash) wantRow(at store.State) {
	c.t.Helper()
	if n, _ := c.row(); n.State != at {
		c.t.Fatalf("after the crash the row is %q, want %q", n.State, at)
	}
}

// goOn does what the next minutes would: what was on its way to or from the dead
// process is gone, its leases are over, the producer that was not told hands its
// notification in again, and another worker starts.
func (c *crash) goOn() {
	c.t.Helper()
	for _, k := range []*link{c.database, c.tasks, c.wechat} {
		k.set(cut)
	}
	before, found := c.row()
	if len(c.producer) > 0 {
		p := spawn(c.t, binary(c.t), c.env, c.producer...)
		awaitEnd(c.t, p, 0)
		if n, _ := c.row(); found && n.ID != before.ID {
			c.t.Errorf("handed in again it is %s, want %s", n.ID, before.ID)
		}
	}
	c.ageAll()
	c.spawn()
	eventually(c.t, "it ends, and nothing is left on the queue", func() error {
		if _, err := c.inspector().RunAllRetryTasks(defaultQueue); err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
			return err
		}
		info, err := c.queue()
		if err != nil {
			return err
		}
		if n, _ := c.row(); !n.State.Final() || info.Pending+info.Active+info.Retry+info.Scheduled > 0 {
			return fmt.Errorf("%s; pending %d, active %d, retry %d", n.State, info.Pending, info.Active, info.Retry)
		}
		return nil
	})
}

// ageAll ends every lease there is: asynq's, those of claims, the right to fetch
// a token, and the time that a producer has for its own enqueue.
func (c *crash) ageAll() {
	c.t.Helper()
	c.ageLeases()
	if keys, err := c.rdb.Keys(c.t.Context(), tokencache.DefaultPrefix+"*:lock").Result(); err != nil || len(keys) > 0 && c.rdb.Del(c.t.Context(), keys...).Err() != nil {
		c.t.Fatalf("end the right to fetch a token: %v", err)
	}
	c.execute(`UPDATE notifications SET lease_until = now() WHERE state = 'sending'`)
	c.execute(`UPDATE notifications SET handover_at = now() WHERE handover_at IS NOT NULL`)
}

func (c *crash) wantEnd(want crashEnd) {
	c.t.Helper()
	row, _ := c.row()
	_, attempts := c.get(row.ID)
	tally := c.sim.Tally("", c.openID, simulator.SeedReport)
	if got := (crashEnd{row.State, tally.Accepted, row.Doubts}); got != want {
		c.t.Errorf("it ends %s, accepted %d times, with %d doubts; want %s, %d, %d", got.state, got.accepted, got.doubts, want.state, want.accepted, want.doubts)
	}
	if row.State == store.Dead && (row.Class != store.ClassFault || row.Reason != store.ReasonInDoubt) {
		c.t.Errorf("dead for %s %q, want a fault in doubt", row.Class, row.Reason)
	}
	doubtful := 0
	for _, a := range attempts {
		if a.Outcome == store.OutcomeInDoubt {
			doubtful++
		}
	}
	if doubtful != want.doubts || row.Spent != 0 || tally.Received > len(attempts) {
		c.t.Errorf("%d of %d attempts in doubt, %d spent, %d calls; want %d doubts, none spent and every call on record",
			doubtful, len(attempts), row.Spent, tally.Received, want.doubts)
	}
}
