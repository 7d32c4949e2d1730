package worker

import (
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// quiet is how long the quiet hours of its template put a notification off, by
// the database's clock; 0: not at all. Acceptance puts off what it knows to come
// within them; the worker has the last word, for what came before them, what is
// tried again, and raw tasks. It asks twice: when it looks at the row, and when
// the claim is granted, after which nothing waits any more.
func (a *app) quiet(look *store.Look) time.Duration {
	end, quiet := a.QuietHours[look.TemplateID].Until(look.Now, look.Priority)
	if !quiet {
		return 0
	}
	return end.Sub(look.Now)
}
