package config_test

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

func redisURL(t *testing.T, text string) config.RedisURL {
	t.Helper()
	return world{env: map[string]string{"REDIS_URL": text}}.load(t).Redis
}

func TestRedisURL(t *testing.T) {
	t.Parallel()
	type want struct {
		Addrs              []string
		User, Password     string
		DB                 int
		Master             string
		Cluster            bool
		TLSName            string // "" without TLS, "-" for TLS with the name of each host
		SentinelU, SentinP string
	}
	for _, tc := range []struct {
		text, shown string
		want        want
	}{
		{"redis://h", "redis://h:6379/0", want{Addrs: []string{"h:6379"}}},
		{
			"redis://:p%40%2F%25@h:7000/3", "redis://:***@h:7000/3",
			want{Addrs: []string{"h:7000"}, Password: "p@/%", DB: 3},
		},
		{
			"redis://u:a:b@[::1]:7000/", "redis://u:***@[::1]:7000/0",
			want{Addrs: []string{"[::1]:7000"}, User: "u", Password: "a:b"},
		},
		{"redis://[::1]", "redis://[::1]:6379/0", want{Addrs: []string{"[::1]:6379"}}},
		{
			"rediss://u@cache.example", "rediss://u@cache.example:6379/0",
			want{Addrs: []string{"cache.example:6379"}, User: "u", TLSName: "cache.example"},
		},
		{
			"redis-sentinel://:p@h1:26379,h2:26379/master/2", "redis-sentinel://:***@h1:26379,h2:26379/master/2",
			want{Addrs: []string{"h1:26379", "h2:26379"}, Password: "p", DB: 2, Master: "master"},
		},
		{
			"redis-sentinel://h1,h2/m?sentinel_username=su&sentinel_password=sp&tls=true",
			"redis-sentinel://h1:26379,h2:26379/m/0?tls=true&sentinel_username=su&sentinel_password=***",
			want{
				Addrs: []string{"h1:26379", "h2:26379"}, Master: "m", TLSName: "-",
				SentinelU: "su", SentinP: "sp",
			},
		},
		{
			"redis-cluster://:p@h1:7000,h2", "redis-cluster://:***@h1:7000,h2:6379",
			want{Addrs: []string{"h1:7000", "h2:6379"}, Password: "p", Cluster: true},
		},
		{
			"redis-cluster://h1?tls=true", "redis-cluster://h1:6379?tls=true",
			want{Addrs: []string{"h1:6379"}, Cluster: true, TLSName: "-"},
		},
	} {
		t.Run(tc.text, func(t *testing.T) {
			t.Parallel()
			u := redisURL(t, tc.text)
			if u.String() != tc.shown {
				t.Errorf("shown: got %s, want %s", u, tc.shown)
			}
			o := u.Options(config.RedisTuning{})
			got := want{
				Addrs: o.Addrs, User: o.Username, Password: o.Password, DB: o.DB, Master: o.MasterName,
				Cluster: o.IsClusterMode, SentinelU: o.SentinelUsername, SentinP: o.SentinelPassword,
			}
			if o.TLSConfig != nil {
				got.TLSName = o.TLSConfig.ServerName
				if got.TLSName == "" {
					got.TLSName = "-"
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
			if !o.ContextTimeoutEnabled {
				t.Error("commands do not end with their context")
			}
		})
	}
}

func TestRedisURLFaults(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"h:6379", "http://h", "unix:///tmp/s", "redis://", "redis://h1,h2", "redis://h:0", "redis://h:70000",
		"redis://h:x", "redis://h/x", "redis://h/-1", "redis://h/1/2", "redis://h?pool_size=3", "redis://::1",
		"redis-sentinel://h1,h2", "redis-sentinel://h1,,h2/m", "redis-sentinel://h/m/x",
		"redis-cluster://h/1", "redis-cluster://h?tls=maybe", "redis://h?tls=true", "redis://h?key=x",
	} {
		if _, err := config.Load(world{env: map[string]string{"REDIS_URL": text}}.sources()); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestRedisTuning(t *testing.T) {
	t.Parallel()
	tuning := config.RedisTuning{
		DialTimeout: 1 * time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 3 * time.Second,
		MaxRetries: 4, MaxRetryBackoff: 5 * time.Second, PoolSize: 6, ClientName: "c",
	}
	o := redisURL(t, "redis://h").Options(tuning)
	got := config.RedisTuning{
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		MaxRetries: o.MaxRetries, MaxRetryBackoff: o.MaxRetryBackoff, PoolSize: o.PoolSize, ClientName: o.ClientName,
	}
	if got != tuning {
		t.Errorf("got %+v, want %+v", got, tuning)
	}
}

func TestNewClientOfEachKind(t *testing.T) {
	t.Parallel()
	for text, isKind := range map[string]func(redis.UniversalClient) bool{
		"redis://h": func(c redis.UniversalClient) bool { _, ok := c.(*redis.Client); return ok },
		"redis-sentinel://h1,h2/m": func(c redis.UniversalClient) bool {
			client, ok := c.(*redis.Client)
			return ok && client.Options().Addr == "FailoverClient"
		},
		"redis-cluster://h1": func(c redis.UniversalClient) bool { _, ok := c.(*redis.ClusterClient); return ok },
	} {
		client := redisURL(t, text).NewClient(config.RedisTuning{})
		if !isKind(client) {
			t.Errorf("%s: got a %T", text, client)
		}
		if err := client.Close(); err != nil {
			t.Errorf("%s: Close: %v", text, err)
		}
	}
}

func TestNewClientAuthenticatesAndSelects(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireUserAuth("worker", "p@ss/word")
	client := redisURL(t, "redis://worker:p%40ss%2Fword@"+server.Addr()+"/5").NewClient(config.RedisTuning{})
	defer func() {
		if err := client.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	if err := client.Set(context.Background(), "k", "v", 0).Err(); err != nil {
		t.Fatalf("SET: %v", err)
	}
	if got, err := server.DB(5).Get("k"); err != nil || got != "v" {
		t.Errorf("in database 5: got %q, %v, want v", got, err)
	}
}
