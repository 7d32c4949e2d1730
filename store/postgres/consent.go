package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// consentColumns are the columns of an entry of the ledger that are shown, of the
// table under the name c, in the order of scanConsent.
const consentColumns = `c.app, c.open_id, c.template_id, c.balance, c.long_term, c.refused_at, c.updated_at`

// consentRow receives what scanConsent takes.
type consentRow struct {
	consent store.Consent
	balance *int
	refused *time.Time
}

func (r *consentRow) fields() []any {
	c := &r.consent
	return []any{&c.App, &c.OpenID, &c.TemplateID, &r.balance, &c.LongTerm, &r.refused, &c.UpdatedAt}
}

func (r *consentRow) value() store.Consent {
	setBalance(&r.consent, r.balance)
	r.consent.RefusedAt, r.consent.UpdatedAt = utc(r.refused), r.consent.UpdatedAt.UTC()
	return r.consent
}

// setBalance fills in what the nullable balance says.
func setBalance(c *store.Consent, balance *int) {
	c.Known = balance != nil || c.LongTerm
	if balance != nil {
		c.Balance = *balance
	}
}

// Consents returns the entries of an openid, ordered by template.
func (s *Store) Consents(ctx context.Context, app, openID string) ([]store.Consent, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT `+consentColumns+`
		FROM consents c
		WHERE c.app = $1 AND c.open_id = $2
		ORDER BY c.template_id`, app, openID)
	if err != nil {
		return nil, wrap("list consents", err)
	}
	consents, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Consent, error) {
		var r consentRow
		err := row.Scan(r.fields()...)
		return r.value(), err
	})
	return consents, wrap("list consents", err)
}

// WaitingFor returns how many notifications of each template of an app wait for
// the user to be bound, or for the user's or the openid's consent. Either may be
// ""; of each at most store.MaxWaitingFor are counted.
func (s *Store) WaitingFor(ctx context.Context, app, userID, openID string) (map[string]int, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT template_id, count(*)
		FROM (
			(SELECT id, template_id
			FROM notifications
			WHERE app = $1 AND user_id = $2 AND user_id <> '' AND state = 'waiting' AND reason IN ('unbound', 'no_consent')
			LIMIT $4)
			UNION
			(SELECT id, template_id
			FROM notifications
			WHERE app = $1 AND address = $3 AND $3 <> '' AND state = 'waiting' AND reason = 'no_consent'
			LIMIT $4)
		) AS w
		GROUP BY template_id`, app, userID, openID, store.MaxWaitingFor)
	if err != nil {
		return nil, wrap("count what waits", err)
	}
	waiting := map[string]int{}
	var (
		templateID string
		n          int
	)
	_, err = pgx.ForEachRow(rows, []any{&templateID, &n}, func() error {
		waiting[templateID] = n
		return nil
	})
	if err != nil {
		return nil, wrap("count what waits", err)
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
	var (
		recorded []store.ConsentRecorded
		full     []int // events whose long-term consent has let go a page
	)
	err := untangled(func() (err error) {
		recorded, full, err = s.recordConsents(ctx, events)
		return err
	})
	if err != nil {
		return nil, wrap(op, err)
	}
	for _, i := range full {
		if err := s.releaseRest(ctx, &recorded[i]); err != nil {
			// The events are recorded; WakeWaiting lets the rest go.
			return recorded, wrap(op, err)
		}
	}
	return recorded, nil
}

func (s *Store) recordConsents(ctx context.Context, events []store.ConsentEvent) (recorded []store.ConsentRecorded, full []int, err error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return nil, nil, classify(err)
	}
	// The caller may have gone: the connection must not stay in a transaction.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	ledgers, now, err := lockLedgers(ctx, tx, events)
	if err != nil {
		return nil, nil, classify(err)
	}
	var b pgx.Batch
	recorded = make([]store.ConsentRecorded, len(events))
	for i, e := range events {
		l := ledgers[entryOf(e)]
		r := l.Record(e, now)
		recorded[i] = store.ConsentRecorded{Result: r.Result, Consent: l.Consent}
		queueRelease(&b, l.Consent, r.Release, &recorded[i].Released)
	}
	for _, l := range ledgers {
		queueLedger(&b, l)
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, nil, classify(err)
	}
	for i := range recorded {
		if recorded[i].Released >= store.ReleasePage {
			full = append(full, i)
		}
	}
	return recorded, full, classify(tx.Commit(ctx))
}

// entry is the key of an entry of the ledger.
type entry struct{ app, openID, templateID string }

func entryOf(e store.ConsentEvent) entry { return entry{e.App, e.OpenID, e.TemplateID} }

