package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// lockSQL locks the rows of a batch in the order of their ids, before any of
// them is changed. The statements after it have later snapshots, so they see
// these rows as they are now and nobody changes them until the COMMIT.
//
// The array is read in a subquery, here and in the other statements of a batch:
// what the planner does not see cannot make it believe that a plan for just this
// small batch is worth making, each time anew. Making it takes longer than running
// it.
const lockSQL = `
	SELECT
	FROM notifications
	WHERE id = ANY((SELECT $1::uuid[])::uuid[])
	ORDER BY id
	FOR NO KEY UPDATE`

// Commit writes the batch in one transaction and answers it item by item. What
// an item is answered is the row as it is after the item was applied, or as it is
// if it was not; so one that was applied by an earlier try of the same batch gets
// the same answer.
func (s *Store) Commit(ctx context.Context, batch store.Batch) (store.Results, error) {
	if batch.Len() == 0 {
		return store.Results{}, nil
	}
	if err := batch.Check(); err != nil {
		return store.Results{}, fmt.Errorf("commit batch: %w", err)
	}
	var (
		b pgx.Batch
		r store.Results
	)
	queueHolds(&b, batch)
	b.Queue(lockSQL, uuids(batch.IDs()))
	// Settlements come first: one that pauses a template holds back the claims
	// of the same batch.
	if len(batch.Settlements) > 0 {
		r.Settlements = make([]store.Settled, len(batch.Settlements))
		queueSettlements(&b, batch.Settlements, r.Settlements)
	}
	if len(batch.Releases) > 0 {
		r.Releases = make([]bool, len(batch.Releases))
		queueReleases(&b, batch.Releases, r.Releases)
	}
	if len(batch.Moves) > 0 {
		r.Moves = make([]bool, len(batch.Moves))
		queueMoves(&b, batch.Moves, r.Moves)
	}
	if len(batch.Claims) > 0 {
		r.Claims = make([]store.Claimed, len(batch.Claims))
		queueClaims(&b, batch.Claims, r.Claims)
	}
	if err := s.run(ctx, &b); err != nil {
		return store.Results{}, wrap("commit batch", err)
	}
	return r, nil
}

// claimSQL gives the claims that nothing speaks against and answers all whose
// notifications exist: the rows it changed as they are now, the others as lookSQL
// does. Rows are found by id alone and judged afterwards, here and in the
// statements for moves: with the state among the conditions, the planner may
// prefer to read all rows of that state. They are changed by their place, which
// stays as it was read because they are locked.
const claimSQL = `
	WITH judged AS MATERIALIZED (
		SELECT n.ctid AS tid, n.id, n.seq, w.owner, w.lease, ` + lookAddress + ` AS address, coalesce(p.reason, '') AS paused,
			c.balance, coalesce(c.long_term, false) AS long_term, coalesce(c.touches, 0) AS touches, coalesce(c.grants, 0) AS grants,
			n.generation = w.generation
				AND n.state IN ('queued', 'retrying')
				AND n.due_at <= now()
				AND n.expires_at > now()
				AND p.app IS NULL
				AND (n.open_id <> '' OR b.open_id IS NOT NULL)
				AND (n.no_consent = 'send' OR c.long_term OR c.balance IS NULL OR c.balance > 0) AS given
		FROM unnest((SELECT $1::uuid[]), $2::int[], $3::uuid[], $4::bigint[]) AS w (id, generation, owner, lease)
		JOIN notifications n ON n.id = w.id` + lookJoins + `
	), claimed AS (
		UPDATE notifications n
		SET state = 'sending', class = '', reason = '', seq = n.seq + 1,
			owner = j.owner, address = j.address,
			lease_until = now() + j.lease * interval '1 microsecond',
			ledger_balance = CASE
				WHEN n.doubts + n.unsure > 0 THEN n.ledger_balance
				WHEN j.long_term THEN NULL
				ELSE j.balance END,
			ledger_touches = CASE WHEN n.doubts + n.unsure > 0 THEN n.ledger_touches ELSE j.touches END,
			ledger_grants = j.grants,
			handover_at = NULL, updated_at = now()
		FROM judged j
		WHERE j.given AND n.ctid = j.tid AND n.id = j.id AND n.seq = j.seq
		RETURNING ` + notificationColumns + `, j.address AS claimed_for, j.paused, j.balance, j.long_term, now()
	)
	SELECT * FROM claimed
	UNION ALL
	SELECT ` + notificationColumns + `, j.address, j.paused, j.balance, j.long_term, now()
	FROM judged j
	JOIN notifications n ON n.ctid = j.tid AND n.id = j.id
	WHERE NOT j.given`

// queueClaims adds the claims. A claim holds when the row is being sent by its
// owner, whether this try or an earlier one of the same claim moved it there.
func queueClaims(b *pgx.Batch, claims []store.Claim, answers []store.Claimed) {
	n := len(claims)
	ids, owners := make([][16]byte, n), make([][16]byte, n)
	generations, leases := make([]int, n), make([]int64, n)
	place := make(map[uuid.UUID]int, n)
	for i, c := range claims {
		ids[i], owners[i] = c.ID, c.Owner
		generations[i], leases[i] = c.Generation, c.Lease.Microseconds()
		place[c.ID] = i
	}
	b.Queue(claimSQL, ids, generations, owners, leases).Query(func(rows pgx.Rows) error {
		return eachLook(rows, func(l store.Look) {
			i := place[l.ID]
			ok := l.State == store.Sending && l.Owner == claims[i].Owner
			answers[i] = store.Claimed{OK: ok, Found: true, Look: l}
		})
	})
}
