package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// consentColumns are the columns of an entry of the ledger that are shown, in the
// order of consentRow.
const consentColumns = `app, open_id, template_id, balance, long_term, refused_at, updated_at`

// consentRow receives what consentColumns are.
type consentRow struct {
	consent store.Consent
	balance sql.NullInt64
	refused sql.NullInt64
	updated int64
}

func (r *consentRow) fields() []any {
	c := &r.consent
	return []any{&c.App, &c.OpenID, &c.TemplateID, &r.balance, &c.LongTerm, &r.refused, &r.updated}
}

func (r *consentRow) value() store.Consent {
	c := r.consent
	setBalance(&c, r.balance)
	c.RefusedAt, c.UpdatedAt = nullable(r.refused), instant(r.updated)
	return c
}

// setBalance fills in what the nullable balance says.
func setBalance(c *store.Consent, balance sql.NullInt64) {
	c.Known = balance.Valid || c.LongTerm
	c.Balance = int(balance.Int64)
}

// Consents returns the entries of an openid, ordered by template.
func (s *Store) Consents(ctx context.Context, app, openID string) ([]store.Consent, error) {
	var consents []store.Consent
	err := s.query(ctx, "list consents", `
		SELECT `+consentColumns+`
		FROM consents
		WHERE app = ? AND open_id = ?
		ORDER BY template_id`, []any{app, openID}, func(rows *sql.Rows) error {
		var r consentRow
		err := rows.Scan(r.fields()...)
		consents = append(consents, r.value())
		return err
	})
	if err != nil {
		return nil, err
	}
	return consents, nil
}

// WaitingFor returns how many notifications of each template of an app wait for
// the user to be bound, or for the user's or the openid's consent. Either may be
// ""; of each at most store.MaxWaitingFor are counted.
func (s *Store) WaitingFor(ctx context.Context, app, userID, openID string) (map[string]int, error) {
	waiting := map[string]int{}
	err := s.query(ctx, "count what waits", `
		SELECT template_id, count(*)
		FROM (
			SELECT id, template_id
			FROM (
				SELECT id, template_id
				FROM notifications
				WHERE app = ?1 AND user_id = ?2 AND user_id <> '' AND state = 'waiting' AND reason IN ('unbound', 'no_consent')
				LIMIT ?4)
			UNION
			SELECT id, template_id
			FROM (
				SELECT id, template_id
				FROM notifications
				WHERE app = ?1 AND address = ?3 AND ?3 <> '' AND state = 'waiting' AND reason = 'no_consent'
				LIMIT ?4)
		)
		GROUP BY template_id`, []any{app, userID, openID, store.MaxWaitingFor}, func(rows *sql.Rows) error {
		var (
			templateID string
			n          int
		)
		err := rows.Scan(&templateID, &n)
		waiting[templateID] = n
		return err
	})
	if err != nil {
		return nil, err
	}
	return waiting, nil
}

