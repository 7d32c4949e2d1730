package console

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// A receipt stands behind the attempt that it is about, whose time is finer.
func TestReceivedAt(t *testing.T) {
	t.Parallel()
	second := time.Date(2026, 3, 2, 9, 12, 40, 0, time.UTC)
	attempts := []store.Attempt{{N: 1, At: second.Add(-time.Minute)}, {N: 2, At: second.Add(300 * time.Millisecond)}}
	for n, want := range map[int]time.Time{1: second, 2: attempts[1].At, 3: second} {
		if got := receivedAt(store.ReceiptRecord{N: n, At: second}, attempts); !got.Equal(want) {
			t.Errorf("receipt of attempt %d at %s, want %s", n, got, want)
		}
	}
}
