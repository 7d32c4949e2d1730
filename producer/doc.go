// Package producer is how notifications come in from Go, and how they get from
// the store to the queue.
//
// Client accepts notifications: it checks them, writes the row and puts the
// task on the queue. Accepted means that the row's COMMIT was confirmed; the
// queue may be away at that moment. Relay carries what is in the store and not
// on the queue over to it: notifications due later, those accepted while Redis
// was away, and those whose task was lost: all open ones at once when Redis was
// wiped or fell back to an older copy, which a mark in Redis and in the store
// tells, and single ones whose task was deleted, archived by hand or evicted,
// which a rolling look at every open row finds within minutes. Every repair is
// the same: a new generation, and a new task for it.
//
// It owns acceptance and the way to the queue. It leaves sending to package
// worker, the form of a task to worker/task, what is remembered to store, and
// HTTP to producer/gateway.
package producer
