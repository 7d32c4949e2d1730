package console

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

const (
	// bulkChunk is how many notifications one transaction changes: few enough that
	// a worker never waits for their locks.
	bulkChunk = 200
	// bulkStep is how many one request looks at or changes; then a page says how
	// far it got, and its form goes on. Together with bulkTime it keeps a request
	// well within the time of a page.
	bulkStep = 1000
	bulkTime = 8 * time.Second
	// maxSelected bounds the ids of a form: those of one page.
	maxSelected = 500
)

// The actions of a bulk.
const (
	bulkReplay  = "replay"
	bulkDiscard = "discard"
)

// bulk is what is done to many dead letters: to those of a list of ids, or to
// all of a filter.
type bulk struct {
	Action string // bulkReplay or bulkDiscard
	ids    []uuid.UUID
	filter store.Filter
	force  bool
	change change

	Form  url.Values // what the next form carries on
	Total int
}

// tally counts one kind of answer.
type tally struct {
	Result  store.ActResult
	State   store.State // only of a wrong one
	Reason  store.Reason
	Errcode int
	Count   int
}

type bulkPage struct {
	*bulk
	Preview bool
	Tallies []tally
	Looked  int // of Total
	Doing   int // what would be done, of those looked at
	Done    int // over all steps
	Left    int // over all steps: what could not be done
	Faults  []fault
	More    bool
}

// readBulk reads the form of a preview or of a step.
func (c *Console) readBulk(v *visit) (*bulk, error) {
	q := v.query()
	b := &bulk{Action: q.Get("action"), filter: q.letters(v), force: q.Get("force") != "", Form: url.Values{}}
	if b.Action != bulkReplay && b.Action != bulkDiscard || len(q.bad) > 0 {
		return nil, badRequest("The form is incomplete.")
	}
	for _, name := range []string{
		"action", "scope", "app", "user", "openid", "ref", "template", "reason", "errcode", "since", "until", "force",
		"set_template", "set_page", "set_key", "set_text",
	} {
		if text := q.Get(name); text != "" {
			b.Form.Set(name, text)
		}
	}
	switch q.Get("scope") {
	case "selected":
		for _, text := range v.r.PostForm["id"] {
			id, err := uuid.Parse(text)
			if err != nil {
				return nil, badRequest("The form is incomplete.")
			}
			b.ids = append(b.ids, id)
			b.Form.Add("id", id.String())
		}
		if len(b.ids) == 0 || len(b.ids) > maxSelected {
			return nil, badRequest("Nothing is selected, or too much.")
		}
	case "all":
		if err := c.limit(v, b); err != nil {
			return nil, err
		}
	default:
		return nil, badRequest("The form is incomplete.")
	}
	b.readChange(q)
	return b, nil
}

// limit keeps out what is accepted while a bulk goes on: nobody has looked at
// it. The limit is by the database's clock, that of the newest one.
func (c *Console) limit(v *visit, b *bulk) error {
	if !b.filter.Until.IsZero() {
		return nil
	}
	newest := b.filter
	newest.Limit = 1
	found, err := c.cfg.Store.List(v.ctx, newest)
	if err != nil || len(found) == 0 {
		return err
	}
	b.filter.Until = found[0].CreatedAt.Add(time.Microsecond)
	b.Form.Set("until", b.filter.Until.Format(time.RFC3339Nano))
	return nil
}

// readChange reads what a replay changes of every message.
func (b *bulk) readChange(q *query) {
	if text := strings.TrimSpace(q.Get("set_template")); text != "" {
		b.change.templateID = &text
	}
	if text := strings.TrimSpace(q.Get("set_page")); text != "" {
		b.change.page = &text
	}
	if key := strings.TrimSpace(q.Get("set_key")); key != "" {
		b.change.data = map[string]string{key: q.Get("set_text")}
	}
}

// page returns the next notifications; none at the end. It goes on behind the
// last one whatever became of it.
func (b *bulk) page(v *visit) ([]store.Notification, error) {
	if len(b.ids) == 0 && b.Form.Get("scope") == "all" {
		b.filter.Limit = bulkChunk
		found, err := v.c.cfg.Store.List(v.ctx, b.filter)
		if len(found) > 0 {
			b.filter.Before = store.After(found[len(found)-1])
		}
		return found, err
	}
	var found []store.Notification
	for _, id := range b.ids[:min(bulkChunk, len(b.ids))] {
		n, _, err := v.c.cfg.Store.Get(v.ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			found = append(found, n)
		}
		b.ids = b.ids[1:]
	}
	return found, nil
}

// judge says what the store will make of a notification, and how it is replayed.
// The store's own judgement counts.
func (b *bulk) judge(v *visit, n store.Notification, catalog *template.Catalog) (store.Acted, store.Replay, []fault) {
	acted := store.Acted{ID: n.ID, Result: store.ActDone, State: n.State, Reason: n.Reason, Errcode: n.Errcode}
	if b.Action == bulkDiscard {
		switch {
		case n.State != store.Dead:
			acted.Result = store.ActWrongState
		case !n.DiscardedAt.IsZero():
			acted.Result = store.ActBefore
		}
		return acted, store.Replay{}, nil
	}
	r := v.c.newReplay(v, n, b.force, nil, b.change.names(n))
	switch {
	case n.State != store.Dead:
		acted.Result = store.ActWrongState
	case n.Reason == store.ReasonInDoubt && !b.force:
		acted.Result = store.ActInDoubt
	case b.change.empty() && !sendable(n):
		acted.Result = store.ActNoContent
	case !b.change.empty():
		content, faults := b.change.apply(n, catalog)
		if faults != nil {
			acted.Result = store.ActNoContent
			return acted, r, faults
		}
		r.Content = content
	}
	return acted, r, nil
}

