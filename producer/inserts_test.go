package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// gatedStore lets an Insert through when it is told to, and keeps its size.
type gatedStore struct {
	Store
	came   chan int      // an Insert has come; the number of its rows
	let    chan struct{} // one may go on
	refuse string        // a batch with a row for this template is refused
}

func (s *gatedStore) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	s.came <- len(batch)
	<-s.let
	if slices.ContainsFunc(batch, func(a store.Acceptance) bool { return a.Notification.TemplateID == s.refuse }) {
		return nil, errors.New("refused")
	}
	return s.Store.Insert(ctx, batch)
}

// gather holds a first insert until as many others wait as there are
// notifications, and returns what became of those.
func gather(t *testing.T, c *Client, s *gatedStore, ns []Notification) []error {
	t.Helper()
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := c.Send(t.Context(), notice()); err != nil {
			t.Errorf("the first: %v", err)
		}
	})
	if n := <-s.came; n != 1 {
		t.Errorf("the first insert has %d rows: who is alone waits for nobody", n)
	}
	errs := make([]error, len(ns))
	for i, n := range ns {
		group.Go(func() { _, errs[i] = c.Send(t.Context(), n) })
	}
	eventually(t, "all wait", func() error {
		c.inserts.mu.Lock()
		defer c.inserts.mu.Unlock()
		if got := len(c.inserts.waiting); got != len(ns) {
			return fmt.Errorf("%d wait", got)
		}
		return nil
	})
	s.let <- struct{}{}
	go func() {
		for range s.came {
		}
	}()
	close(s.let)
	group.Wait()
	return errs
}

func TestSendsShareATransaction(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		s := &gatedStore{Store: st, came: make(chan int), let: make(chan struct{})}
		c := newClient(t, Config{Redis: sharedRedis(t), Store: s, App: newApp()})
		counted := &failingStore{Store: s}
		c.inserts.store = counted
		for i, err := range gather(t, c, s, slices.Repeat([]Notification{notice()}, 20)) {
			if err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		}
		if got := counted.inserts.Load(); got != 2 {
			t.Errorf("%d inserts, want one for the first and one for the 20 that came meanwhile", got)
		}
		close(s.came)
	})
}

// One whose row the store does not take costs no other its acceptance.
func TestASharedTransactionThatIsRefused(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		s := &gatedStore{Store: st, came: make(chan int), let: make(chan struct{}), refuse: "bad"}
		c := newClient(t, Config{Redis: sharedRedis(t), Store: s, App: newApp()})
		ns := slices.Repeat([]Notification{notice()}, 5)
		ns[3].TemplateID = "bad"
		for i, err := range gather(t, c, s, ns) {
			if (err != nil) != (i == 3) {
				t.Errorf("send %d: %v", i, err)
			}
		}
		close(s.came)
	})
}

// A caller that goes away does not take the others' rows with it, and Close
// waits for what goes on without him.
func TestASharedTransactionOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		s := &gatedStore{Store: st, came: make(chan int), let: make(chan struct{})}
		c := newClient(t, Config{Redis: sharedRedis(t), Store: s, App: newApp()})
		ctx, cancel := context.WithCancel(t.Context())
		n := notice()
		n.ID = uuid.Must(uuid.NewV7())
		gone := make(chan error)
		go func() {
			_, err := c.Send(ctx, n)
			gone <- err
		}()
		<-s.came
		cancel()
		if err := <-gone; !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("Send = %v, want store.ErrUnavailable for a context that ended", err)
		}
		close(s.let)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := st.Get(t.Context(), n.ID); err != nil {
			t.Errorf("the insert that was under way at the end is lost: %v", err)
		}
	})
}

// Refs are a producer's own, and an id that is given is the row's.
func TestClientForAnotherProducer(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		c := newClient(t, Config{Redis: sharedRedis(t), Store: st, Producer: "billing", App: newApp()})
		reports, err := c.For("reports")
		if err != nil {
			t.Fatal(err)
		}
		n := notice()
		n.Ref = "order-7"
		a, b := send(t.Context(), t, c, n), send(t.Context(), t, reports, n)
		if a.ID == b.ID || a.Duplicate || b.Duplicate {
			t.Errorf("two producers with one ref: %+v and %+v", a, b)
		}
		if row, _, err := st.Get(t.Context(), b.ID); err != nil || row.Producer != "reports" {
			t.Errorf("producer %q, %v", row.Producer, err)
		}
		if _, err := c.For("a b"); err == nil {
			t.Error("a name that is none was taken")
		}

		n = notice()
		n.ID = uuid.Must(uuid.NewV7())
		for range 2 {
			if got := send(t.Context(), t, c, n); got.ID != n.ID || got.Duplicate {
				t.Errorf("with an id: %+v, want %s", got, n.ID)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := reports.Send(t.Context(), notice()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
	})
}
