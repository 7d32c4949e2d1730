package app_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/processtest"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
)

// A worker that is stopped for longer than its leases, as on a machine that is
// suspended, wakes up and goes on where it was, while another one has taken its
// notification over. Asleep in its call it writes what it knows, unless that is
// too late by then; asleep before its call it must not make it.
func TestWorkerFrozenPastItsLease(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		freeze func(*crash) *child
		policy store.Duplicates
		while  crashEnd // what the other worker made of it
		end    crashEnd // after the first one woke up
		says   string   // what it says then
	}{
		{"in the call", (*crash).frozenInCall, store.DuplicatesAllow, twice, twice, "answer came too late: a later claim exists"},
		// Its answer is known after all, and the doubt with it.
		{"in the call", (*crash).frozenInCall, store.DuplicatesAvoid, maybe, once, "answer settled"},
		{"before the call", (*crash).frozenBeforeCall, store.DuplicatesAllow, again, again, "claim not given back; it ends as a doubt"},
		{"before the call", (*crash).frozenBeforeCall, store.DuplicatesAvoid, never, never, "claim not given back; it ends as a doubt"},
	} {
		t.Run(test.name+"/"+string(test.policy), func(t *testing.T) {
			t.Parallel()
			c := newCrash(t, test.policy)
			c.lead()
			w := test.freeze(c)
			c.takeOver()
			c.wantEnd(test.while)
			c.signal(w, syscall.SIGCONT)
			awaitLog(t, w.log, test.says)
			w.terminate() // nothing of it is under way any more
			c.wantEnd(test.end)
		})
	}
}

// lead lets a relay lead that stays awake: what becomes of a leader that falls
// silent is tested in store/postgres, where it need not take so long.
func (c *crash) lead() {
	c.t.Helper()
	relay, err := producer.NewRelay(producer.RelayConfig{Store: c.store, Redis: c.rdb, DefaultApp: c.app.AppID, InDoubtWait: time.Second})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := relay.Start(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := relay.Stop(context.Background()); err != nil {
			c.t.Errorf("stop the relay: %v", err)
		}
	})
	eventually(c.t, "the relay leads, and is done with the empty queue", func() error {
		if h := relay.Health(); !h.Leader || h.Worked.IsZero() {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	c.led = true
}

func (c *crash) signal(w *child, sig syscall.Signal) {
	c.t.Helper()
	if err := w.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
}

// frozenInCall stops a worker that waits for WeChat's answer, which comes while
// it sleeps.
func (c *crash) frozenInCall() *child {
	c.t.Helper()
	w := c.inCall(false)
	processtest.Stop(c.t.Context(), c.t, w.cmd.Process)
	c.letGo()
	return w
}

// frozenBeforeCall stops a worker that has a claim and does not know it yet. It
// sleeps for longer than a claim may take on its way.
func (c *crash) frozenBeforeCall() *child {
	c.t.Helper()
	w := c.work()
	claimed := c.database.setAt(silent, true, c.openID) // a claim is answered with the row
	c.hand()
	c.await("the claim is written", claimed)
	processtest.Stop(c.t.Context(), c.t, w.cmd.Process)
	c.database.set(passing) // the reply is in its hands
	asleep := time.Now()
	eventually(c.t, "it has slept for long", func() error {
		if d := time.Since(asleep); d < claimPatience {
			return fmt.Errorf("%v", d)
		}
		return nil
	})
	return w
}

// claimPatience is more than a worker lets go by between asking for a claim and
// its call.
const claimPatience = 6 * time.Second

// takeOver does what the next minutes would while a worker sleeps: its leases
// end, and another worker starts.
func (c *crash) takeOver() {
	c.t.Helper()
	c.ageAll()
	c.spawn()
	eventually(c.t, "the other worker ends it", func() error {
		if n, _ := c.row(); !n.State.Final() {
			return errors.New(string(n.State))
		}
		return nil
	})
}
