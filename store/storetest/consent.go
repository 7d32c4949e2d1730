package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// consentEvent is one of the client's, which is the primary source, with a key of
// its own.
func consentEvent(openID, templateID string, answer store.ConsentAnswer, edits ...func(*store.ConsentEvent)) store.ConsentEvent {
	e := store.ConsentEvent{
		App: testApp, OpenID: openID, TemplateID: templateID, Source: store.ConsentClient,
		Key: uuid.NewString(), Answer: answer, Primary: true,
	}
	for _, edit := range edits {
		edit(&e)
	}
	return e
}

// accepted is a report that the user accepted.
func accepted(openID, templateID string, edits ...func(*store.ConsentEvent)) store.ConsentEvent {
	return consentEvent(openID, templateID, store.ConsentAccept, edits...)
}

// from makes an event one of WeChat's, d after now.
func from(source store.ConsentSource, d time.Duration) func(*store.ConsentEvent) {
	at := time.Now().Add(d)
	return func(e *store.ConsentEvent) { e.Source, e.At, e.Primary = source, at, false }
}

func longTerm(e *store.ConsentEvent) { e.LongTerm = true }

// answered applies one event.
func (f *fixture) answered(e store.ConsentEvent) store.ConsentRecorded {
	f.Helper()
	recorded, err := f.RecordConsents(f.ctx, []store.ConsentEvent{e})
	if err != nil || len(recorded) != 1 {
		f.Fatalf("record consent: %d answers, %v", len(recorded), err)
	}
	return recorded[0]
}

// consent is the entry of openid-1 and testTemplate.
func (f *fixture) consent() store.Consent {
	f.Helper()
	for _, c := range must[[]store.Consent](f)(f.Consents(f.ctx, testApp, "openid-1")) {
		if c.TemplateID == testTemplate {
			return c
		}
	}
	return store.Consent{}
}

// wantBalance checks the entry of openid-1 and testTemplate; -1 means not known.
func (f *fixture) wantBalance(what string, want int) {
	f.Helper()
	c := f.consent()
	got := c.Balance
	if !c.Known {
		got = -1
	}
	if got != want || c.LongTerm {
		f.Errorf("%s: balance %d, long-term %v; want %d", what, got, c.LongTerm, want)
	}
}

// refused is what becomes of an attempt that WeChat refused.
func refused(s *store.Settlement) {
	s.Refused, s.Class, s.Reason = true, store.ClassRefused, store.ReasonNotSubscribed
	s.Attempt.Errcode, s.Attempt.Outcome = 43101, "refused"
}

// parked is refused, to wait for a consent.
func parked(s *store.Settlement) {
	refused(s)
	s.Class, s.Reason = store.ClassNone, store.ReasonNoConsent
}

