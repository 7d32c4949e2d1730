package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// testListFilters asks for every combination of a few conditions, page by page,
// and compares with what the same conditions choose from all notifications. A
// store may go through another index for each of them.
func testListFilters(f *fixture) {
	all := f.manyToList()
	middle := all[len(all)/2].CreatedAt
	type choice struct {
		name  string
		set   func(*store.Filter)
		keeps func(store.Notification) bool
	}
	none := choice{"", func(*store.Filter) {}, func(store.Notification) bool { return true }}
	who := []choice{
		none,
		{"user", func(q *store.Filter) { q.UserID = "user-1" }, func(n store.Notification) bool { return n.UserID == "user-1" }},
		{"openid", func(q *store.Filter) { q.OpenID = "openid-1" }, func(n store.Notification) bool { return n.OpenID == "openid-1" }},
		{"ref", func(q *store.Filter) { q.Ref = "ref-1" }, func(n store.Notification) bool { return n.Ref == "ref-1" }},
		{"template", func(q *store.Filter) { q.TemplateID = "template-2" }, func(n store.Notification) bool { return n.TemplateID == "template-2" }},
	}
	app := []choice{none, {"app", func(q *store.Filter) { q.App = "wx2" }, func(n store.Notification) bool { return n.App == "wx2" }}}
	what := []choice{
		none,
		{"errcode", func(q *store.Filter) { q.Errcode = 41030 }, func(n store.Notification) bool { return n.Errcode == 41030 }},
		{"reason", func(q *store.Filter) { q.Reason = store.ReasonPage }, func(n store.Notification) bool { return n.Reason == store.ReasonPage }},
		{"fault", func(q *store.Filter) { q.Class = store.ClassFault }, func(n store.Notification) bool { return n.Class == store.ClassFault }},
		{"refused", func(q *store.Filter) { q.Class = store.ClassRefused }, func(n store.Notification) bool { return n.Class == store.ClassRefused }},
	}
	var states []choice
	for _, chosen := range [][]store.State{nil, {store.Dead}, {store.Queued}, {store.Expired}, {store.Dead, store.Queued}} {
		states = append(states, choice{
			fmt.Sprint(chosen), func(q *store.Filter) { q.States = chosen },
			func(n store.Notification) bool { return len(chosen) == 0 || slices.Contains(chosen, n.State) },
		})
	}
	when := []choice{
		none,
		{"since", func(q *store.Filter) { q.Since = middle }, func(n store.Notification) bool { return !n.CreatedAt.Before(middle) }},
		{"until", func(q *store.Filter) { q.Until = middle }, func(n store.Notification) bool { return n.CreatedAt.Before(middle) }},
	}
	combine(func(chosen []choice) {
		q, name := store.Filter{Limit: 4}, ""
		for _, c := range chosen {
			c.set(&q)
			name += " " + c.name
		}
		var want []uuid.UUID
		for _, n := range all {
			if !slices.ContainsFunc(chosen, func(c choice) bool { return !c.keeps(n) }) {
				want = append(want, n.ID)
			}
		}
		f.diff("list by"+name, want, f.pages(q))
	}, who, app, what, states, when)
}

// combine calls each with one element of every set, for all combinations.
func combine[T any](each func([]T), sets ...[]T) {
	at := make([]int, len(sets))
	for {
		chosen := make([]T, len(sets))
		for i, set := range sets {
			chosen[i] = set[at[i]]
		}
		each(chosen)
		i := 0
		for ; i < len(sets); i++ {
			if at[i]++; at[i] < len(sets[i]) {
				break
			}
			at[i] = 0
		}
		if i == len(sets) {
			return
		}
	}
}

// pages lists all that q chooses, page by page.
func (f *fixture) pages(q store.Filter) (ids []uuid.UUID) {
	f.Helper()
	for {
		page := must[[]store.Notification](f)(f.List(f.ctx, q))
		for _, n := range page {
			ids = append(ids, n.ID)
		}
		if len(page) < q.Limit {
			return ids
		}
		last := page[len(page)-1]
		q.Before = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
	}
}

// manyToList inserts notifications that differ in all that a filter asks for, in
// two transactions, so that half of them have one time of creation and half
// another. It returns them as they are listed.
func (f *fixture) manyToList() []store.Notification {
	f.Helper()
	i := 0
	for range 2 {
		var batch []store.Acceptance
		for range 36 {
			i++
			batch = append(batch, acceptance(row(func(n *store.Notification) {
				n.App, n.TemplateID = fmt.Sprintf("wx%d", i%3), fmt.Sprintf("template-%d", i/2%3)
				n.OpenID = fmt.Sprintf("openid-%d", i%2)
				if i%4 < 2 {
					n.UserID, n.OpenID = fmt.Sprintf("user-%d", i/4%2), ""
				}
				if i%5 < 2 {
					n.Producer, n.Ref = fmt.Sprintf("producer-%d", i), fmt.Sprintf("ref-%d", i%5)
				}
				switch i % 6 {
				case 1, 2:
					n.State, n.Class, n.Reason, n.Errcode = store.Dead, store.ClassFault, store.ReasonPage, 41030
				case 3:
					n.State, n.Class, n.Reason, n.Errcode = store.Dead, store.ClassFault, store.ReasonRejected, 47003
				case 4:
					n.State, n.Class, n.Reason, n.Errcode = store.Dead, store.ClassRefused, store.ReasonNotSubscribed, 43101
				case 5:
					n.State, n.Reason = store.Expired, store.ReasonTooOld
				}
			})))
		}
		before := time.Now()
		f.eventually("the clock to move on", func() bool { return time.Since(before) > time.Millisecond })
		must[[]store.Inserted](f)(f.Insert(f.ctx, batch))
	}
	return must[[]store.Notification](f)(f.List(f.ctx, store.Filter{Limit: 500}))
}
