package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// fillTable fills a schema with what a deployment of that many notifications
// looks like: a hundred days of them, the last hundredth still open, nearly all
// others sent, one in 200 a dead letter; a user for every 20. Retention is behind
// by a day with blanking and by ten with deleting.
func fillTable(b *testing.B, address string, rows int) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	exec := func(statement string, args ...any) {
		b.Helper()
		if _, err := conn.Exec(b.Context(), statement, args...); err != nil {
			b.Fatalf("%v in %.60s", err, statement)
		}
	}
	// Without triggers the foreign key is not checked row by row; an index is
	// made faster than it grows.
	exec(`SET session_replication_role = replica`)
	exec(`SET synchronous_commit = off`)
	exec(`SET maintenance_work_mem = '512MB'`)
	found, err := conn.Query(b.Context(), `
		SELECT indexname, indexdef FROM pg_indexes
		WHERE schemaname = current_schema() AND tablename = 'notifications' AND indexname <> 'notifications_pkey'`)
	if err != nil {
		b.Fatal(err)
	}
	indexes, err := pgx.CollectRows(found, pgx.RowToStructByPos[struct{ Name, Definition string }])
	if err != nil {
		b.Fatal(err)
	}
	for _, index := range indexes {
		exec(`DROP INDEX ` + index.Name)
	}
	const page = 250_000
	for first := 1; first <= rows; first += page {
		last := min(first+page-1, rows)
		exec(fillNotificationsSQL, first, last, rows)
		exec(fillAttemptsSQL, first, last, rows)
	}
	exec(`INSERT INTO bindings (app, user_id, open_id, union_id, suspect, updated_at)
		SELECT 'wx1', 'user-' || u, 'openid-' || u, '', false, now() FROM generate_series(0, $1::int / 20) AS u`, rows)
	for _, index := range indexes {
		exec(index.Definition)
	}
	exec(`VACUUM (ANALYZE) notifications`)
	exec(`VACUUM (ANALYZE) attempts`)
	exec(`ANALYZE bindings`)
}

// madeSQL are the rows from $1 to $2 of $3: their ids, as UUIDv7 of created_at,
// and what follows from the number.
const madeSQL = `
	SELECT i, created_at,
		(lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3)
			|| '8' || substr(md5(i::text), 4, 15))::uuid AS id,
		CASE
			WHEN i > $3::int - $3::int / 100 THEN
				CASE WHEN i % 100 < 70 THEN 'queued' WHEN i % 100 < 80 THEN 'retrying' WHEN i % 100 < 95 THEN 'waiting'
					WHEN i % 100 < 99 THEN 'in_doubt' ELSE 'sending' END
			WHEN i % 1000 < 5 THEN 'dead' WHEN i % 1000 < 45 THEN 'dead'
			WHEN i % 1000 < 50 THEN 'expired' WHEN i % 1000 < 53 THEN 'cancelled'
			ELSE 'sent' END AS state,
		i % 1000 < 5 AS fault
	FROM (SELECT i, now() - ($3::int - i) * interval '100 days' / $3::int AS created_at FROM generate_series($1::int, $2::int) AS i) AS made`

const fillNotificationsSQL = `
	WITH made AS (` + madeSQL + `)
	INSERT INTO notifications (
		id, app, producer, ref, content_hash, template_id, page, user_id, open_id, data,
		lang, miniprogram_state, priority, duplicates, payload, queue,
		state, class, reason, errcode, errmsg, receipt, msg_id, seq, generation,
		owner, lease_until, due_at, expires_at, handover_at, created_at, updated_at, finished_at, data_blanked_at)
	SELECT id, CASE WHEN i % 1000 = 7 THEN 'wx3' WHEN i % 20 = 0 THEN 'wx2' ELSE 'wx1' END,
		CASE WHEN i % 1000 = 11 THEN 'batch' ELSE 'api' END, CASE WHEN i % 2 = 0 THEN 'ref-' || i ELSE '' END, '',
		'template-' || i % 7, 'pages/report/detail' || CASE WHEN blanked THEN '' ELSE '?id=' || i END,
		'user-' || i::bigint * 7919 % ($3::int / 20), '',
		CASE WHEN blanked THEN '{}' ELSE '{"thing1":"Monthly report of the team","time2":"2026-01-01 09:00","thing3":"number ' || i || '"}' END::json,
		'', '', CASE WHEN i % 10 = 0 THEN 'low' WHEN i % 10 = 1 THEN 'critical' ELSE 'default' END, 'allow', '', '',
		state,
		CASE WHEN state <> 'dead' THEN '' WHEN fault THEN 'fault' ELSE 'refused' END,
		CASE state WHEN 'dead' THEN CASE WHEN NOT fault THEN 'not_subscribed' WHEN i % 1000 = 1 THEN 'page' ELSE 'rejected' END
			WHEN 'expired' THEN 'too_old' WHEN 'cancelled' THEN 'by_admin' WHEN 'waiting' THEN 'no_consent' ELSE '' END,
		CASE WHEN state <> 'dead' THEN 0 WHEN NOT fault THEN 43101 WHEN i % 1000 = 1 THEN 41030 ELSE 47003 END, '', 'none', i,
		(state NOT IN ('queued', 'waiting', 'expired', 'cancelled'))::int, 1,
		CASE WHEN state = 'sending' THEN id END, CASE WHEN state = 'sending' THEN now() + interval '1 day' END,
		CASE WHEN open THEN now() + interval '1 day' ELSE created_at END, created_at + interval '3 days' + open::int * interval '2 days',
		CASE WHEN state IN ('queued', 'retrying') THEN now() + interval '1 day' END,
		created_at, created_at, CASE WHEN NOT open THEN created_at + interval '1 minute' END,
		CASE WHEN blanked THEN now() END
	FROM made
	CROSS JOIN LATERAL (SELECT state NOT IN ('sent', 'dead', 'expired', 'cancelled')) AS o (open)
	CROSS JOIN LATERAL (SELECT NOT open AND NOT (state = 'dead' AND fault) AND created_at < now() - interval '8 days') AS d (blanked)`

const fillAttemptsSQL = `
	WITH made AS (` + madeSQL + `)
	INSERT INTO attempts (notification_id, n, at, latency_us, errcode, errmsg, rid, msg_id, outcome)
	SELECT id, 1, created_at, 87000, 0, '', '', i, CASE WHEN state = 'sent' THEN 'ok' WHEN state = 'in_doubt' THEN 'in_doubt' ELSE 'busy' END
	FROM made
	WHERE state IN ('sent', 'dead', 'in_doubt', 'retrying')`
