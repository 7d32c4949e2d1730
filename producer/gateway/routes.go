package gateway

import "net/http"

// handler answers one operation. It writes the answer by itself when all is well
// and returns an error otherwise, without having written.
type handler func(w http.ResponseWriter, r *http.Request, c *call) error

// route is one operation of the API.
type route struct {
	pattern string // of http.ServeMux
	right   Right  // what the key must allow; "" for what needs no key
	body    body
	handle  handler
}

// body says what body an operation takes.
type body int

const (
	noBody       body = iota // none; what comes is not read
	someBody                 // a JSON object of at most Limits.Body
	optionalBody             // the same, or none
	batchBody                // a JSON object of at most Limits.BatchBody
)

// routes is every operation there is. The OpenAPI document has the same ones,
// which a test compares.
func (g *Gateway) routes() []route {
	return []route{
		{"POST /v1/notifications", RightSend, someBody, g.idempotent(g.postNotification)},
		{"POST /v1/notifications/batch", RightSend, batchBody, g.idempotent(g.postBatch)},
		{"GET /v1/notifications/{id}", RightRead, noBody, g.getNotification},
		{"GET /v1/notifications", RightRead, noBody, g.listNotifications},
		{"POST /v1/notifications/{id}/replay", RightSend, optionalBody, noQuery(g.postReplay)},
		{"POST /v1/notifications/{id}/cancel", RightSend, optionalBody, noQuery(g.postCancel)},

		{"POST /v1/logins", RightUsers, someBody, noQuery(g.postLogin)},
		{"PUT /v1/users/{user_id}", RightUsers, someBody, noQuery(g.putUser)},
		{"GET /v1/users/{user_id}", RightUsers, noBody, noQuery(g.getUser)},
		{"DELETE /v1/users/{user_id}", RightErase, noBody, noQuery(g.deleteUser)},
		{"POST /v1/users/{user_id}/consents", RightUsers, someBody, noQuery(g.postConsents)},
		{"GET /v1/users/{user_id}/consents", RightUsers, noBody, g.getConsents},
		{"GET /v1/users/{user_id}/consent-plan", RightUsers, noBody, g.getPlan},

		{"GET /v1/templates", RightRead, noBody, g.getTemplates},
		{"GET /v1/apps/{appid}/token", RightToken, noBody, noQuery(g.getToken)},

		{"GET /openapi.json", "", noBody, g.getDocument},
		{"GET /docs", "", noBody, g.getDocs},
	}
}

// noQuery refuses parameters where there are none: who adds dry_run to a replay
// must not get a real one.
func noQuery(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, c *call) error {
		if err := newQuery(r).done(); err != nil {
			return err
		}
		return next(w, r, c)
	}
}
