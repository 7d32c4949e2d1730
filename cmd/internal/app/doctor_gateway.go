package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

// checkProducers says who may use a gateway, and what for.
func checkProducers(cfg *config.Config) Result {
	if len(cfg.Producers) == 0 {
		return Result{Status: StatusSkipped, Found: "no producer is set: a gateway would not start"}
	}
	var who, hooks []string
	keys := 0
	for _, p := range cfg.Producers {
		keys += len(p.Keys)
		rights := make([]string, len(p.Rights))
		for i, r := range p.Rights {
			rights[i] = string(r)
		}
		who = append(who, p.Name+" ("+strings.Join(rights, ", ")+")")
		if strings.HasPrefix(p.Webhook.URL, "http://") {
			hooks = append(hooks, p.Name)
		}
	}
	found := fmt.Sprintf("%d with %d keys: %s", len(cfg.Producers), keys, strings.Join(who, ", "))
	if len(hooks) > 0 {
		return warn(found+"; webhooks without TLS: "+strings.Join(hooks, ", "),
			"use https: what is told is signed, but can be read on the way")
	}
	return okay("%s", found)
}

// pushCheck says whether WeChat's pushes come: what is set was checked when it
// was loaded, so what is left is whether they arrive.
func pushCheck(cfg *config.Config, a config.App, logger *zap.Logger) func(context.Context) Result {
	return func(ctx context.Context) Result {
		if !a.Callback.Receives() {
			return Result{
				Status: StatusSkipped,
				Found:  "not received: the callback token and AES key are not set; receipts are not recorded, and doubts not settled by them",
			}
		}
		if _, ok := cfg.Database.SQLite(); ok {
			// The file is one process's, and the check of its schema has it now.
			return Result{Status: StatusSkipped, Found: "not looked up in SQLite; /readyz of the gateway tells"}
		}
		s, err := OpenStore(ctx, cfg, logger)
		if err != nil {
			return Result{Status: StatusSkipped, Found: "needs database"}
		}
		defer s.Close()
		last, err := s.LastPushes(ctx)
		if err != nil {
			return Result{Status: StatusSkipped, Found: "needs database schema"}
		}
		return judgePushes(a, last[a.AppID], time.Now())
	}
}

func judgePushes(a config.App, last, now time.Time) Result {
	do := "see the message push in WeChat's console: URL …/wechat/callback/" + a.AppID
	found := "the last verified push came at " + last.UTC().Format(time.RFC3339)
	switch {
	case last.IsZero():
		return warn("no verified push came yet", do+", the Token and EncodingAESKey that are set here")
	case now.Sub(last) > store.NoPushWindow:
		return warn(found, do+", and the way from there to a gateway; doubts are not waited for meanwhile")
	case a.Callback.AESKey == "":
		return warn(found+"; not encrypted", "choose the secure mode in WeChat's console and set the AES key: a push that is not encrypted settles no doubt")
	case a.Callback.Plaintext:
		return warn(found+"; encrypted, but others are taken too", "take callback_plaintext out once WeChat's console is set to the secure mode")
	}
	return okay("%s", found)
}
