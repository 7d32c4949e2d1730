package app

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// LiveAnswer is what came of one message sent with SendLive.
type LiveAnswer struct {
	Accepted bool
	MsgID    int64
	RID      string
	// Latency is that of the send; zero when the token was refused before it.
	Latency time.Duration
	// Problem explains why it was not accepted; nil when it was.
	Problem *Explained
}

// SendLive sends one message with neither queue nor store: a token, one call,
// nothing repeated and nothing kept.
//
// The token is always the stable one, whatever the app's token source is. It is
// independent of the classic one, of which a fetch would end the token that
// everybody else is using. The error is one of this process; what WeChat or the
// way to it answered is in the LiveAnswer.
func SendLive(ctx context.Context, cfg *config.Config, a config.App, m wechat.Message, logger *zap.Logger) (LiveAnswer, error) {
	client, err := wechat.New(wechat.Config{BaseURL: cfg.APIBaseURL, MaxConns: 1, Timeout: cfg.SendTimeout, Logger: logger})
	if err != nil {
		return LiveAnswer{}, err
	}
	defer client.Close()
	token, err := client.StableToken(ctx, wechat.App{AppID: a.AppID, Secret: a.Secret.Reveal()})
	if err != nil {
		return refusedLive(err, 0)
	}
	start := time.Now()
	receipt, err := client.Send(ctx, token.Value, m)
	latency := time.Since(start)
	if err != nil {
		return refusedLive(err, latency)
	}
	return LiveAnswer{Accepted: true, MsgID: receipt.MsgID, RID: receipt.RID, Latency: latency}, nil
}

func refusedLive(err error, latency time.Duration) (LiveAnswer, error) {
	e, ok := errors.AsType[*wechat.Error](err)
	if !ok {
		return LiveAnswer{}, err
	}
	problem := Explain(e)
	return LiveAnswer{RID: problem.RID, Latency: latency, Problem: &problem}, nil
}
