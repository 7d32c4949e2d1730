package console

import (
	"net/http"
)

// Access is who may use a route.
type Access int

// The accesses. ForViewers are operators, too.
const (
	ForAnyone Access = iota
	ForViewers
	ForOperators
)

// Route is one line of the table of routes.
type Route struct {
	Method  string
	Pattern string // of http.ServeMux, without the method
	Access  Access

	serve func(*visit) error
}

// Routes is the table: there is no other way into the console.
func (c *Console) Routes() []Route {
	get := func(pattern string, a Access, serve func(*visit) error) Route {
		return Route{http.MethodGet, Path + pattern, a, serve}
	}
	post := func(pattern string, a Access, serve func(*visit) error) Route {
		return Route{http.MethodPost, Path + pattern, a, serve}
	}
	routes := []Route{
		get("", ForAnyone, c.toOverview),
		get("/assets/{name}", ForAnyone, c.serveAsset),
		get("/login", ForAnyone, c.showLogin),
		post("/login", ForAnyone, c.login),
		post("/logout", ForViewers, c.logout),

		get("/{$}", ForViewers, c.showOverview),
		get("/notifications", ForViewers, c.showSearch),
		get("/notifications/{id}", ForViewers, c.showNotification),
		get("/notifications/{id}/edit", ForOperators, c.showEdit),
		post("/notifications/{id}/edit", ForOperators, c.replayEdited),
		post("/notifications/{id}/replay", ForOperators, c.replay),
		post("/notifications/{id}/discard", ForOperators, c.discard),
		post("/notifications/{id}/settle", ForOperators, c.settle),
		post("/notifications/{id}/cancel", ForOperators, c.cancel),
		get("/dead", ForViewers, c.showDead),
		post("/dead/preview", ForOperators, c.previewBulk),
		post("/dead/run", ForOperators, c.runBulk),
		get("/refused", ForViewers, c.showRefused),
		get("/templates", ForViewers, c.showTemplates),
		post("/templates/resume", ForOperators, c.resumeTemplate),
		get("/users", ForViewers, c.showUser),
		get("/pauses", ForViewers, c.showPauses),
		post("/pauses", ForOperators, c.changePause),
		get("/audit", ForViewers, c.showAudit),
	}
	if c.cfg.Queues != nil {
		routes = append(routes,
			get("/queues", ForViewers, c.serveQueues),
			get("/queues/", ForViewers, c.serveQueues),
		)
	}
	return routes
}

func (c *Console) mux() http.Handler {
	mux := http.NewServeMux()
	for _, route := range c.Routes() {
		mux.HandleFunc(route.Method+" "+route.Pattern, func(w http.ResponseWriter, r *http.Request) { c.enter(w, r, route) })
	}
	return mux
}

func (c *Console) toOverview(v *visit) error {
	v.redirect(Path + "/")
	return nil
}
