package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/template"
)

// cliProducer is who notifications sent from the command line come from: refs
// are unique among them and do not meet those of other producers.
const cliProducer = "cli"

// sendFlags are the flags of send.
type sendFlags struct {
	template, user, openID, page, app, ref, priority string
	data                                             []string
	delay                                            time.Duration
	sendAt, expiresAt, duplicates, lang, state       string

	wait                      time.Duration
	live, yes, strict, asJSON bool
}

func (p *program) sendCommand() *cobra.Command {
	f := new(sendFlags)
	cmd := &cobra.Command{
		Use:   "send [FILE]",
		Short: "Hand in notifications: one by flags, many from a file of JSON lines",
		Long: "send writes notifications to the database and puts them on the queue; workers send\n" +
			"them. It succeeds when they are accepted, with --wait when they are sent.\n\n" +
			"FILE (- for stdin) has one JSON object of the API a line, with the fields template_id\n" +
			"(or its alias), user_id or openid, data, and optionally page, app, ref, priority,\n" +
			"send_at, expires_at, wait, duplicates, lang and miniprogram_state. A bad line is\n" +
			"reported with its number and left out; the exit code is then 1. A file whose lines\n" +
			"have a ref can be sent again: what was accepted before is not accepted twice.\n\n" +
			"--live sends one message without queue and database and explains WeChat's answer.",
		Example: "  wxnotify send --template TMPL --user 1042 --data thing1=办公用品 --data phrase2=已通过 --wait 60s\n" +
			"  wxnotify send notices.jsonl\n" +
			"  wxnotify send --live --template TMPL --openid OPENID --data thing1=办公用品",
		GroupID: groupUse,
		Args:    cobra.MaximumNArgs(1),
	}
	f.add(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(cmd.Flags(), args); err != nil {
			return err
		}
		switch {
		case f.live:
			return p.sendLive(cmd, f)
		case len(args) == 1:
			return p.sendFile(cmd, f, args[0])
		}
		return p.sendOne(cmd, f)
	}
	return cmd
}

func (f *sendFlags) add(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVar(&f.template, "template", "", "template id or its alias")
	flags.StringVar(&f.user, "user", "", "the company's id of the addressee, or")
	flags.StringVar(&f.openID, "openid", "", "the addressee's openid")
	flags.StringArrayVar(&f.data, "data", nil, "KEY=TEXT, once for each key of the template")
	flags.StringVar(&f.page, "page", "", "page that a tap opens, with its query")
	flags.StringVar(&f.app, "app", "", "appid (default: the default app)")
	flags.StringVar(&f.ref, "ref", "", "your own key: with it the call can be repeated safely")
	flags.StringVar(&f.priority, "priority", "", "critical, default or low")
	flags.DurationVar(&f.delay, "delay", 0, "send it this much later, or")
	flags.StringVar(&f.sendAt, "send-at", "", "send it then: RFC 3339 with an offset")
	flags.StringVar(&f.expiresAt, "expires-at", "", "do not send it after: RFC 3339 with an offset")
	flags.StringVar(&f.duplicates, "duplicates", "", "when nobody knows whether WeChat took it: allow (send again) or avoid")
	flags.StringVar(&f.lang, "lang", "", "zh_CN, en_US, zh_HK or zh_TW (default: the app's)")
	flags.StringVar(&f.state, "miniprogram-state", "", "developer, trial or formal (default: the app's)")
	flags.DurationVar(&f.wait, "wait", 0, "wait so long for the end and succeed only when all are sent")
	flags.BoolVar(&f.strict, "strict", false, "of a FILE: accept nothing after the first bad line")
	flags.BoolVar(&f.live, "live", false, "send one message now, without queue and database")
	flags.BoolVar(&f.yes, "yes", false, "with --live: do not ask")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON; of a FILE one object for each of its lines")
}

// sendMode is one of the three things that send does.
type sendMode string

const (
	modeOne  sendMode = "a single notification"
	modeFile sendMode = "a FILE"
	modeLive sendMode = "--live"
)

// sendModes lists the flags that do not fit every mode.
var sendModes = map[string][]sendMode{
	"template":          {modeOne, modeLive},
	"user":              {modeOne},
	"openid":            {modeOne, modeLive},
	"data":              {modeOne, modeLive},
	"page":              {modeOne, modeLive},
	"ref":               {modeOne},
	"priority":          {modeOne},
	"delay":             {modeOne},
	"send-at":           {modeOne},
	"expires-at":        {modeOne},
	"duplicates":        {modeOne},
	"lang":              {modeOne, modeLive},
	"miniprogram-state": {modeOne, modeLive},
	"wait":              {modeOne, modeFile},
	"strict":            {modeFile},
	"yes":               {modeLive},
}

// check finds flags that do not go together.
func (f *sendFlags) check(flags *pflag.FlagSet, args []string) (err error) {
	mode := modeOne
	switch {
	case f.live && len(args) == 1:
		return usagef("--live sends a single message, not a FILE")
	case f.live:
		mode = modeLive
	case len(args) == 1:
		mode = modeFile
	}
	if mode == modeLive && flags.Changed("user") {
		return usagef("--live has no database to find the user's openid in: give --openid (wxnotify users show --reveal USER)")
	}
	flags.Visit(func(g *pflag.Flag) {
		if modes, listed := sendModes[g.Name]; listed && !slices.Contains(modes, mode) && err == nil {
			err = usagef("--%s has no meaning for %s", g.Name, mode)
		}
	})
	if err == nil && flags.Changed("wait") && f.wait <= 0 {
		err = usagef("--wait must be longer than 0")
	}
	return err
}

// sender is what handing in needs.
type sender struct {
	cfg    *config.Config
	store  app.Store
	client *producer.Client
	app    string // of notifications that name none
	// catalog is what is known about templates when the command begins.
	catalog *template.Catalog
}

// withSender is the frame of the commands that hand in: settings, store, Redis,
// producer client, work, close. Redis may be away.
func (p *program) withSender(cmd *cobra.Command, f *sendFlags, work func(context.Context, *sender) error) error {
	return p.withStore(config.RoleSend, func(ctx context.Context, cfg *config.Config, s app.Store) error {
		id, err := appID(cfg, f.app)
		if err != nil {
			return err
		}
		catalog, err := storedCatalog(ctx, cfg, s)
		if err != nil {
			return err
		}
		def, _ := cfg.App("") // RoleSend needs an app, and one of them is the default
		rdb := cfg.Redis.NewClient(config.RedisTuning{
			DialTimeout: sendDialTimeout, ReadTimeout: sendReadTimeout, ClientName: "wxnotify-send",
		})
		defer rdb.Close() //nolint:errcheck // everything was answered before
		client, err := producer.New(producer.Config{
			Redis: rdb, Store: s, Producer: cliProducer, App: id, DefaultApp: def.AppID,
			MaxAge: cfg.MaxAge, Payload: producer.PayloadMode(cfg.TaskPayload),
			Logger: zap.NewNop(), // what it would log are outages, which the command tells
		})
		if err != nil {
			return err
		}
		defer client.Close() //nolint:errcheck // never fails; it waits for enqueues that nobody waits for
		return work(ctx, &sender{cfg: cfg, store: s, client: client, app: id, catalog: catalog})
	})(cmd, nil)
}

// What is accepted is in the database; the queue is only told, so nobody waits
// long for a Redis that is away.
const (
	sendDialTimeout = time.Second
	sendReadTimeout = 2 * time.Second
)
