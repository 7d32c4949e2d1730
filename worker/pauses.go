package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// AppPause is why and until when an answer of WeChat has paused an app, as the
// fleet shares it. After Until the app is half open: one message at a time
// probes it.
type AppPause struct {
	Kind    string // of the answer, as wechat.Kind's text
	Errcode int    // 0 when there is none
	Why     string
	Since   time.Time // by Redis' clock
	Until   time.Time // by Redis' clock
}

// ReadPause returns the pause of an app, nil when there is none. It serves
// processes that send nothing themselves.
func ReadPause(ctx context.Context, rdb redis.UniversalClient, app string) (*AppPause, error) {
	text, err := rdb.HGet(ctx, gateKey(app), "pause").Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the pause of app %s: %w", app, err)
	}
	var p pause
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("read the pause of app %s: %w", app, err)
	}
	return &AppPause{
		Kind: p.Kind, Errcode: p.Errcode, Why: p.Why,
		Since: time.UnixMilli(p.SinceMS).UTC(), Until: time.UnixMilli(p.UntilMS).UTC(),
	}, nil
}

// EndPause ends the pause of an app before its time, because a person has mended
// what was wrong: the next answer that concerns the app pauses it again. Pauses
// of queues without a TTL are a person's and stay.
func EndPause(ctx context.Context, rdb redis.UniversalClient, app string, queues []string) error {
	if err := rdb.HDel(ctx, gateKey(app), "pause").Err(); err != nil {
		return fmt.Errorf("end the pause of app %s: %w", app, err)
	}
	for _, q := range queues {
		if err := endPause.Run(ctx, rdb, []string{pauseKey(q)}).Err(); err != nil {
			return fmt.Errorf("end the pause of queue %s: %w", q, err)
		}
	}
	return nil
}

func gateKey(app string) string { return "wxnotify:gate:" + app }
