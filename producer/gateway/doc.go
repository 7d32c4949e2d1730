// Package gateway is the HTTP front door: the API through which back ends hand
// in notifications, look at them, and tell about users, logins and consents.
//
// It owns the form of requests and answers, who may do what (keys, rights,
// scopes, rates), the limits that keep a hostile or broken client from harming
// others, and the OpenAPI document. It leaves acceptance to package producer,
// what a template asks of its values to producer/template, WeChat's pushes to
// producer/callback, and what is remembered to store.
//
// Every operation is one line of the table in routes.go. A handler answers by
// itself when all is well and returns an error otherwise; the frame around it
// makes a problem document (RFC 9457) of the error. Answers, logs and metrics
// never hold a key, a token, data or an openid that the caller did not ask for.
package gateway
