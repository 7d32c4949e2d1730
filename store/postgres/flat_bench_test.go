package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

var (
	flatRows  = flag.Int("rows", 10_000, "how many notifications BenchmarkFlat works among")
	flatKeep  = flag.String("database", "", "URL of an empty database that BenchmarkFlat fills and leaves filled, or that it left so before")
	flatPlans = flag.String("plans", "", "file to which BenchmarkFlat adds how the server ran its statements")
)

// BenchmarkFlat times what claims, settlements, listings, Relay and retention
// ask of the store. Its figures for -rows=10000 and -rows=10000000 should be
// alike; -plans=FILE shows why they are or are not.
func BenchmarkFlat(b *testing.B) {
	s, address := openTable(b)
	conn, err := pgx.Connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()

	explained := postgrestest.OpenURL(b, address)
	var plans strings.Builder
	if *flatPlans != "" {
		if err := explained.Explain(b.Context(), func(plan string) { plans.WriteString(plan + "\n\n") }); err != nil {
			b.Fatal(err)
		}
	}
	calls := &flatCalls{Store: s, conn: conn}
	calls.drain(b)
	for _, c := range calls.all() {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				call := c.prepare(b)
				b.StartTimer()
				if err := call(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
		})
		if *flatPlans != "" {
			call := c.prepare(b)
			fmt.Fprintf(&plans, "=== %d rows: %s\n", *flatRows, c.name)
			if err := call(b.Context(), explained); err != nil {
				b.Fatal(err)
			}
		}
	}
	if *flatPlans != "" {
		writePlans(b, plans.String())
	}
}

