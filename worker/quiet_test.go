package worker

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// quietAround are quiet hours from an hour before a moment until two after it.
func quietAround(t *testing.T, at time.Time, sendCritical bool) (q store.QuietHours, end time.Time) {
	t.Helper()
	at = at.UTC()
	end = at.Add(2 * time.Hour).Truncate(time.Minute)
	q, err := store.NewQuietHours(at.Add(-time.Hour).Format("15:04"), end.Format("15:04"), "UTC", sendCritical)
	if err != nil {
		t.Fatal(err)
	}
	return q, end
}

func quietReports(q store.QuietHours) func(*Config) {
	return func(c *Config) { c.Apps[0].QuietHours = map[string]store.QuietHours{simulator.SeedReport: q} }
}

// wantPutOff waits until a row is put off until end, and checks that its task is
// gone: nothing goes round until then.
func (r *rig) wantPutOff(what string, id uuid.UUID, end time.Time) store.Notification {
	r.t.Helper()
	n := r.await(id, what+" is put off", func(n store.Notification) bool { return n.Reason == store.ReasonQuietHours })
	// The store adds what is left to its clock when it writes, a little later.
	if n.State != store.Retrying || n.DueAt.Before(end) || n.DueAt.Sub(end) > 10*time.Minute || !n.HandoverAt.Equal(n.DueAt) {
		r.t.Errorf("%s: %s, due at %v, handed over at %v, want %v", what, n.State, n.DueAt, n.HandoverAt, end)
	}
	return n
}

// Whatever comes to a worker within the quiet hours of its template is put off:
// a new message, one that is tried again, a raw task, one that was woken.
func TestQuietHours(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hours, end := quietAround(t, time.Now(), false)
	r.edit = quietReports(hours)
	r.start()

	fresh := r.send()
	critical := r.send(func(n *store.Notification) { n.Priority = store.Critical })
	unbound := r.send(func(n *store.Notification) { n.UserID, n.OpenID = "nobody", "" })
	raw, _ := r.raw(map[string]any{"template_id": simulator.SeedReport, "openid": simulator.OpenID("raw"), "data": reportData})
	late := r.accept(func(n *store.Notification) { n.ExpiresAt = time.Now().Add(time.Minute) })
	r.enqueue(late)
	other := r.send(func(n *store.Notification) { n.TemplateID = "another" })
	for what, id := range map[string]uuid.UUID{
		"a new one": fresh.ID, "a critical one": critical.ID, "one of nobody": unbound.ID, "a raw task": raw,
		"one that expires before": late.ID,
	} {
		n := r.wantPutOff(what, id, end)
		if n.Seq != 0 || n.Generation != 2 {
			t.Errorf("%s: claimed %d times, generation %d", what, n.Seq, n.Generation)
		}
	}
	r.await(other.ID, "another template's is not", func(n store.Notification) bool { return n.Seq > 0 })

	// The delivery that was put off comes again, as after a crash.
	r.enqueue(fresh)
	r.awaitNoTask(task.ID(fresh.ID, fresh.Generation))
	if n := r.get(fresh.ID); n.Generation != 2 || n.Seq != 0 {
		t.Errorf("delivered again: generation %d, claimed %d times", n.Generation, n.Seq)
	}
	for _, c := range r.sim.Calls(0) {
		if c.TemplateID == simulator.SeedReport {
			t.Error("WeChat was asked within the quiet hours")
		}
	}
}

// Where the template says so, what is critical passes.
func TestQuietHoursOfCritical(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hours, end := quietAround(t, time.Now(), true)
	r.edit = quietReports(hours)
	r.start()
	low := r.send(func(n *store.Notification) { n.Priority = store.Low })
	critical := r.send(func(n *store.Notification) { n.Priority = store.Critical })
	r.awaitState(critical.ID, store.Sent)
	r.wantPutOff("a low one", low.ID, end)
}

// An attempt that failed before the quiet hours is not made again within them,
// and not after a doubt either.
func TestQuietHoursOfARetry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hours, end := quietAround(t, time.Now(), false)
	r.editTiming = func(timing *timing) { timing.backoff = []time.Duration{0} }
	before := r.start()
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: -1, Count: 1})
	n := r.send()
	n = r.await(n.ID, "one attempt", func(n store.Notification) bool { return n.State == store.Retrying && n.Spent == 1 })
	before.stop()

	r.edit = quietReports(hours)
	r.start()
	got := r.wantPutOff("a retry", n.ID, end)
	if got.Seq != 1 || got.Spent != 1 {
		t.Errorf("claimed %d times, %d spent", got.Seq, got.Spent)
	}
}

