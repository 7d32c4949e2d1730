package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// The person of these tests, and what belongs to others and stays.
const (
	erasedUser   = "u-erased"
	erasedOpenID = "o-erased"
)

// toUser addresses a notification to a user.
func toUser(user string) func(*store.Acceptance) {
	return row(func(n *store.Notification) { n.UserID, n.OpenID = user, "" })
}

// personal gives a notification what erasing removes.
func personal(user string) []func(*store.Acceptance) {
	return []func(*store.Acceptance){full, toUser(user)}
}

// beginErasure begins the erasure of a user and returns its notifications.
func (f *fixture) beginErasure(user string, edits ...func(*store.Erasure)) store.ErasureBegun {
	f.Helper()
	e := store.Erasure{UserID: user}
	for _, edit := range edits {
		edit(&e)
	}
	e.Addresses = must[[]store.Address](f)(f.Addresses(f.ctx, user, e.Apps))
	return must[store.ErasureBegun](f)(f.BeginErasure(f.ctx, e))
}

// eraseRows erases notifications and returns what became of each.
func (f *fixture) eraseRows(ids ...uuid.UUID) map[uuid.UUID]store.EraseResult {
	f.Helper()
	rows := must[[]store.ErasedRow](f)(f.EraseRows(f.ctx, ids))
	results := map[uuid.UUID]store.EraseResult{}
	for i, r := range rows {
		if r.ID != ids[i] {
			f.Fatalf("answer %d is not in the order of the ids", i)
		}
		results[r.ID] = r.Result
	}
	return results
}

// wantErased checks that nothing of the person is left in a notification that
// was before, and that everything else is as it was.
func (f *fixture) wantErased(before store.Notification, state store.State, class store.Class, reason store.Reason) {
	f.Helper()
	after := f.get(before.ID)
	f.invariants(after)
	want := before
	want.State, want.Class, want.Reason = state, class, reason
	want.UserID, want.OpenID, want.Data, want.Payload, want.Errmsg = "", "", nil, nil, ""
	want.Page, _, _ = strings.Cut(before.Page, "?")
	want.HandoverAt = time.Time{}
	want.ExpiresAt, want.UpdatedAt, want.FinishedAt = after.ExpiresAt, after.UpdatedAt, after.FinishedAt
	want.DataBlankedAt, want.DiscardedAt = after.DataBlankedAt, after.DiscardedAt
	f.diff(string(state), want, after)
	if after.DataBlankedAt.IsZero() || (class == store.ClassFault) != !after.DiscardedAt.IsZero() {
		f.Errorf("%s, %s: blanked at %v, discarded at %v", state, class, after.DataBlankedAt, after.DiscardedAt)
	}
	for _, a := range f.attempts(before.ID) {
		if a.Errmsg != "" || a.RID != "" {
			f.Errorf("%s: an attempt keeps its text", state)
		}
	}
}

// testEraseOpen: what can be cancelled is.
func testEraseOpen(f *fixture) {
	retrying := func(n store.Notification) store.Notification {
		_, l := f.claim(n)
		return f.mustSettle(settlement(l, store.Retrying, "busy", func(s *store.Settlement) {
			s.Delay, s.Attempt.Errmsg, s.Attempt.RID = time.Hour, "text", "rid"
		}))
	}
	waiting := func(reason store.Reason, edits ...func(*store.Acceptance)) store.Notification {
		n := f.accept(append(personal(erasedUser), edits...)...)
		if !f.move(store.Move{ID: n.ID, Generation: 1, State: store.Waiting, Reason: reason}) {
			f.Fatal("move to waiting")
		}
		return f.get(n.ID)
	}
	f.bind(binding(erasedUser, erasedOpenID))
	open := []store.Notification{
		f.accept(personal(erasedUser)...), retrying(f.accept(personal(erasedUser)...)),
		waiting(store.ReasonUnbound, row(func(n *store.Notification) { n.App = "wx2" })), waiting(store.ReasonNoConsent),
		f.accept(full, row(func(n *store.Notification) { n.OpenID = erasedOpenID })),
	}
	other := f.accept(personal("u-other")...)
	begun := f.beginErasure(erasedUser)
	if len(begun.IDs) != len(open) || begun.Unbound != 1 {
		f.Fatalf("begun with %d notifications and %d bindings, want %d and 1", len(begun.IDs), begun.Unbound, len(open))
	}
	f.wantBound("erased", map[string]string{erasedUser: ""})
	results := f.eraseRows(begun.IDs...)
	for _, n := range open {
		if results[n.ID] != store.EraseCancelled {
			f.Errorf("%s: %s, want cancelled", n.State, results[n.ID])
		}
		f.wantErased(n, store.Cancelled, store.ClassNone, store.ReasonErased)
	}
	f.diff("another user's", other, f.get(other.ID))
	for id, result := range f.eraseRows(begun.IDs...) {
		if result != store.EraseBefore {
			f.Errorf("%s again: %s", id, result)
		}
	}
	if again := f.beginErasure(erasedUser); len(again.IDs) != 0 || again.Unbound != 0 {
		f.Errorf("begun again: %+v", again)
	}
}

