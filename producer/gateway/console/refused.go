package console

import (
	"net/http"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// refusedWindows are the spans that the ratio may be about.
var refusedWindows = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

type refusedPage struct {
	listed
	Window   string
	Outcomes []store.Outcome // by template
	Total    store.Outcome
}

// showRefused shows what users had not consented to: an ordinary outcome, whose
// ratio tells whether the Mini Program asks for consents at the right moment.
func (c *Console) showRefused(v *visit) error {
	q := v.query()
	page := refusedPage{Window: q.Get("window")}
	span, ok := refusedWindows[page.Window]
	if !ok {
		page.Window, span = "24h", 24*time.Hour
	}
	var err error
	if page.Outcomes, err = c.cfg.Store.Outcomes(v.ctx, span); err != nil {
		return err
	}
	for _, o := range page.Outcomes {
		page.Total = page.Total.Add(o)
	}
	f := q.filter(v)
	f.Class, f.States = store.ClassRefused, []store.State{store.Dead}
	if page.listed, err = v.find(f); err != nil {
		return err
	}
	v.show("refused", "Refused", http.StatusOK, page)
	return nil
}