// testConsents: what each answer does to an entry, and what each answer is told.
func testConsents(f *fixture) {
	type step struct {
		name    string
		event   store.ConsentEvent
		result  store.ConsentResult
		balance int
	}
	accept := func(edits ...func(*store.ConsentEvent)) store.ConsentEvent {
		return accepted("openid-1", testTemplate, edits...)
	}
	answer := func(a store.ConsentAnswer, edits ...func(*store.ConsentEvent)) store.ConsentEvent {
		return consentEvent("openid-1", testTemplate, a, edits...)
	}
	if c := f.consent(); c.Known {
		f.Errorf("an entry from nothing: %+v", c)
	}
	refusal, first, second := answer(store.ConsentReject, from(store.ConsentPopup, -10*time.Second)), accept(), accept()
	popup, early := accept(from(store.ConsentPopup, -time.Second)), accept(from(store.ConsentPopup, time.Second))
	for _, s := range []step{
		{"a refusal tells nothing of what was before", refusal, store.ConsentCounted, -1},
		{"banned", answer(store.ConsentBan), store.ConsentNoted, -1},
		{"filtered", answer(store.ConsentFilter), store.ConsentNoted, -1},
		{"accepted", first, store.ConsentCounted, 1},
		{"the same report", first, store.ConsentRepeated, 1},
		{"the event of that", popup, store.ConsentPaired, 1},
		{"the same event", popup, store.ConsentRepeated, 1},
		{"an event before its report", early, store.ConsentCounted, 2},
		{"its report", second, store.ConsentPaired, 2},
		{"a refusal in the dialog takes nothing", answer(store.ConsentReject, from(store.ConsentPopup, 1200*time.Millisecond)), store.ConsentCounted, 2},
		{"an event nobody reports", accept(from(store.ConsentPopup, -5*time.Second)), store.ConsentCounted, 3},
		{"an old event of the second source", accept(from(store.ConsentPopup, -2*store.ConsentWindow)), store.ConsentStale, 3},
		{"a change that is no refusal", answer(store.ConsentAccept, from(store.ConsentChange, 0)), store.ConsentNoted, 3},
		{"withdrawn", answer(store.ConsentReject, from(store.ConsentChange, 2*time.Second)), store.ConsentCounted, 0},
		{"withdrawn before", answer(store.ConsentReject, from(store.ConsentChange, time.Second)), store.ConsentStale, 0},
		{"accepted before that", accept(from(store.ConsentPopup, 1500*time.Millisecond)), store.ConsentStale, 0},
		{"accepted after that", accept(from(store.ConsentPopup, 3*time.Second)), store.ConsentCounted, 1},
		{"long-term does not count", accept(longTerm, from(store.ConsentPopup, 4*time.Second)), store.ConsentCounted, 1},
	} {
		got := f.answered(s.event)
		if got.Result != s.result || got.Released != 0 {
			f.Errorf("%s: %s, released %d; want %s", s.name, got.Result, got.Released, s.result)
		}
		c := f.consent()
		f.diff(s.name+": the entry in the answer", c, got.Consent, cmpopts.EquateApproxTime(time.Microsecond))
		if !c.LongTerm {
			f.wantBalance(s.name, s.balance)
		}
	}
	if c := f.consent(); !c.LongTerm || c.Empty() || !c.RefusedAt.IsZero() {
		f.Errorf("after a long-term consent: %+v", c)
	}
	f.answered(answer(store.ConsentReject, from(store.ConsentChange, time.Minute)))
	if c := f.consent(); !c.Empty() || c.RefusedAt.IsZero() {
		f.Errorf("after it was withdrawn: %+v", c)
	}

	// Entries and keys of others are others.
	for _, e := range []store.ConsentEvent{
		accepted("openid-2", testTemplate), accepted("openid-1", "template-0"),
		accepted("openid-1", testTemplate, func(e *store.ConsentEvent) { e.App = "wx2" }),
	} {
		e.Key = first.Key
		if got := f.answered(e); got.Result != store.ConsentCounted || got.Consent.Balance != 1 {
			f.Errorf("another entry: %+v", got)
		}
	}
	list := must[[]store.Consent](f)(f.Consents(f.ctx, testApp, "openid-1"))
	if len(list) != 2 || list[0].TemplateID != "template-0" || list[1].TemplateID != testTemplate {
		f.Errorf("entries of an openid: %+v", list)
	}
}

