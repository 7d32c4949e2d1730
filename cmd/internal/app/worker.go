package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store/tokencache"
	"github.com/wxnotify/wxnotify/worker"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// startWeChat makes the client and the token manager of every app.
func (p *Process) startWeChat(context.Context) (err error) {
	cfg := p.parts.Config
	p.wechat, err = wechat.New(wechat.Config{
		BaseURL: cfg.APIBaseURL, MaxConns: cfg.Concurrency, Timeout: cfg.SendTimeout,
		Logger: p.parts.Logger, Registerer: p.Registry,
	})
	if err != nil {
		return err
	}
	p.stops.add("WeChat client", func(context.Context) error { p.wechat.Close(); return nil })
	cache, err := tokencache.New(tokencache.Config{Redis: p.shared})
	if err != nil {
		return err
	}
	for _, a := range cfg.Apps {
		if p.tokens[a.AppID], err = p.newTokens(a, cache); err != nil {
			return fmt.Errorf("token of app %s: %w", a.AppID, err)
		}
	}
	return nil
}

// newTokens is the token manager of one app.
func (p *Process) newTokens(a config.App, cache wechat.Cache) (*wechat.Tokens, error) {
	cfg := wechat.TokensConfig{
		App:    wechat.App{AppID: a.AppID, Secret: a.Secret.Reveal()},
		Client: p.wechat, Cache: cache, Logger: p.parts.Logger, Registerer: p.Registry,
	}
	switch a.TokenSource.Kind {
	case config.TokenStable:
		cfg.Source = wechat.SourceStable
	case config.TokenClassic:
		cfg.Source = wechat.SourceClassic
	case config.TokenForeign:
		key := a.TokenSource.Foreign
		cfg.Source, cfg.Foreign = wechat.SourceForeign, tokencache.NewForeign(p.otherRedis(key), key.Key)
	}
	if key := a.TokenMirror; !key.IsZero() {
		cfg.Mirror = tokencache.NewMirror(p.otherRedis(key), key.Key)
	}
	tokens, err := wechat.NewTokens(cfg)
	if err != nil {
		return nil, err
	}
	tokens.Start()
	p.stops.add("token of app "+a.AppID, tokens.Stop)
	return tokens, nil
}

// otherRedis is a client of a Redis that is not ours.
func (p *Process) otherRedis(key config.RedisKey) redis.UniversalClient {
	c := key.Redis.NewClient(sharedTuning())
	p.stops.add("Redis client of a shared token", func(context.Context) error { return c.Close() })
	return c
}

func (p *Process) startWorker(ctx context.Context) (err error) {
	cfg := p.parts.Config
	counted := p.countedTemplates(ctx)
	apps := make([]worker.App, 0, len(cfg.Apps))
	for _, a := range cfg.Apps {
		apps = append(apps, worker.App{
			ID: a.AppID, Tokens: p.tokens[a.AppID], MaxSendRate: a.MaxSendRate,
			MiniprogramState: string(a.MiniprogramState), Lang: string(a.Lang), OnlyTo: a.OnlyTo,
			Templates: counted[a.AppID],
		})
	}
	p.Worker, err = worker.New(worker.Config{
		Apps: apps, DefaultApp: p.defaultApp(), Store: p.parts.Store, Sender: p.wechat,
		Redis: p.shared, ServerRedis: p.client(serverTuning()),
		Concurrency: cfg.Concurrency, SendTimeout: cfg.SendTimeout, InDoubtWait: cfg.InDoubtWait,
		MaxAttempts: cfg.MaxAttempts, MaxAge: cfg.MaxAge, Logger: p.parts.Logger, Registerer: p.Registry, Delivered: p.noteDelivered,
	})
	if err != nil {
		return err
	}
	p.stops.add("worker", p.Worker.Stop)
	return p.Worker.Start(ctx)
}

// countedTemplates are the templates of each app that have series of their own:
// those of the file, and those that WeChat listed before this process started.
// WeChat lets an account have 50.
func (p *Process) countedTemplates(ctx context.Context) map[string][]string {
	ids := map[string][]string{}
	for _, e := range p.parts.Config.Templates {
		ids[e.App] = append(ids[e.App], e.TemplateID)
	}
	ctx, cancel := context.WithTimeout(ctx, readyzTimeout)
	defer cancel()
	synced, err := p.parts.Store.Templates(ctx, "")
	if err != nil {
		return ids // the store is away; they count together
	}
	for _, t := range synced {
		if !slices.Contains(ids[t.App], t.TemplateID) {
			ids[t.App] = append(ids[t.App], t.TemplateID)
		}
	}
	return ids
}
