package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
)

// asynq keeps the whole second of now plus the delay: whatever the fraction of
// now, that second must not lie before the wanted moment, and less than two
// seconds after it.
func TestRetryDelayIsNeverEarly(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, frac := range []time.Duration{0, time.Millisecond, 500 * time.Millisecond, 999 * time.Millisecond} {
		for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, 999 * time.Millisecond, time.Second, 1001 * time.Millisecond, time.Minute} {
			now := base.Add(frac)
			stored := time.Unix(now.Add(ceilToSecond(now, d)).Unix(), 0)
			want := now.Add(max(d, 0))
			if stored.Before(want) || stored.Sub(want) > 2*time.Second {
				t.Errorf("now .%03d, delay %v: stored %v, wanted at or just after %v", frac.Milliseconds(), d, stored.UTC(), want)
			}
		}
	}
}

func TestIsFailure(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{&handBackError{}, false},
		{fmt.Errorf("wrapped: %w", &handBackError{}), false},
		{asynq.ErrLeaseExpired, true}, // or a task that kills its worker never ends
		{context.DeadlineExceeded, true},
		{context.Canceled, true},
		{errPanic, true},
	} {
		if got := isFailure(tc.err); got != tc.want {
			t.Errorf("isFailure(%v) = %v, want %v", tc.err, got, tc.want)
		}
	}
}

func TestGuardedHooksSurviveAPanic(t *testing.T) {
	t.Parallel()
	if got := guarded(7, func() int { panic("boom") }); got != 7 {
		t.Errorf("guarded = %d, want the fallback", got)
	}
	if got := guarded(7, func() int { return 8 }); got != 8 {
		t.Errorf("guarded = %d, want 8", got)
	}
}

func TestDeadMarker(t *testing.T) {
	t.Parallel()
	n := store.Notification{Seq: 1, Reason: store.ReasonRejected, Errcode: 47003, Field: "thing1"}
	err := deathOf(n)
	if !errors.Is(err, asynq.SkipRetry) {
		t.Error("a death must be archived at once")
	}
	if want := "dead 1: rejected, errcode 47003, field thing1"; err.Error() != want {
		t.Errorf("marker %q, want %q", err.Error(), want)
	}
	if !isMarker(err.Error(), n) {
		t.Error("the marker is not recognised")
	}
	for _, other := range []string{"", "dead 12: rejected", "asynq: task lease expired", "dead 0: rejected"} {
		if isMarker(other, n) {
			t.Errorf("%q is taken for the marker of death 1", other)
		}
	}
}

func TestFaultRing(t *testing.T) {
	t.Parallel()
	r := newFaultRing()
	for i := range 49 {
		r.add(i < 11)
	}
	if r.tooMany() {
		t.Error("49 calls do not tell")
	}
	r.add(false)
	if !r.tooMany() {
		t.Error("11 of 50 is over a fifth")
	}
	r.add(false) // pushes the oldest fault out
	if r.tooMany() {
		t.Error("10 of 50 is not over a fifth")
	}
}
