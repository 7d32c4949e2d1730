// Package console is the administrators' console at /admin/: pages made on the
// server, in English and Chinese, that show what became of notifications and let
// people act on them.
//
// It owns its routes and who may use them (none, viewer, operator), logins and
// sessions, the lock-out after wrong passwords, the protection against requests
// that other sites forge, and what of a notification each role sees: a viewer
// sees no openid, no user id, no message data and no page query. It leaves what
// is remembered, sessions and the audit among it, to store, what a pause is to
// worker (the caller hands in functions), and asynqmon, which it guards at
// /admin/queues, to its library.
//
// The pages need no script and nothing from elsewhere. Every text that comes
// from a store, a queue or a request passes through html/template, and a
// content security policy forbids inline script should one ever slip through.
package console