// RecordConsents applies events to the ledger in one transaction, in the order of
// the slice, answers each, and queues what they let go: for a message of a
// one-time template the notification that may go first, for a long-term consent
// every one that waits. It can be repeated.
func (s *Store) RecordConsents(ctx context.Context, events []store.ConsentEvent) ([]store.ConsentRecorded, error) {
	const op = "record consents"
	for i, e := range events {
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("%s: item %d: %w", op, i, err)
		}
	}
	if len(events) == 0 {
		return nil, nil
	}
	var recorded []store.ConsentRecorded
	err := s.write(ctx, op, func(tx *writeTx) (err error) {
		recorded, err = answerEach(ctx, events, tx.recordConsent)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range recorded {
		// The rest of a long-term consent, page by page, each in a transaction of its
		// own, so that others are not kept out.
		r := &recorded[i]
		for n := r.Released; n >= store.ReleasePage; r.Released += n {
			err := s.write(ctx, op, func(tx *writeTx) (err error) {
				n, err = tx.letGo(ctx, r.Consent, store.ReleaseAll)
				return err
			})
			if err != nil {
				// The events are recorded; WakeWaiting lets the rest go.
				return recorded, err
			}
		}
	}
	return recorded, nil
}

func (t *writeTx) recordConsent(ctx context.Context, e store.ConsentEvent) (store.ConsentRecorded, error) {
	l, err := t.ledger(ctx, e)
	if err != nil {
		return store.ConsentRecorded{}, err
	}
	r := l.Record(e, instant(t.now))
	if err := t.writeLedger(ctx, l); err != nil {
		return store.ConsentRecorded{}, err
	}
	released, err := t.letGo(ctx, l.Consent, r.Release)
	return store.ConsentRecorded{Result: r.Result, Consent: l.Consent, Released: released}, err
}

// ledger reads the entry that an event is about; where there is none it is new.
func (t *writeTx) ledger(ctx context.Context, e store.ConsentEvent) (*store.Ledger, error) {
	var (
		l             store.Ledger
		r             consentRow
		emptied, owed sql.NullInt64
	)
	key := []any{e.App, e.OpenID, e.TemplateID}
	err := t.row(ctx, `
		SELECT `+consentColumns+`, grants, touches, emptied_at, emptied_touch, owed, owed_at
		FROM consents
		WHERE app = ? AND open_id = ? AND template_id = ?`, key,
		append(r.fields(), &l.Grants, &l.Touches, &emptied, &l.EmptiedTouch, &l.Owed, &owed))
	if errors.Is(err, sql.ErrNoRows) {
		l.Consent = store.Consent{App: e.App, OpenID: e.OpenID, TemplateID: e.TemplateID}
		return &l, nil
	}
	if err != nil {
		return nil, err
	}
	l.Consent, l.EmptiedAt, l.OwedAt = r.value(), nullable(emptied), nullable(owed)
	err = t.rows(ctx, `
		SELECT source, key, answer, long_term, at, touch, paired
		FROM consent_events
		WHERE app = ? AND open_id = ? AND template_id = ?
		ORDER BY at, source, key`, key, func(rows *sql.Rows) error {
		var (
			v  store.LedgerEvent
			at int64
		)
		err := rows.Scan(&v.Source, &v.Key, &v.Answer, &v.LongTerm, &at, &v.Touch, &v.Paired)
		v.At = instant(at)
		l.Events = append(l.Events, v)
		return err
	})
	return &l, err
}

// writeLedger writes an entry and its events.
func (t *writeTx) writeLedger(ctx context.Context, l *store.Ledger) error {
	_, err := t.exec(ctx, `
		INSERT INTO consents (app, open_id, template_id, balance, long_term, refused_at, grants, touches,
			emptied_at, emptied_touch, owed, owed_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app, open_id, template_id) DO UPDATE
		SET balance = excluded.balance, long_term = excluded.long_term, refused_at = excluded.refused_at,
			grants = excluded.grants, touches = excluded.touches, emptied_at = excluded.emptied_at,
			emptied_touch = excluded.emptied_touch, owed = excluded.owed, owed_at = excluded.owed_at, updated_at = excluded.updated_at`,
		l.App, l.OpenID, l.TemplateID, sql.NullInt64{Int64: int64(l.Balance), Valid: l.Known}, l.LongTerm, stored(l.RefusedAt),
		l.Grants, l.Touches, stored(l.EmptiedAt), l.EmptiedTouch, l.Owed, stored(l.OwedAt), l.UpdatedAt.UnixMicro())
	for _, v := range l.Events {
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `
			INSERT INTO consent_events (app, open_id, template_id, source, key, answer, long_term, at, touch, paired, seen_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (app, open_id, template_id, source, key) DO UPDATE
			SET at = excluded.at, touch = excluded.touch, paired = excluded.paired`,
			l.App, l.OpenID, l.TemplateID, v.Source, v.Key, v.Answer, v.LongTerm, v.At.UnixMicro(), v.Touch, v.Paired, t.now)
	}
	return err
}

// stored is a time that may be absent, as it is stored.
func stored(at time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: at.UnixMicro(), Valid: !at.IsZero()}
}
