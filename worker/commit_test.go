package worker

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

func TestBatchesAreOfDifferentNotifications(t *testing.T) {
	t.Parallel()
	ids := make([]uuid.UUID, 2*maxBatch)
	for i := range ids {
		ids[i] = uuid.New()
	}
	for _, tc := range []struct {
		name  string
		of    []int // which of ids, in this order
		sizes []int // of the batches
	}{
		{"nothing", nil, nil},
		{"one", []int{0}, []int{1}},
		{"the same twice", []int{0, 0}, []int{1, 1}},
		{"one in between", []int{0, 1, 0, 2, 1, 0}, []int{3, 2, 1}},
		{"more than fits", upTo(maxBatch + 3), []int{maxBatch, 3}},
		{"as many as fit and one of them again", append(upTo(maxBatch), 7), []int{maxBatch, 1}},
		{"one again and more than fits", append([]int{0}, upTo(maxBatch+3)...), []int{maxBatch, 4}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var pending []*item
			for _, i := range tc.of {
				pending = append(pending, &item{what: claimItem, claim: store.Claim{ID: ids[i]}})
			}
			taken := make(map[*item]bool)
			for _, size := range tc.sizes {
				var batch []*item
				batch, pending = takeBatch(pending, map[uuid.UUID]bool{})
				if len(batch) != size {
					t.Fatalf("got a batch of %d, want %d", len(batch), size)
				}
				seen := make(map[uuid.UUID]bool)
				for _, it := range batch {
					if seen[it.id()] || taken[it] {
						t.Error("the same again")
					}
					seen[it.id()], taken[it] = true, true
				}
			}
			if len(pending) > 0 {
				t.Errorf("%d are left", len(pending))
			}
		})
	}
}

func upTo(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// Everybody gets the answer to what he asked, also where items are used again and
// a batch is split.
func TestEachGetsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	s := &faultyStore{commit: func(b store.Batch, _ func() (store.Results, error)) (store.Results, error) {
		r := store.Results{Claims: make([]store.Claimed, len(b.Claims)), Settlements: make([]store.Settled, len(b.Settlements))}
		for i, c := range b.Claims {
			if c.Generation%7 == 0 {
				return store.Results{}, refused
			}
			r.Claims[i] = store.Claimed{OK: true, Found: true, Look: store.Look{Notification: store.Notification{ID: c.ID}}}
		}
		for i, s := range b.Settlements {
			r.Settlements[i] = store.Settled{Applied: true, Generation: s.Seq}
		}
		return r, nil
	}}
	c := newCommitter(s, zap.NewNop(), noop.NewTracerProvider().Tracer(""), func(bool) {})
	c.start()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := 1; i <= 100; i++ {
				id := uuid.New()
				var look store.Look
				ok, found, err := c.claim(t.Context(), store.Claim{ID: id, Generation: i}, &look)
				if bad := i%7 == 0; bad != errors.Is(err, refused) || ok == bad || ok != found || ok && look.ID != id {
					t.Errorf("claim %d: got %v, %v", i, ok, err)
				}
				settled, err := c.settle(t.Context(), &store.Settlement{ID: id, Seq: i})
				if err != nil || settled.Generation != i {
					t.Errorf("settlement %d: got that of %d, %v", i, settled.Generation, err)
				}
			}
		})
	}
	wg.Wait()
	if err := c.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.move(t.Context(), store.Move{ID: uuid.New()}); !errors.Is(err, errStopped) {
		t.Errorf("after the end: got %v", err)
	}
}

// While one transaction is written, a second one begins for many items, or when the
// first is stuck, and not for a few.
func TestTheSecondWriterBeginsForManyOrWhenTheFirstIsStuck(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stuckAfter time.Duration
		few        int // items that leave it idle
		more       int // and those on top that do not
	}{
		"many":               {time.Hour, worthwhile - 1, 1},
		"the first is stuck": {time.Millisecond, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun, goOn := make(chan int, 8), make(chan struct{})
			s := &faultyStore{commit: func(b store.Batch, _ func() (store.Results, error)) (store.Results, error) {
				begun <- b.Len()
				<-goOn
				return store.Results{Moves: make([]bool, len(b.Moves))}, nil
			}}
			c := newCommitter(s, zap.NewNop(), noop.NewTracerProvider().Tracer(""), func(bool) {})
			c.stuckAfter = tc.stuckAfter
			c.start()
			var wg sync.WaitGroup
			add := func(n int) {
				for range n {
					wg.Go(func() {
						if _, err := c.move(t.Context(), store.Move{ID: uuid.New()}); err != nil {
							t.Error(err)
						}
					})
				}
			}
			add(1)
			<-begun
			add(tc.few)
			eventually(t, "the few wait", func() bool {
				c.asked.Lock()
				defer c.asked.Unlock()
				return len(c.pending) == tc.few
			})
			if len(begun) != 0 {
				t.Errorf("a transaction of %d begins beside another", <-begun)
			}
			add(tc.more)
			if n := <-begun; n != tc.few+tc.more {
				t.Errorf("the second transaction is one of %d, want %d", n, tc.few+tc.more)
			}
			close(goOn)
			wg.Wait()
			if err := c.stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
