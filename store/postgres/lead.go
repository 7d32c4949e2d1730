package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// errNotLeading is what StillLeading answers when nobody here leads.
var errNotLeading = errors.New("not leading")

// leadTimeout bounds connecting for leadership, asking about it and saying
// good-bye.
const leadTimeout = 5 * time.Second

// leadSilence is how long a leader may go without asking StillLeading: then the
// server ends its session, and the lock with it. Without that a process which is
// suspended, or whose host is gone without a good-bye, would lead on for as long
// as the server's TCP believes in it, which is two hours by default.
const leadSilence = 15 * time.Second

// Lead tries to become the one leader among all processes on this schema. It
// does not wait: ok is false while another, in this process too, leads.
//
// Leadership is a session-level advisory lock on a connection of its own, which
// lasts until release or until that connection ends, also for want of a question:
// a leader asks StillLeading before each round of work, at least every
// leadSilence. Between the loss of a connection and the next question two may lead, so the work of a leader must bear being done twice. It
// does not work through a pooler in transaction mode.
func (s *Store) Lead(ctx context.Context) (ok bool, release func(), err error) {
	s.leadMu.Lock()
	defer s.leadMu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, leadTimeout)
	defer cancel()
	if s.lead != nil {
		if s.lead.Ping(ctx) == nil {
			return false, func() {}, nil
		}
		s.dropLead()
	}
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return false, func() {}, wrap("lead", err)
	}
	if _, err = conn.Exec(ctx, `SELECT set_config('idle_session_timeout', $1, false)`, strconv.FormatInt(s.leadSilence.Milliseconds(), 10)); err != nil {
		closeConn(conn)
		return false, func() {}, wrap("lead", err)
	}
	// Schemas of one database have leaders of their own.
	err = conn.QueryRow(ctx,
		`SELECT pg_try_advisory_lock(hashtextextended('wxnotify/lead/' || coalesce(current_schema(), ''), 0))`).Scan(&ok)
	if err != nil || !ok {
		closeConn(conn)
		return false, func() {}, wrap("lead", err)
	}
	s.lead = conn
	return true, sync.OnceFunc(func() { s.releaseLead(conn) }), nil
}

// StillLeading returns nil while this store leads.
func (s *Store) StillLeading(ctx context.Context) error {
	s.leadMu.Lock()
	defer s.leadMu.Unlock()

	if s.lead == nil {
		return errNotLeading
	}
	ctx, cancel := context.WithTimeout(ctx, leadTimeout)
	defer cancel()
	if err := s.lead.Ping(ctx); err != nil {
		s.dropLead()
		return fmt.Errorf("%w: %w: %w", errNotLeading, store.ErrUnavailable, classify(err))
	}
	return nil
}

// releaseLead ends the leadership that conn stands for, if it is still that.
func (s *Store) releaseLead(conn *pgx.Conn) {
	s.leadMu.Lock()
	defer s.leadMu.Unlock()
	if s.lead == conn {
		s.dropLead()
	}
}

// endLead ends whatever leadership there is.
func (s *Store) endLead() {
	s.leadMu.Lock()
	defer s.leadMu.Unlock()
	s.dropLead()
}

func (s *Store) dropLead() {
	if s.lead != nil {
		closeConn(s.lead)
		s.lead = nil
	}
}

// closeConn gives the lock back and closes the connection, even when the
// caller's context is over. Closing alone would do, but only when the server
// gets to notice, and whoever leads next would wait for that.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), leadTimeout)
	defer cancel()
	_, _ = conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`) // fails when the connection is lost, and the lock with it
	_ = conn.Close(ctx)
}
