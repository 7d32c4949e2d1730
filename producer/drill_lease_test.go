package producer

import (
	"fmt"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// While the store is away the leases of claims end whose owners are alive and
// have an answer in hand. The relay, which is told first that the store is back,
// lets them write it before it calls anything a doubt.
func TestRelayLetsAnswersBeWrittenFirst(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		r := newRelay(t, RelayConfig{Store: st, Redis: rdb, InDoubtWait: time.Millisecond}, hasty)
		id := acceptRows(t, st, app, 1, 0)[0]
		claim(t, st, id, time.Millisecond)
		repair := func() store.State {
			t.Helper()
			if _, err := r.repairAll(t.Context()); err != nil {
				t.Fatal(err)
			}
			row, _, err := st.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return row.State
		}
		if err := r.fromStore(t.Context(), store.ErrUnavailable); err == nil {
			t.Fatal("the outage was not seen")
		}
		_ = r.fromStore(t.Context(), nil)
		for range 3 {
			if got := repair(); got != store.Sending {
				t.Fatalf("the row is %s right after the outage, want sending", got)
			}
		}
		r.storeBack = time.Now().Add(-settleGrace)
		eventually(t, "the silent owner is given up", func() error {
			if got := repair(); got == store.Sending {
				return errNotYet
			}
			return nil
		})
	})
}

// Even a relay that did not see the outage gives an owner a moment: the doubt
// is not due at once, however long the lease has been over, and until then the
// answer counts.
func TestAnswerAfterTheLeaseIsNotTooLate(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		r := newRelay(t, RelayConfig{Store: st, Redis: rdb, InDoubtWait: time.Hour}, hasty)
		id := acceptRows(t, st, app, 1, 0)[0]
		claim(t, st, id, time.Microsecond)
		row := func() store.Notification {
			t.Helper()
			n, _, err := st.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		eventually(t, "it is in doubt", func() error {
			if _, err := r.repairAll(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := row(); n.State != store.InDoubt {
				return fmt.Errorf("%s", n.State)
			}
			return nil
		})
		if n := row(); n.DueAt.Sub(n.UpdatedAt) < store.NoPushWait {
			t.Errorf("the doubt is due %v after it came up, want %v", n.DueAt.Sub(n.UpdatedAt), store.NoPushWait)
		}
		res, err := st.Commit(t.Context(), store.Batch{Settlements: []store.Settlement{{
			ID: id, Seq: 1, State: store.Sent, Attempt: store.Attempt{At: time.Now(), Outcome: "ok", MsgID: 1},
		}}})
		if n := row(); err != nil || !res.Settlements[0].Applied || n.State != store.Sent || n.Doubts != 0 {
			t.Errorf("after the late answer: %s with %d doubts, %v; want sent with none", n.State, n.Doubts, err)
		}
	})
}
