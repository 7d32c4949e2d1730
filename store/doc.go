// Package store says what is remembered about a notification: its fields, its
// states, who may move it from one state to the next, and the errors a store
// returns. It holds types, and the rules about arguments that every store
// applies, and imports nothing of the program; the statements that keep the
// rules live in store/postgres and store/sqlite, and store/storetest holds both
// to one behaviour.
//
// Rules that every implementation keeps:
//
//   - A change of state is one guarded statement: it names the states it may
//     leave and checks how many rows it changed.
//   - Time is the database's. Leases, due times and expiry are compared with
//     the database's clock; callers hand in durations, never instants of their
//     own clock, except for moments the producer chose (send_at, expires_at)
//     and for the time of an attempt, which is only shown.
//   - Seq counts claims, only grows and is never reset: it fences a settlement
//     and numbers the attempt. Spent counts what the budget counts.
//   - Generation grows with every entry into queued or retrying that does not
//     reuse the running delivery. A task carries the generation it was made
//     for; one with another generation is stale and is dropped.
//   - Everything can be repeated: a claim or a settlement whose reply was lost
//     gives the same answer again and changes nothing twice.
package store
