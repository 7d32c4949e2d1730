package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/gateway"
	"github.com/wxnotify/wxnotify/store"
)

func (p *program) usersEraseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "erase USER",
		Short: "Forget a user: bindings, consents, and whom notifications were for",
		Long: "Cancels what is open, unbinds the user, blanks addressee, data, page query and\n" +
			"texts of every notification, forgets consents and takes the tasks out of Redis.\n" +
			"What remains is that there were notifications and how they ended.\n" +
			"What is being sent ends first and is blanked then by a running gateway or worker.\n" +
			"It cannot be undone, and can be repeated.",
		Args: cobra.ExactArgs(1),
	}
	appName := appFlag(cmd, "only in this app (default: in all)")
	dryRun := cmd.Flags().Bool("dry-run", false, "show what it is about, change nothing")
	yes := cmd.Flags().Bool("yes", false, "do it without asking")
	by := actorFlag(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		who, err := actor(*by)
		if err != nil {
			return err
		}
		return p.withStore(config.RoleSend, func(ctx context.Context, cfg *config.Config, s app.Store) error {
			r := gateway.EraseRequest{UserID: args[0], By: who}
			if *appName != "" {
				id, err := appID(cfg, *appName)
				if err != nil {
					return err
				}
				r.Apps = []string{id}
			}
			if r.UserID == "" {
				return usageError{errors.New("a user is needed")}
			}
			if *dryRun || !*yes {
				if err := p.forecastErasure(ctx, s, r); err != nil || *dryRun {
					return err
				}
				if err := p.askYes(ctx, "Erase, for good?"); err != nil {
					return err
				}
			}
			return p.eraseUser(ctx, cfg, s, r, *asJSON)
		})(cmd, args)
	}
	return cmd
}

// forecastErasure says what an erasure would be about.
func (p *program) forecastErasure(ctx context.Context, s app.Store, r gateway.EraseRequest) error {
	bindings, err := s.Bindings(ctx, r.UserID)
	if err != nil {
		return err
	}
	f := store.Filter{UserID: r.UserID}
	if r.Apps != nil {
		f.App = r.Apps[0]
	}
	counted, err := s.Count(ctx, f, store.GroupNone)
	if err != nil {
		return err
	}
	notifications := 0
	for _, c := range counted {
		notifications += c.Count
	}
	bound := 0
	for _, b := range bindings {
		if f.App == "" || b.App == f.App {
			bound++
		}
	}
	p.printf("%s and %s by user id, and what was addressed to the user's openids.\n",
		count(bound, "binding"), count(notifications, "notification"))
	return nil
}

// eraseRedisTimeout bounds one command: Redis holds what is to be erased, so it
// has to be there.
const eraseRedisTimeout = 5 * time.Second

func (p *program) eraseUser(ctx context.Context, cfg *config.Config, s app.Store, r gateway.EraseRequest, asJSON bool) error {
	rdb := cfg.Redis.NewClient(config.RedisTuning{
		DialTimeout: eraseRedisTimeout, ReadTimeout: eraseRedisTimeout, ClientName: "wxnotify-erase",
	})
	defer rdb.Close()     //nolint:errcheck // everything was answered before
	def, _ := cfg.App("") // RoleSend needs an app, and one of them is the default
	eraser, err := gateway.NewEraser(gateway.EraserConfig{Store: s, Redis: rdb, DefaultApp: def.AppID, Logger: p.logger(cfg)})
	if err != nil {
		return err
	}
	erased, err := eraser.Erase(ctx, r)
	if err != nil {
		return fmt.Errorf("the user is not erased completely, repeat the command: %w", err)
	}
	if asJSON {
		return p.printJSON(newErasedCount(erased))
	}
	err = p.printTable([]string{"CANCELLED", "BLANKED", "IN FLIGHT", "UNBOUND", "CONSENTS", "PUSHES", "TASKS"}, [][]string{{
		thousands(erased.Cancelled), thousands(erased.Blanked), thousands(erased.InFlight), thousands(erased.Unbound),
		thousands(erased.Consents), thousands(erased.Pushes), thousands(erased.Tasks),
	}})
	if err == nil && erased.InFlight > 0 {
		p.printf("What is in flight is blanked when it ends, by a running gateway or worker.\n")
	}
	return err
}

// erasedCount is gateway.Erased for programs.
type erasedCount struct {
	Cancelled int `json:"cancelled"`
	Blanked   int `json:"blanked"`
	InFlight  int `json:"in_flight"`
	Unbound   int `json:"unbound"`
	Consents  int `json:"consents"`
	Pushes    int `json:"pushes"`
	Tasks     int `json:"tasks"`
}

func newErasedCount(e gateway.Erased) erasedCount { return erasedCount(e) }
