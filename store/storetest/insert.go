package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func testInsertAndGet(f *fixture) {
	due := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	a := acceptance(row(func(n *store.Notification) {
		n.Producer, n.Ref, n.ContentHash = "approval", "order-1", []byte{1, 2, 3}
		n.Page, n.Lang, n.MiniprogramState = "pages/index?id=1", "zh_CN", "trial"
		n.OpenID, n.UserID = "", "user-1"
		n.Data = map[string]string{"thing1": `<审批> & "quoted" \ 'single'; DROP TABLE notifications; --`, "time4": "2026年1月1日"}
		n.Priority, n.Duplicates, n.Payload, n.Queue = store.Critical, store.DuplicatesAvoid, []byte{0, 255, '{'}, "critical"
		n.DueAt, n.ExpiresAt = due, due.Add(time.Hour)
		n.Wait, n.NoConsent, n.ReleaseOrder = time.Minute, store.NoConsentWait, store.ReleaseOldest
	}))
	inserted := must[[]store.Inserted](f)(f.Insert(f.ctx, []store.Acceptance{a}))
	f.diff("answer", []store.Inserted{{ID: a.Notification.ID, State: store.Queued}}, inserted)

	got, attempts, err := f.Get(f.ctx, a.Notification.ID)
	if err != nil || len(attempts) != 0 {
		f.Fatalf("get: %d attempts, %v", len(attempts), err)
	}
	want := a.Notification
	want.HandoverAt, want.WaitUntil = due, due.Add(time.Minute)
	f.diff("row", want, got, cmpopts.IgnoreFields(store.Notification{}, "CreatedAt", "UpdatedAt"))
	f.wantIn("created_at", got.CreatedAt, time.Now(), 0)
	f.invariants(got)

	if _, _, err := f.Get(f.ctx, uuid.New()); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("get of a stranger: %v, want ErrNotFound", err)
	}
}

func testInsertTimes(f *fixture) {
	for _, test := range []struct {
		name                   string
		edit                   func(*store.Acceptance)
		due, expires, handover time.Duration
	}{
		{"now", func(*store.Acceptance) {}, 0, time.Hour, 0},
		{"delay", func(a *store.Acceptance) { a.Delay = time.Hour }, time.Hour, 2 * time.Hour, time.Hour},
		{"grace", func(a *store.Acceptance) { a.HandoverIn = 3 * time.Minute }, 0, time.Hour, 3 * time.Minute},
		{
			"due given", func(a *store.Acceptance) { a.Notification.DueAt, a.Delay = time.Now().Add(5*time.Hour), time.Hour },
			5 * time.Hour, 6 * time.Hour, 5 * time.Hour,
		},
		{"expiry given", func(a *store.Acceptance) { a.Notification.ExpiresAt = time.Now().Add(7 * time.Hour) }, 0, 7 * time.Hour, 0},
	} {
		n := f.accept(test.edit)
		f.wantIn(test.name+": due_at", n.DueAt, time.Now(), test.due)
		f.wantIn(test.name+": expires_at", n.ExpiresAt, time.Now(), test.expires)
		f.wantIn(test.name+": handover_at", n.HandoverAt, time.Now(), test.handover)
	}
}

