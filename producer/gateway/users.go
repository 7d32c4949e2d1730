package gateway

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// UserStore is what the Gateway needs of a store to bind users; store/postgres
// and store/sqlite have it.
type UserStore interface {
	// Bind binds a user to an openid, which its former user loses, and queues what
	// waited for that.
	Bind(ctx context.Context, bindings []store.Binding) (store.Bound, error)
	// Bindings returns the bindings of a user, ordered by app.
	Bindings(ctx context.Context, userID string) ([]store.Binding, error)
	// Resolve returns the binding of a user in an app, or store.ErrNotFound.
	Resolve(ctx context.Context, app, userID string) (store.Binding, error)
}

// binding is what one app knows a user by, as it is answered.
type binding struct {
	App     string `json:"app"`
	OpenID  string `json:"openid"`
	UnionID string `json:"unionid,omitempty"`
	// Suspect: WeChat refused the openid; the next login mends it.
	Suspect   bool    `json:"suspect"`
	UpdatedAt *string `json:"updated_at"`
}

// user is a user with the bindings that the caller may see.
type user struct {
	UserID   string    `json:"user_id"`
	Bindings []binding `json:"bindings"`
}

// bound is the answer to a binding that was made.
type bound struct {
	UserID string `json:"user_id"`
	App    string `json:"app"`
	OpenID string `json:"openid"`
	Result string `json:"result"` // one of boundResults
}

// boundResults are what a binding can do.
var boundResults = []string{"created", "changed", "moved", "unchanged"}

func boundResult(b store.Bound) string {
	switch {
	case b.Moved > 0:
		return "moved"
	case b.Created > 0:
		return "created"
	case b.Changed > 0:
		return "changed"
	}
	return "unchanged"
}

// putUser binds a user to an openid that a back end got from WeChat by itself.
func (g *Gateway) putUser(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := c.object()
	if err != nil {
		return err
	}
	b := store.Binding{
		App: o.appID("app"), UserID: r.PathValue("user_id"), OpenID: o.required("openid"), UnionID: o.text("unionid"),
	}
	o.userID(b.UserID)
	o.key("openid", b.OpenID)
	o.key("unionid", b.UnionID)
	if err := o.done(); err != nil {
		return err
	}
	if b.App, err = g.appOf(c, b.App); err != nil {
		return err
	}
	result, err := g.bind(r.Context(), b, viaPut)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, bound{UserID: b.UserID, App: b.App, OpenID: b.OpenID, Result: result})
	return nil
}

// bind makes a binding, counts it and notes when somebody lost an openid by it.
func (g *Gateway) bind(ctx context.Context, b store.Binding, via string) (result string, err error) {
	done, err := g.config.Users.Bind(ctx, []store.Binding{b})
	if err != nil {
		return "", err
	}
	result = boundResult(done)
	g.people.bindings.WithLabelValues(via, result).Inc()
	if done.Moved > 0 {
		g.config.Logger.Info("an openid moved to another user", zap.String("app", b.App), zap.String("via", via))
	}
	return result, nil
}

// getUser shows a user's bindings in the apps that the caller may see.
func (g *Gateway) getUser(w http.ResponseWriter, r *http.Request, c *call) error {
	userID, err := pathUser(r)
	if err != nil {
		return err
	}
	found, err := g.config.Users.Bindings(r.Context(), userID)
	if err != nil {
		return err
	}
	u := user{UserID: userID}
	for _, b := range found {
		if g.serves(b.App) && c.mayApp(b.App) == nil {
			u.Bindings = append(u.Bindings, binding{
				App: b.App, OpenID: b.OpenID, UnionID: b.UnionID, Suspect: b.Suspect, UpdatedAt: timestamp(b.UpdatedAt),
			})
		}
	}
	if len(u.Bindings) == 0 {
		return errNotFound
	}
	writeJSON(w, http.StatusOK, u)
	return nil
}

// serves reports whether an appid is one of the process's.
func (g *Gateway) serves(app string) bool { return g.findApp(app) != nil }

// findApp is one of the process's apps; nil when it is none.
func (g *Gateway) findApp(id string) *App {
	apps := g.served.Load().apps
	i := slices.IndexFunc(apps, func(a App) bool { return a.ID == id })
	if i < 0 {
		return nil
	}
	return &apps[i]
}

// appOf is the app that a request means, "" being the default one, if it is
// served and the caller may use it.
func (g *Gateway) appOf(c *call, id string) (string, error) {
	if id == "" {
		id = g.config.DefaultApp
	}
	if err := c.mayApp(id); err != nil {
		return "", err
	}
	if !g.serves(id) {
		return "", FieldErrors{{Field: "/app", Code: FieldNotInList, Reason: "is not an app that is served here"}}
	}
	return id, nil
}

// queryApp is appOf for the parameter of a query.
func (g *Gateway) queryApp(c *call, id string) (string, error) {
	id, err := g.appOf(c, id)
	if faults, ok := err.(FieldErrors); ok { //nolint:errorlint // appOf returns it unwrapped
		faults[0].Field = "app"
	}
	return id, err
}

// userIDReason is the rule for a user id.
var userIDReason = "must have 1 to " + strconv.Itoa(task.MaxKey) + " bytes of text"

func wellFormed(s string) bool {
	return len(s) <= task.MaxKey && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// pathUser is the user id in a path.
func pathUser(r *http.Request) (string, error) {
	id := r.PathValue("user_id")
	if id == "" || !wellFormed(id) {
		return "", FieldErrors{{Field: "user_id", Code: FieldBadFormat, Reason: userIDReason}}
	}
	return id, nil
}

// userID notes a user id of the path that is not one.
func (o *object) userID(id string) {
	if id == "" || !wellFormed(id) {
		*o.faults = append(*o.faults, FieldError{Field: "user_id", Code: FieldBadFormat, Reason: userIDReason})
	}
}

// requiredID is an id that has to be there.
func (o *object) requiredID(name string) string {
	id := o.id(name)
	if id == "" {
		o.fault(name, FieldRequired, "is required", "")
	}
	return id
}

// appID is an appid; "" when there is none.
func (o *object) appID(name string) string {
	id := o.text(name)
	o.key(name, id)
	return id
}

// key notes a text that is too long for an id, or cannot be stored.
func (o *object) key(name, s string) {
	switch {
	case len(s) > task.MaxKey:
		o.fault(name, FieldTooLong, "must have at most "+strconv.Itoa(task.MaxKey)+" bytes", "")
	case !wellFormed(s):
		o.fault(name, FieldBadFormat, "must not contain a NUL character", "")
	}
}
