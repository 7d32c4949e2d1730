package app_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store/sqlite"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// devDeadline bounds every wait of these tests.
const devDeadline = 20 * time.Second

// Without its clock a pause of an app, the leader's probe and the shared token
// would stay in the embedded Redis for ever.
func TestEmbeddedRedisEndsKeys(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), devDeadline)
	defer cancel()
	r, err := app.StartEmbeddedRedis("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop(context.Background()) })
	c := r.NewClient(config.RedisTuning{ClientName: "test"})
	defer c.Close()

	before, err := c.Time(ctx).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set(ctx, "short", "x", 100*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(ctx, "long", "x", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	for {
		err := c.Get(ctx, "short").Err()
		if errors.Is(err, redis.Nil) {
			break
		}
		if err != nil {
			t.Fatalf("the key did not end: %v", err)
		}
	}
	after, err := c.Time(ctx).Result()
	if err != nil {
		t.Fatal(err)
	}
	if passed := after.Sub(before); passed < 100*time.Millisecond {
		t.Errorf("the key ended after %v by the server's TIME, want at least 100ms", passed)
	}
	if left := c.TTL(ctx, "long").Val(); left <= 0 || left > time.Hour {
		t.Errorf("the other key lives for %v more, want nearly an hour", left)
	}
}

func TestEmbeddedRedisAsksForItsPassword(t *testing.T) {
	t.Parallel()
	r, err := app.StartEmbeddedRedis("s3cret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop(context.Background()) })
	options, err := redis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	with := redis.NewClient(options)
	defer with.Close()
	if err := with.Ping(t.Context()).Err(); err != nil {
		t.Errorf("with the URL: %v", err)
	}
	without := redis.NewClient(&redis.Options{Addr: r.Addr()})
	defer without.Close()
	if err := without.Ping(t.Context()).Err(); err == nil {
		t.Error("no password was needed")
	}
}

// openDev opens a Dev on dir with a simulated WeChat.
func openDev(t *testing.T, dir string) (*app.Dev, error) {
	t.Helper()
	cfg, err := config.Load(config.Sources{Flags: map[string]string{"listen-addr": "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	return app.OpenDev(t.Context(), app.DevConfig{
		Config: cfg, Dir: dir, Logger: zap.NewNop(),
		Simulator: simulator.Config{Apps: []simulator.App{simulator.SeedApp()}},
	})
}

func TestDevRemovesItsTemporaryDirectory(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]bool{"removed": false, "kept when asked": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := openDev(t, "")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(d.Dir) })
			if keep {
				d.Keep()
			}
			if err := d.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(d.Dir); errors.Is(err, fs.ErrNotExist) == keep {
				t.Errorf("after Stop: %v", err)
			}
		})
	}
}

func TestDevHasItsDirectoryAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/made"
	first, err := openDev(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := openDev(t, dir); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("a second one: got %v, %v, want %v", second, err, sqlite.ErrInUse)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v; want it kept, for its owner only", info, err)
	}
	third, err := openDev(t, dir)
	if err != nil {
		t.Fatalf("after the first one ended: %v", err)
	}
	if err := third.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A key that was noted down opens the next dev on the same directory too.
func TestDevKeepsItsKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var keys []string
	for _, dir := range []string{dir, dir, ""} {
		d, err := openDev(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, d.APIKey)
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if keys[0] != keys[1] || keys[0] == keys[2] {
		t.Errorf("keys are the same: %t, %t; want true in a directory, false in another", keys[0] == keys[1], keys[0] == keys[2])
	}
}

// The sample templates have one set of aliases and names.
func TestDevHasTheCatalogOfTheExample(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.Sources{Flags: map[string]string{"config": "../../../deploy/config.example.yaml"}, ReadFile: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]template.Entry{}
	for _, e := range cfg.Templates {
		want[e.TemplateID] = template.Entry{App: "wx", TemplateID: e.TemplateID, Alias: e.Alias, Fields: e.Fields}
	}
	got := map[string]template.Entry{}
	for _, e := range app.DevTemplates(simulator.App{AppID: "wx", Templates: simulator.SeedTemplates()}) {
		got[e.TemplateID] = e
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-example +dev):\n%s", diff)
	}
}
