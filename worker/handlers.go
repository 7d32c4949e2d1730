package worker

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// handlerMemory is how long a raw task's handler is remembered after its end:
// asynq may report the end of its patience with the handler a moment later.
const handlerMemory = 5 * time.Second

// handlers counts the handlers that have a raw task, by the id of its row. It
// counts because there may be several: asynq delivers a task again while the
// handler it gave up still runs, and the end of the one must not hide the other.
type handlers struct {
	memory time.Duration

	mu sync.Mutex
	n  map[uuid.UUID]int
}

func newHandlers(memory time.Duration) *handlers {
	return &handlers{memory: memory, n: map[uuid.UUID]int{}}
}

// enter counts a handler until a while after leave.
func (h *handlers) enter(id uuid.UUID) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n[id]++
	return func() { time.AfterFunc(h.memory, func() { h.forget(id) }) }
}

func (h *handlers) forget(id uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n[id]--; h.n[id] == 0 {
		delete(h.n, id)
	}
}

// count is how many handlers have the task, or had it just now.
func (h *handlers) count(id uuid.UUID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n[id]
}
