package config_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// reloadable are the settings that a reload takes over.
var reloadable = []string{
	"WECHAT_APPID", "WECHAT_SECRET", "WECHAT_TOKEN_SOURCE", "WECHAT_TOKEN_MIRROR", "WECHAT_CALLBACK_TOKEN",
	"WECHAT_CALLBACK_AES_KEY", "WECHAT_CALLBACK_PLAINTEXT", "API_KEYS", "STRICT_TEMPLATES", "WEBHOOK_ALLOW_CIDRS",
	"ADMIN_PASSWORD", "MAX_SEND_RATE",
}

// others is a value for each setting that is neither its default nor world's.
var others = map[string]string{
	"REDIS_URL": "redis://:other@queue/1", "DATABASE_URL": "sqlite:other.db", "WECHAT_API_BASE_URL": "https://api2.weixin.qq.com",
	"LISTEN_ADDR": ":1", "CALLBACK_ADDR": ":2", "ADMIN_ADDR": ":3", "CONCURRENCY": "7", "SEND_TIMEOUT": "7s", "IN_DOUBT_WAIT": "7s",
	"MAX_ATTEMPTS": "7", "MAX_AGE": "7h", "TASK_PAYLOAD": "id", "DATA_RETENTION": "7h", "RETENTION": "7h", "DEAD_RETENTION": "7h",
	"CONFIG_WATCH": "7s", "LOG_LEVEL": "debug", "LOG_FORMAT": "console",
}

func loadEnv(t *testing.T, env map[string]string) *config.Config {
	t.Helper()
	cfg, err := config.Load(config.Sources{LookupEnv: func(k string) (string, bool) { v, ok := env[k]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Each setting is taken over by a reload or named as one that needs a restart.
func TestReloaded(t *testing.T) {
	t.Parallel()
	base := map[string]string{"WECHAT_APPID": "wx0123456789abcdef", "WECHAT_SECRET": "0123456789abcdef0123456789abcdef"}
	now := loadEnv(t, base)
	for _, d := range config.Definitions() {
		if slices.Contains(reloadable, d.Env) {
			continue
		}
		value, ok := others[d.Env]
		if !ok {
			t.Errorf("%s: does a reload take it over, or does it need a restart?", d.Env)
			continue
		}
		next := loadEnv(t, map[string]string{"WECHAT_APPID": base["WECHAT_APPID"], "WECHAT_SECRET": "another secret", d.Env: value})
		got, restart, err := now.Reloaded(next)
		if err != nil || !slices.Equal(restart, []string{d.Env}) {
			t.Errorf("%s: restart for %v, %v", d.Env, restart, err)
			continue
		}
		if a, _ := got.App(""); a.Secret.Reveal() != "another secret" {
			t.Errorf("%s: the rest was not taken over", d.Env)
		}
		if _, again, _ := now.Reloaded(got); len(again) > 0 {
			t.Errorf("%s: the old value was not kept", d.Env)
		}
	}
}

func TestReloadedKeepsTheDefaultApp(t *testing.T) {
	t.Parallel()
	now := loadEnv(t, map[string]string{"WECHAT_APPID": "wx0123456789abcdef", "WECHAT_SECRET": "s1"})
	next := loadEnv(t, map[string]string{"WECHAT_APPID": "wxfedcba9876543210", "WECHAT_SECRET": "s1"})
	_, _, err := now.Reloaded(next)
	if bad, ok := errors.AsType[*config.Error](err); !ok || len(bad.Faults) != 1 {
		t.Errorf("got %v, want one fault", err)
	}
}
