package app

import (
	"context"
	"net/http"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/gateway/console"
	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
	"github.com/wxnotify/wxnotify/worker"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// consolePages are what is served at the console's path: the console, or a page
// that says why there is none.
type consolePages struct {
	http.Handler
	console *console.Console // nil when there is none
}

// serveConsole hands the request to the pages as they are now.
func (p *Process) serveConsole(w http.ResponseWriter, r *http.Request) {
	p.console.Load().ServeHTTP(w, r)
}

// newConsole makes the pages. A console goes on from the one before it, if any.
func (p *Process) newConsole(cfg *config.Config) (*consolePages, error) {
	users := consoleUsers(cfg)
	if len(users) == 0 {
		p.parts.Logger.Info("nobody may log in to the console, so it is not served: set ADMIN_PASSWORD, or admin_users in the file",
			zap.String("path", console.Path+"/"))
		return &consolePages{Handler: http.HandlerFunc(noConsole)}, nil
	}
	if p.queues == nil {
		p.queues = newAsynqmon(p.client(sharedTuning()))
	}
	c := console.Config{
		Users: users, Store: p.parts.Store, Redis: p.shared, Queues: p.queues,
		DefaultApp: p.defaultApp(), Entries: cfg.Templates, Strict: cfg.StrictTemplates, MaxAge: cfg.MaxAge,
		Pause: p.pauseOf, EndPause: p.endPause, Tokens: p.tokenStates, Explain: explainErrcode,
		Wake: p.Relay.Wake, Logger: p.parts.Logger.Named("console"),
	}
	for _, a := range cfg.Apps {
		c.Apps = append(c.Apps, a.AppID)
	}
	made := console.New
	if before := p.console.Load(); before != nil && before.console != nil {
		made = before.console.Successor
	}
	pages, err := made(c)
	if err != nil {
		return nil, err
	}
	return &consolePages{Handler: pages, console: pages}, nil
}

func consoleUsers(cfg *config.Config) []console.User {
	var users []console.User
	if cfg.AdminPassword != "" {
		users = append(users, console.User{
			Name: config.AdminName, Password: password.Shared(cfg.AdminPassword.Reveal()), Role: console.Operator,
		})
	}
	for _, u := range cfg.AdminUsers {
		users = append(users, console.User{Name: u.Name, Password: u.Password, Role: console.Role(u.Role)})
	}
	return users
}

// noConsole answers where the console would be.
func noConsole(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "There is no console: nobody may log in.\n"+
		"Set ADMIN_PASSWORD for one operator, admin, or give admin_users in the file that\n"+
		"WXNOTIFY_CONFIG names; wxnotify admin password makes their lines.", http.StatusNotFound)
}

func (p *Process) pauseOf(ctx context.Context, app string) (*console.Pause, error) {
	paused, err := worker.ReadPause(ctx, p.shared, app)
	if paused == nil || err != nil {
		return nil, err
	}
	return &console.Pause{
		Kind: paused.Kind, Why: paused.Why, Errcode: paused.Errcode, Since: paused.Since, Until: paused.Until,
	}, nil
}

func (p *Process) endPause(ctx context.Context, app string) error {
	return worker.EndPause(ctx, p.shared, app, task.Queues(app, p.defaultApp()))
}

// tokenStates are the tokens of this process.
func (p *Process) tokenStates() []console.Token {
	var states []console.Token
	for _, a := range p.settings().Apps {
		tokens := p.tokensOf(a.AppID)
		if tokens == nil {
			continue
		}
		s := tokens.State()
		t := console.Token{App: a.AppID, Origin: s.Origin, ObtainedAt: s.ObtainedAt, ExpiresAt: s.ExpiresAt}
		if s.Err != nil {
			t.Problem = s.Err.Error()
		}
		states = append(states, t)
	}
	return states
}

// explainErrcode explains an errcode of a send.
func explainErrcode(errcode int, chinese bool) console.Explanation {
	row, known := wechat.LookupErrcode(errcode)
	if !known {
		return console.Explanation{}
	}
	x := Explain(&wechat.Error{API: wechat.APISend, Kind: row.Kind, Code: errcode})
	if chinese {
		x.Meaning, x.Do = inChinese(x.Meaning), inChinese(x.Do)
	}
	return console.Explanation{Meaning: x.Meaning, Do: x.Do}
}
