package sqlite

import (
	"context"
	"fmt"

	"github.com/wxnotify/wxnotify/store"
)

// Commit writes the batch in one transaction and answers it item by item. What
// an item is answered is read back from the row after it was applied; so one
// that was applied by an earlier try of the same batch gets the same answer.
func (s *Store) Commit(ctx context.Context, batch store.Batch) (store.Results, error) {
	if batch.Len() == 0 {
		return store.Results{}, nil
	}
	if err := batch.Check(); err != nil {
		return store.Results{}, fmt.Errorf("commit batch: %w", err)
	}
	var r store.Results
	err := s.write(ctx, "commit batch", func(tx *writeTx) error {
		var err error
		// Settlements come first: one that pauses a template holds back the
		// claims of the same batch.
		if r.Settlements, err = answerEach(ctx, batch.Settlements, tx.settle); err != nil {
			return err
		}
		if r.Releases, err = answerEach(ctx, batch.Releases, tx.release); err != nil {
			return err
		}
		if r.Moves, err = answerEach(ctx, batch.Moves, tx.move); err != nil {
			return err
		}
		r.Claims, err = answerEach(ctx, batch.Claims, tx.claim)
		return err
	})
	if err != nil {
		return store.Results{}, err
	}
	return r, nil
}

// answerEach applies each item and collects the answers.
func answerEach[I, A any](ctx context.Context, items []I, apply func(context.Context, I) (A, error)) ([]A, error) {
	if len(items) == 0 {
		return nil, nil
	}
	answers := make([]A, len(items))
	for i, item := range items {
		var err error
		if answers[i], err = apply(ctx, item); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// claim gives the claim if nothing speaks against it. It holds when the row is
// being sent by its owner, whether this try or an earlier one moved it there.
func (t *writeTx) claim(ctx context.Context, c store.Claim) (store.Claimed, error) {
	_, err := t.exec(ctx, `
		UPDATE notifications AS n
		SET state = 'sending', class = '', reason = '', seq = seq + 1,
			owner = ?3, lease_until = ?4 + ?5, handover_at = NULL, updated_at = ?4,
			address = r.address,
			ledger_balance = iif(n.doubts + n.unsure > 0, ledger_balance, r.balance),
			ledger_touches = iif(n.doubts + n.unsure > 0, ledger_touches, r.touches),
			ledger_grants = r.grants
		FROM (
			SELECT i.address, iif(c.long_term, NULL, c.balance) AS balance, coalesce(c.touches, 0) AS touches,
				coalesce(c.grants, 0) AS grants, coalesce(c.balance = 0 AND NOT c.long_term, 0) AS empty
			FROM (
				SELECT n.app, n.template_id, coalesce(nullif(n.open_id, ''), b.open_id) AS address
				FROM notifications n
				LEFT JOIN bindings b ON n.user_id <> '' AND b.app = n.app AND b.user_id = n.user_id
				WHERE n.id = ?1
			) AS i
			LEFT JOIN consents c ON c.app = i.app AND c.open_id = i.address AND c.template_id = i.template_id
		) AS r
		WHERE id = ?1 AND generation = ?2 AND state IN ('queued', 'retrying')
			AND due_at <= ?4 AND expires_at > ?4
			AND NOT EXISTS (SELECT 1 FROM template_pauses p WHERE p.app = n.app AND p.template_id = n.template_id)
			AND r.address IS NOT NULL AND (no_consent = 'send' OR NOT r.empty)`,
		c.ID[:], c.Generation, c.Owner[:], t.now, c.Lease.Microseconds())
	if err != nil {
		return store.Claimed{}, err
	}
	l, found, err := t.look(ctx, c.ID)
	return store.Claimed{OK: found && l.State == store.Sending && l.Owner == c.Owner, Found: found, Look: l}, err
}