// skewedStore is a store whose looks tell another time, as if they were old or
// its clock another. claims is for what a granted claim tells.
type skewedStore struct {
	Store
	mu            sync.Mutex
	looks, claims time.Duration
	once          bool // only the first look
}

func (s *skewedStore) Look(ctx context.Context, ids []uuid.UUID) ([]store.Look, error) {
	looks, err := s.Store.Look(ctx, ids)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range looks {
		looks[i].Now = looks[i].Now.Add(s.looks)
	}
	if s.once {
		s.looks = 0
	}
	return looks, err
}

func (s *skewedStore) Commit(ctx context.Context, b store.Batch) (store.Results, error) {
	results, err := s.Store.Commit(ctx, b)
	for i := range results.Claims {
		results.Claims[i].Look.Now = results.Claims[i].Look.Now.Add(s.claims)
	}
	return results, err
}

// Quiet hours that begin between the look and the claim count, and the claim is
// given back.
func TestQuietHoursBeginBeforeTheClaim(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hours, end := quietAround(t, time.Now(), false)
	r.edit = func(c *Config) {
		quietReports(hours)(c)
		c.Store = &skewedStore{Store: c.Store, looks: -3 * time.Hour, once: true}
	}
	r.start()
	n := r.send(func(n *store.Notification) {
		n.DueAt, n.ExpiresAt = time.Now().Add(-4*time.Hour), time.Now().Add(time.Hour)
	})
	if got := r.wantPutOff("one that was claimed", n.ID, end); got.Seq != 1 || got.Spent != 0 || len(r.attempts(n.ID)) != 0 {
		t.Errorf("claimed %d times, %d spent, %d attempts; want one claim that was given back", got.Seq, got.Spent, len(r.attempts(n.ID)))
	}
	r.wantSends(0)
}

// The database's clock tells whether it is quiet, not the machine's.
func TestQuietHoursByTheStoresClock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const ahead = 6 * time.Hour
	here, _ := quietAround(t, time.Now(), false)
	there, end := quietAround(t, time.Now().Add(ahead), false)
	r.edit = func(c *Config) {
		c.Apps[0].QuietHours = map[string]store.QuietHours{simulator.SeedReport: here, simulator.SeedReview: there}
		c.Store = &skewedStore{Store: c.Store, looks: ahead, claims: ahead}
	}
	r.start()
	long := func(n *store.Notification) { n.ExpiresAt = time.Now().Add(24 * time.Hour) }
	n := r.send(long, func(n *store.Notification) { n.TemplateID = simulator.SeedReview })
	sent := r.send(long)
	r.awaitState(sent.ID, store.Sent)
	r.wantPutOff("what is quiet by the store's clock", n.ID, end.Add(-ahead))
}

// The store has the last word on send_at and expires_at, whatever a look has
// told.
func TestTimesAreCheckedAtTheClaim(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		skew time.Duration // of the looks
		edit func(*store.Notification)
		over func(store.Notification) bool
	}{
		{
			"expired since the look", -time.Hour,
			func(n *store.Notification) {
				n.DueAt, n.ExpiresAt = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
			},
			func(n store.Notification) bool { return n.State == store.Expired && n.Reason == store.ReasonTooOld },
		},
		{
			"not due, whatever the look says", 2 * time.Hour,
			func(n *store.Notification) {
				n.DueAt, n.ExpiresAt = time.Now().Add(time.Hour), time.Now().Add(24*time.Hour)
			},
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.edit = func(c *Config) { c.Store = &skewedStore{Store: c.Store, looks: tt.skew} }
			r.start()
			n := r.send(tt.edit)
			if tt.over != nil {
				r.await(n.ID, tt.name, tt.over)
			} else {
				r.awaitTask(task.ID(n.ID, n.Generation), "the task is handed back", func(i *asynq.TaskInfo) bool { return i.LastErr != "" })
			}
			if got := r.get(n.ID); got.Seq != 0 {
				t.Errorf("claimed %d times", got.Seq)
			}
			r.wantSends(0)
		})
	}
}
