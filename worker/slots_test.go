package worker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// queueUp starts n waiters and returns once all wait; each gets the slot, notes
// its name and gives the slot back when next is read.
func queueUp(t *testing.T, s *slots, app string, p store.Priority, n int, got chan<- string) {
	t.Helper()
	for range n {
		before := waiting(s, app, p)
		go func() {
			held, err := s.acquire(context.Background(), app, p)
			if err != nil {
				return
			}
			got <- app + "/" + string(p)
			held.release()
		}()
		eventually(t, "the waiter waits", func() bool { return waiting(s, app, p) == before+1 })
	}
}

func waiting(s *slots, app string, p store.Priority) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.apps[app]; a != nil && a.lanes[p] != nil {
		return len(a.lanes[p].waiting)
	}
	return 0
}

// eventually waits for a condition that only another goroutine can bring about.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestSlotsNeverExceedTheirNumber(t *testing.T) {
	t.Parallel()
	s := newSlots(3)
	var mu sync.Mutex
	inUse, most := 0, 0
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			held, err := s.acquire(context.Background(), []string{"a", "b"}[i%2], store.Priorities[i%3])
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inUse++
			most = max(most, inUse)
			mu.Unlock()
			mu.Lock()
			inUse--
			mu.Unlock()
			held.release()
		})
	}
	wg.Wait()
	if most > 3 || s.free() != 3 {
		t.Errorf("most in use %d, free at the end %d; want at most 3, and 3", most, s.free())
	}
}

func TestSlotsGoToTheAppThatHoldsFewest(t *testing.T) {
	t.Parallel()
	s := newSlots(2)
	hold1, _ := s.acquire(context.Background(), "slow", store.Default)
	hold2, _ := s.acquire(context.Background(), "slow", store.Default)
	got := make(chan string, 10)
	queueUp(t, s, "slow", store.Critical, 1, got)
	queueUp(t, s, "other", store.Low, 1, got)
	hold1.release()
	if first := <-got; first != "other/low" {
		t.Errorf("the freed slot went to %s; the app without a slot waits longer for its share", first)
	}
	<-got
	hold2.release()
}

func TestSlotsShareByPriority(t *testing.T) {
	t.Parallel()
	s := newSlots(1)
	hold, _ := s.acquire(context.Background(), "a", store.Default)
	got := make(chan string)
	queueUp(t, s, "a", store.Low, 20, got)
	queueUp(t, s, "a", store.Critical, 60, got)
	hold.release()
	counts := map[string]int{}
	for range 28 {
		counts[<-got]++
	}
	if c := counts["a/critical"]; c < 22 || c > 26 {
		t.Errorf("of 28 slots %d went to critical; 6 to 1 means 24", c)
	}
	go func() {
		for range got {
		}
	}()
	eventually(t, "all gone", func() bool { return waiting(s, "a", store.Low)+waiting(s, "a", store.Critical) == 0 })
}

func TestSlotsGiveUpWithTheirContext(t *testing.T) {
	t.Parallel()
	s := newSlots(1)
	hold, _ := s.acquire(context.Background(), "a", store.Default)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.acquire(ctx, "a", store.Default); err == nil {
		t.Fatal("a slot was given twice")
	}
	hold.release()
	if s.free() != 1 || waiting(s, "a", store.Default) != 0 {
		t.Errorf("free %d, waiting %d; want 1 and 0", s.free(), waiting(s, "a", store.Default))
	}
}

func TestKeyedLock(t *testing.T) {
	t.Parallel()
	l := newKeyedLock()
	ctx := context.Background()
	unlock, ok := l.tryLock(ctx, "o1", 0)
	if !ok {
		t.Fatal("a free key is refused")
	}
	if _, ok := l.tryLock(ctx, "o1", time.Millisecond); ok {
		t.Fatal("a held key is given twice")
	}
	other, ok := l.tryLock(ctx, "o2", 0)
	if !ok {
		t.Fatal("another key is refused")
	}
	other()
	got := make(chan func())
	go func() {
		u, ok := l.tryLock(ctx, "o1", 10*time.Second)
		if !ok {
			close(got)
			return
		}
		got <- u
	}()
	eventually(t, "the second waits", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.held["o1"]) == 1 })
	unlock()
	second, ok := <-got
	if !ok {
		t.Fatal("who waited did not get the freed key")
	}
	second()
	if len(l.held) != 0 {
		t.Errorf("%d keys are kept after their last holder", len(l.held))
	}
}

