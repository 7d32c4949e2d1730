package app

import (
	"context"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/webhook"
	"github.com/wxnotify/wxnotify/store"
)

// startWebhooks tells producers what became of their notifications. It runs
// without any webhook too: what is left for one that was taken out has to go.
func (p *Process) startWebhooks(ctx context.Context) error {
	cfg := p.settings()
	s, err := webhook.New(webhook.Config{
		Store: p.parts.Store, Subscriptions: subscriptions(cfg), Allow: cfg.WebhookAllow,
		Logger: p.parts.Logger.Named("webhook"), Registerer: p.Registry, TracerProvider: p.parts.TracerProvider,
	})
	if err != nil {
		return err
	}
	p.webhooks = s
	p.stops.add("webhooks", s.Stop)
	return s.Start(ctx)
}

func subscriptions(cfg *config.Config) []webhook.Subscription {
	var list []webhook.Subscription
	for _, q := range cfg.Producers {
		if q.Webhook.URL == "" {
			continue
		}
		list = append(list, webhook.Subscription{
			Producer: q.Name, URL: q.Webhook.URL, Secret: q.Webhook.Secret.Reveal(), Events: webhookSet(q.Webhook),
		})
	}
	return list
}

// webhookSet are the events that a producer is told; none without a webhook.
func webhookSet(w config.Webhook) store.WebhookSet {
	switch {
	case w.URL == "":
		return 0
	case len(w.Events) == 0:
		return store.NewWebhookSet(store.WebhookEvents...)
	}
	return store.NewWebhookSet(w.Events...)
}
