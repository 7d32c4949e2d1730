// Package webhook tells producers what became of their notifications: one signed
// POST for each event that the store noted (see store.WebhookDelivery), until the
// producer's endpoint has taken it.
//
// It owns the form of the request, the retries, and where a request may go: a URL
// in a configuration must not become a way into the intranet. It leaves what
// counts as an event to the store, which notes it in the transaction of the
// change, and so loses none.
//
// Requests follow Standard Webhooks (https://www.standardwebhooks.com): headers
// webhook-id, webhook-timestamp and webhook-signature, a body that holds ids and
// states and never data, user ids or openids. An event may arrive more than once,
// with the same webhook-id, and the order is not promised.
package webhook