// testEraseEnded: what has ended keeps its end.
func testEraseEnded(f *fixture) {
	f.bind(binding(erasedUser, erasedOpenID))
	end := func(state store.State, class store.Class, reason store.Reason) store.Notification {
		_, l := f.claim(f.accept(personal(erasedUser)...))
		return f.mustSettle(settlement(l, state, "outcome", func(s *store.Settlement) {
			s.Class, s.Reason, s.Attempt.Errmsg, s.Attempt.RID = class, reason, "text", "rid"
		}))
	}
	doubted, doubt := f.inDoubt(0, append(personal(erasedUser), row(func(n *store.Notification) { n.Duplicates = store.DuplicatesAvoid }))...)
	f.resolveDoubts()
	ended := []store.Notification{
		end(store.Sent, store.ClassNone, store.ReasonNone),
		end(store.Dead, store.ClassRefused, store.ReasonNotSubscribed),
		end(store.Dead, store.ClassFault, store.ReasonRejected),
	}
	overdue := f.accept(append(personal(erasedUser), func(a *store.Acceptance) {
		a.Notification.ExpiresAt = time.Now().Add(-time.Hour)
	})...)
	must[int](f)(f.ExpireOverdue(f.ctx, 10))
	ended = append(ended, f.get(overdue.ID))
	blanked := end(store.Sent, store.ClassNone, store.ReasonNone)
	must[int](f)(f.BlankData(f.ctx, 0, 100))
	for i := range ended {
		ended[i] = f.get(ended[i].ID)
	}
	ended = append(ended, f.get(blanked.ID))

	results := f.eraseRows(f.beginErasure(erasedUser).IDs...)
	for _, n := range ended {
		if results[n.ID] != store.EraseBlanked {
			f.Errorf("%s: %s, want blanked", n.State, results[n.ID])
		}
		f.wantErased(n, n.State, n.Class, n.Reason)
	}
	// A doubt that died is no longer one: a late answer finds nothing to do.
	f.wantErased(doubt, store.Dead, store.ClassFault, store.ReasonErased)
	if late := f.settle(settlement(doubted, store.Retrying, "busy")); late.State != store.Dead {
		f.Errorf("a late answer to a doubt made it %s", late.State)
	}
	for _, n := range append(ended, doubt) {
		if f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Queued, Replay: true, MaxAge: time.Hour}) {
			f.Errorf("%s, %s: replayed", n.State, n.Class)
		}
	}
}

// resolveDoubts ends the doubts that are due, once there is one.
func (f *fixture) resolveDoubts() {
	f.Helper()
	f.eventually("a doubt is due", func() bool {
		requeued, dead, err := f.ResolveDoubts(f.ctx, 100)
		if err != nil {
			f.Fatal(err)
		}
		return requeued+dead > 0
	})
}

