package console

import (
	"net/http"
	"net/url"

	"github.com/wxnotify/wxnotify/store"
)

type deadPage struct {
	listed
	Total   int
	Reasons []store.Counted
	Form    url.Values
	Bad     []string
	Apps    []string
	Known   []store.Reason
}

// letters are the dead letters that a form chooses.
func (q *query) letters(v *visit) store.Filter {
	f, letters := q.filter(v), store.DeadLetters()
	f.States, f.Class, f.Discarded = letters.States, letters.Class, letters.Discarded
	return f
}

// showDead shows the dead letters by reason.
func (c *Console) showDead(v *visit) error {
	q := v.query()
	f := q.letters(v)
	page := deadPage{Form: q.Values, Bad: q.bad, Apps: c.cfg.Apps, Known: store.Reasons}
	if len(page.Bad) > 0 {
		v.show("dead", "Dead letters", http.StatusBadRequest, page)
		return nil
	}
	var err error
	all := store.DeadLetters()
	all.App = f.App
	if page.Reasons, err = c.cfg.Store.Count(v.ctx, all, store.GroupReason); err != nil {
		return err
	}
	if page.Total, err = c.total(v, f); err != nil {
		return err
	}
	if page.listed, err = v.find(f); err != nil {
		return err
	}
	v.show("dead", "Dead letters", http.StatusOK, page)
	return nil
}

func (c *Console) total(v *visit, f store.Filter) (int, error) {
	counts, err := c.cfg.Store.Count(v.ctx, f, store.GroupNone)
	if err != nil || len(counts) == 0 {
		return 0, err
	}
	return counts[0].Count, nil
}
