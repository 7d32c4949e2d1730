package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

func (p *program) deadDiscardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "discard ID... | --FILTER... | --all",
		Short: "Take dead letters out of view, for those that need nothing more",
		Long: "What is discarded stays dead and is kept and shown as long as every dead letter\n" +
			"('wxnotify dead list --discarded'); it is only no longer listed and counted among\n" +
			"those that someone has to look at. A replay by its id is still possible.",
	}
	var f bulkFlags
	f.flags(cmd)
	yes := cmd.Flags().Bool("yes", false, "do it without asking")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := f.choice(cmd, args)
		if err != nil {
			return err
		}
		d := discarder{}
		if d.actor, err = actor(*f.by); err != nil {
			return err
		}
		return p.withStore(config.RoleDatabase, func(ctx context.Context, _ *config.Config, s app.Store) error {
			if !*yes && !f.dryRun {
				n, err := c.total(ctx, s)
				if err != nil {
					return err
				}
				p.printf("%s will be out of view.\n", count(n, "dead letter"))
				if err := p.askYes(ctx, "Discard?"); err != nil {
					return err
				}
			}
			d.store = s
			w := &bulkWork{p: p, store: s, flags: &f, verb: "discarded", asJSON: *f.asJSON, act: d.act}
			return w.run(ctx, c)
		})(cmd, args)
	}
	return cmd
}

// discarder discards pages.
type discarder struct {
	store app.InterventionStore
	actor string
}

func (d *discarder) act(ctx context.Context, page []store.Notification, dryRun bool) ([]bulkAnswer, error) {
	var (
		answers  []bulkAnswer
		discards []store.Discard
	)
	for _, n := range page {
		result := store.ActDone
		switch {
		case n.State != store.Dead:
			result = store.ActWrongState
		case !n.DiscardedAt.IsZero():
			result = store.ActBefore
		}
		answers = append(answers, bulkForecast(n, result, n.State))
		discards = append(discards, store.Discard{ID: n.ID, Generation: n.Generation, Actor: d.actor})
	}
	if dryRun {
		return answers, nil
	}
	acted, err := d.store.Discard(ctx, discards)
	return bulkAnswers(acted), err
}