// testEraseSending: what is being sent ends, is not sent again, and is erased
// then.
func testEraseSending(f *fixture) {
	for name, test := range map[string]struct {
		settle func(*store.Settlement)
		state  store.State // what the settlement leads to
		end    store.State
		class  store.Class
		reason store.Reason
	}{
		"sent": {func(*store.Settlement) {}, store.Sent, store.Sent, "", ""},
		"dead": {
			func(s *store.Settlement) { s.Class, s.Reason = store.ClassFault, store.ReasonRejected },
			store.Dead, store.Dead, store.ClassFault, store.ReasonRejected,
		},
		"busy":      {func(s *store.Settlement) { s.Requeue = true }, store.Retrying, store.Cancelled, "", store.ReasonErased},
		"no answer": {func(s *store.Settlement) { s.Attempt.Outcome = store.OutcomeInDoubt }, store.InDoubt, store.Dead, store.ClassFault, store.ReasonErased},
	} {
		user := "u-" + name
		f.bind(binding(user, "o-"+name))
		n := f.accept(personal(user)...)
		_, l := f.claim(n)
		ids := f.beginErasure(user).IDs
		if got := f.eraseRows(ids...)[n.ID]; got != store.EraseInFlight {
			f.Errorf("%s: erased while it was being sent: %s", name, got)
		}
		if f.get(n.ID).UserID != user {
			f.Errorf("%s: blanked while it was being sent", name)
		}
		after := f.mustSettle(settlement(l, test.state, "outcome", test.settle))
		if test.state == store.Retrying {
			if c := f.tryClaim(newClaim(after)); c.OK {
				f.Errorf("%s: sent again", name)
			}
		}
		if test.state == store.InDoubt {
			if got := f.eraseRows(ids...)[n.ID]; got != store.EraseInFlight {
				f.Errorf("%s: erased while it was in doubt: %s", name, got)
			}
			f.resolveDoubts()
		}
		if got := f.eraseRows(ids...)[n.ID]; !got.Done() {
			f.Errorf("%s: %s when it had ended", name, got)
		}
		f.wantErased(f.unerased(after), test.end, test.class, test.reason)
		// Whatever comes late changes nothing.
		late := f.settle(settlement(l, store.Retrying, "busy"))
		if got := f.get(n.ID); got.State != test.end || late.State != test.end {
			f.Errorf("%s: a late answer made it %s", name, got.State)
		}
	}
}

// unerased is a notification with the counters that it has now.
func (f *fixture) unerased(n store.Notification) store.Notification {
	now := f.get(n.ID)
	n.DueAt, n.Generation, n.Errcode = now.DueAt, now.Generation, now.Errcode
	return n
}

// testEraseExpired: what was in flight and then expired was erased, not late.
func testEraseExpired(f *fixture) {
	f.bind(binding(erasedUser, erasedOpenID))
	n := f.accept(personal(erasedUser)...)
	c, l := f.claim(n)
	ids := f.beginErasure(erasedUser).IDs
	f.eraseRows(ids...)
	f.release(store.Release{ID: n.ID, Seq: l.Seq, Owner: c.Owner})
	if expired := must[int](f)(f.ExpireOverdue(f.ctx, 10)); expired != 1 {
		f.Fatalf("%d expired", expired)
	}
	before := f.get(n.ID)
	f.eraseRows(ids...)
	f.wantErased(before, store.Expired, store.ClassNone, store.ReasonErased)
}

// testEraseScope: an erasure in one app leaves the others alone.
func testEraseScope(f *fixture) {
	inApp := func(app string) store.Notification {
		f.bind(store.Binding{App: app, UserID: erasedUser, OpenID: "o-" + app})
		return f.accept(append(personal(erasedUser), row(func(n *store.Notification) { n.App = app }))...)
	}
	one, two := inApp("wx1"), inApp("wx2")
	begun := f.beginErasure(erasedUser, func(e *store.Erasure) { e.Apps = []string{"wx1"} })
	if !slices.Equal(begun.IDs, []uuid.UUID{one.ID}) || begun.Unbound != 1 {
		f.Errorf("%+v, want one notification and one binding", begun)
	}
	if got := must[[]store.Binding](f)(f.Bindings(f.ctx, erasedUser)); len(got) != 1 || got[0].App != "wx2" {
		f.Errorf("bindings left: %d", len(got))
	}
	none := f.beginErasure(erasedUser, func(e *store.Erasure) { e.Apps = []string{} })
	if len(none.IDs) != 0 || none.Unbound != 0 {
		f.Errorf("in no app: %+v", none)
	}
	f.diff("in another app", two, f.get(two.ID))
}

