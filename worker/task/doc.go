// Package task is the contract between those who hand notifications in and the
// workers who send them: the asynq task type, the queue names, the TaskID and
// the payload. It owns reading and checking a payload; it leaves sending to
// package worker and acceptance to package producer.
//
// Any asynq client may enqueue a task of Type with a payload of template_id,
// data and one of user_id and openid. Such a raw task is adopted into the store
// by the first worker that sees it.
package task
