package console

import (
	"strconv"
	"testing"
	"time"
)

// Whoever comes from everywhere does not fill the memory, and failures that are
// long ago do not count.
func TestTries(t *testing.T) {
	t.Parallel()
	now := time.Now()
	tries := newTries(func() time.Time { return now })
	for i := range 3 * maxTries {
		tries.fail(strconv.Itoa(i), 5)
	}
	if len(tries.places) != maxTries || tries.order.Len() != maxTries {
		t.Errorf("%d and %d are remembered, want %d", len(tries.places), tries.order.Len(), maxTries)
	}
	for i := range 4 {
		if tries.fail("a", 5) {
			t.Errorf("closed after %d", i+1)
		}
	}
	now = now.Add(lockOut)
	if tries.fail("a", 5) || tries.locked("a", 5) > 0 {
		t.Error("failures of long ago count")
	}
	for range 4 {
		tries.fail("a", 5)
	}
	if left := tries.locked("a", 5); left != lockOut {
		t.Errorf("closed for %s", left)
	}
	tries.forgive("a")
	if tries.locked("a", 5) > 0 || tries.locked("never", 5) > 0 {
		t.Error("closed without a failure")
	}
}

func TestAddressOf(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:0:1:2:3:4:5]:1": "2001:db8:0:1::/64",
		"[fe80::1%eth0]:1": "fe80::/64", "@": "unknown", "": "unknown", "192.0.2.7": "192.0.2.7",
	} {
		if got := addressOf(remote); got != want {
			t.Errorf("%q: %s, want %s", remote, got, want)
		}
	}
}
