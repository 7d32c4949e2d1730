package worker

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// sendMany accepts n notifications in bulk and puts them all on the queue.
func (r *rig) sendMany(n int) []uuid.UUID {
	r.t.Helper()
	ids := make([]uuid.UUID, 0, n)
	for len(ids) < n {
		page := make([]store.Acceptance, min(1000, n-len(ids)))
		for i := range page {
			id := uuid.Must(uuid.NewV7())
			page[i] = store.Acceptance{
				Notification: store.Notification{
					ID: id, App: r.appID, TemplateID: simulator.SeedReport, OpenID: simulator.OpenID(id.String()),
					Data: reportData, Priority: store.Default, Duplicates: store.DuplicatesAllow, Generation: 1,
				},
				MaxAge: time.Hour, HandoverIn: store.HandoverGrace,
			}
			ids = append(ids, id)
		}
		if _, err := r.store.Insert(r.ctx, page); err != nil {
			r.t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	next := make(chan uuid.UUID)
	for range 16 {
		wg.Go(func() {
			for id := range next {
				b, err := task.Payload{ID: id, App: r.appID}.Marshal()
				if err == nil {
					_, err = r.client.EnqueueContext(r.ctx, task.New(id, 1, r.queue(), b))
				}
				if err != nil {
					r.t.Errorf("enqueue: %v", err)
				}
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	wg.Wait()
	return ids
}

func (r *rig) count() map[store.State]int {
	r.t.Helper()
	c, err := r.store.CountByState(context.Background(), r.appID)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// Ten thousand wait while the app's quota is used up or the app is barred: at
// most the calls in flight when it began go out, then one per probe interval,
// and no attempt is burnt.
func TestPausedAppLetsOnlyProbesThrough(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"45009": 45009, "48001": 48001} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const waiting, probe = 10_000, 2 * time.Second
			r := newRig(t)
			r.editTiming = func(tm *timing) { tm.probeAccount, tm.probeDay = probe, probe }
			r.sendMany(waiting)
			r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: code})
			start := time.Now()
			first, second := r.start(), r.start()
			const probes = 3
			r.awaitSim("the first calls and some probes", func(s simulator.State) bool {
				return s.Requests[simulator.APISend] >= 2*r.concurrency+probes || time.Since(start) > probes*probe+time.Second
			})
			eventually(t, "several probe intervals", func() bool { return time.Since(start) > (probes+1)*probe })
			sends, intervals := r.sim.State().Requests[simulator.APISend], int(time.Since(start)/probe)+1
			if sends > 2*r.concurrency+intervals {
				t.Errorf("%d calls in %v; two processes with %d in flight and %d probe intervals allow %d",
					sends, time.Since(start), r.concurrency, intervals, 2*r.concurrency+intervals)
			}
			if sends < 3 {
				t.Errorf("%d calls: the gate does not probe", sends)
			}
			ns, err := r.store.List(r.ctx, store.Filter{App: r.appID, States: []store.State{store.Retrying}, Limit: 500})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range ns {
				if n.Spent != 0 {
					t.Fatalf("notification %s spent %d attempts", n.ID, n.Spent)
				}
			}
			if c := r.count(); c[store.Queued]+c[store.Retrying]+c[store.Sending] != waiting {
				t.Errorf("states %v, want all %d open", c, waiting)
			}
			// The next probe succeeds and the whole backlog follows.
			r.sim.ClearFaults()
			r.awaitSim("the backlog is sent", func(s simulator.State) bool { return s.Accepted >= int64(4*r.concurrency) })
			first.stop()
			second.stop()
			if n := r.redis.Exists(context.Background(), pauseKey(r.queue())).Val(); n != 0 {
				t.Error("the pause is still there after a success")
			}
		})
	}
}

func TestUnreachableAppPausesAfterTwenty(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.editTiming = func(tm *timing) { tm.probeUnreachable, tm.unreachable = time.Second, time.Second }
	ids := r.sendMany(100)
	base := r.baseURL
	r.baseURL = "http://wechat.invalid"
	p := r.start()
	eventually(t, "the app is paused", func() bool { return len(p.Degraded()) == 1 })
	p.stop()
	if c := r.count(); c[store.Queued] != len(ids) {
		t.Errorf("states %v: without a token nothing may be claimed", c)
	}
	r.baseURL = base
	q := r.start()
	r.awaitSim("all are sent after the pause", func(s simulator.State) bool { return s.Accepted == int64(len(ids)) })
	eventually(t, "the app is open again", func() bool { return len(q.Degraded()) == 0 })
}

func TestTemplateIsPausedAfterThreeFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.concurrency = 1 // one after the other, so that the fourth sees the pause
	if err := r.sim.BanTemplate(r.appID, simulator.SeedReport, true); err != nil {
		t.Fatal(err)
	}
	ids := r.sendMany(5)
	r.start()
	eventually(t, "all are settled", func() bool {
		c := r.count()
		return c[store.Dead]+c[store.Waiting] == len(ids)
	})
	if c := r.count(); c[store.Dead] != 3 || c[store.Waiting] != 2 {
		t.Errorf("states %v, want 3 dead and the others waiting", c)
	}
	ps, err := r.store.PausedTemplates(r.ctx, r.appID)
	if err != nil || len(ps) != 1 || ps[0].Errcode != 43116 {
		t.Errorf("paused templates %+v, %v", ps, err)
	}
	other := r.send(func(n *store.Notification) {
		n.TemplateID = simulator.SeedReview
		n.Data = map[string]string{"thing1": "李雷", "thing11": "设备部", "thing12": "电工", "time4": "15:01", "thing10": "手套"}
	})
	r.awaitState(other.ID, store.Sent)
}

func TestPageRestsAfterThreeFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.concurrency = 1
	r.start()
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 41030, Count: 3})
	page := func(p string) func(*store.Notification) { return func(n *store.Notification) { n.Page = p } }
	for _, q := range []string{"1", "2", "3"} {
		r.awaitState(r.send(page("pages/gone?id="+q)).ID, store.Dead)
	}
	n := r.send(page("pages/gone?id=4"))
	got := r.await(n.ID, "the page rests", func(n store.Notification) bool { return n.Generation > 1 })
	if left := time.Until(got.DueAt); got.Spent != 0 || got.Seq != 0 || left < 9*time.Minute {
		t.Errorf("row due in %v with %d claims; want unclaimed, due in about 10 minutes", left, got.Seq)
	}
	r.awaitState(r.send(page("pages/other")).ID, store.Sent)
}

func TestManyForeignOpenIDsPauseTheApp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.concurrency = 5
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 40003})
	r.sendMany(300)
	p := r.start()
	eventually(t, "the app is paused", func() bool { return len(p.Degraded()) == 1 })
	if dead := r.count()[store.Dead]; dead > 60 {
		t.Errorf("%d dead letters before anybody noticed; the last 50 calls tell", dead)
	}
}

func TestOnlyToCancelsEverybodyElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tester := simulator.OpenID("tester")
	r.edit = func(c *Config) { c.Apps[0].OnlyTo = []string{tester} }
	r.start()
	other, mine := r.send(), r.send(func(n *store.Notification) { n.OpenID = tester })
	r.awaitState(mine.ID, store.Sent)
	if got := r.awaitState(other.ID, store.Cancelled); got.Reason != store.ReasonOnlyTo {
		t.Errorf("reason %q, want only_to", got.Reason)
	}
	if n := len(r.sim.Calls(0)); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestUnboundAndExpired(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	unbound := r.send(func(n *store.Notification) { n.UserID, n.OpenID = "nobody", "" })
	late := r.send(func(n *store.Notification) { n.ExpiresAt = time.Now().Add(-time.Second) })
	r.start()
	if got := r.awaitState(unbound.ID, store.Dead); got.Class != store.ClassRefused || got.Reason != store.ReasonUnbound {
		t.Errorf("class %q reason %q, want refused, unbound", got.Class, got.Reason)
	}
	if got := r.awaitState(late.ID, store.Expired); got.Reason != store.ReasonTooOld {
		t.Errorf("reason %q, want too_old", got.Reason)
	}
	if n := len(r.sim.Calls(0)); n != 0 {
		t.Errorf("%d calls, want none", n)
	}
}

// A budget that is used up ends as a dead letter, not as an archived mystery.
func TestBudgetIsSpent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.maxAttempts = 3
	r.editTiming = func(tm *timing) { tm.backoff = []time.Duration{time.Millisecond} }
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActStatus, Status: 412})
	r.start()
	n := r.send()
	got := r.awaitState(n.ID, store.Dead)
	if got.Reason != store.ReasonBudget || got.Class != store.ClassFault || got.Spent != 3 || len(r.attempts(n.ID)) != 3 {
		t.Errorf("reason %q class %q spent %d, %d attempts; want attempts_spent after 3", got.Reason, got.Class, got.Spent, len(r.attempts(n.ID)))
	}
	eventually(t, "the dead letter is shown in asynq's archive", func() bool {
		info, err := r.inspector().GetTaskInfo(r.queue(), task.ID(n.ID, 1))
		return err == nil && isMarker(info.LastErr, got)
	})
}

// A refusal after an attempt nobody saw the answer of may mean that the first
// one used the consent up.
func TestRefusalAfterADoubtIsNotARefusal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.editTiming = func(tm *timing) { tm.backoff = []time.Duration{time.Millisecond} }
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: -1, Count: 1})
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 43101})
	r.start()
	n := r.send()
	if got := r.awaitState(n.ID, store.Dead); got.Reason != store.ReasonInDoubt || got.Class != store.ClassFault {
		t.Errorf("class %q reason %q, want a fault, in_doubt", got.Class, got.Reason)
	}
}

// With duplicates: avoid an unsure answer is not followed by another call.
func TestAvoidNeverSendsTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: -1, Count: 1})
	r.start()
	n := r.send(func(n *store.Notification) { n.Duplicates = store.DuplicatesAvoid })
	r.awaitState(n.ID, store.InDoubt)
	eventually(t, "the doubt is resolved", func() bool {
		if _, _, err := r.store.ResolveDoubts(r.ctx, 10); err != nil {
			t.Fatal(err)
		}
		return r.get(n.ID).State == store.Dead
	})
	if got := r.get(n.ID); got.Reason != store.ReasonInDoubt {
		t.Errorf("reason %q, want in_doubt", got.Reason)
	}
	if calls := len(r.sim.Calls(0)); calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}
