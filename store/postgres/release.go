package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// releaseSQL gives claims back. Only what is being sent has an owner.
const releaseSQL = `
	UPDATE notifications n
	SET state = CASE WHEN n.seq = 1 THEN 'queued' ELSE 'retrying' END,
		owner = NULL, lease_until = NULL, updated_at = now(),
		generation = n.generation + r.requeue::int,
		due_at = now() + r.delay * interval '1 microsecond',
		handover_at = now() + (r.delay + CASE WHEN r.requeue THEN 0 ELSE $6::bigint END) * interval '1 microsecond'
	FROM unnest((SELECT $1::uuid[]), $2::int[], $3::uuid[], $4::bigint[], $5::bool[]) AS r (id, seq, owner, delay, requeue)
	WHERE n.id = r.id AND n.seq = r.seq AND n.owner = r.owner`

// releasedSQL finds the claims that ended without an attempt: only a release
// leaves none.
const releasedSQL = `
	SELECT r.place
	FROM unnest((SELECT $1::uuid[]), $2::int[]) WITH ORDINALITY AS r (id, seq, place)
	JOIN notifications n ON n.id = r.id AND n.seq >= r.seq
	WHERE NOT (n.seq = r.seq AND n.state = 'sending')
		AND NOT EXISTS (SELECT FROM attempts a WHERE a.notification_id = r.id AND a.n = r.seq)`

func queueReleases(b *pgx.Batch, releases []store.Release, answers []bool) {
	n := len(releases)
	ids, owners := make([][16]byte, n), make([][16]byte, n)
	seqs, delays, requeues := make([]int, n), make([]int64, n), make([]bool, n)
	for i, r := range releases {
		ids[i], owners[i] = r.ID, r.Owner
		seqs[i], delays[i], requeues[i] = r.Seq, r.Delay.Microseconds(), r.Requeue
	}
	b.Queue(releaseSQL, ids, seqs, owners, delays, requeues, store.HandoverGrace.Microseconds())
	b.Queue(releasedSQL, ids, seqs).Query(func(rows pgx.Rows) error {
		var place int64
		_, err := pgx.ForEachRow(rows, []any{&place}, func() error {
			answers[place-1] = true
			return nil
		})
		return err
	})
}
