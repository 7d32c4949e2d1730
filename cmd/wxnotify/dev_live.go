package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// runDevLive serves the embedded queue against the real WeChat.
func (p *program) runDevLive(ctx context.Context, d *app.Dev, cfg *config.Config, o devOptions) error {
	open, err := openCount(ctx, d.Store)
	if err != nil {
		return err
	}
	ids := make([]string, len(cfg.Apps))
	for i, a := range cfg.Apps {
		ids[i] = a.AppID
	}
	p.printf("dev --live sends to the real users of %s through %s.\n", strings.Join(ids, ", "), cfg.APIBaseURL)
	if open > 0 {
		p.printf("%s in %s goes out at once.\n", count(open, "open notification"), d.Dir)
	}
	if !o.yes {
		if err := p.askYes(ctx, "Go on?"); err != nil {
			return err
		}
	}
	if err := d.Start(ctx); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("Look at\n")
	console(&b, d, cfg)
	line(&b, "data", d.Dir, "")
	if d.LogFile != "" {
		line(&b, "log", d.LogFile, "")
	}
	line(&b, "api", d.GatewayURL+"/docs", "opened by the key below")
	b.WriteString("\nHand one in by HTTP, with an openid, template and keys of your own\n\n")
	b.WriteString(curlExample(d, "/v1/notifications", `{"template_id":"TEMPLATE_ID","page":"pages/index/index",`+
		`"openid":"OPENID","data":{"thing1":"TEXT"}}`))
	b.WriteString("\nOr as any program with an asynq client does\n\n")
	b.WriteString(enqueueExample(d, `{"template_id":"TEMPLATE_ID","page":"pages/index/index",`+
		`"openid":"OPENID","data":{"thing1":"TEXT"}}`))
	if err := p.print(b.String() + "\n"); err != nil {
		return err
	}
	p.printf("Running. Ctrl-C stops.\n")
	<-ctx.Done()
	p.printf("Stopping.\n")
	return nil
}

// openCount counts the notifications that may still be sent.
func openCount(ctx context.Context, s app.Store) (int, error) {
	counts, err := s.CountByState(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("count open notifications: %w", err)
	}
	n := 0
	for state, c := range counts {
		if !state.Final() {
			n += c
		}
	}
	return n, nil
}
