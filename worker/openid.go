package worker

import (
	"context"
	"sync"
	"time"
)

// keyedLock holds one lock per key. WeChat refuses a second call for an openid
// while one runs (43108); within a process this keeps us from causing it, and
// across processes the refusal itself is the guard, since it proves that
// nothing was done.
type keyedLock struct {
	mu   sync.Mutex
	held map[string]*keyHolder
}

type keyHolder struct {
	free    chan struct{} // holds one token while the key is free
	waiters int           // holders and waiters; the entry goes when none is left
}

func newKeyedLock() *keyedLock { return &keyedLock{held: map[string]*keyHolder{}} }

// tryLock takes the lock of key, waiting at most wait; unlock must be called
// when ok.
func (l *keyedLock) tryLock(ctx context.Context, key string, wait time.Duration) (unlock func(), ok bool) {
	l.mu.Lock()
	h := l.held[key]
	if h == nil {
		h = &keyHolder{free: make(chan struct{}, 1)}
		h.free <- struct{}{}
		l.held[key] = h
	}
	h.waiters++
	l.mu.Unlock()

	got := false
	select {
	case <-h.free:
		got = true
	default:
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-h.free:
			got = true
		case <-t.C:
		case <-ctx.Done():
		}
	}
	if !got {
		l.leave(key, h)
		return nil, false
	}
	return func() {
		h.free <- struct{}{}
		l.leave(key, h)
	}, true
}

func (l *keyedLock) leave(key string, h *keyHolder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.waiters--
	if h.waiters == 0 {
		delete(l.held, key)
	}
}
