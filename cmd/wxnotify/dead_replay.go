package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

func (p *program) deadReplayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay ID... | --FILTER... | --all",
		Short: "Send dead letters again",
		Long: "A replay queues a dead notification as if it were new: a fresh budget of attempts,\n" +
			"MAX_AGE from now, handed to the queue at once, whatever asynq's archive holds. Its\n" +
			"attempts so far stay on record. Two replays of one notification send it once.\n\n" +
			"--set changes the message first: data.KEY (empty takes the key out), page,\n" +
			"template_id, user_id or openid.\n\n" +
			"What died in doubt needs --force: nobody knows whether WeChat delivered it, so the\n" +
			"user may get it twice. What cannot be read, or has lost its data to DATA_RETENTION,\n" +
			"has nothing to send unless --set gives all of it.\n\n" +
			"Interrupted, the same command goes on: what was replayed is not dead any more.",
		Example: "  wxnotify dead replay 0198c3a2-5a0e-7c11-b7e5-3f0a4d1c9e77 --set data.thing1=办公用品\n" +
			"  wxnotify dead replay --reason page --since 24h --dry-run\n" +
			"  wxnotify dead replay --errcode 40037 --set template_id=TEMPLATE --rate 50",
	}
	var f bulkFlags
	f.flags(cmd)
	pairs := cmd.Flags().StringArray("set", nil, "change the message: data.KEY=TEXT, page=…, template_id=…; may be repeated")
	force := cmd.Flags().Bool("force", false, "also what is in doubt: a second message is possible")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := f.choice(cmd, args)
		if err != nil {
			return err
		}
		r := replayer{force: *force}
		if r.edit, err = parseEdit(*pairs); err != nil {
			return err
		}
		if r.actor, err = actor(*f.by); err != nil {
			return err
		}
		return p.withStore(config.RoleDatabase, func(ctx context.Context, cfg *config.Config, s app.Store) error {
			r.store, r.maxAge = s, cfg.MaxAge
			w := &bulkWork{p: p, store: s, flags: &f, verb: "replayed", asJSON: *f.asJSON, act: r.act}
			return w.run(ctx, c)
		})(cmd, args)
	}
	return cmd
}

// replayer replays pages.
type replayer struct {
	store  app.InterventionStore
	edit   *deadEdit // nil: as they are
	force  bool
	maxAge time.Duration
	actor  string
}

func (r *replayer) act(ctx context.Context, page []store.Notification, dryRun bool) ([]bulkAnswer, error) {
	var (
		answers []bulkAnswer
		replays []store.Replay
	)
	for _, n := range page {
		forecast, replay := r.judge(n)
		if dryRun || forecast.Errors != nil {
			answers = append(answers, forecast)
			continue
		}
		replays = append(replays, replay)
	}
	acted, err := r.store.Replay(ctx, replays)
	return append(answers, bulkAnswers(acted)...), err
}

// judge makes the replay of a notification and says what the store will make of
// it. The store's own judgement counts, by the row as it is then.
func (r *replayer) judge(n store.Notification) (bulkAnswer, store.Replay) {
	replay := store.Replay{
		ID: n.ID, Generation: n.Generation, MaxAge: r.maxAge, Force: r.force, Actor: r.actor, Detail: r.detail(),
	}
	switch {
	case n.State != store.Dead:
		return bulkForecast(n, store.ActWrongState, ""), replay
	case n.Reason == store.ReasonInDoubt && !r.force:
		return bulkForecast(n, store.ActInDoubt, ""), replay
	case r.edit == nil && !hasContent(n):
		return bulkForecast(n, store.ActNoContent, ""), replay
	case r.edit == nil:
		return bulkForecast(n, store.ActDone, store.Queued), replay
	}
	content, faults := r.edit.apply(n)
	if faults != nil {
		forecast := bulkForecast(n, store.ActNoContent, "")
		forecast.Errors = jsonFaults(faults)
		return forecast, replay
	}
	replay.Content = content
	return bulkForecast(n, store.ActDone, store.Queued), replay
}

// maxDetail is in bytes, within what the store takes.
const maxDetail = 200

// detail is how it is replayed, for the record.
func (r *replayer) detail() string {
	var parts []string
	if r.force {
		parts = append(parts, "forced")
	}
	if names := r.edit.names(); names != "" {
		parts = append(parts, names)
	}
	text := strings.Join(parts, "; ")
	return text[:min(len(text), maxDetail)] // names are ASCII
}
