package app

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// checkPooler finds a pooler in transaction mode: two connections of ours take
// turns on one session of the server while both are open. There the leader's
// advisory lock, prepared statements and SET go astray.
func checkPooler(ctx context.Context, address string) Result {
	var conns [2]*pgx.Conn
	var server, told [2]uint32
	for i := range conns {
		conn, err := pgx.Connect(ctx, address)
		if err != nil {
			return warn(shortErr(err), postgresAdvice(err))
		}
		defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was only read
		conns[i], told[i] = conn, conn.PgConn().PID()
		// The simple protocol leaves no prepared statement behind with a pooler.
		if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&server[i]); err != nil {
			return warn(shortErr(err), postgresAdvice(err))
		}
	}
	return poolerResult(server[0] == server[1], server != told)
}

// poolerResult judges: shared is one session of the server for two connections,
// between that the server is another than who was connected to.
func poolerResult(shared, between bool) Result {
	switch {
	case shared:
		return fail("a pooler gives two connections the same session: transaction or statement mode",
			"let DATABASE_URL name PostgreSQL itself, or a pooler in session mode: with this one no process leads, so nothing that is due later is sent")
	case between:
		return okay("a pooler, and each connection has a session of its own")
	}
	return okay("none")
}
