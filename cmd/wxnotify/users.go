package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

func (p *program) usersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "users",
		Short: "Bind users to their openids, and erase users",
		Long: "A binding says which openid a user of the company has in an app. An openid belongs\n" +
			"to one user of an app: binding it again moves it.",
		GroupID: groupUse,
	}
	onlyHolds(cmd)
	cmd.AddCommand(p.usersBindCommand(), p.usersImportCommand(), p.usersShowCommand(), p.usersEraseCommand())
	return cmd
}

// appFlag gives a command --app.
func appFlag(cmd *cobra.Command, usage string) *string {
	return cmd.Flags().String("app", "", usage)
}

func (p *program) usersBindCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bind USER OPENID",
		Short: "Bind one user",
		Args:  cobra.ExactArgs(2),
	}
	appName := appFlag(cmd, "appid (default: the default app)")
	unionID := cmd.Flags().String("unionid", "", "the user's unionid, if it is known")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withStore(config.RoleStore, func(ctx context.Context, cfg *config.Config, s app.Store) error {
			id, err := appID(cfg, *appName)
			if err != nil {
				return err
			}
			b := store.Binding{App: id, UserID: args[0], OpenID: args[1], UnionID: *unionID}
			if err := checkBinding(b); err != nil {
				return usageError{err}
			}
			bound, err := s.Bind(ctx, []store.Binding{b})
			if err != nil {
				return err
			}
			if *asJSON {
				return p.printJSON(newBoundCount(bound))
			}
			return p.print(boundWord(bound) + "\n")
		})(cmd, args)
	}
	return cmd
}

// boundWord says what became of one binding.
func boundWord(b store.Bound) string {
	switch {
	case b.Moved > 0:
		return "moved: the openid belonged to another user, who is unbound now"
	case b.Created > 0:
		return "created"
	case b.Changed > 0:
		return "changed: the user had another openid"
	}
	return "unchanged"
}

// boundCount is store.Bound for programs.
type boundCount struct {
	Created   int `json:"created"`
	Changed   int `json:"changed"`
	Moved     int `json:"moved"`
	Unchanged int `json:"unchanged"`
}

func newBoundCount(b store.Bound) boundCount { return boundCount(b) }

func (p *program) usersShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show USER",
		Short: "Show a user's openid in each app",
		Args:  cobra.ExactArgs(1),
	}
	appName := appFlag(cmd, "only this appid (default: all)")
	reveal := cmd.Flags().Bool("reveal", false, "show openids and unionids in full")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withStore(config.RoleDatabase, func(ctx context.Context, _ *config.Config, s app.Store) error {
			found, err := s.Bindings(ctx, args[0])
			if err != nil {
				return err
			}
			shown := shownBindings(found, *appName, *reveal)
			if *asJSON {
				err = p.printJSON(shown)
			} else {
				err = p.printBindings(shown)
			}
			if err == nil && len(shown) == 0 {
				err = errors.New("this user is not bound")
			}
			return err
		})(cmd, args)
	}
	return cmd
}

// shownBinding is a binding as it is printed.
type shownBinding struct {
	App       string    `json:"app"`
	UserID    string    `json:"user_id"`
	OpenID    string    `json:"openid"` // masked unless --reveal
	UnionID   string    `json:"unionid,omitempty"`
	Suspect   bool      `json:"suspect"` // WeChat refused it; the next login mends it
	UpdatedAt time.Time `json:"updated_at"`
}

func shownBindings(found []store.Binding, appID string, reveal bool) []shownBinding {
	shown := []shownBinding{}
	for _, b := range found {
		if appID != "" && b.App != appID {
			continue
		}
		s := shownBinding{
			App: b.App, UserID: b.UserID, OpenID: b.OpenID, UnionID: b.UnionID,
			Suspect: b.Suspect, UpdatedAt: b.UpdatedAt.UTC().Truncate(time.Millisecond),
		}
		if !reveal {
			s.OpenID, s.UnionID = maskID(s.OpenID), maskID(s.UnionID)
		}
		shown = append(shown, s)
	}
	return shown
}

func (p *program) printBindings(list []shownBinding) error {
	if len(list) == 0 {
		return nil
	}
	rows := make([][]string, len(list))
	for i, b := range list {
		suspect := ""
		if b.Suspect {
			suspect = "refused by WeChat"
		}
		rows[i] = []string{b.App, b.OpenID, b.UnionID, b.UpdatedAt.Format(time.RFC3339), suspect}
	}
	return p.printTable([]string{"APP", "OPENID", "UNIONID", "UPDATED", "SUSPECT"}, rows)
}

// maskID keeps enough of a WeChat id to tell two apart and not enough to use
// one. They have 28 characters; of a short one nothing is shown.
func maskID(id string) string {
	const ends, least = 4, 16
	switch {
	case id == "":
		return ""
	case len(id) < least:
		return "***"
	}
	return id[:ends] + "***" + id[len(id)-ends:]
}
