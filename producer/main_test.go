package producer

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// missing ends a test that needs a server which is not there: it skips at a
// desk and fails where servers are promised.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
		t.Fatalf("%s is missing", what)
	}
	t.Skipf("%s is missing", what)
}

// sharedRedis is the Redis that all tests share; a test keeps apart by its app.
func sharedRedis(t *testing.T) *redis.Client {
	t.Helper()
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" {
		missing(t, "TEST_REDIS_URL")
	}
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return dial(t, opt)
}

func dial(t *testing.T, opt *redis.Options) *redis.Client {
	t.Helper()
	opt.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opt)
	t.Cleanup(func() {
		if err := rdb.Close(); err != nil {
			t.Errorf("close redis: %v", err)
		}
	})
	return rdb
}

// redisServer is a Redis of one test alone, which may stop, freeze and forget.
type redisServer struct {
	addr string
	dir  string
	cmd  *exec.Cmd
}

func ownRedis(t *testing.T) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		missing(t, "redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{addr: l.Addr().String(), dir: t.TempDir()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() { s.stop(t) })
	return s
}

// start starts the server empty.
func (s *redisServer) start(t *testing.T) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no")
	var out bytes.Buffer
	s.cmd.Stdout = &out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
	defer func() { _ = rdb.Close() }()
	eventually(t, "redis-server answers", func() error { return rdb.Ping(t.Context()).Err() })
}

func (s *redisServer) stop(t *testing.T) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Errorf("kill redis-server: %v", err)
	}
	_ = s.cmd.Wait() // it was killed
	s.cmd = nil
}

func (s *redisServer) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *redisServer) client(t *testing.T) *redis.Client {
	t.Helper()
	return dial(t, &redis.Options{Addr: s.addr})
}

// newApp is an appid of one test, and so its queues.
func newApp() string { return "wx" + strings.ReplaceAll(uuid.NewString(), "-", "")[:16] }

// patienceInTests is how long a test waits for what must happen.
const patienceInTests = time.Minute

// eventually waits until check finds no fault.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.After(patienceInTests)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v: %v", what, patienceInTests, err)
		}
	}
}

// inspector reads what asynq holds in rdb.
func inspector(rdb redis.UniversalClient) *asynq.Inspector {
	return asynq.NewInspectorFromRedisClient(rdb)
}

// taskIDs are the ids on a pending list.
func taskIDs(t *testing.T, rdb redis.UniversalClient, queue string) map[string]bool {
	t.Helper()
	ids, err := rdb.LRange(t.Context(), "asynq:{"+queue+"}:pending", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// oneTask is the only task on a queue's pending list.
func oneTask(t *testing.T, rdb redis.UniversalClient, queue string) *asynq.TaskInfo {
	t.Helper()
	ids := taskIDs(t, rdb, queue)
	if len(ids) != 1 {
		t.Fatalf("queue %s has %d tasks, want 1", queue, len(ids))
	}
	for id := range ids {
		info, err := inspector(rdb).GetTaskInfo(queue, id)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	return nil
}

// newClient is a Client that is closed with the test.
func newClient(t *testing.T, config Config) *Client {
	t.Helper()
	c, err := New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// notice is a notification that nothing is wrong with.
func notice() Notification {
	return Notification{
		TemplateID: "TMPL-1", Page: "pages/report/detail?id=9", UserID: "u-1001",
		Data: map[string]string{"thing1": "月度报表", "time2": "2024-05-01 09:00"},
	}
}

func send(ctx context.Context, t *testing.T, c *Client, n Notification) Accepted {
	t.Helper()
	a, err := c.Send(ctx, n)
	if err != nil {
		t.Fatalf("Send: %v", err)
	}
	return a
}

var errNotYet = errors.New("not yet")