// lockLedgers makes the entries that the events are about where there are none,
// locks all, and reads them. now is the transaction's time.
func lockLedgers(ctx context.Context, tx pgx.Tx, events []store.ConsentEvent) (map[entry]*store.Ledger, time.Time, error) {
	ledgers := make(map[entry]*store.Ledger, len(events))
	for _, e := range events {
		ledgers[entryOf(e)] = &store.Ledger{}
	}
	keys := slices.SortedFunc(maps.Keys(ledgers), func(a, b entry) int {
		return cmp.Or(strings.Compare(a.app, b.app), strings.Compare(a.openID, b.openID), strings.Compare(a.templateID, b.templateID))
	})
	var apps, openIDs, templateIDs []string
	for _, k := range keys {
		apps, openIDs, templateIDs = append(apps, k.app), append(openIDs, k.openID), append(templateIDs, k.templateID)
	}
	var (
		b   pgx.Batch
		now time.Time
	)
	b.Queue(`SELECT now()`).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	b.Queue(`
		INSERT INTO consents (app, open_id, template_id, updated_at)
		SELECT app, open_id, template_id, now()
		FROM unnest($1::text[], $2::text[], $3::text[]) AS e (app, open_id, template_id)
		ORDER BY app, open_id, template_id
		ON CONFLICT DO NOTHING`, apps, openIDs, templateIDs)
	b.Queue(`
		WITH e AS MATERIALIZED (
			SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS e (app, open_id, template_id)
			ORDER BY app, open_id, template_id
		)
		SELECT c.*
		FROM e
		CROSS JOIN LATERAL (
			SELECT `+consentColumns+`, c.grants, c.touches, c.emptied_at, c.emptied_touch, c.owed, c.owed_at
			FROM consents c
			WHERE c.app = e.app AND c.open_id = e.open_id AND c.template_id = e.template_id
			FOR NO KEY UPDATE
		) AS c`, apps, openIDs, templateIDs).Query(func(rows pgx.Rows) error {
		var (
			r             consentRow
			l             store.Ledger
			emptied, owed *time.Time
		)
		fields := append(r.fields(), &l.Grants, &l.Touches, &emptied, &l.EmptiedTouch, &l.Owed, &owed)
		_, err := pgx.ForEachRow(rows, fields, func() error {
			read := l
			read.Consent, read.EmptiedAt, read.OwedAt = r.value(), utc(emptied), utc(owed)
			*ledgers[entry{read.App, read.OpenID, read.TemplateID}] = read
			r.consent.Balance = 0
			return nil
		})
		return err
	})
	b.Queue(`
		SELECT v.app, v.open_id, v.template_id, v.source, v.key, v.answer, v.long_term, v.at, v.touch, v.paired
		FROM unnest($1::text[], $2::text[], $3::text[]) AS e (app, open_id, template_id)
		JOIN consent_events v ON v.app = e.app AND v.open_id = e.open_id AND v.template_id = e.template_id`,
		apps, openIDs, templateIDs).Query(func(rows pgx.Rows) error {
		var (
			k entry
			v store.LedgerEvent
		)
		_, err := pgx.ForEachRow(rows, []any{
			&k.app, &k.openID, &k.templateID, (*string)(&v.Source), &v.Key, (*string)(&v.Answer), &v.LongTerm, &v.At, &v.Touch, &v.Paired,
		}, func() error {
			v.At = v.At.UTC()
			ledgers[k].Events = append(ledgers[k].Events, v)
			return nil
		})
		return err
	})
	err := tx.SendBatch(ctx, &b).Close()
	return ledgers, now.UTC(), err
}

// queueLedger writes an entry and its events.
func queueLedger(b *pgx.Batch, l *store.Ledger) {
	var balance *int
	if l.Known {
		balance = &l.Balance
	}
	b.Queue(`
		UPDATE consents
		SET balance = $4, long_term = $5, refused_at = $6, grants = $7, touches = $8,
			emptied_at = $9, emptied_touch = $10, owed = $11, owed_at = $12, updated_at = $13
		WHERE app = $1 AND open_id = $2 AND template_id = $3`,
		l.App, l.OpenID, l.TemplateID, balance, l.LongTerm, nullTime(l.RefusedAt), l.Grants, l.Touches,
		nullTime(l.EmptiedAt), l.EmptiedTouch, l.Owed, nullTime(l.OwedAt), l.UpdatedAt)
	n := len(l.Events)
	source, key, answer := make([]string, n), make([]string, n), make([]string, n)
	longTerm, paired := make([]bool, n), make([]bool, n)
	at, touch := make([]time.Time, n), make([]int64, n)
	for i, v := range l.Events {
		source[i], key[i], answer[i] = string(v.Source), v.Key, string(v.Answer)
		longTerm[i], touch[i], paired[i], at[i] = v.LongTerm, v.Touch, v.Paired, v.At
	}
	b.Queue(`
		INSERT INTO consent_events AS v (app, open_id, template_id, source, key, answer, long_term, at, touch, paired, seen_at)
		SELECT $1, $2, $3, source, key, answer, long_term, at, touch, paired, now()
		FROM unnest($4::text[], $5::text[], $6::text[], $7::bool[], $8::timestamptz[], $9::bigint[], $10::bool[])
			AS e (source, key, answer, long_term, at, touch, paired)
		ON CONFLICT (app, open_id, template_id, source, key) DO UPDATE
		SET at = excluded.at, touch = excluded.touch, paired = excluded.paired
		WHERE (v.at, v.touch, v.paired) <> (excluded.at, excluded.touch, excluded.paired)`,
		l.App, l.OpenID, l.TemplateID, source, key, answer, longTerm, at, touch, paired)
}
