package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// looker reads rows, many in one statement: a batch is whatever was asked for
// while the last one ran.
type looker struct {
	store Store
	pause time.Duration // between tries while the store is away

	mu      sync.Mutex
	running bool
	pending []*lookRequest
}

type lookRequest struct {
	id   uuid.UUID
	look store.Look
	err  error
	done chan struct{}
}

func newLooker(s Store) *looker { return &looker{store: s, pause: 250 * time.Millisecond} }

// look waits while the store is away, until ctx ends; the error is then
// store.ErrUnavailable or ctx's. A row that is not there is store.ErrNotFound.
func (l *looker) look(ctx context.Context, id uuid.UUID) (store.Look, error) {
	for {
		r := &lookRequest{id: id, done: make(chan struct{})}
		l.mu.Lock()
		l.pending = append(l.pending, r)
		if !l.running {
			l.running = true
			go l.run() //nolint:gosec // G118: the read is shared by callers whose contexts end at different times
		}
		l.mu.Unlock()
		select {
		case <-r.done:
		case <-ctx.Done():
			return store.Look{}, ctx.Err()
		}
		if !errors.Is(r.err, store.ErrUnavailable) {
			return r.look, r.err
		}
		t := time.NewTimer(l.pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return store.Look{}, r.err
		}
	}
}

// lookTimeout bounds one read, so that a store that hangs is asked again.
const lookTimeout = 10 * time.Second

func (l *looker) run() {
	for {
		l.mu.Lock()
		n := min(len(l.pending), maxBatch)
		batch := l.pending[:n:n]
		l.pending = l.pending[n:]
		if n == 0 {
			l.running, l.pending = false, nil
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()

		ids := make([]uuid.UUID, n)
		for i, r := range batch {
			ids[i] = r.id
		}
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		looks, err := l.store.Look(ctx, ids)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: no answer within %v", store.ErrUnavailable, lookTimeout)
		}
		cancel()
		found := make(map[uuid.UUID]store.Look, len(looks))
		for _, k := range looks {
			found[k.ID] = k
		}
		for _, r := range batch {
			look, ok := found[r.id]
			switch {
			case err != nil:
				r.err = err
			case !ok:
				r.err = store.ErrNotFound
			default:
				r.look = look
			}
			close(r.done)
		}
	}
}
