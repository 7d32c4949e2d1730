package app

import (
	"context"
	"slices"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// startWeChat makes the client and the access to every app.
func (p *Process) startWeChat(context.Context) (err error) {
	cfg := p.settings()
	p.wechat, err = wechat.New(wechat.Config{
		BaseURL: cfg.APIBaseURL, MaxConns: cfg.Concurrency, Timeout: cfg.SendTimeout,
		Logger: p.parts.Logger, Registerer: p.Registry, TracerProvider: p.parts.TracerProvider,
	})
	if err != nil {
		return err
	}
	p.stops.add("WeChat client", func(context.Context) error { p.wechat.Close(); return nil })
	accounts, made, err := p.accountsFor(cfg)
	if err != nil {
		return err
	}
	p.now.Store(&current{config: cfg, accounts: accounts})
	p.stops.add("tokens", p.endAccounts)
	for _, a := range made {
		a.begin(p.Registry)
	}
	return nil
}

func (p *Process) startWorker(ctx context.Context) (err error) {
	cfg := p.settings()
	p.Worker, err = worker.New(worker.Config{
		Apps: workerApps(p.now.Load(), p.countedTemplates(ctx, cfg)), DefaultApp: p.defaultApp(), Store: p.parts.Store, Sender: p.wechat,
		Redis: p.shared, ServerRedis: p.client(serverTuning()),
		Concurrency: cfg.Concurrency, SendTimeout: cfg.SendTimeout, InDoubtWait: cfg.InDoubtWait,
		MaxAttempts: cfg.MaxAttempts, MaxAge: cfg.MaxAge, Logger: p.parts.Logger, Registerer: p.Registry,
		TracerProvider: p.parts.TracerProvider, Delivered: p.noteDelivered,
	})
	if err != nil {
		return err
	}
	p.stops.add("worker", p.Worker.Stop)
	return p.Worker.Start(ctx)
}

// workerApps are the apps as a worker serves them.
func workerApps(now *current, counted map[string][]string) []worker.App {
	apps := make([]worker.App, 0, len(now.config.Apps))
	quiet := map[string]map[string]store.QuietHours{}
	for _, e := range now.config.Templates {
		if hours := e.Policy.QuietHours.Hours(); !hours.IsZero() {
			if quiet[e.App] == nil {
				quiet[e.App] = map[string]store.QuietHours{}
			}
			quiet[e.App][e.TemplateID] = hours
		}
	}
	for _, a := range now.config.Apps {
		apps = append(apps, worker.App{
			ID: a.AppID, Tokens: now.accounts[a.AppID].tokens, MaxSendRate: a.MaxSendRate,
			MiniprogramState: string(a.MiniprogramState), Lang: string(a.Lang), OnlyTo: a.OnlyTo,
			Templates: counted[a.AppID], QuietHours: quiet[a.AppID],
		})
	}
	return apps
}

// countedTemplates are the templates of each app that have series of their own:
// those of the file, and those that WeChat listed before this process started or was
// reloaded. WeChat lets an account have 50.
func (p *Process) countedTemplates(ctx context.Context, cfg *config.Config) map[string][]string {
	ids := map[string][]string{}
	for _, e := range cfg.Templates {
		ids[e.App] = append(ids[e.App], e.TemplateID)
	}
	ctx, cancel := context.WithTimeout(ctx, readyzTimeout)
	defer cancel()
	synced, err := p.parts.Store.Templates(ctx, "")
	if err == nil {
		p.listed.Store(&synced)
	}
	last := p.listed.Load()
	if last == nil {
		return ids // the store is away; they count together
	}
	for _, t := range *last {
		if !slices.Contains(ids[t.App], t.TemplateID) {
			ids[t.App] = append(ids[t.App], t.TemplateID)
		}
	}
	return ids
}
