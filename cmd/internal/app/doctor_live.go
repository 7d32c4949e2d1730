package app

import (
	"context"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// LiveProbe is what a live examination may use beside the app's credentials.
type LiveProbe struct {
	// Code is a fresh code of wx.login; "" for none.
	Code string
	// Message names who agreed to get one message, and of which template; zero for
	// nobody.
	Message wechat.Message
}

// LiveFinding is what one assumption about WeChat turned out to be, and what to
// do when it did not hold.
type LiveFinding struct {
	App string `json:"app"`
	wechat.Observation
	Do string `json:"do,omitempty"`
}

// Fatal reports whether wxnotify cannot be relied on with this WeChat.
func (f LiveFinding) Fatal() bool { return f.Needed && f.Verdict == wechat.VerdictBroken }

// ExamineLive checks for one app what is assumed about WeChat; see
// wechat.CheckAssumptions for what that costs. Like SendLive it takes the stable
// token, whatever the app's token source is. The error is one of this process.
func ExamineLive(ctx context.Context, cfg *config.Config, a config.App, with LiveProbe, logger *zap.Logger) ([]LiveFinding, error) {
	client, err := wechat.New(wechat.Config{BaseURL: cfg.APIBaseURL, MaxConns: 1, Timeout: checkTimeout, Logger: logger})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	seen := client.CheckAssumptions(ctx, wechat.Probe{
		App: wechat.App{AppID: a.AppID, Secret: a.Secret.Reveal()}, Code: with.Code, Message: with.Message,
	})
	found := make([]LiveFinding, len(seen))
	for i, o := range seen {
		found[i] = LiveFinding{App: a.AppID, Observation: o, Do: liveDo(o)}
	}
	return found, nil
}

// liveDo is what the errcode says to do, where the fault is this app's and not
// the assumption's, else what the assumption says.
func liveDo(o wechat.Observation) string {
	if o.Verdict != wechat.VerdictBroken {
		return ""
	}
	if o.Err != nil && (o.Err.Kind == wechat.KindAccount || o.Err.Kind == wechat.KindUnreachable) {
		return Explain(o.Err).Do
	}
	return o.Broken
}