func testConsentsRefused(f *fixture) {
	for name, edit := range map[string]func(*store.ConsentEvent){
		"no app":      func(e *store.ConsentEvent) { e.App = "" },
		"no openid":   func(e *store.ConsentEvent) { e.OpenID = "" },
		"no template": func(e *store.ConsentEvent) { e.TemplateID = "" },
		"no key":      func(e *store.ConsentEvent) { e.Key = "" },
		"long key":    func(e *store.ConsentEvent) { e.Key = strings.Repeat("secret", 30) },
		"source":      func(e *store.ConsentEvent) { e.Source = "" },
		"answer":      func(e *store.ConsentEvent) { e.Answer = "acceptWithAudio" },
		"NUL":         func(e *store.ConsentEvent) { e.OpenID = "secret\x00" },
		"bad UTF-8":   func(e *store.ConsentEvent) { e.TemplateID = "secret\xff" },
	} {
		// The good one is not recorded either.
		_, err := f.RecordConsents(f.ctx, []store.ConsentEvent{accepted("openid-1", testTemplate), accepted("openid-1", testTemplate, edit)})
		if err == nil || errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "openid-1") {
			f.Errorf("%s: %v, want an ordinary error without the value", name, err)
		}
	}
	f.wantBalance("after refused events", -1)
	if got := must[[]store.ConsentRecorded](f)(f.RecordConsents(f.ctx, nil)); len(got) != 0 {
		f.Errorf("no events: %v", got)
	}
	// Several of one entry in one call are several.
	got := must[[]store.ConsentRecorded](f)(f.RecordConsents(f.ctx, []store.ConsentEvent{
		accepted("openid-1", testTemplate), accepted("openid-1", "template-2"), accepted("openid-1", testTemplate),
	}))
	if got[0].Consent.Balance != 1 || got[1].Consent.Balance != 1 || got[2].Consent.Balance != 2 {
		f.Errorf("several in one call: %+v", got)
	}
	f.wantBalance("after several", 2)
}

// testConsentSpent: a message that was sent takes one off, once, also when that
// becomes known later; what is not known stays so.
func testConsentSpent(f *fixture) {
	sent := func() store.Settlement {
		_, l := f.claim(f.accept())
		s := settlement(l, store.Sent, "ok")
		f.mustSettle(s)
		return s
	}
	// All from one source, so that none is taken for the other side of another.
	accept := func(d time.Duration) { f.answered(accepted("openid-1", testTemplate, from(store.ConsentPopup, d))) }
	sent()
	f.wantBalance("unknown", -1)
	for range 3 {
		accept(0)
	}
	s := sent()
	f.wantBalance("sent", 2)
	f.settle(s)
	f.wantBalance("the same settlement again", 2)

	f.expectPushes()
	l, _ := f.inDoubt(time.Hour)
	f.wantBalance("in doubt", 2)
	f.mustSettle(settlement(l, store.Sent, "ok"))
	f.wantBalance("sent after all", 1)

	l, n := f.inDoubt(time.Hour)
	must[[]store.Acted](f)(f.SettleDoubts(f.ctx, []store.DoubtSettlement{{ID: l.ID, Generation: n.Generation, As: store.Sent, Actor: "somebody"}}))
	f.wantBalance("settled as sent by a person", 0)
	if got := f.get(l.ID); got.State != store.Sent {
		f.Errorf("settled as sent: %s", got.State)
	}

	// A doubt from before the entry was emptied was among what was taken away.
	accept(0)
	l, _ = f.inDoubt(time.Hour)
	_, other := f.claim(f.accept())
	f.mustSettle(settlement(other, store.Dead, "refused", refused))
	f.wantBalance("refused", 0)
	accept(0)
	f.mustSettle(settlement(l, store.Sent, "ok"))
	f.wantBalance("sent before it was emptied", 1)

	f.answered(accepted("openid-1", testTemplate, longTerm))
	sent()
	if c := f.consent(); !c.LongTerm || c.Balance != 1 {
		f.Errorf("long-term: %+v", c)
	}
	_, l = f.claim(f.accept())
	f.mustSettle(settlement(l, store.Dead, "refused", refused))
	f.wantBalance("WeChat refuses a long-term consent", 0)
	sent()
	f.wantBalance("sent although nothing was left", 0)
	// The acceptance that was used is told of late; the next one is a new one.
	if got := f.answered(accepted("openid-1", testTemplate, from(store.ConsentPopup, -time.Minute))); got.Result != store.ConsentStale {
		f.Errorf("an acceptance that was used: %s", got.Result)
	}
	f.wantBalance("the acceptance that was used", 0)
	accept(time.Second)
	f.wantBalance("a new one", 1)
	for _, outcome := range []store.State{store.Dead, store.Retrying} {
		_, l := f.claim(f.accept())
		f.mustSettle(settlement(l, outcome, "busy"))
	}
	f.wantBalance("not sent", 1)
}

