package postgres

// verdictSQL is what the store makes of a settlement s of the notification n
// instead of what was asked for; ” leaves it. The entry of the ledger is locked
// and is as it was before this batch.
//
// A refusal after an attempt nobody knows the end of: the entry has been touched
// by those attempts and by nothing else, and no other attempt for the same pair is
// under way, so the one message that was left is the one the user has. Whatever
// shall wait while what it waits for is there is tried again at once.
const verdictSQL = `
			CASE
				WHEN s.refused AND n.doubts - (a.n IS NOT NULL)::int + n.unsure > 0 THEN
					CASE WHEN n.ledger_balance = 1
						AND EXISTS (SELECT FROM consents c
							WHERE c.app = n.app AND c.open_id = n.address AND c.template_id = n.template_id
								AND c.balance = 1 AND NOT c.long_term
								AND c.touches = n.ledger_touches + n.doubts + n.unsure)
						AND NOT EXISTS (SELECT FROM notifications o
							WHERE o.state = 'sending' AND o.lease_until IS NOT NULL AND o.id <> n.id
								AND o.app = n.app AND o.address = n.address AND o.template_id = n.template_id)
					THEN 'sent' ELSE 'dead' END
				WHEN s.state <> 'waiting' THEN ''
				WHEN s.reason = 'no_consent' AND EXISTS (SELECT FROM consents c
						WHERE c.app = n.app AND c.open_id = n.address AND c.template_id = n.template_id
							AND (c.long_term OR c.balance > 0)
							AND (c.grants > n.ledger_grants OR NOT s.refused))
					OR s.reason = 'template_paused' AND NOT EXISTS (SELECT FROM template_pauses p
						WHERE p.app = n.app AND p.template_id = n.template_id)
					OR s.reason = 'unbound' AND EXISTS (SELECT FROM bindings b
						WHERE b.app = n.app AND b.user_id = n.user_id)
				THEN 'retrying'
				ELSE ''
			END`

// sentAfterAllSQL takes off what turns out to be sent without a settlement. sent
// are those notifications, each with its address and ledger_touches.
const sentAfterAllSQL = `
		UPDATE consents c
		SET balance = CASE WHEN c.long_term OR e.ledger_touches < c.emptied_touch THEN c.balance
				ELSE greatest(c.balance - e.n, 0) END,
			touches = c.touches + e.n, updated_at = now()
		FROM (
			SELECT app, address, template_id, count(*) AS n, min(ledger_touches) AS ledger_touches
			FROM sent
			WHERE address <> ''
			GROUP BY app, address, template_id
		) AS e
		WHERE c.app = e.app AND c.open_id = e.address AND c.template_id = e.template_id`

// ledgerSQL keeps the ledger: it takes off what was sent, empties what WeChat
// refuses, and notes attempts nobody knows the end of. What is not known stays so
// when something is sent. t are the settlements that apply, $23 is
// store.ConsentSkew.
//
// A refusal tells of the time between the claim and now; consents that came
// meanwhile are left, because they may be younger. What is taken away had been
// counted beside a message that was owed. A doubt that turns out to be
// sent takes nothing off when the entry was emptied after its claim: that message
// was among what was taken away.
const ledgerSQL = `
		UPDATE consents c
		SET balance = CASE
				WHEN e.refused THEN least(coalesce(c.balance, 0), c.grants - e.grants)
				WHEN c.long_term THEN c.balance
				ELSE greatest(c.balance - e.sent - CASE WHEN e.late_touches >= c.emptied_touch THEN e.late ELSE 0 END, 0) END,
			long_term = c.long_term AND (NOT e.refused OR c.grants > e.grants),
			emptied_at = CASE WHEN e.refused
				THEN greatest(c.emptied_at, now() - $23::bigint * interval '1 microsecond') ELSE c.emptied_at END,
			emptied_touch = CASE WHEN e.refused THEN c.touches + e.touches ELSE c.emptied_touch END,
			owed = CASE
				WHEN c.long_term THEN c.owed
				WHEN e.refused THEN greatest(c.owed - greatest(c.balance - c.grants + e.grants, 0), 0)
				ELSE c.owed + coalesce(greatest(e.sent - c.balance, 0), 0) END,
			owed_at = CASE WHEN NOT c.long_term AND NOT e.refused AND e.sent > c.balance THEN now() ELSE c.owed_at END,
			touches = c.touches + e.touches,
			updated_at = now()
		FROM (
			SELECT t.app, t.address, t.template_id,
				count(*) AS touches,
				bool_or(t.refused) AS refused,
				coalesce(max(t.ledger_grants) FILTER (WHERE t.refused), 0) AS grants,
				count(*) FILTER (WHERE t.state = 'sent' AND NOT t.assumed AND t.was_doubt = 0) AS sent,
				count(*) FILTER (WHERE t.state = 'sent' AND NOT t.assumed AND t.was_doubt = 1) AS late,
				coalesce(min(t.ledger_touches) FILTER (WHERE t.was_doubt = 1), 0) AS late_touches
			FROM applied t
			WHERE t.address <> '' AND (t.refused OR t.unsure OR t.is_doubt = 1 OR t.state = 'sent' AND NOT t.assumed)
			GROUP BY t.app, t.address, t.template_id
		) AS e
		WHERE c.app = e.app AND c.open_id = e.address AND c.template_id = e.template_id`
