package app

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/producer/gateway"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// startGateway starts producers' API and WeChat's message push, on one listener
// or on one each. Their loops run before the listeners accept and end after
// them.
func (p *Process) startGateway(ctx context.Context) (err error) {
	if p.Client, err = p.newClient(); err != nil {
		return err
	}
	p.stops.add("producer", func(context.Context) error { return p.Client.Close() })
	if err := p.startCallback(ctx); err != nil {
		return err
	}
	if p.api, err = gateway.New(p.gatewayConfig()); err != nil {
		return err
	}
	p.stops.add("gateway", p.api.Drain)

	cfg := p.settings()
	pushes := http.NewServeMux()
	pushes.Handle(callback.Pattern, p.push)
	door := p.api.Handler()
	if cfg.CallbackAddr == "" {
		door = either(pushes, door)
	}
	if p.ListenAddr, err = p.listen(ctx, "gateway listener", "LISTEN_ADDR", cfg.ListenAddr, p.parts.Listener, door); err != nil {
		return err
	}
	if p.CallbackAddr = p.ListenAddr; cfg.CallbackAddr == "" {
		return nil
	}
	p.CallbackAddr, err = p.listen(ctx, "callback listener", "CALLBACK_ADDR", cfg.CallbackAddr, nil, pushes)
	return err
}

// either hands WeChat's pushes to one handler and all else to the other. A mux
// around both would redirect paths that are not clean, and so make a GET of a
// producer's POST.
func either(pushes, api http.Handler) http.Handler {
	prefix, _, _ := strings.Cut(callback.Pattern, "{")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix) {
			pushes.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// listen starts a listener that anybody may reach, on the address of a setting
// unless there is one already.
func (p *Process) listen(
	ctx context.Context, name, setting, addr string, bound net.Listener, h http.Handler,
) (string, error) {
	logger := p.parts.Logger.Named("http")
	server := gateway.NewServer(gateway.ServerConfig{Handler: h, Logger: logger})
	l := &listener{name: name}
	p.stops.add(name, l.stop)
	if bound != nil {
		return l.serve(bound, server, logger), nil
	}
	return l.listen(ctx, setting, addr, server, logger)
}

// newClient is what accepts for all producers: the gateway names the right one
// with each notification.
func (p *Process) newClient() (*producer.Client, error) {
	cfg := p.settings()
	return producer.New(producer.Config{
		Redis: p.shared, Store: p.parts.Store, DefaultApp: p.defaultApp(),
		MaxAge: cfg.MaxAge, Payload: producer.PayloadMode(cfg.TaskPayload), Wake: p.Relay.Wake,
		Logger: p.parts.Logger, Registerer: p.Registry, TracerProvider: p.parts.TracerProvider,
	})
}

func (p *Process) gatewayConfig() gateway.Config {
	cfg := p.settings()
	return gateway.Config{
		Apps: gatewayApps(p.now.Load()), Producers: gatewayProducers(cfg),
		DefaultApp: p.defaultApp(), Client: p.Client,
		Notifications: p.parts.Store, Requests: p.parts.Store, MaxAge: cfg.MaxAge,
		Users: p.parts.Store, Consents: p.parts.Store, Eraser: p.eraser, Catalog: p.Templates, Logins: p.wechat,
		Logger: p.parts.Logger.Named("gateway"), Registerer: p.Registry, TracerProvider: p.parts.TracerProvider,
	}
}

func gatewayApps(now *current) []gateway.App {
	apps := make([]gateway.App, 0, len(now.config.Apps))
	for _, a := range now.config.Apps {
		made := gateway.App{
			ID: a.AppID, Secret: a.Secret.Reveal(), Tokens: now.accounts[a.AppID].tokens, ConsentSource: store.ConsentClient,
		}
		if a.ConsentSource == config.ConsentEvent {
			made.ConsentSource = store.ConsentPopup
		}
		apps = append(apps, made)
	}
	return apps
}

func gatewayProducers(cfg *config.Config) []gateway.Producer {
	producers := make([]gateway.Producer, 0, len(cfg.Producers))
	for _, q := range cfg.Producers {
		producers = append(producers, gatewayProducer(q))
	}
	return producers
}

func gatewayProducer(q config.Producer) gateway.Producer {
	made := gateway.Producer{
		Name: q.Name, Keys: q.Keys, Apps: q.Apps, Templates: q.Templates, Rate: float64(q.Rate), DefaultWait: q.Wait,
		MaxPriority: q.MaxPriority, Webhook: webhookSet(q.Webhook),
	}
	for _, r := range q.Rights {
		made.Rights = append(made.Rights, gateway.Right(r))
	}
	return made
}

// startCallback starts the loops that apply what WeChat pushes, also in a
// process whose apps receive nothing: the inbox is all processes'.
func (p *Process) startCallback(ctx context.Context) (err error) {
	cfg := p.settings()
	p.push, err = callback.New(callback.Config{
		Apps: callbackApps(cfg), Store: p.parts.Store, InDoubtWait: cfg.InDoubtWait, LongTerm: p.longTerm,
		Logger: p.parts.Logger.Named("callback"), Registerer: p.Registry, TracerProvider: p.parts.TracerProvider,
		Delivered: p.noteDelivered,
	})
	if err != nil {
		return err
	}
	p.stops.add("callback", p.push.Stop)
	return p.push.Start(ctx)
}

// callbackApps are the apps whose message push is received.
func callbackApps(cfg *config.Config) map[string]callback.AppConfig {
	apps := map[string]callback.AppConfig{}
	for _, a := range cfg.Apps {
		if !a.Callback.Receives() {
			continue
		}
		apps[a.AppID] = callback.AppConfig{
			Token: a.Callback.Token.Reveal(), AESKey: a.Callback.AESKey.Reveal(), Plaintext: a.Callback.Plaintext,
			ForwardURL: a.Callback.ForwardURL, ConsentPrimary: callback.ConsentSource(a.ConsentSource),
		}
	}
	return apps
}

// longTerm reports whether the catalog says so of a template.
func (p *Process) longTerm(ctx context.Context, appID, templateID string) (bool, error) {
	c, err := p.Templates.Catalog(ctx)
	if err != nil {
		return false, err
	}
	t, faults := c.Resolve(appID, templateID)
	return len(faults) == 0 && t.Kind == template.KindLongTerm, nil
}
