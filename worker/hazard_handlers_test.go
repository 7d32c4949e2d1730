package worker

import (
	"testing"

	"github.com/wxnotify/wxnotify/worker/task"
)

// A handler that ends must not make the process forget another one that has the
// same task.
func TestHandlersAreCounted(t *testing.T) {
	t.Parallel()
	h := newHandlers(0)
	id := task.RawID("q", "t")
	leave := h.enter(id)
	leaveAgain := h.enter(id)
	leave()
	eventually(t, "the first is forgotten", func() bool { return h.count(id) == 1 })
	if h.count(task.RawID("other queue", "t")) != 0 {
		t.Error("the same TaskID in another queue is another task")
	}
	leaveAgain()
	eventually(t, "both are forgotten", func() bool { return h.count(id) == 0 })
}
