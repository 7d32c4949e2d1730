package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

func (p *program) deadSettleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "settle ID... --as sent|dead",
		Short: "Say how a doubt ended",
		Long: "A notification is in doubt when its request left and no answer came; with duplicates\n" +
			"'avoid' it dies with reason in_doubt. Whoever has asked the user may settle it: as\n" +
			"sent, which is marked as assumed, or as dead, which ends the wait for a receipt and\n" +
			"keeps it from being sent again. 'wxnotify dead list --in-doubt' lists what waits.",
		Example: "  wxnotify dead settle ID --as sent\n" +
			"  wxnotify dead replay ID --force     send it again, perhaps a second time",
		Args: cobra.MinimumNArgs(1),
	}
	as := cmd.Flags().String("as", "", "sent or dead")
	by := actorFlag(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d := doubtSettler{as: store.State(*as)}
		if d.as != store.Sent && d.as != store.Dead {
			return usagef("--as must be sent or dead")
		}
		c, err := chooseIDs(args)
		if err != nil {
			return err
		}
		if d.actor, err = actor(*by); err != nil {
			return err
		}
		return p.withStore(config.RoleDatabase, func(ctx context.Context, _ *config.Config, s app.Store) error {
			d.store = s
			w := &bulkWork{p: p, store: s, flags: &bulkFlags{}, verb: "settled as " + *as, asJSON: *asJSON, act: d.act}
			return w.run(ctx, c)
		})(cmd, args)
	}
	return cmd
}

// doubtSettler settles pages.
type doubtSettler struct {
	store app.InterventionStore
	as    store.State
	actor string
}

func (d *doubtSettler) act(ctx context.Context, page []store.Notification, _ bool) ([]bulkAnswer, error) {
	settlements := make([]store.DoubtSettlement, len(page))
	for i, n := range page {
		settlements[i] = store.DoubtSettlement{ID: n.ID, Generation: n.Generation, As: d.as, Actor: d.actor}
	}
	acted, err := d.store.SettleDoubts(ctx, settlements)
	return bulkAnswers(acted), err
}
