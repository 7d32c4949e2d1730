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
			address = CASE WHEN open_id <> '' THEN open_id
				ELSE (SELECT b.open_id FROM bindings b WHERE b.app = n.app AND b.user_id = n.user_id) END
		WHERE id = ?1 AND generation = ?2 AND state IN ('queued', 'retrying')
			AND due_at <= ?4 AND expires_at > ?4
			AND NOT EXISTS (SELECT 1 FROM template_pauses p WHERE p.app = n.app AND p.template_id = n.template_id)
			AND (open_id <> '' OR EXISTS (SELECT 1 FROM bindings b WHERE b.app = n.app AND b.user_id = n.user_id))`,
		c.ID[:], c.Generation, c.Owner[:], t.now, c.Lease.Microseconds())
	if err != nil {
		return store.Claimed{}, err
	}
	l, found, err := t.look(ctx, c.ID)
	return store.Claimed{OK: found && l.State == store.Sending && l.Owner == c.Owner, Found: found, Look: l}, err
}
