package postgres_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// admin runs a statement on a connection outside the store.
func admin(t *testing.T, address, statement string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// named gives the connections of a store a name by which admin finds them.
func named(t *testing.T, address string) (*postgres.Store, string) {
	t.Helper()
	name := "test-" + uuid.NewString()
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return postgrestest.OpenURL(t, address+separator+"application_name="+name), name
}

const killSQL = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`

func acceptance() store.Acceptance {
	return store.Acceptance{
		Notification: store.Notification{
			ID: uuid.Must(uuid.NewV7()), App: "wx1", TemplateID: "t", OpenID: "o", Generation: 1,
			Data: map[string]string{"thing1": "text"}, Duplicates: store.DuplicatesAllow,
		},
		MaxAge: time.Hour,
	}
}

// TestKilledConnections: whoever loses its connections gets ErrUnavailable, and
// the next call works.
func TestKilledConnections(t *testing.T) {
	t.Parallel()
	_, address := postgrestest.Open(t)
	s, name := named(t, address)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin(t, address, killSQL, name)
	a := acceptance()
	// The pool may notice by itself; what it must not do is call the loss
	// anything else.
	for range 3 {
		inserted, err := s.Insert(t.Context(), []store.Acceptance{a})
		if err == nil && inserted[0].ID == a.Notification.ID && !inserted[0].Duplicate {
			return
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("after the connection was killed: %v, want ErrUnavailable", err)
		}
	}
	t.Error("the store did not recover")
}

// TestKilledWhileWaiting kills a connection whose statement waits for a lock.
func TestKilledWhileWaiting(t *testing.T) {
	t.Parallel()
	first, address := postgrestest.Open(t)
	a := acceptance()
	if _, err := first.Insert(t.Context(), []store.Acceptance{a}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), `BEGIN; SELECT FROM notifications FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	s, name := named(t, address)
	claim := store.Batch{Claims: []store.Claim{{ID: a.Notification.ID, Generation: 1, Owner: uuid.New(), Lease: time.Minute}}}
	done := make(chan error, 1)
	go func() {
		_, err := s.Commit(t.Context(), claim)
		done <- err
	}()
	waitFor(t, address, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock')`, name)
	admin(t, address, killSQL, name)
	if err := <-done; !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("killed while waiting: %v, want ErrUnavailable", err)
	}
	// A caller who gives up waiting knows as little.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Commit(ctx, claim); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("gave up: %v, want ErrUnavailable and the deadline", err)
	}
	if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Commit(t.Context(), claim); err != nil || !r.Claims[0].OK || r.Claims[0].Look.Seq != 1 {
		t.Errorf("repeated: %+v, %v", r, err)
	}
}

// TestClaimsThatWaited has two processes wait for one row, each with its claim
// under way. When the row is free, the second must see what the first did.
func TestClaimsThatWaited(t *testing.T) {
	t.Parallel()
	first, address := postgrestest.Open(t)
	a := acceptance()
	if _, err := first.Insert(t.Context(), []store.Acceptance{a}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), `BEGIN; SELECT FROM notifications FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		applied bool
		err     error
	}
	answers := make(chan answer, 2)
	for _, b := range []store.Batch{
		{Claims: []store.Claim{{ID: a.Notification.ID, Generation: 1, Owner: uuid.New(), Lease: time.Minute}}},
		{Moves: []store.Move{{ID: a.Notification.ID, Generation: 1, State: store.Cancelled, Reason: store.ReasonByAdmin}}},
	} {
		s, name := named(t, address)
		go func() {
			r, err := s.Commit(t.Context(), b)
			answers <- answer{len(r.Claims) == 1 && r.Claims[0].OK || len(r.Moves) == 1 && r.Moves[0], err}
		}()
		waitFor(t, address, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock')`, name)
	}
	if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	applied := 0
	for range 2 {
		got := <-answers
		if got.err != nil {
			t.Fatal(got.err)
		}
		if got.applied {
			applied++
		}
	}
	if applied != 1 {
		t.Errorf("%d of a claim and a cancellation applied, want 1", applied)
	}
}

// waitFor asks until the query answers true.
func waitFor(t *testing.T, address, query string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		var done bool
		if err := conn.QueryRow(t.Context(), query, args...).Scan(&done); err != nil {
			t.Fatal(err)
		}
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain")
		}
	}
}

// TestLeadSilent: a leader that asks nothing any more, as one on a suspended
// machine, is replaced although its connection never ended.
func TestLeadSilent(t *testing.T) {
	t.Parallel()
	first, address := postgrestest.Open(t)
	second := postgrestest.OpenURL(t, address)
	first.SetLeadSilence(300 * time.Millisecond)
	if ok, _, err := first.Lead(t.Context()); !ok || err != nil {
		t.Fatalf("lead: %v, %v", ok, err)
	}
	deadline := time.After(time.Minute)
	for {
		ok, _, err := second.Lead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the silent one still leads")
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := first.StillLeading(t.Context()); err == nil {
		t.Error("the silent one believes that it leads")
	}
	if ok, _, err := first.Lead(t.Context()); ok || err != nil {
		t.Errorf("lead while another does: %v, %v", ok, err)
	}
}

// TestLeadLost: a leader whose connection ended learns it, and another can lead.
func TestLeadLost(t *testing.T) {
	t.Parallel()
	second, address := postgrestest.Open(t)
	first, name := named(t, address)
	ok, release, err := first.Lead(t.Context())
	if !ok || err != nil {
		t.Fatalf("lead: %v, %v", ok, err)
	}
	defer release()
	admin(t, address, killSQL, name)
	waitFor(t, address, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)`, name)
	if ok, _, err := second.Lead(t.Context()); !ok || err != nil {
		t.Errorf("the lead of a lost connection was kept: %v, %v", ok, err)
	}
	if err := first.StillLeading(t.Context()); err == nil {
		t.Error("the former leader believes it still leads")
	}
	if ok, _, err := first.Lead(t.Context()); ok || err != nil {
		t.Errorf("two leaders: %v, %v", ok, err)
	}
}

// TestUnreachable: nobody listens, or the listener hangs up.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	for name, address := range map[string]string{
		"refused":  "127.0.0.1:1",
		"hangs up": listener.Addr().String(),
	} {
		s, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://user:geheim@" + address + "/db?sslmode=disable"})
		if err != nil {
			t.Fatalf("%s: open needs no server, but: %v", name, err)
		}
		_, lookErr := s.Look(t.Context(), []uuid.UUID{uuid.New()})
		_, insertErr := s.Insert(t.Context(), []store.Acceptance{acceptance()})
		_, _, versionErr := s.Version(t.Context())
		_, _, leadErr := s.Lead(t.Context())
		for _, err := range []error{lookErr, insertErr, versionErr, leadErr, s.Ping(t.Context()), s.Migrate(t.Context(), nil)} {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Errorf("%s: the error tells the password", name)
			}
		}
		s.Close()
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "postgres://user:geheim@host:port/db", "postgres://u:geheim@h/db?pool_max_conns=x"} {
		s, err := postgres.Open(t.Context(), postgres.Config{URL: address})
		if err == nil {
			s.Close()
			t.Errorf("%q: opened", address)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// TestReadOnly: a standby after a failover refuses to write.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	_, address := postgrestest.Open(t)
	s := postgrestest.OpenURL(t, address+"&default_transaction_read_only=on")
	if _, err := s.Insert(t.Context(), []store.Acceptance{acceptance()}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("read-only: %v, want ErrUnavailable", err)
	}
}