// testConsentReceipt: a receipt that settles a doubt takes one off.
func testConsentReceipt(f *fixture) {
	f.expectPushes()
	f.answered(accepted("openid-1", testTemplate))
	l, _ := f.inDoubt(time.Hour)
	results := must[[]store.Receipted](f)(f.RecordReceipts(f.ctx, []store.ReceiptEvent{{
		App: testApp, OpenID: "openid-1", TemplateID: testTemplate, MsgID: 7, OK: true, At: l.Now, Wait: time.Hour, Verified: true,
	}}))
	if n := f.get(l.ID); results[0].Result != store.ReceiptSettled || n.State != store.Sent {
		f.Fatalf("receipt: %s, %s", results[0].Result, n.State)
	}
	f.wantBalance("settled by a receipt", 0)
}

// testConsentPolicies: what the ledger says decides whether a claim is given.
func testConsentPolicies(f *fixture) {
	policy := func(p store.NoConsentPolicy) store.Notification {
		return f.accept(row(func(n *store.Notification) { n.NoConsent = p }))
	}
	all := []store.NoConsentPolicy{store.NoConsentSend, store.NoConsentWait, store.NoConsentDead}
	claims := func(what string, want map[store.NoConsentPolicy]bool) {
		f.Helper()
		for _, p := range all {
			n := policy(p)
			got := f.tryClaim(newClaim(n))
			if got.OK != want[p] {
				f.Errorf("%s, policy %s: claimed %v", what, p, got.OK)
			}
			c := f.consent()
			f.diff(what+": the look", store.Consent{Known: c.Known, LongTerm: c.LongTerm, Balance: c.Balance}, got.Look.Consent)
		}
	}
	yes := map[store.NoConsentPolicy]bool{store.NoConsentSend: true, store.NoConsentWait: true, store.NoConsentDead: true}
	claims("not known", yes)
	f.answered(accepted("openid-1", testTemplate))
	claims("one left", yes)
	_, l := f.claim(policy(store.NoConsentWait))
	f.mustSettle(settlement(l, store.Sent, "ok"))
	claims("none left", map[store.NoConsentPolicy]bool{store.NoConsentSend: true})
	f.answered(accepted("openid-1", testTemplate, longTerm))
	claims("long-term", yes)
}

