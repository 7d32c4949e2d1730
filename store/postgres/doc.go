// Package postgres is the store on PostgreSQL 14 or later, through pgx. It owns
// the schema (embedded migrations) and the guarded statements that keep the
// rules of package store; it leaves to its callers when to repeat and what an
// answer means.
//
// How it keeps several processes apart:
//
//   - A statement that changes given rows first locks them in the order of
//     their ids, so two processes never wait for each other in a circle.
//   - What several processes look for (leases that are over, doubts that are
//     due) is taken with SKIP LOCKED: whoever comes second takes other rows.
//   - The clock is now(), the start of the transaction. It is never later than
//     the moment a change becomes visible, so a lease ends early rather than
//     late, and indexes can be used, which clock_timestamp() would prevent.
//
// A group of statements that belongs together is sent as one pipeline, which
// PostgreSQL runs as one implicit transaction: one round trip, and the end of
// the pipeline is the COMMIT. The statements rely on READ COMMITTED, where each
// sees what was committed before it began; under a stricter default isolation
// they fail as store.ErrUnavailable and are repeated.
//
// Errors carry the SQLSTATE and never a value of a row.
package postgres
