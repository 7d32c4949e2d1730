package sqlite

import (
	"context"
	"database/sql"

	"github.com/wxnotify/wxnotify/store"
)

// Balances adds the ledger of consents up by app and template. It reads all of
// it, in a reader's time.
func (s *Store) Balances(ctx context.Context) ([]store.Balance, error) {
	var balances []store.Balance
	err := s.query(ctx, "add up balances", `
		SELECT app, template_id,
			coalesce(sum(balance) FILTER (WHERE NOT long_term), 0), count(*) FILTER (WHERE NOT long_term AND balance > 0),
			count(*) FILTER (WHERE NOT long_term AND balance = 0), count(*) FILTER (WHERE long_term)
		FROM consents
		GROUP BY app, template_id
		ORDER BY app, template_id`, nil, func(rows *sql.Rows) error {
		var b store.Balance
		err := rows.Scan(&b.App, &b.TemplateID, &b.Messages, &b.Some, &b.None, &b.LongTerm)
		balances = append(balances, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return balances, nil
}
