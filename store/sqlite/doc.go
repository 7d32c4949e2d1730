// Package sqlite is the embedded store: one file, nothing to install. It keeps
// the same rules as store/postgres, held to by the same conformance suite, and
// owns its schema (embedded migrations) and the file.
//
// One process has the file: Open takes a lock beside it. Inside the process one
// connection writes and a few read (WAL), so statements that change rows never
// run beside each other and an item of a batch is a statement of its own.
//
// The clock is the process's, read once when a transaction has the writer:
// SQLite's own clock has milliseconds only, and there is no second machine it
// would have to agree with. A COMMIT is synced to the disk (synchronous=FULL),
// because what was accepted must survive a power cut.
package sqlite