func testInsertRepeats(f *fixture) {
	withRef := func(ref, hash string) store.Acceptance {
		return acceptance(row(func(n *store.Notification) { n.Producer, n.Ref, n.ContentHash = "p", ref, []byte(hash) }))
	}
	first, noRef := withRef("a", "hash"), acceptance()
	otherProducer := withRef("a", "other")
	otherProducer.Notification.Producer = "q"
	batch := []store.Acceptance{first, noRef, otherProducer}
	want := []store.Inserted{
		{ID: first.Notification.ID, State: store.Queued},
		{ID: noRef.Notification.ID, State: store.Queued},
		{ID: otherProducer.Notification.ID, State: store.Queued},
	}
	f.diff("first", want, must[[]store.Inserted](f)(f.Insert(f.ctx, batch)))
	f.diff("repeated after a lost reply", want, must[[]store.Inserted](f)(f.Insert(f.ctx, batch)))

	f.claim(f.get(first.Notification.ID))
	twin, secondTwin := withRef("b", "x"), withRef("b", "x")
	sameID := withRef("z", "changed")
	sameID.Notification.ID = first.Notification.ID
	got := must[[]store.Inserted](f)(f.Insert(f.ctx, []store.Acceptance{
		withRef("a", "hash"), withRef("a", "changed"), twin, secondTwin, withRef("b", "y"), sameID,
	}))
	f.diff("duplicates and conflicts", []store.Inserted{
		{ID: first.Notification.ID, State: store.Sending, Duplicate: true},
		{ID: first.Notification.ID, State: store.Sending, Err: store.ErrConflict},
		{ID: twin.Notification.ID, State: store.Queued},
		{ID: twin.Notification.ID, State: store.Queued, Duplicate: true},
		{ID: twin.Notification.ID, State: store.Queued, Err: store.ErrConflict},
		{ID: first.Notification.ID, State: store.Sending, Err: store.ErrConflict},
	}, got, cmpopts.EquateErrors())

	none, err := f.Insert(f.ctx, nil)
	if err != nil || len(none) != 0 {
		f.Errorf("insert nothing: %v, %v", none, err)
	}
}

func testInsertRefuses(f *fixture) {
	for name, edit := range map[string]func(*store.Notification){
		"no id":            func(n *store.Notification) { n.ID = uuid.Nil },
		"no addressee":     func(n *store.Notification) { n.OpenID = "" },
		"two addressees":   func(n *store.Notification) { n.UserID = "u" },
		"NUL":              func(n *store.Notification) { n.Page = "secret\x00page" },
		"invalid UTF-8":    func(n *store.Notification) { n.Data = map[string]string{"thing1": "secret\xff"} },
		"long key":         func(n *store.Notification) { n.TemplateID = strings.Repeat("secret", 2000) },
		"sending":          func(n *store.Notification) { n.State = store.Sending },
		"priority":         func(n *store.Notification) { n.Priority = "secret" },
		"duplicates":       func(n *store.Notification) { n.Duplicates = "secret" },
		"receipt":          func(n *store.Notification) { n.Receipt = "secret" },
		"class when open":  func(n *store.Notification) { n.Class = store.ClassFault },
		"reason":           func(n *store.Notification) { n.State, n.Class, n.Reason = store.Dead, store.ClassFault, "secret" },
		"dead, no reason":  func(n *store.Notification) { n.State, n.Class = store.Dead, store.ClassFault },
		"negative counter": func(n *store.Notification) { n.Generation = -1 },
		"miniprogram":      func(n *store.Notification) { n.MiniprogramState = "secret" },
	} {
		bad := acceptance(row(edit))
		_, err := f.Insert(f.ctx, []store.Acceptance{acceptance(), bad})
		if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
			f.Errorf("%s: %v, want an ordinary error", name, err)
		} else if strings.Contains(err.Error(), "secret") {
			f.Errorf("%s: the error quotes the value: %v", name, err)
		}
	}
	endless := acceptance(func(a *store.Acceptance) { a.MaxAge = 0 })
	if _, err := f.Insert(f.ctx, []store.Acceptance{endless}); err == nil {
		f.Error("a notification without an end was accepted")
	}
	if n := must[map[store.State]int](f)(f.CountByState(f.ctx, ""))[store.Queued]; n != 0 {
		f.Errorf("%d rows of refused batches were kept", n)
	}
}

func testInsertThousand(f *fixture) {
	batch := make([]store.Acceptance, 1000)
	for i := range batch {
		batch[i] = acceptance(row(func(n *store.Notification) {
			n.Producer, n.Ref, n.ContentHash = "p", fmt.Sprint("ref-", i), []byte{byte(i)}
		}))
	}
	start := time.Now()
	inserted := must[[]store.Inserted](f)(f.Insert(f.ctx, batch))
	f.Logf("insert of 1000: %s", time.Since(start))
	for i, a := range inserted {
		if a.ID != batch[i].Notification.ID || a.Err != nil || a.Duplicate {
			f.Fatalf("item %d: %+v", i, a)
		}
	}
	if n := must[map[store.State]int](f)(f.CountByState(f.ctx, testApp))[store.Queued]; n != 1000 {
		f.Errorf("%d rows, want 1000", n)
	}
}

