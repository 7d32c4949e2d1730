package task

import (
	"strings"

	"github.com/wxnotify/wxnotify/store"
)

// Queue is the asynq queue of an app and a priority: the bare priority for the
// default app, so that a raw producer needs to know no appid, and
// "<appid>:<priority>" for every other.
func Queue(app, defaultApp string, p store.Priority) string {
	if p == "" {
		p = store.Default
	}
	if app == defaultApp || app == "" {
		return string(p)
	}
	return app + ":" + string(p)
}

// Queues are all queues of an app, highest priority first.
func Queues(app, defaultApp string) []string {
	qs := make([]string, 0, len(store.Priorities))
	for _, p := range store.Priorities {
		qs = append(qs, Queue(app, defaultApp, p))
	}
	return qs
}

// ParseQueue is the inverse of Queue; ok is false for a queue that is not ours.
func ParseQueue(queue, defaultApp string) (app string, p store.Priority, ok bool) {
	app = defaultApp
	name := queue
	if i := strings.LastIndexByte(queue, ':'); i >= 0 {
		app, name = queue[:i], queue[i+1:]
	}
	for _, known := range store.Priorities {
		if name == string(known) {
			return app, known, app != ""
		}
	}
	return "", "", false
}
