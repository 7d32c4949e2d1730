// Package producer is how notifications come in from Go, and how they get from
// the store to the queue.
//
// Client accepts notifications: it checks them, writes the row and puts the
// task on the queue. Accepted means that the row's COMMIT was confirmed; the
// queue may be away at that moment. Relay carries what is in the store and not
// on the queue over to it: notifications due later, those accepted while Redis
// was away, those whose task was lost, and all open ones when Redis was wiped.
//
// It owns acceptance and the way to the queue. It leaves sending to package
// worker, the form of a task to worker/task, what is remembered to store, and
// HTTP to producer/gateway.
package producer