// step works on at most a step of notifications; without doing it only says what
// would be done.
func (c *Console) step(v *visit, b *bulk, doing bool) (bulkPage, error) {
	page := bulkPage{bulk: b, Preview: !doing}
	catalog, _, err := c.catalog(v.ctx)
	if err != nil {
		return page, err
	}
	began, counts := time.Now(), map[tally]int{}
	for page.Looked < c.bulkStep && time.Since(began) < bulkTime {
		found, err := b.page(v)
		if err != nil {
			return page, err
		}
		if len(found) == 0 {
			break
		}
		acted, faults, err := c.act(v, b, found, catalog, doing)
		if err != nil {
			return page, err
		}
		if page.Faults == nil {
			page.Faults = faults
		}
		for _, a := range acted {
			k := tally{Result: a.Result, Reason: a.Reason, Errcode: a.Errcode}
			if a.Result == store.ActWrongState {
				k.State = a.State
			}
			counts[k]++
			if a.Result == store.ActDone {
				page.Doing++
			}
		}
		page.Looked += len(found)
		page.More = len(b.ids) > 0 || b.Form.Get("scope") == "all" && len(found) == bulkChunk
		if !page.More {
			break
		}
	}
	page.Tallies = sortTallies(counts)
	return page, nil
}

func sortTallies(counts map[tally]int) []tally {
	var sorted []tally
	for k, n := range maps.All(counts) {
		k.Count = n
		sorted = append(sorted, k)
	}
	slices.SortFunc(sorted, func(a, b tally) int {
		return cmp.Or(
			cmp.Compare(slices.Index(store.ActResults, a.Result), slices.Index(store.ActResults, b.Result)),
			cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Errcode, b.Errcode), cmp.Compare(a.State, b.State))
	})
	return sorted
}

// act does it to one page of notifications.
func (c *Console) act(v *visit, b *bulk, found []store.Notification, catalog *template.Catalog, doing bool) (acted []store.Acted, faults []fault, err error) {
	var (
		replays  []store.Replay
		discards []store.Discard
	)
	for _, n := range found {
		forecast, replay, bad := b.judge(v, n, catalog)
		if faults == nil {
			faults = bad
		}
		switch {
		case !doing || forecast.Result == store.ActNoContent:
			acted = append(acted, forecast)
		case b.Action == bulkDiscard:
			discards = append(discards, store.Discard{ID: n.ID, Generation: n.Generation, Actor: v.actor()})
		default:
			replays = append(replays, replay)
		}
	}
	var done []store.Acted
	switch {
	case len(replays) > 0:
		done, err = c.cfg.Store.Replay(v.ctx, replays)
	case len(discards) > 0:
		done, err = c.cfg.Store.Discard(v.ctx, discards)
	}
	return append(acted, done...), faults, err
}

// previewBulk says what would become of the chosen dead letters.
func (c *Console) previewBulk(v *visit) error {
	b, err := c.readBulk(v)
	if err != nil {
		return err
	}
	if b.Total, err = c.chosen(v, b); err != nil {
		return err
	}
	page, err := c.step(v, b, false)
	if err != nil {
		return err
	}
	b.Form.Set("total", strconv.Itoa(b.Total))
	v.show("bulk", "What will happen", http.StatusOK, page)
	return nil
}

func (c *Console) chosen(v *visit, b *bulk) (int, error) {
	if b.Form.Get("scope") == "selected" {
		return len(b.ids), nil
	}
	return c.total(v, b.filter)
}

// runBulk does one step and shows how far it got. The first one is put on
// record; what is done to each notification is on record beside it.
func (c *Console) runBulk(v *visit) error {
	b, err := c.readBulk(v)
	if err != nil {
		return err
	}
	q := v.query()
	done, left := max(q.number("done"), 0), max(q.number("left"), 0)
	if b.Total = max(q.number("total"), 0); len(q.bad) > 0 {
		return badRequest("The form is incomplete.")
	}
	if q.Get("cursor") == "" && q.Get("done") == "" {
		verb := store.VerbReplayMany
		if b.Action == bulkDiscard {
			verb = store.VerbDiscardMany
		}
		if err := v.note(verb, "dead letters", b.describe()); err != nil {
			return err
		}
	}
	page, err := c.step(v, b, true)
	if page.Doing > 0 {
		c.cfg.Wake()
	}
	if err != nil {
		return err
	}
	page.Done, page.Left = done+page.Doing, left+page.Looked-page.Doing
	b.Form.Set("done", strconv.Itoa(page.Done))
	b.Form.Set("left", strconv.Itoa(page.Left))
	b.Form.Set("total", strconv.Itoa(b.Total))
	if page.More {
		b.Form.Set("cursor", b.filter.Before.String())
		b.Form.Del("id")
		for _, id := range b.ids {
			b.Form.Add("id", id.String())
		}
	}
	v.show("bulk", "Progress", http.StatusOK, page)
	return nil
}

// describe is what was chosen, for the record, which holds nothing personal.
func (b *bulk) describe() string {
	parts := []string{strconv.Itoa(b.Total) + " chosen"}
	if b.Form.Get("scope") == "selected" {
		parts[0] += " by hand"
	}
	for _, name := range []string{"app", "template", "reason", "errcode", "since", "until", "force", "set_template", "set_key"} {
		text := b.Form.Get(name)
		switch {
		case text == "":
		case name == "set_key":
			parts = append(parts, "set data."+shownKey(text))
		default:
			parts = append(parts, name+"="+text)
		}
	}
	if b.change.page != nil {
		parts = append(parts, "set page")
	}
	text := strings.Join(parts, ", ")
	return strings.ToValidUTF8(text[:min(len(text), maxNote)], "")
}
