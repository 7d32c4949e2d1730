package worker

import (
	"context"
	"slices"
	"sync"
	"time"
)

// keyedLock holds one lock per key. WeChat refuses a second call for an openid
// while one runs (43108); within a process this keeps us from causing it, and
// across processes the refusal itself is the guard, since it proves that
// nothing was done.
type keyedLock struct {
	mu sync.Mutex
	// held are the keys that are locked, each with those who wait for it in the
	// order in which they came. Hardly ever does anybody.
	held map[string][]chan struct{}
}

func newKeyedLock() *keyedLock { return &keyedLock{held: map[string][]chan struct{}{}} }

// tryLock takes the lock of key, waiting at most wait; unlock must be called
// when ok.
func (l *keyedLock) tryLock(ctx context.Context, key string, wait time.Duration) (unlock func(), ok bool) {
	unlock = func() { l.unlock(key) }
	l.mu.Lock()
	waiting, held := l.held[key]
	if !held {
		l.held[key] = nil
		l.mu.Unlock()
		return unlock, true
	}
	if wait <= 0 {
		l.mu.Unlock()
		return nil, false
	}
	mine := make(chan struct{})
	l.held[key] = append(waiting, mine)
	l.mu.Unlock()

	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-mine:
		return unlock, true
	case <-t.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	i := slices.Index(l.held[key], mine)
	if i >= 0 {
		l.held[key] = slices.Delete(l.held[key], i, i+1)
	}
	l.mu.Unlock()
	if i < 0 { // it came in the same moment
		return unlock, true
	}
	return nil, false
}

// unlock hands the lock to who has waited longest.
func (l *keyedLock) unlock(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.held[key]
	if len(waiting) == 0 {
		delete(l.held, key)
		return
	}
	close(waiting[0])
	l.held[key] = waiting[1:]
}
