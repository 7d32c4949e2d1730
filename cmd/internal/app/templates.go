package app

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// startTemplates keeps the catalog of templates current, and the store's
// templates as WeChat lists them.
func (p *Process) startTemplates(context.Context) (err error) {
	cfg, logger := p.settings(), p.parts.Logger.Named("templates")
	p.Templates, err = template.NewSource(template.SourceConfig{
		Store: p.parts.Store, Entries: cfg.Templates, Strict: cfg.StrictTemplates, Logger: logger,
	})
	if err != nil {
		return err
	}
	p.syncer, err = template.NewSyncer(template.SyncerConfig{
		Store: p.parts.Store, FetchFunc: p.fetchTemplates, Apps: appIDs(cfg), Synced: p.Templates.Wake,
		Logger: logger, Registerer: p.Registry,
	})
	if err != nil {
		return err
	}
	p.background("catalog of templates", p.Templates.Run)
	p.background("sync of templates", p.syncer.Run)
	return nil
}

// background lets run go on until the process stops.
func (p *Process) background(name string, run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	p.stops.add(name, func(ctx context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// fetchTemplates asks WeChat with the app's token, and once more with another
// when it refuses that one.
func (p *Process) fetchTemplates(ctx context.Context, appID string) ([]store.Template, int, error) {
	tokens := p.tokensOf(appID)
	if tokens == nil {
		return fetched(appID, nil, notServed(appID))
	}
	for second := false; ; second = true {
		token, err := tokens.Token(ctx)
		if err != nil {
			return fetched(appID, nil, err)
		}
		list, err := p.wechat.Templates(ctx, token)
		e, ok := errors.AsType[*wechat.Error](err)
		if !ok || e.Kind != wechat.KindBadToken || second {
			return fetched(appID, list, err)
		}
		if err := tokens.Drop(ctx, token); err != nil {
			p.parts.Logger.Warn("cannot drop the shared token", zap.String("app", appID), zap.Error(err))
		}
	}
}

// fetched is WeChat's answer in the words of package template.
func fetched(appID string, list []wechat.Template, err error) ([]store.Template, int, error) {
	if err != nil {
		errcode := 0
		if e, ok := errors.AsType[*wechat.Error](err); ok {
			errcode = e.Code
		}
		return nil, errcode, err
	}
	templates := make([]store.Template, 0, len(list))
	for _, t := range list {
		made := store.Template{
			App: appID, TemplateID: t.PriTmplID, Title: t.Title, Content: t.Content, Example: t.Example, Type: t.Type,
		}
		for _, key := range t.Keys {
			made.Keys = append(made.Keys, store.TemplateKey{Key: key, Label: t.Labels[key], Values: t.Enums[key]})
		}
		templates = append(templates, made)
	}
	return templates, 0, nil
}

// SyncTemplates asks WeChat now for the templates of some apps and keeps them.
// told gets the answer of each, which is an error or what has changed.
//
// The token is always the stable one, as of SendLive.
func SyncTemplates(
	ctx context.Context, cfg *config.Config, apps []config.App, s Store, logger *zap.Logger,
	told func(appID string, synced store.TemplatesSynced, err error) error,
) error {
	client, err := wechat.New(wechat.Config{BaseURL: cfg.APIBaseURL, MaxConns: 1, Timeout: cfg.SendTimeout, Logger: logger})
	if err != nil {
		return err
	}
	defer client.Close()
	for _, a := range apps {
		fetch := func(ctx context.Context, appID string) ([]store.Template, int, error) {
			token, err := client.StableToken(ctx, wechat.App{AppID: appID, Secret: a.Secret.Reveal()})
			if err != nil {
				return fetched(appID, nil, err)
			}
			list, err := client.Templates(ctx, token.Value)
			return fetched(appID, list, err)
		}
		syncer, err := template.NewSyncer(template.SyncerConfig{Store: s, FetchFunc: fetch})
		if err != nil {
			return err
		}
		synced, err := syncer.Sync(ctx, a.AppID)
		if err := told(a.AppID, synced, err); err != nil {
			return err
		}
	}
	return nil
}
