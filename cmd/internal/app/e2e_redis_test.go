package app_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// missing ends a test that needs a server which is not there: it skips at a
// desk and fails where servers are promised.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
		t.Fatalf("%s is missing", what)
	}
	t.Skipf("%s is missing", what)
}

// ownRedis is a Redis of one test alone: the default app's queues have no
// prefix, and some tests stop it, wipe it or set it back.
type ownRedis struct {
	port     string
	dir      string
	password string
	cmd      *exec.Cmd
	done     chan struct{} // closed when cmd has ended
}

func startRedis(t *testing.T, password string) *ownRedis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		missing(t, "redis-server")
	}
	s := &ownRedis{port: sparePort(t), dir: t.TempDir(), password: password}
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

// sparePort is a free port below those that the system gives to connections: a
// server that is stopped finds it free again.
func sparePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(15_000 + rand.IntN(15_000))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatal("no spare port")
	return ""
}

// start starts the server on what its directory holds.
func (s *ownRedis) start(t *testing.T) {
	t.Helper()
	args := []string{"--bind", "127.0.0.1", "--port", s.port, "--dir", s.dir, "--save", "", "--appendonly", "no"}
	if s.password != "" {
		args = append(args, "--requirepass", s.password)
	}
	var out bytes.Buffer
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.Stdout = &out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // ends by a signal
	}()
	c := s.client()
	defer c.Close()
	eventually(t, "redis-server answers", func() error { return c.Ping(t.Context()).Err() })
}

// stop ends the server without a last word to its disk.
func (s *ownRedis) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
		s.cmd = nil
	}
}

func (s *ownRedis) url() string {
	if s.password == "" {
		return "redis://127.0.0.1:" + s.port + "/0"
	}
	return "redis://:" + s.password + "@127.0.0.1:" + s.port + "/0"
}

func (s *ownRedis) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", s.port), Password: s.password, ContextTimeoutEnabled: true})
}

// snapshot returns a copy of everything the server holds.
func (s *ownRedis) snapshot(t *testing.T) []byte {
	t.Helper()
	c := s.client()
	defer c.Close()
	if err := c.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(s.dump())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// restore restarts the server on an older copy.
func (s *ownRedis) restore(t *testing.T, copied []byte) {
	t.Helper()
	s.stop()
	if err := os.WriteFile(s.dump(), copied, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
}

func (s *ownRedis) dump() string { return filepath.Join(s.dir, "dump.rdb") }

// everything returns each key with what it holds, as text.
func (s *ownRedis) everything(t *testing.T) map[string]string {
	t.Helper()
	c := s.client()
	defer c.Close()
	ctx := t.Context()
	held := map[string]string{}
	keys := c.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		v, err := value(ctx, c, keys.Val())
		if err != nil {
			t.Fatalf("read key %s: %v", keys.Val(), err)
		}
		held[keys.Val()] = fmt.Sprint(v)
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return held
}

// value reads a key whatever its type.
func value(ctx context.Context, c *redis.Client, key string) (any, error) {
	kind, err := c.Type(ctx, key).Result()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "none":
		return "", nil // it has ended meanwhile
	case "string":
		return c.Get(ctx, key).Result()
	case "list":
		return c.LRange(ctx, key, 0, -1).Result()
	case "set":
		return c.SMembers(ctx, key).Result()
	case "zset":
		return c.ZRange(ctx, key, 0, -1).Result()
	case "hash":
		return c.HGetAll(ctx, key).Result()
	}
	return nil, fmt.Errorf("type %s is not known here", kind)
}
