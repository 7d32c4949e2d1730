package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
)

// shownSecret is how the settings show a secret.
const shownSecret = "***"

// configChecks find what is allowed, and seldom meant.
func configChecks(cfg *config.Config) []group {
	return []group{
		{{"secrets", func(context.Context) Result { return checkSecrets(cfg) }}},
		{{"admin listener", func(context.Context) Result { return checkAdmin(cfg) }}},
	}
}

// checkSecrets finds a secret that two apps have, and secrets in the
// environment.
func checkSecrets(cfg *config.Config) Result {
	for i, a := range cfg.Apps {
		for _, b := range cfg.Apps[:i] {
			if a.Secret != "" && a.Secret == b.Secret {
				return fail(fmt.Sprintf("apps %s and %s have the same secret", b.AppID, a.AppID),
					"give each app its own: WeChat answers 40125 to the one whose it is not")
			}
		}
	}
	var open []string
	for _, s := range cfg.Effective() {
		name, ok := strings.CutPrefix(s.Origin, "environment ")
		if ok && s.Value == shownSecret && name == s.Name {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		return warn("in the environment: "+strings.Join(open, ", "),
			"name files instead ("+open[0]+"_FILE): whoever may inspect the container or the process reads its environment, and so do crash reports")
	}
	return okay("none is in the environment, and no two apps have the same")
}

// checkAdmin says who can reach the listener of health, metrics and console.
func checkAdmin(cfg *config.Config) Result {
	if cfg.AdminAddr == "" {
		return Result{Status: StatusSkipped, Found: "there is none: ADMIN_ADDR is empty"}
	}
	users := len(consoleUsers(cfg))
	what := "health and metrics, and no console"
	if users > 0 {
		what = fmt.Sprintf("health, metrics and a console for %d", users)
	}
	found := cfg.AdminAddr + ": " + what
	switch {
	case loopback(cfg.AdminAddr):
		return okay("%s, for this machine only", found)
	case users == 0:
		return warn(found+", for whoever reaches this address, without a password",
			"keep all but the monitoring away from it (firewall, NetworkPolicy), or let ADMIN_ADDR name 127.0.0.1: metrics name apps and templates")
	}
	return okay("%s; a proxy with TLS belongs before it, for the password passes readable", found)
}

// loopback reports whether a listener's address is for this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// catalogCheck says whether a strict catalog knows anything to be strict about.
func catalogCheck(cfg *config.Config, a config.App, logger *zap.Logger) func(context.Context) Result {
	return func(ctx context.Context) Result {
		if cfg.StrictTemplates != template.StrictTrue {
			return okay("STRICT_TEMPLATES is %s", cfg.StrictTemplates)
		}
		named := slices.ContainsFunc(cfg.Templates, func(e template.Entry) bool { return e.App == a.AppID || e.App == "" && a.Default })
		if _, ok := cfg.Database.SQLite(); ok {
			return Result{Status: StatusSkipped, Found: "not looked up in SQLite; wxnotify templates list tells"}
		}
		s, err := OpenStore(ctx, cfg, logger)
		if err != nil {
			return Result{Status: StatusSkipped, Found: "needs database"}
		}
		defer s.Close()
		syncs, err := s.TemplateSyncs(ctx)
		if err != nil {
			return Result{Status: StatusSkipped, Found: "needs database schema"}
		}
		for _, sync := range syncs {
			if sync.App == a.AppID && !sync.SyncedAt.IsZero() {
				return okay("STRICT_TEMPLATES is true; the last sync was at %s", sync.SyncedAt.UTC().Format("2006-01-02T15:04:05Z07:00"))
			}
		}
		const sync = "run wxnotify templates sync, or set STRICT_TEMPLATES to auto"
		if named {
			return warn("STRICT_TEMPLATES is true and no sync has succeeded: only the templates of the file are taken", sync)
		}
		return fail("STRICT_TEMPLATES is true and no sync has succeeded: every notification of this app is refused", sync)
	}
}
