package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// simulatorOptions are the flags of the command.
type simulatorOptions struct {
	listen         string
	allowRemote    bool
	latency        time.Duration
	appID, secret  string
	autoConsent    bool
	minute, day    int
	tokenLife      time.Duration
	keptSends      int
	callback       string
	callbackToken  string
	callbackAESKey string
}

func (p *program) simulatorCommand() *cobra.Command {
	seed := simulator.SeedApp()
	var o simulatorOptions
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "Serve a strict WeChat to try things against",
		Long: "simulator answers the calls of WeChat's API that wxnotify makes, as strictly as\n" +
			"WeChat does, shows what users' phones received at /_sim/, and fails on request:\n\n" +
			"  curl -H 'Content-Type: application/json' http://127.0.0.1:8099/_sim/faults \\\n" +
			"    -d '{\"api\":\"subscribe_send\",\"action\":\"errcode\",\"errcode\":45011,\"count\":1}'\n\n" +
			"Everything it knows is in memory.",
		GroupID: groupRun,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.runSimulator(cmd.Context(), cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8099", "address; port 0 takes a free one")
	f.BoolVar(&o.allowRemote, "allow-remote", false, "let --listen be reachable from other machines")
	f.DurationVar(&o.latency, "latency", 100*time.Millisecond, "how long each call takes")
	f.StringVar(&o.appID, "appid", seed.AppID, "the Mini Program")
	f.StringVar(&o.secret, "secret", seed.Secret, "its AppSecret; an invented one")
	f.BoolVar(&o.autoConsent, "auto-consent", false, "every well-formed openid exists and allows every message")
	f.IntVar(&o.minute, "minute-quota", 0, "sends per minute, then 45011; 0 is no limit")
	f.IntVar(&o.day, "day-quota", 0, "sends per day, then 45009; 0 is no limit")
	f.DurationVar(&o.tokenLife, "token-life", 2*time.Hour, "life of an access token; more than 5m")
	f.IntVar(&o.keptSends, "keep", 100_000, "how many of the newest sends are remembered")
	f.StringVar(&o.callback, "callback-url", "", "where events are pushed to")
	f.StringVar(&o.callbackToken, "callback-token", "", "what events are signed with; an invented one")
	f.StringVar(&o.callbackAESKey, "callback-aes-key", "", "what events are encrypted with, 43 characters; an invented one")
	return cmd
}

func (p *program) runSimulator(ctx context.Context, cmd *cobra.Command, o simulatorOptions) error {
	if !o.allowRemote && !isLoopback(o.listen) {
		return usagef("--listen %s can be reached from other machines: /_sim/ has no password, shows every message and "+
			"can stop every call; take a loopback address such as 127.0.0.1:8099, or give --allow-remote", o.listen)
	}
	cfg, err := p.config(cmd)
	if err != nil {
		return err
	}
	seed := simulator.App{
		AppID: o.appID, Secret: o.secret, Templates: simulator.SeedTemplates(),
		Callback: simulator.Callback{URL: o.callback, Token: o.callbackToken, AESKey: o.callbackAESKey},
	}
	s, err := app.ServeSimulator(ctx, o.listen, simulator.Config{
		Apps: []simulator.App{seed}, Latency: o.latency, TokenLife: o.tokenLife, AutoConsent: o.autoConsent,
		MinuteQuota: o.minute, DayQuota: o.day, TruthLimit: max(o.keptSends, 1),
	}, p.logger(cfg))
	if err != nil {
		return err
	}
	err = p.describeSimulator(s.URL, seed)
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, p.stopSoon(ctx, s.Stop))
}

// describeSimulator prints what a worker has to be told, in a form that a shell
// can read, and the templates.
func (p *program) describeSimulator(url string, a simulator.App) error {
	if err := p.print("export WECHAT_API_BASE_URL=" + url + "\n" +
		"export WECHAT_APPID=" + a.AppID + "\n" +
		"export WECHAT_SECRET=" + a.Secret + "\n\n" +
		"phones: " + url + "/_sim/\n\n"); err != nil {
		return err
	}
	rows := make([][]string, 0, len(a.Templates))
	for _, t := range a.Templates {
		kind := "one-time"
		if t.Type == simulator.TypeLongTerm {
			kind = "long-term"
		}
		var keys []string
		for _, f := range t.Fields() {
			keys = append(keys, f.Key)
		}
		rows = append(rows, []string{t.PriTmplID, t.Title, kind, strings.Join(keys, " ")})
	}
	return p.printTable([]string{"TEMPLATE", "TITLE", "KIND", "KEYS"}, rows)
}

// stopTime bounds the stop of what only serves requests.
const stopTime = 5 * time.Second

// stopSoon stops after the end of ctx, within stopTime.
func (p *program) stopSoon(ctx context.Context, stop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return stop(ctx)
}

// isLoopback reports whether only this machine reaches an address to listen on.
// A name other than localhost may be anything.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