// take takes slots for an app until it would have to wait, and returns how many
// it got.
func take(t *testing.T, s *slots, app string) (n int) {
	t.Helper()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		if _, err := s.acquire(over, app, store.Default); err != nil {
			return n
		}
		n++
	}
}

// giveBack gives back one of the slots that take took.
func giveBack(s *slots, app string) { (&slot{s: s, a: s.app(app)}).release() }

// free is how many slots are nobody's; below 0 when credit was taken away that was
// used.
func (s *slots) free() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.total
	for _, a := range s.apps {
		n -= a.held()
	}
	return n
}

func TestSlotsKeepAPartForEveryApp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		total int
		apps  []string
		want  []int // what each gets that takes all it may, one after the other
	}{
		{"an app alone", 20, []string{"a"}, []int{20}},
		{"two apps", 20, []string{"a", "b"}, []int{15, 5}},
		{"four apps", 40, []string{"a", "b", "c", "d"}, []int{25, 5, 5, 5}},
		{"fewer slots than apps", 2, []string{"a", "b", "c"}, []int{2, 0, 0}},
	} {
		s := newSlots(tt.total)
		s.serve(tt.apps)
		for i, app := range tt.apps {
			if got := take(t, s, app); got != tt.want[i] {
				t.Errorf("%s: %s gets %d slots, want %d", tt.name, app, got, tt.want[i])
			}
		}
		if s.free() != 0 {
			t.Errorf("%s: %d slots are free", tt.name, s.free())
		}
	}
}

// With other apps the parts are others; an app that is gone gets nothing any
// more, and what it holds is the others' once it is given back.
func TestSlotsFollowTheApps(t *testing.T) {
	t.Parallel()
	s := newSlots(8)
	s.serve([]string{"a"})
	if got := take(t, s, "a"); got != 8 {
		t.Fatalf("alone it gets %d slots, want all", got)
	}
	s.serve([]string{"a", "b"}) // two for each from now on
	got := make(chan string, 1)
	queueUp(t, s, "a", store.Default, 1, got)
	holdB := make(chan *slot, 1)
	go func() {
		held, err := s.acquire(context.Background(), "b", store.Default)
		if err == nil {
			holdB <- held
		}
	}()
	eventually(t, "the new app waits", func() bool { return waiting(s, "b", store.Default) == 1 })
	giveBack(s, "a")
	heldB := <-holdB // before the one that waited longer
	giveBack(s, "a")
	select {
	case who := <-got:
		t.Errorf("%s got the other's part", who)
	default:
	}
	giveBack(s, "a")
	<-got
	heldB.release()
	eventually(t, "who got a slot has given it back", func() bool { return s.free() == 3 })

	s.serve([]string{"b"})
	if n := take(t, s, "a"); n != 0 {
		t.Errorf("an app that is gone gets %d slots", n)
	}
	if n := take(t, s, "b"); n != 3 {
		t.Errorf("the other gets %d slots, want the 3 that are free", n)
	}
}

// Who waits for a slot of an app that is taken out of the settings waits no longer.
func TestSlotsTurnAwayWhoWaitsForAnAppThatIsGone(t *testing.T) {
	t.Parallel()
	s := newSlots(4)
	s.serve([]string{"a", "b"})
	if got := take(t, s, "b"); got != 3 {
		t.Fatalf("it gets %d slots, want 3", got)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := s.acquire(context.Background(), "b", store.Default)
		answer <- err
	}()
	eventually(t, "it waits", func() bool { return waiting(s, "b", store.Default) == 1 })
	s.serve([]string{"a"})
	if err := <-answer; !errors.Is(err, errNotServed) {
		t.Errorf("who waited got %v", err)
	}
	if _, err := s.acquire(t.Context(), "b", store.Default); !errors.Is(err, errNotServed) {
		t.Errorf("who came later got %v", err)
	}
}
