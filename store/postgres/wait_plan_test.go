package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// parkSQL parks $1 notifications: half of them for one user and openid, the
// others for one each.
const parkSQL = `
	INSERT INTO notifications (
		id, app, producer, ref, content_hash, template_id, page, user_id, open_id, address, data,
		lang, miniprogram_state, priority, duplicates, payload, queue, state, class, reason, receipt, generation,
		wait_us, wait_until, due_at, expires_at, created_at, updated_at)
	SELECT gen_random_uuid(), 'wx1', '', '', '', 'parked', '', CASE WHEN unbound THEN 'u' || i ELSE '' END,
		CASE WHEN unbound THEN '' ELSE 'parked' END, CASE WHEN unbound THEN '' ELSE 'parked' END, '{"thing1":"text"}',
		'', '', CASE i % 20 WHEN 0 THEN 'critical' ELSE 'default' END, 'allow', '', '', 'waiting', '',
		CASE WHEN unbound THEN 'unbound' ELSE 'no_consent' END, 'none', 1,
		3600000000, now() + interval '1 hour', now(), now() + interval '1 day', now() - i * interval '1 second', now()
	FROM generate_series(1, $1::int) AS i
	CROSS JOIN LATERAL (SELECT i % 2 = 0) AS k (unbound)`

// TestParkedRowsAreNotRead counts the rows that are read beside 100,000 that wait,
// half of them for one consent, while statistics are of a time when nothing
// waited: by a claim and its settlement, by Relay's turn, by a consent and a
// binding, by the net below them, and by the question what waits.
func TestParkedRowsAreNotRead(t *testing.T) {
	t.Parallel()
	const parked, sends, rounds = 100_000, 40, 5
	first, address := postgrestest.Open(t)
	admin(t, address, `ANALYZE notifications`)
	admin(t, address, parkSQL, parked)

	s, name := named(t, address)
	before := tuplesRead(t, address)
	var accepted []store.Acceptance
	for range sends {
		accepted = append(accepted, acceptance())
	}
	if _, err := s.Insert(t.Context(), accepted); err != nil {
		t.Fatal(err)
	}
	var claims, rest store.Batch
	for _, a := range accepted {
		claims.Claims = append(claims.Claims, store.Claim{ID: a.Notification.ID, Generation: 1, Owner: uuid.New(), Lease: time.Minute})
	}
	r, err := s.Commit(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range r.Claims {
		settlement := store.Settlement{ID: c.Look.ID, Seq: c.Look.Seq, State: store.Sent, Attempt: store.Attempt{At: c.Look.Now, Outcome: "ok"}}
		if i%2 == 0 {
			settlement.State, settlement.Reason, settlement.Refused = store.Waiting, store.ReasonNoConsent, true
		}
		rest.Settlements = append(rest.Settlements, settlement)
	}
	if _, err := s.Commit(t.Context(), rest); err != nil {
		t.Fatal(err)
	}
	for range rounds {
		recorded, err := s.RecordConsents(t.Context(), []store.ConsentEvent{{
			App: "wx1", OpenID: "parked", TemplateID: "parked", Source: store.ConsentClient, Key: uuid.NewString(), Answer: store.ConsentAccept,
		}})
		if err != nil || recorded[0].Released != 1 {
			t.Fatalf("a consent released %+v, %v", recorded, err)
		}
		bound, err := s.Bind(t.Context(), []store.Binding{{App: "wx1", UserID: "u1000", OpenID: uuid.NewString()}})
		if err != nil {
			t.Fatalf("bind: %+v, %v", bound, err)
		}
		if _, err := s.ExpireOverdue(t.Context(), 500); err != nil {
			t.Fatal(err)
		}
		handovers, err := s.Handovers(t.Context(), 500)
		if err != nil || len(handovers) == 0 {
			t.Fatalf("%d handovers, %v", len(handovers), err)
		}
		if err := s.HandedOver(t.Context(), handovers); err != nil {
			t.Fatal(err)
		}
		if _, seen, woken, err := s.WakeWaiting(t.Context(), uuid.Nil, time.Hour, 200); seen != 200 || woken != 0 || err != nil {
			t.Fatalf("the net saw %d and woke %d, %v", seen, woken, err)
		}
	}
	s.Close() // a backend that ends reports its statistics
	waitFor(t, address, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)`, name)
	// Each send reads its row a handful of times, each round some and a page.
	if read, most := tuplesRead(t, address)-before, 30*sends+rounds*(200+100); read > most {
		t.Errorf("%d rows were read, want at most %d", read, most)
	} else {
		t.Logf("%d rows were read", read)
	}

	waiting, err := first.WaitingFor(t.Context(), "wx1", "", "parked")
	if err != nil || waiting["parked"] != store.MaxWaitingFor {
		t.Errorf("%d wait, %v; want as many as are counted", waiting["parked"], err)
	}
	plan := explain(t, address, postgres.ReleaseOneSQL, "wx1", "parked", "parked")
	if !strings.Contains(plan, "notifications_no_consent_idx") || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Rows Removed") {
		t.Errorf("a consent goes by:\n%s", plan)
	}
	t.Logf("a consent goes by:\n%s", plan)
}

// TestReadsItsOwn: a login, a bad address and a resume read the bindings and the
// notifications that they are about, and not all of them in their order.
func TestReadsItsOwn(t *testing.T) {
	t.Parallel()
	const others = 20_000
	_, address := postgrestest.Open(t)
	admin(t, address, parkSQL, others)
	admin(t, address, `
		INSERT INTO bindings (app, user_id, open_id, union_id, suspect, updated_at)
		SELECT 'wx1', 'user-' || i, 'openid-' || i, '', false, now() FROM generate_series(1, $1::int) AS i`, others)
	admin(t, address, `ANALYZE notifications`)
	admin(t, address, `ANALYZE bindings`)

	s, name := named(t, address)
	notifications, bindings := tuplesRead(t, address), tuplesReadOf(t, address, "bindings")
	const rounds = 5
	for range rounds {
		if bound, err := s.Bind(t.Context(), []store.Binding{{App: "wx1", UserID: "user-77", OpenID: uuid.NewString()}}); err != nil || bound.Changed != 1 {
			t.Fatalf("bind: %+v, %v", bound, err)
		}
		a := acceptance()
		a.Notification.OpenID, a.Notification.UserID = "", "user-77"
		if _, err := s.Insert(t.Context(), []store.Acceptance{a}); err != nil {
			t.Fatal(err)
		}
		r, err := s.Commit(t.Context(), store.Batch{Claims: []store.Claim{{ID: a.Notification.ID, Generation: 1, Owner: uuid.New(), Lease: time.Minute}}})
		if err != nil {
			t.Fatal(err)
		}
		l := r.Claims[0].Look
		if _, err := s.Commit(t.Context(), store.Batch{Settlements: []store.Settlement{{
			ID: l.ID, Seq: l.Seq, State: store.Dead, Class: store.ClassFault, Reason: store.ReasonBadAddress, SuspectBinding: true,
			Attempt: store.Attempt{At: l.Now, Outcome: "bad_address"},
		}}}); err != nil {
			t.Fatal(err)
		}
		if b, err := s.Resolve(t.Context(), "wx1", "user-77"); err != nil || !b.Suspect {
			t.Fatalf("binding %+v, %v; want it suspect", b, err)
		}
		if _, err := s.ResumeTemplate(t.Context(), "wx1", "parked"); err != nil {
			t.Fatal(err)
		}
	}
	s.Close() // a backend that ends reports its statistics
	waitFor(t, address, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)`, name)
	if read := tuplesRead(t, address) - notifications; read > 50*rounds {
		t.Errorf("%d notifications were read", read)
	}
	if read := tuplesReadOf(t, address, "bindings") - bindings; read > 50*rounds {
		t.Errorf("%d bindings were read", read)
	}
}
