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
const lockSQL = `
	SELECT
	FROM notifications
	WHERE id = ANY($1::uuid[])
	ORDER BY id
	FOR NO KEY UPDATE`

// Commit writes the batch in one transaction and answers it item by item. What
// an item is answered is read back from the rows after all items were applied;
// so one that was applied by an earlier try of the same batch gets the same
// answer.
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

// claimSQL gives the claims that nothing speaks against. Rows are found by id
// alone and judged afterwards, here and in the statements for moves: with the
// state among the conditions, the planner may prefer to read all rows of that
// state.
const claimSQL = `
	WITH found AS MATERIALIZED (
		SELECT n.id, n.seq, n.app, n.template_id, n.user_id, n.open_id, n.state, n.due_at, n.expires_at, n.no_consent,
			c.owner, c.lease
		FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::bigint[]) AS c (id, generation, owner, lease)
		JOIN notifications n ON n.id = c.id AND n.generation = c.generation
	), ready AS (
		SELECT n.id, n.seq, n.owner, n.lease, coalesce(nullif(n.open_id, ''), b.open_id) AS address,
			CASE WHEN c.long_term THEN NULL ELSE c.balance END AS balance, coalesce(c.touches, 0) AS touches, coalesce(c.grants, 0) AS grants
		FROM found n
		LEFT JOIN bindings b ON n.user_id <> '' AND b.app = n.app AND b.user_id = n.user_id
		LEFT JOIN consents c ON c.app = n.app AND c.open_id = coalesce(nullif(n.open_id, ''), b.open_id)
			AND c.template_id = n.template_id
		WHERE n.state IN ('queued', 'retrying')
			AND n.due_at <= now()
			AND n.expires_at > now()
			AND NOT EXISTS (SELECT FROM template_pauses p WHERE p.app = n.app AND p.template_id = n.template_id)
			AND (n.open_id <> '' OR b.open_id IS NOT NULL)
			AND (n.no_consent = 'send' OR c.long_term OR c.balance IS NULL OR c.balance > 0)
	)
	UPDATE notifications n
	SET state = 'sending', class = '', reason = '', seq = n.seq + 1,
		owner = ready.owner, address = ready.address,
		lease_until = now() + ready.lease * interval '1 microsecond',
		ledger_balance = CASE WHEN n.doubts + n.unsure > 0 THEN n.ledger_balance ELSE ready.balance END,
		ledger_touches = CASE WHEN n.doubts + n.unsure > 0 THEN n.ledger_touches ELSE ready.touches END,
		ledger_grants = ready.grants,
		handover_at = NULL, updated_at = now()
	FROM ready
	WHERE n.id = ready.id AND n.seq = ready.seq`

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
	b.Queue(claimSQL, ids, generations, owners, leases)
	b.Queue(lookSQL, ids).Query(func(rows pgx.Rows) error {
		return eachLook(rows, func(l store.Look) {
			i := place[l.ID]
			ok := l.State == store.Sending && l.Owner == claims[i].Owner
			answers[i] = store.Claimed{OK: ok, Found: true, Look: l}
		})
	})
}