func testAdopt(f *fixture) {
	a := acceptance(row(func(n *store.Notification) { n.Queue = "default" }))
	l := must[store.Look](f)(f.Adopt(f.ctx, a))
	if l.State != store.Queued || l.Address != "openid-1" || !l.Due() || l.Overdue() || l.Queue != "default" {
		f.Errorf("adopted: %+v", l)
	}
	f.claim(l.Notification)
	a.Notification.Data = map[string]string{"thing1": "other"}
	again := must[store.Look](f)(f.Adopt(f.ctx, a))
	if again.State != store.Sending || again.Data["thing1"] != "text" {
		f.Errorf("adopted again: state %s, data %v; want the row as it was", again.State, again.Data)
	}

	dead := must[store.Look](f)(f.Adopt(f.ctx, acceptance(row(func(n *store.Notification) {
		n.State, n.Class, n.Reason, n.OpenID, n.Data = store.Dead, store.ClassFault, store.ReasonMalformed, "", nil
		n.Payload, n.Errmsg, n.Field = []byte("{\x00\xff"), "not JSON", "data"
	}))))
	if dead.State != store.Dead || dead.Reason != store.ReasonMalformed || string(dead.Payload) != "{\x00\xff" ||
		dead.Errmsg != "not JSON" || dead.Field != "data" {
		f.Errorf("adopted dead: %+v", dead)
	}
	f.invariants(dead.Notification)
	expired := must[store.Look](f)(f.Adopt(f.ctx, acceptance(row(func(n *store.Notification) {
		n.State, n.Reason = store.Expired, store.ReasonDeadline
	}))))
	f.invariants(expired.Notification)

	ref := acceptance(row(func(n *store.Notification) { n.Producer, n.Ref = "p", "r" }))
	must[store.Look](f)(f.Adopt(f.ctx, ref))
	ref.Notification.ID = uuid.New()
	if _, err := f.Adopt(f.ctx, ref); !errors.Is(err, store.ErrConflict) {
		f.Errorf("adopt with a taken ref: %v, want ErrConflict", err)
	}
}

func testLook(f *fixture) {
	bound := f.accept(row(func(n *store.Notification) { n.OpenID, n.UserID = "", "u1" }))
	unbound := f.accept(row(func(n *store.Notification) { n.OpenID, n.UserID = "", "u2" }))
	direct := f.accept(func(a *store.Acceptance) { a.Delay = time.Hour })
	overdue := f.accept(row(func(n *store.Notification) { n.ExpiresAt = time.Now().Add(-time.Second) }))
	f.bind(store.Binding{App: testApp, UserID: "u1", OpenID: "o1"}, store.Binding{App: "other", UserID: "u2", OpenID: "o2"})

	looks := must[[]store.Look](f)(f.Look(f.ctx, []uuid.UUID{overdue.ID, uuid.New(), bound.ID, unbound.ID, direct.ID}))
	type seen struct {
		ID           uuid.UUID
		Address      string
		Due, Overdue bool
	}
	var got []seen
	for _, l := range looks {
		got = append(got, seen{l.ID, l.Address, l.Due(), l.Overdue()})
		f.wantIn("now", l.Now, time.Now(), 0)
	}
	f.diff("looks", []seen{
		{overdue.ID, "openid-1", true, true},
		{bound.ID, "o1", true, false},
		{unbound.ID, "", true, false},
		{direct.ID, "openid-1", false, false},
	}, got)
	f.diff("row of a look", bound, looks[1].Notification)
	if none, err := f.Look(f.ctx, nil); err != nil || len(none) != 0 {
		f.Errorf("look at nothing: %v, %v", none, err)
	}
}
