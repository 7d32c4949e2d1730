package app

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// poolerRounds is how often each connection is asked. A pooler that goes by
// transactions hands out the session that was given back last; others who use it
// at the same time may take that one now and then.
const poolerRounds = 10

// checkPooler finds a pooler in transaction mode: two connections of ours, both
// open, meet the same session of the server, or one meets several. There the
// leader's advisory lock, prepared statements and SET go astray.
func checkPooler(ctx context.Context, address string) Result {
	var conns [2]*pgx.Conn
	for i := range conns {
		conn, err := connectSimply(ctx, address)
		if err != nil {
			return warn(shortErr(err), postgresAdvice(err))
		}
		defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was only read
		conns[i] = conn
	}
	of := map[uint32]int{} // session of the server -> connection
	shared, between := false, false
	for round := range poolerRounds * len(conns) {
		i := round % len(conns)
		var pid uint32
		if err := conns[i].QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			return warn(shortErr(err), postgresAdvice(err))
		}
		owner, met := of[pid]
		shared = shared || met && owner != i
		between = between || pid != conns[i].PgConn().PID()
		of[pid] = i
	}
	return poolerResult(shared || len(of) > len(conns), between)
}

// poolerResult judges: shared is one session of the server for two connections,
// between that the server is another than who was connected to.
func poolerResult(shared, between bool) Result {
	switch {
	case shared:
		return fail("a pooler in transaction or statement mode: connections take turns on the server's sessions",
			"let DATABASE_URL name PostgreSQL itself, or a pooler in session mode: with this one no process leads, so nothing that is due later is sent")
	case between:
		return okay("a pooler, and each connection has a session of its own")
	}
	return okay("none")
}