// testEraseAddresses: openids that messages went to are the user's, unless
// somebody else has them by now.
func testEraseAddresses(f *fixture) {
	f.bind(binding(erasedUser, "o-first"))
	f.claim(f.accept(toUser(erasedUser)))
	f.bind(binding(erasedUser, "o-moved"))
	f.claim(f.accept(toUser(erasedUser)))
	f.bind(binding("u-other", "o-moved"), binding(erasedUser, "o-now"))
	to := func(openID string) uuid.UUID {
		return f.accept(row(func(n *store.Notification) { n.OpenID = openID })).ID
	}
	first, moved, now := to("o-first"), to("o-moved"), to("o-now")

	addresses := must[[]store.Address](f)(f.Addresses(f.ctx, erasedUser, nil))
	f.diff("addresses", []store.Address{{App: testApp, OpenID: "o-first"}, {App: testApp, OpenID: "o-now"}}, addresses)

	// One that was the user's when the erasure began, and is not any more.
	f.bind(binding("u-other", "o-first"))
	begun := must[store.ErasureBegun](f)(f.BeginErasure(f.ctx, store.Erasure{UserID: erasedUser, Addresses: addresses}))
	if len(begun.IDs) != 3 || !slices.Contains(begun.IDs, now) || slices.Contains(begun.IDs, first) || slices.Contains(begun.IDs, moved) {
		f.Errorf("noted %d notifications, want the two to the user and the one to o-now", len(begun.IDs))
	}
}

// testEraseMoved: what ended for a former user of an openid does not know it any
// more, so that erasing the user of now need not look there.
func testEraseMoved(f *fixture) {
	f.bind(binding("u-former", erasedOpenID))
	_, l := f.claim(f.accept(toUser("u-former")))
	f.mustSettle(settlement(l, store.Sent, "ok"))
	f.bind(binding(erasedUser, erasedOpenID))
	f.eraseRows(f.beginErasure(erasedUser).IDs...)
	if left := must[[]store.Address](f)(f.Addresses(f.ctx, "u-former", nil)); len(left) != 0 {
		f.Errorf("a row of the former user has the openid: %+v", left)
	}
}

// testEraseForgets: what is known by the openid goes too, also without any
// notification; another's stays.
func testEraseForgets(f *fixture) {
	for _, who := range []string{"erased", "other"} {
		f.bind(binding("u-"+who, "o-"+who))
		event := store.ConsentEvent{
			App: testApp, OpenID: "o-" + who, TemplateID: testTemplate, Source: store.ConsentClient, Key: "report-1",
			Answer: store.ConsentAccept, Primary: true,
		}
		must[[]store.ConsentRecorded](f)(f.RecordConsents(f.ctx, []store.ConsentEvent{event}))
		must[[]store.Receipted](f)(f.RecordReceipts(f.ctx, []store.ReceiptEvent{{
			App: testApp, OpenID: "o-" + who, TemplateID: testTemplate, MsgID: int64(len(who)), OK: true, At: time.Now(),
		}}))
		must[[]bool](f)(f.ReceivePushes(f.ctx, []store.Push{{
			Key: store.PushKey{byte(len(who))}, App: testApp, Kind: store.PushEvent, Body: []byte("<o-" + who + ">"),
		}}))
	}
	begun := f.beginErasure(erasedUser)
	f.diff("begun", store.ErasureBegun{Unbound: 1, Consents: 1, Pushes: 2}, begun, cmpopts.EquateEmpty())
	if left := must[[]store.Consent](f)(f.Consents(f.ctx, testApp, erasedOpenID)); len(left) != 0 {
		f.Errorf("%d entries left", len(left))
	}
	if left := must[[]store.Consent](f)(f.Consents(f.ctx, testApp, "o-other")); len(left) != 1 {
		f.Errorf("%d entries of another left", len(left))
	}
	pushes := must[[]store.Push](f)(f.TakePushes(f.ctx, store.PushEvent, time.Minute, 10))
	if len(pushes) != 1 || string(pushes[0].Body) != "<o-other>" {
		f.Errorf("%d pushes left", len(pushes))
	}
	// The events are gone as well, or the same report would not count anew.
	again := must[[]store.ConsentRecorded](f)(f.RecordConsents(f.ctx, []store.ConsentEvent{{
		App: testApp, OpenID: erasedOpenID, TemplateID: testTemplate, Source: store.ConsentClient, Key: "report-1",
		Answer: store.ConsentAccept, Primary: true,
	}}))
	if again[0].Result != store.ConsentCounted || again[0].Consent.Balance != 1 {
		f.Errorf("the report of a new user of the phone: %+v", again[0])
	}
}

