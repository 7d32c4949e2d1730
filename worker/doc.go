// Package worker sends notifications. It owns the asynq servers, the life of
// one send (look, openid slot, pace, token, claim, send, settle), the reaction
// to each answer at its scope, and the pauses of an app. It leaves what an
// answer means to worker/wechat, the guarded changes of a row to the store, and
// rows whose task is gone to the producer's Relay.
//
// The claim is the last thing before the write: a process that dies while it
// waits for something leaves no doubt behind. Only for a place among the calls
// in flight, of which there are never more than CONCURRENCY, some claims wait
// that ran ahead, as many as calls end while a claim is written; where calls do
// not end as they did, such claims are given back within a second. Once
// a claim is held, asynq's context and lease no longer matter; the row decides.
// A first delivery goes to the claim on what its task says, without a look: the
// claim asks the row the same questions, and whatever it refuses is looked at.
package worker
