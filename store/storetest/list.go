package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func testList(f *fixture) {
	a := f.accept(row(func(n *store.Notification) {
		n.Producer, n.Ref, n.ContentHash, n.UserID, n.OpenID = "p", "r", []byte{1}, "u", ""
	}))
	b := f.accept(row(func(n *store.Notification) { n.App, n.TemplateID = "wx2", "template-2" }))
	_, l := f.claim(f.accept())
	c := f.mustSettle(settlement(l, store.Dead, "rejected", func(s *store.Settlement) { s.Attempt.Errcode = 47003 }))
	start := a.CreatedAt

	for name, test := range map[string]struct {
		filter store.Filter
		want   []uuid.UUID
	}{
		"all":        {store.Filter{}, []uuid.UUID{c.ID, b.ID, a.ID}},
		"app":        {store.Filter{App: "wx2"}, []uuid.UUID{b.ID}},
		"producer":   {store.Filter{Producer: "p"}, []uuid.UUID{a.ID}},
		"ref":        {store.Filter{Ref: "r"}, []uuid.UUID{a.ID}},
		"user":       {store.Filter{UserID: "u"}, []uuid.UUID{a.ID}},
		"openid":     {store.Filter{OpenID: "openid-1"}, []uuid.UUID{c.ID, b.ID}},
		"template":   {store.Filter{TemplateID: "template-2"}, []uuid.UUID{b.ID}},
		"state":      {store.Filter{States: []store.State{store.Dead}}, []uuid.UUID{c.ID}},
		"states":     {store.Filter{States: []store.State{store.Dead, store.Queued}}, []uuid.UUID{c.ID, b.ID, a.ID}},
		"no state":   {store.Filter{States: []store.State{"' OR true --"}}, nil},
		"class":      {store.Filter{Class: store.ClassFault}, []uuid.UUID{c.ID}},
		"reason":     {store.Filter{Reason: store.ReasonRejected}, []uuid.UUID{c.ID}},
		"errcode":    {store.Filter{Errcode: 47003}, []uuid.UUID{c.ID}},
		"since":      {store.Filter{Since: start.Add(time.Hour)}, nil},
		"until":      {store.Filter{Until: start}, nil},
		"between":    {store.Filter{Since: start, Until: start.Add(time.Hour)}, []uuid.UUID{c.ID, b.ID, a.ID}},
		"limit":      {store.Filter{Limit: 1}, []uuid.UUID{c.ID}},
		"everything": {store.Filter{App: testApp, OpenID: "openid-1", States: []store.State{store.Dead}, Errcode: 47003}, []uuid.UUID{c.ID}},
	} {
		list := must[[]store.Notification](f)(f.List(f.ctx, test.filter))
		f.diff(name, test.want, idsOf(list))
	}
	f.diff("row of a list", c, must[[]store.Notification](f)(f.List(f.ctx, store.Filter{Limit: 1}))[0])
}

func idsOf(list []store.Notification) []uuid.UUID {
	var ids []uuid.UUID
	for _, n := range list {
		ids = append(ids, n.ID)
	}
	return ids
}

// testListPages pages through rows of which many have one created_at: the id
// decides among them, also where it does not carry the time.
func testListPages(f *fixture) {
	var want []uuid.UUID
	for range 4 {
		batch := make([]store.Acceptance, 30)
		for i := range batch {
			batch[i] = acceptance(row(func(n *store.Notification) { n.ID = uuid.New() }))
			want = append(want, batch[i].Notification.ID)
		}
		must[[]store.Inserted](f)(f.Insert(f.ctx, batch))
	}
	var (
		got    []store.Notification
		cursor store.Cursor
	)
	for {
		page := must[[]store.Notification](f)(f.List(f.ctx, store.Filter{Before: cursor}))
		if len(page) == 0 {
			break
		}
		if len(page) > 50 {
			f.Fatalf("a page of %d without a limit, want 50", len(page))
		}
		got = append(got, page...)
		last := page[len(page)-1]
		cursor = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
	}
	if !slices.IsSortedFunc(got, func(a, b store.Notification) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return slices.Compare(b.ID[:], a.ID[:])
	}) {
		f.Error("not the newest first")
	}
	ids := idsOf(got)
	sortIDs(ids)
	sortIDs(want)
	f.diff("all pages", want, ids)
	if n := len(must[[]store.Notification](f)(f.List(f.ctx, store.Filter{Limit: 100_000}))); n != 120 {
		f.Errorf("%d rows with a limit over the maximum, want all 120", n)
	}
}

func sortIDs(ids []uuid.UUID) {
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
}

func testCountByState(f *fixture) {
	f.accept()
	f.accept(row(func(n *store.Notification) { n.App = "wx2" }))
	f.claim(f.accept())
	want := map[store.State]int{store.Queued: 2, store.Sending: 1}
	for _, s := range store.States {
		want[s] += 0
	}
	f.diff("all apps", want, must[map[store.State]int](f)(f.CountByState(f.ctx, "")))
	want[store.Queued] = 1
	f.diff("one app", want, must[map[store.State]int](f)(f.CountByState(f.ctx, testApp)))
}