// testEraseStrays: what is told of an openid while its last message is on its way
// goes when that ended, unless somebody has the openid by then.
func testEraseStrays(f *fixture) {
	for _, boundAgain := range []bool{false, true} {
		f.bind(binding(erasedUser, erasedOpenID))
		_, l := f.claim(f.accept(toUser(erasedUser)))
		ids := f.beginErasure(erasedUser).IDs
		f.eraseRows(ids...)
		event := store.ConsentEvent{
			App: testApp, OpenID: erasedOpenID, TemplateID: testTemplate, Source: store.ConsentPopup, Key: "late",
			Answer: store.ConsentAccept,
		}
		must[[]store.ConsentRecorded](f)(f.RecordConsents(f.ctx, []store.ConsentEvent{event}))
		must[[]bool](f)(f.ReceivePushes(f.ctx, []store.Push{{
			Key: store.PushKey{1}, App: testApp, Kind: store.PushEvent, Body: []byte("<" + erasedOpenID + ">"),
		}}))
		f.mustSettle(settlement(l, store.Sent, "ok"))
		left := 0
		if boundAgain {
			f.bind(binding("u-other", erasedOpenID))
			left = 1
		}
		f.eraseRows(ids...)
		if got := must[[]store.Consent](f)(f.Consents(f.ctx, testApp, erasedOpenID)); len(got) != left {
			f.Errorf("bound again: %v: %d entries left", boundAgain, len(got))
		}
		again := must[[]store.ConsentRecorded](f)(f.RecordConsents(f.ctx, []store.ConsentEvent{event}))
		if repeated := again[0].Result == store.ConsentRepeated; repeated != boundAgain {
			f.Errorf("bound again: %v: the event is known: %v", boundAgain, repeated)
		}
		if got := must[[]store.Push](f)(f.TakePushes(f.ctx, store.PushEvent, time.Minute, 10)); len(got) > 0 {
			f.Errorf("bound again: %v: %d pushes left", boundAgain, len(got))
		}
	}
}

// testEraseUnread: a payload that nobody could read gives away whom it was for.
func testEraseUnread(f *fixture) {
	letter := func(reason store.Reason, payload string) store.Notification {
		return f.accept(row(func(n *store.Notification) {
			n.State, n.Class, n.Reason, n.Payload = store.Dead, store.ClassFault, reason, []byte(payload)
			n.OpenID, n.Data = "", nil
		}))
	}
	f.bind(binding("4711", erasedOpenID))
	var theirs, others []store.Notification
	for _, payload := range []string{
		`{"user_id":"4711","data":`, `{"user_id":4711,"data":7}`, `{"user_id": 4711}`, `{"openid":"` + erasedOpenID + `"`,
	} {
		theirs = append(theirs, letter(store.ReasonMalformed, payload), letter(store.ReasonUnknownApp, payload))
	}
	for _, payload := range []string{`{"user_id":47110}`, `{"user_id":"14711"}`, `{"data":{"thing1":"4711 pieces"}}`, ``} {
		others = append(others, letter(store.ReasonMalformed, payload))
	}
	begun := f.beginErasure("4711")
	f.eraseRows(begun.IDs...)
	for _, n := range theirs {
		f.wantErased(n, store.Dead, store.ClassFault, n.Reason)
	}
	for _, n := range others {
		f.diff("another's", n, f.get(n.ID))
	}
}