// testRefusedAfterDoubt: a refusal may mean that the attempt nobody knows the end
// of was accepted. It is taken for that only when the ledger leaves no other way.
func testRefusedAfterDoubt(f *fixture) {
	f.expectPushes()
	type subject struct {
		openID string
		first  store.Look // the attempt in doubt
	}
	accept := func(s subject) { f.answered(accepted(s.openID, testTemplate)) }
	doubt := func(openID string) store.Look {
		l, _ := f.inDoubt(time.Hour, row(func(n *store.Notification) { n.OpenID = openID }))
		return l
	}
	for name, test := range map[string]struct {
		before    int // consents before the first attempt
		unsure    bool
		lease     bool // the doubt is an owner that fell silent
		between   func(subject)
		state     store.State
		lateFirst bool
	}{
		"one left":             {before: 1, state: store.Sent},
		"one left, unsure":     {before: 1, unsure: true, state: store.Sent},
		"one left, lease over": {before: 1, lease: true, state: store.Sent},
		"two left":             {before: 2, state: store.Dead},
		"not known":            {before: 0, state: store.Dead},
		"accepted meanwhile":   {before: 1, between: accept, state: store.Dead},
		"accepted after":       {before: 0, between: accept, state: store.Dead},
		"another one in doubt": {before: 1, between: func(s subject) { doubt(s.openID) }, state: store.Dead},
		"another one sent":     {before: 1, between: func(s subject) { f.mustSettle(settlement(f.claimed(s.openID), store.Sent, "ok")) }, state: store.Dead},
		"another one is sent":  {before: 1, between: func(s subject) { f.claimed(s.openID) }, state: store.Dead},
		"withdrawn": {before: 1, between: func(s subject) {
			f.answered(consentEvent(s.openID, testTemplate, store.ConsentReject, from(store.ConsentChange, 0)))
		}, state: store.Dead},
		"another openid":        {before: 1, between: func(s subject) { accept(subject{openID: s.openID + "x"}) }, state: store.Sent},
		"asked twice":           {before: 1, state: store.Sent, between: func(s subject) { f.again(s.first.ID, "unsure") }},
		"the doubt was nothing": {before: 1, state: store.Dead, lateFirst: true},
	} {
		openID := "openid-of-" + name
		for range test.before {
			f.answered(accepted(openID, testTemplate))
		}
		n := f.accept(row(func(n *store.Notification) { n.OpenID = openID }))
		c := newClaim(n)
		if test.lease {
			c.Lease = time.Millisecond
		}
		first := f.tryClaim(c).Look
		switch {
		case test.unsure:
			f.mustSettle(settlement(first, store.Retrying, "unsure", func(s *store.Settlement) { s.Unsure, s.Requeue = true, true }))
		case test.lease:
			f.eventually("the lease to be over", func() bool { return must[int](f)(f.ExpireLeases(f.ctx, 0, 100)) > 0 })
			f.requeueDoubt(n.ID)
		default:
			f.mustSettle(settlement(first, store.InDoubt, store.OutcomeInDoubt))
			if test.lateFirst {
				f.mustSettle(settlement(first, store.Retrying, "busy"))
			} else {
				f.requeueDoubt(n.ID)
			}
		}
		if test.between != nil {
			test.between(subject{openID, first})
		}
		_, l := f.claim(f.get(n.ID))
		answer := f.settle(settlement(l, store.Dead, "refused", refused))
		got := f.get(n.ID)
		if !answer.Applied || answer.State != test.state || got.State != test.state || got.Assumed != (test.state == store.Sent) || got.Errcode != 43101 {
			f.Errorf("%s: %s, assumed %v, errcode %d; want %s", name, got.State, got.Assumed, got.Errcode, test.state)
		}
		wantClass, wantReason := store.ClassFault, store.ReasonInDoubt
		switch {
		case test.state == store.Sent:
			wantClass, wantReason = store.ClassNone, store.ReasonNone
		case test.lateFirst:
			wantClass, wantReason = store.ClassRefused, store.ReasonNotSubscribed
		}
		if got.Class != wantClass || got.Reason != wantReason || answer.Class != wantClass || answer.Reason != wantReason {
			f.Errorf("%s: class %q, reason %q; answer %+v", name, got.Class, got.Reason, answer)
		}
		f.invariants(got)
	}
}

// claimed is a new notification to openID that is being sent.
func (f *fixture) claimed(openID string) store.Look {
	f.Helper()
	_, l := f.claim(f.accept(row(func(n *store.Notification) { n.OpenID = openID })))
	return l
}

// again sends once more, with an answer that does not prove anything.
func (f *fixture) again(id uuid.UUID, outcome string) {
	f.Helper()
	_, l := f.claim(f.get(id))
	f.mustSettle(settlement(l, store.Retrying, outcome, func(s *store.Settlement) { s.Unsure, s.Requeue = true, true }))
}

// requeueDoubt lets Relay resolve the doubt, which is due, so that it is sent
// again.
func (f *fixture) requeueDoubt(id uuid.UUID) {
	f.Helper()
	f.eventually("the doubt to be sent again", func() bool {
		if _, _, err := f.ResolveDoubts(f.ctx, 100); err != nil {
			f.Fatal(err)
		}
		return f.get(id).State == store.Queued
	})
}