// openTable returns a store among that many notifications.
func openTable(b *testing.B) (*postgres.Store, string) {
	b.Helper()
	address := *flatKeep
	if address == "" {
		address = postgrestest.URL(b)
	}
	s := postgrestest.OpenURL(b, address)
	if err := s.Migrate(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	there, err := s.List(b.Context(), store.Filter{Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	if len(there) == 0 {
		start := time.Now()
		fillTable(b, address, *flatRows)
		b.Logf("%d notifications made in %s", *flatRows, time.Since(start).Round(time.Second))
	}
	return s, address
}

func writePlans(b *testing.B, plans string) {
	b.Helper()
	file, err := os.OpenFile(*flatPlans, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := file.WriteString(plans); err != nil {
		b.Fatal(err)
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
}

// flatCalls prepares what BenchmarkFlat times.
type flatCalls struct {
	*postgres.Store
	conn *pgx.Conn
}

// flatCall is one call of the store, made ready by prepare.
type flatCall struct {
	name    string
	prepare func(b *testing.B) func(context.Context, *postgres.Store) error
}

// flatSize is how many rows a call is about, where it is about several.
const flatSize = 100

func (f *flatCalls) all() []flatCall {
	// The others leave rows behind.
	return append(f.lists(), []flatCall{
		{"relay/nothing due", f.idle},
		{"insert", f.insert},
		{"claim", f.claim},
		{"settle", f.settle},
		{"relay/handover", f.handover},
		{"relay/expire leases", f.expireLeases},
		{"relay/resolve doubts", f.resolveDoubts},
		{"relay/expire overdue", f.expireOverdue},
		{"relay/requeue open", f.requeueOpen},
		{"retention/blank", f.blank},
		{"retention/delete", f.remove},
		{"retention/delete dead", f.removeDead},
	}...)
}

// drain does what an earlier run left to be done.
func (f *flatCalls) drain(b *testing.B) {
	b.Helper()
	const page = 1000
	for n := page; n >= page; {
		due, err := f.Handovers(b.Context(), page)
		if err != nil {
			b.Fatal(err)
		}
		n = len(due)
		if err := f.HandedOver(b.Context(), due); err != nil {
			b.Fatal(err)
		}
		for _, repair := range []func() (int, error){
			func() (int, error) { return f.ExpireLeases(b.Context(), time.Minute, page) },
			func() (int, error) { return f.ExpireOverdue(b.Context(), page) },
			func() (int, error) {
				requeued, dead, err := f.ResolveDoubts(b.Context(), page)
				return requeued + dead, err
			},
		} {
			repaired, err := repair()
			if err != nil {
				b.Fatal(err)
			}
			n = max(n, repaired)
		}
	}
}

// accept inserts notifications that are due, which Relay leaves alone for an
// hour.
func (f *flatCalls) accept(b *testing.B, edit func(*store.Acceptance)) []store.Acceptance {
	b.Helper()
	batch := make([]store.Acceptance, flatSize)
	for i := range batch {
		batch[i] = acceptance()
		batch[i].HandoverIn = time.Hour
		if edit != nil {
			edit(&batch[i])
		}
	}
	if _, err := f.Insert(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	return batch
}

// claims are those of notifications just accepted.
func (f *flatCalls) claims(b *testing.B, lease time.Duration) store.Batch {
	b.Helper()
	var batch store.Batch
	for _, a := range f.accept(b, nil) {
		batch.Claims = append(batch.Claims, store.Claim{ID: a.Notification.ID, Generation: 1, Owner: uuid.New(), Lease: lease})
	}
	return batch
}

// settlements are those of notifications just claimed.
func (f *flatCalls) settlements(b *testing.B, state store.State, outcome string) store.Batch {
	b.Helper()
	r, err := f.Commit(b.Context(), f.claims(b, time.Minute))
	if err != nil {
		b.Fatal(err)
	}
	var batch store.Batch
	for _, c := range r.Claims {
		batch.Settlements = append(batch.Settlements, store.Settlement{
			ID: c.Look.ID, Seq: c.Look.Seq, State: state, Attempt: store.Attempt{At: c.Look.Now, Outcome: outcome},
		})
	}
	return batch
}

func (f *flatCalls) insert(*testing.B) func(context.Context, *postgres.Store) error {
	batch := make([]store.Acceptance, flatSize)
	for i := range batch {
		batch[i] = acceptance()
		batch[i].HandoverIn = time.Hour
	}
	return func(ctx context.Context, s *postgres.Store) error {
		_, err := s.Insert(ctx, batch)
		return err
	}
}

func (f *flatCalls) claim(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	batch := f.claims(b, time.Minute)
	return func(ctx context.Context, s *postgres.Store) error {
		r, err := s.Commit(ctx, batch)
		if err == nil && !r.Claims[0].OK {
			return fmt.Errorf("claim refused: %s", r.Claims[0].Look.State)
		}
		return err
	}
}

func (f *flatCalls) settle(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	batch := f.settlements(b, store.Sent, "ok")
	return func(ctx context.Context, s *postgres.Store) error {
		r, err := s.Commit(ctx, batch)
		if err == nil && !r.Settlements[0].Applied {
			return fmt.Errorf("settlement refused: %s", r.Settlements[0].State)
		}
		return err
	}
}

func (f *flatCalls) idle(*testing.B) func(context.Context, *postgres.Store) error {
	return func(ctx context.Context, s *postgres.Store) error {
		if _, err := s.Handovers(ctx, flatSize); err != nil {
			return err
		}
		return f.repair(ctx, s)
	}
}

func (f *flatCalls) repair(ctx context.Context, s *postgres.Store) error {
	_, err1 := s.ExpireLeases(ctx, time.Minute, flatSize)
	_, _, err2 := s.ResolveDoubts(ctx, flatSize)
	_, err3 := s.ExpireOverdue(ctx, flatSize)
	return errors.Join(err1, err2, err3)
}

func (f *flatCalls) handover(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	f.accept(b, func(a *store.Acceptance) { a.HandoverIn = 0 })
	return func(ctx context.Context, s *postgres.Store) error {
		due, err := s.Handovers(ctx, flatSize)
		if err != nil {
			return err
		}
		return enough(len(due), s.HandedOver(ctx, due))
	}
}

func (f *flatCalls) expireLeases(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	if _, err := f.Commit(b.Context(), f.claims(b, time.Microsecond)); err != nil {
		b.Fatal(err)
	}
	return func(ctx context.Context, s *postgres.Store) error {
		return enough(s.ExpireLeases(ctx, time.Hour, flatSize))
	}
}

func (f *flatCalls) resolveDoubts(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	if _, err := f.Commit(b.Context(), f.settlements(b, store.InDoubt, store.OutcomeInDoubt)); err != nil {
		b.Fatal(err)
	}
	return func(ctx context.Context, s *postgres.Store) error {
		requeued, dead, err := s.ResolveDoubts(ctx, flatSize)
		return enough(requeued+dead, err)
	}
}

func (f *flatCalls) expireOverdue(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	f.accept(b, func(a *store.Acceptance) { a.Notification.ExpiresAt = time.Now().Add(-time.Minute) })
	return func(ctx context.Context, s *postgres.Store) error {
		return enough(s.ExpireOverdue(ctx, flatSize))
	}
}

// requeueOpen takes the last page: the one before which the most other rows lie.
func (f *flatCalls) requeueOpen(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	after := uuid.Must(uuid.NewV7())
	f.accept(b, nil)
	return func(ctx context.Context, s *postgres.Store) error {
		_, n, err := s.RequeueOpen(ctx, after, flatSize)
		return enough(n, err)
	}
}

// enough is err, or an error when fewer rows were met than were prepared.
func enough(n int, err error) error {
	if err == nil && n < flatSize {
		return fmt.Errorf("met %d rows, want %d", n, flatSize)
	}
	return err
}

// finished makes notifications that ended so long ago.
func (f *flatCalls) finished(b *testing.B, class store.Class, blanked bool, age time.Duration) {
	b.Helper()
	batch := f.accept(b, func(a *store.Acceptance) {
		a.Notification.State, a.Notification.Class, a.Notification.Reason = store.Dead, class, store.ReasonRejected
	})
	ids := make([][16]byte, len(batch))
	for i, a := range batch {
		ids[i] = a.Notification.ID
	}
	_, err := f.conn.Exec(b.Context(), `
		UPDATE notifications
		SET finished_at = now() - $2::bigint * interval '1 microsecond', data_blanked_at = CASE WHEN $3 THEN now() END
		WHERE id = ANY($1)`, ids, age.Microseconds(), blanked)
	if err != nil {
		b.Fatal(err)
	}
	_, err = f.conn.Exec(b.Context(), `
		INSERT INTO attempts (notification_id, n, at, latency_us, errcode, errmsg, rid, msg_id, outcome)
		SELECT unnest($1::uuid[]), 1, now(), 0, 47003, '', '', 0, 'rejected'`, ids)
	if err != nil {
		b.Fatal(err)
	}
}

func (f *flatCalls) blank(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	const age = 7 * 24 * time.Hour
	f.finished(b, store.ClassRefused, false, age+time.Hour)
	return func(ctx context.Context, s *postgres.Store) error {
		return enough(s.BlankData(ctx, age, flatSize))
	}
}

func (f *flatCalls) remove(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	const age = 90 * 24 * time.Hour
	f.finished(b, store.ClassRefused, true, age+time.Hour)
	return func(ctx context.Context, s *postgres.Store) error {
		return enough(s.DeleteFinished(ctx, age, flatSize))
	}
}

func (f *flatCalls) removeDead(b *testing.B) func(context.Context, *postgres.Store) error {
	b.Helper()
	const age = 180 * 24 * time.Hour
	f.finished(b, store.ClassFault, false, age+time.Hour)
	return func(ctx context.Context, s *postgres.Store) error {
		return enough(s.DeleteDead(ctx, age, flatSize))
	}
}