// testErasures: the list outlives the process that made it.
func testErasures(f *fixture) {
	ids := make([]uuid.UUID, 5)
	for i := range ids {
		ids[i] = f.accept(personal(erasedUser)...).ID
	}
	raw := uuid.New() // a raw task in a worker's hands, not adopted yet
	begun := f.beginErasure(erasedUser, func(e *store.Erasure) { e.Raw = []uuid.UUID{raw} })
	if len(begun.IDs) != 6 {
		f.Errorf("noted %d, want 6", len(begun.IDs))
	}
	if got := f.eraseRows(raw)[raw]; got != store.EraseNotFound || !got.Done() {
		f.Errorf("a row that is not there: %s", got)
	}
	var listed []uuid.UUID
	for after := uuid.Nil; ; {
		page := must[[]store.Erasing](f)(f.Erasures(f.ctx, after, 4))
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if e.Age < 0 || e.Age > 3*patience {
				f.Errorf("noted %s ago", e.Age)
			}
			listed = append(listed, e.ID)
		}
		after = page[len(page)-1].ID
	}
	f.diff("listed", begun.IDs, listed)
	// Adopted after all.
	adopted := must[store.Look](f)(f.Adopt(f.ctx, acceptance(append(personal(erasedUser),
		row(func(n *store.Notification) { n.ID = raw }))...)))
	if got := f.eraseRows(raw)[raw]; got != store.EraseCancelled {
		f.Errorf("a row that came later: %s", got)
	}
	f.wantErased(adopted.Notification, store.Cancelled, store.ClassNone, store.ReasonErased)
	for range 2 {
		if err := f.EndErasures(f.ctx, ids); err != nil {
			f.Fatal(err)
		}
	}
	if left := must[[]store.Erasing](f)(f.Erasures(f.ctx, uuid.Nil, 10)); len(left) != 1 || left[0].ID != raw {
		f.Errorf("left %d, want the raw one", len(left))
	}
	if err := f.EndErasures(f.ctx, nil); err != nil {
		f.Error(err)
	}
}

// testEraseChecked: what is no erasure is refused without its values.
func testEraseChecked(f *fixture) {
	for name, e := range map[string]store.Erasure{
		"nobody": {}, "NUL": {UserID: "secret\x00"},
		"no openid": {UserID: "secret", Addresses: []store.Address{{App: testApp}}},
		"bad UTF-8": {UserID: "secret", Addresses: []store.Address{{App: testApp, OpenID: "secret\xff"}}},
	} {
		_, err := f.BeginErasure(f.ctx, e)
		if err == nil || errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			f.Errorf("%s: %v, want an ordinary error without the value", name, err)
		}
	}
	if rows := must[[]store.ErasedRow](f)(f.EraseRows(f.ctx, nil)); len(rows) != 0 {
		f.Errorf("%d rows of none", len(rows))
	}
}

// testEraseRef: a producer that repeats what it handed in before the erasure is
// told that it did, and nothing is made anew.
func testEraseRef(f *fixture) {
	ref := row(func(n *store.Notification) { n.Ref, n.ContentHash = "ref-1", []byte("hash") })
	a := acceptance(append(personal(erasedUser), ref)...)
	f.insert(a)
	f.eraseRows(f.beginErasure(erasedUser).IDs...)
	a.Notification.ID = uuid.Must(uuid.NewV7())
	if got := f.insert(a); !got.Duplicate || got.State != store.Cancelled {
		f.Errorf("handed in again: %+v, want the cancelled one", got)
	}
}

// insert hands in one notification.
func (f *fixture) insert(a store.Acceptance) store.Inserted {
	f.Helper()
	inserted := must[[]store.Inserted](f)(f.Insert(f.ctx, []store.Acceptance{a}))
	if inserted[0].Err != nil {
		f.Fatal(inserted[0].Err)
	}
	return inserted[0]
}

// testPairErase: two processes that erase the same user, while a third binds.
func testPairErase(a, b *fixture) {
	const rows = 40
	for range rows {
		a.accept(personal(erasedUser)...)
	}
	both(a, b, 10, func(f *fixture, round int) error {
		if f == b {
			if _, err := f.Bind(f.ctx, []store.Binding{binding(erasedUser, fmt.Sprintf("o-%d", round))}); err != nil {
				return err
			}
		}
		begun, err := f.BeginErasure(f.ctx, store.Erasure{UserID: erasedUser})
		if err == nil {
			_, err = f.EraseRows(f.ctx, begun.IDs)
		}
		return err
	})
	list, err := a.List(a.ctx, store.Filter{States: []store.State{store.Cancelled}, Reason: store.ReasonErased})
	if err != nil || len(list) != rows {
		a.Errorf("%d erased, %v, want %d", len(list), err, rows)
	}
}
