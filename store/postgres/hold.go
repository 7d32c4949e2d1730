package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// What a notification may wait for is held before the notifications are locked,
// and until the COMMIT: a binding, a pause, an entry of the ledger. Whoever gives
// it locks the same thing first and what waits afterwards. So the end of the wait
// either comes before, and the notification does not begin to wait, or after, and
// finds it waiting; and nobody waits for another in a circle.

// holdUsersSQL keeps Bind away from the users of notifications. A binding that
// does not exist cannot be locked, so its bucket is: see bucketsSQL. Those who
// bind do not shut each other out.
const holdUsersSQL = `
	SELECT pg_advisory_xact_lock(key)
	FROM (
		SELECT DISTINCT ` + bucketSQL + ` AS key
		FROM notifications v
		WHERE v.id = ANY($1::uuid[]) AND v.user_id <> ''
		ORDER BY 1
	) AS buckets`

// bucketSQL is the lock for the user of the row v. There are a few hundred for
// all users, so that a bulk import fits into the server's table of locks; schemas
// of one database have their own.
const bucketSQL = `hashtextextended('wxnotify/bind/' || coalesce(current_schema(), '') || '/'
			|| (hashtext(v.app || ' ' || v.user_id) & 255)::text, 0)`

// holdPausesSQL keeps the pauses of the templates of notifications.
const holdPausesSQL = `
	SELECT
	FROM template_pauses p
	WHERE (p.app, p.template_id) IN (SELECT n.app, n.template_id FROM notifications n WHERE n.id = ANY($1::uuid[]))
	ORDER BY p.app, p.template_id
	FOR KEY SHARE`

// The entries of the ledger that concern notifications: $1 have been claimed, so
// that their address is that of the claim; $2 have not, and go to whom the binding
// says.
const entriesSQL = `
	SELECT n.app, n.address AS open_id, n.template_id
	FROM notifications n
	WHERE n.id = ANY($1::uuid[]) AND n.address <> ''
	UNION
	SELECT n.app, coalesce(nullif(n.open_id, ''), b.open_id), n.template_id
	FROM notifications n
	LEFT JOIN bindings b ON n.user_id <> '' AND b.app = n.app AND b.user_id = n.user_id
	WHERE n.id = ANY($2::uuid[]) AND (n.open_id <> '' OR b.open_id IS NOT NULL)
	ORDER BY 1, 2, 3`

// makeEntriesSQL makes the entries that do not exist, without saying anything of
// the consent: only what is there can be locked.
const makeEntriesSQL = `
	INSERT INTO consents (app, open_id, template_id, updated_at)
	SELECT app, open_id, template_id, now()
	FROM (` + entriesSQL + `) AS e
	WHERE template_id <> ''
	ON CONFLICT DO NOTHING`

// holdEntriesSQL locks the entries in their order. They are looked up one by one:
// in a join the planner would rather read the whole ledger in its order than sort
// a handful.
const holdEntriesSQL = `
	WITH e AS MATERIALIZED (` + entriesSQL + `)
	SELECT
	FROM e
	CROSS JOIN LATERAL (
		SELECT
		FROM consents c
		WHERE c.app = e.app AND c.open_id = e.open_id AND c.template_id = e.template_id
		FOR NO KEY UPDATE
	) AS held`

// holdClaimedSQL does the same for notifications that have all been claimed, which
// is what batches hold that only settle.
const holdClaimedSQL = `
	WITH e AS MATERIALIZED (
		SELECT DISTINCT n.app, n.address, n.template_id
		FROM notifications n
		WHERE n.id = ANY((SELECT $1::uuid[])::uuid[]) AND n.address <> ''
		ORDER BY 1, 2, 3
	)
	SELECT
	FROM e
	CROSS JOIN LATERAL (
		SELECT
		FROM consents c
		WHERE c.app = e.app AND c.open_id = e.address AND c.template_id = e.template_id
		FOR NO KEY UPDATE
	) AS held`

// queueHolds adds what the batch has to hold. A batch that neither lets anything
// wait nor concerns the ledger holds nothing.
func queueHolds(b *pgx.Batch, batch store.Batch) {
	var unbound, paused, entered, made, parked [][16]byte
	waits := func(id [16]byte, r store.Reason) {
		switch r { //nolint:exhaustive // nothing else is waited for
		case store.ReasonUnbound:
			unbound = append(unbound, id)
		case store.ReasonTemplatePaused:
			paused = append(paused, id)
		}
	}
	for _, s := range batch.Settlements {
		if s.State == store.Waiting {
			waits(s.ID, s.Reason)
		}
		if s.ConcernsLedger() {
			entered = append(entered, s.ID)
		}
		if s.Refused {
			made = append(made, s.ID)
		}
	}
	for _, m := range batch.Moves {
		if m.State != store.Waiting {
			continue
		}
		waits(m.ID, m.Reason)
		if m.Reason == store.ReasonNoConsent {
			parked = append(parked, m.ID)
		}
	}
	if len(unbound) > 0 {
		b.Queue(holdUsersSQL, unbound)
	}
	if len(paused) > 0 {
		b.Queue(holdPausesSQL, paused)
	}
	if len(made)+len(parked) > 0 {
		b.Queue(makeEntriesSQL, made, parked)
	}
	switch {
	case len(parked) > 0:
		b.Queue(holdEntriesSQL, entered, parked)
	case len(entered) > 0:
		b.Queue(holdClaimedSQL, entered)
	}
}
