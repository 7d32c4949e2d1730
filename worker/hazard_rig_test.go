package worker

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// What the tests of hazards share: everything between a worker and its servers
// that can be made to fail.

// proxyMode is what a proxy does to the traffic.
type proxyMode int

const (
	passing    proxyMode = iota
	cut                  // connections are reset and new ones refused
	replyless            // requests arrive, their replies do not: the connection ends instead
	frozen               // nothing moves, and nothing ends
	closedDown           // the proxy is gone
)

// proxy stands between a worker and Redis.
type proxy struct {
	network, target string
	listener        net.Listener

	mu    sync.Mutex
	mode  proxyMode
	moved chan struct{} // closed, and replaced, when the mode changes
	conns map[net.Conn]bool
	lose  []byte        // ends the connection instead of the next reply with this text; nil for none
	lost  chan struct{} // closed when that has happened
}

// newProxy starts a proxy in front of the rig's Redis; the workers that start
// from now on reach queue, pauses and rates through it only.
func newProxy(r *rig) *proxy {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	to := r.redis.Options()
	p := &proxy{network: to.Network, target: to.Addr, listener: l, moved: make(chan struct{}), conns: map[net.Conn]bool{}}
	r.t.Cleanup(func() {
		_ = l.Close()
		p.set(closedDown)
	})
	go p.accept()
	client := func() *redis.Client {
		opts := *to
		opts.Network, opts.Addr, opts.Dialer = "tcp", l.Addr().String(), nil
		c := redis.NewClient(&opts)
		r.t.Cleanup(func() { _ = c.Close() })
		return c
	}
	r.edit = func(c *Config) { c.Redis, c.ServerRedis = client(), client() }
	return p
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		if mode, _ := p.state(); mode == cut {
			reset(in)
			continue
		}
		out, err := net.Dial(p.network, p.target)
		if err != nil {
			reset(in)
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = true, true
		p.mu.Unlock()
		go p.pump(in, out, false)
		go p.pump(out, in, true)
	}
}

// pump carries one direction of a connection.
func (p *proxy) pump(from, to net.Conn, replies bool) {
	defer p.end(from, to)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		mode, moved := p.state()
		for mode == frozen {
			<-moved
			mode, moved = p.state()
		}
		if mode == cut || mode == closedDown || mode == replyless && replies || replies && p.loses(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// loseReply lets the next reply with this text be lost.
func (p *proxy) loseReply(text string) (lost <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.lost = []byte(text), make(chan struct{})
	return p.lost
}

func (p *proxy) loses(reply []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose == nil || !bytes.Contains(reply, p.lose) {
		return false
	}
	p.lose = nil
	close(p.lost)
	return true
}

func (p *proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
		reset(c)
	}
}

func (p *proxy) state() (proxyMode, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.moved
}

func (p *proxy) set(m proxyMode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.moved)
	p.moved = make(chan struct{})
	if m == cut || m == closedDown {
		for c := range p.conns {
			reset(c)
		}
	}
}

// reset closes a connection as a broken network does: without a goodbye.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// hook sees the commands of one client; do answers each instead of Redis.
type hook struct {
	do func(ctx context.Context, cmd redis.Cmder, redis func() error) error
}

func (hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return h.do(ctx, cmd, func() error { return next(ctx, cmd) })
	}
}

// errBroken is what a command gets whose connection broke.
var errBroken = errors.New("write tcp 127.0.0.1: connection reset by peer")

// faultyStore is a store whose calls a test may intercept.
type faultyStore struct {
	Store
	look   func(call func() ([]store.Look, error)) ([]store.Look, error)
	adopt  func(a store.Acceptance, call func() (store.Look, error)) (store.Look, error)
	commit func(b store.Batch, call func() (store.Results, error)) (store.Results, error)
}

func (f *faultyStore) Look(ctx context.Context, ids []uuid.UUID) ([]store.Look, error) {
	call := func() ([]store.Look, error) { return f.Store.Look(ctx, ids) }
	if f.look == nil {
		return call()
	}
	return f.look(call)
}

func (f *faultyStore) Adopt(ctx context.Context, a store.Acceptance) (store.Look, error) {
	call := func() (store.Look, error) { return f.Store.Adopt(ctx, a) }
	if f.adopt == nil {
		return call()
	}
	return f.adopt(a, call)
}

func (f *faultyStore) Commit(ctx context.Context, b store.Batch) (store.Results, error) {
	call := func() (store.Results, error) { return f.Store.Commit(ctx, b) }
	if f.commit == nil {
		return call()
	}
	return f.commit(b, call)
}

// senderFunc is a Sender.
type senderFunc func(ctx context.Context, token string, m wechat.Message) (wechat.Receipt, error)

func (f senderFunc) Send(ctx context.Context, token string, m wechat.Message) (wechat.Receipt, error) {
	return f(ctx, token, m)
}

// ownRedis starts a Redis of the test's own and lets the rig use it.
func (r *rig) ownRedis() {
	r.t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
			r.t.Fatal("redis-server is not installed, and this test must configure one")
		}
		r.t.Skip("redis-server is not installed, and this test must configure one")
	}
	dir, err := os.MkdirTemp("", "redis") // short: a socket's path has at most 107 bytes
	if err != nil {
		r.t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	server := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
	if err := server.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.redis = redis.NewClient(&redis.Options{Network: "unix", Addr: socket, ContextTimeoutEnabled: true})
	r.client = asynq.NewClientFromRedisClient(r.redis)
	r.t.Cleanup(func() {
		_ = r.redis.Close()
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = os.RemoveAll(dir)
	})
	eventually(r.t, "the test's own Redis answers", func() bool { return r.redis.Ping(context.Background()).Err() == nil })
}

// sends is how many calls of subscribe/send WeChat has seen begin.
func (r *rig) sends() int { return r.sim.State().Requests[simulator.APISend] }

func (r *rig) wantSends(want int) {
	r.t.Helper()
	if got := r.sends(); got != want {
		r.t.Errorf("WeChat saw %d calls, want %d", got, want)
	}
}

// lastErr is what asynq stored about a task's last failure; "" without a task.
func (r *rig) lastErr(taskID string) string {
	info, err := r.inspector().GetTaskInfo(r.queue(), taskID)
	if err != nil {
		return ""
	}
	return info.LastErr
}

func (r *rig) awaitTask(taskID, what string, ok func(*asynq.TaskInfo) bool) {
	r.t.Helper()
	eventually(r.t, what, func() bool {
		info, err := r.inspector().GetTaskInfo(r.queue(), taskID)
		return err == nil && ok(info)
	})
}

func (r *rig) awaitTaskState(taskID string, s asynq.TaskState) {
	r.t.Helper()
	r.awaitTask(taskID, "the task is "+s.String(), func(i *asynq.TaskInfo) bool { return i.State == s })
}

func (r *rig) awaitNoTask(taskID string) {
	r.t.Helper()
	eventually(r.t, "the task is acknowledged", func() bool {
		_, err := r.inspector().GetTaskInfo(r.queue(), taskID)
		return errors.Is(err, asynq.ErrTaskNotFound)
	})
}

// key is one of asynq's keys of the rig's queue.
func (r *rig) key(name string) string { return "asynq:{" + r.queue() + "}:" + name }

// expireLeases makes the leases of all active tasks end long ago: asynq's
// recovery, which runs when a process starts, takes them at once.
func (r *rig) expireLeases() {
	r.t.Helper()
	ids, err := r.redis.LRange(r.ctx, r.key("active"), 0, -1).Result()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, id := range ids {
		r.redis.ZAdd(r.ctx, r.key("lease"), redis.Z{Score: float64(time.Now().Add(-time.Hour).Unix()), Member: id})
	}
}

// handOver does Relay's work once: it enqueues every row that is due.
func (r *rig) handOver() int {
	r.t.Helper()
	hs, err := r.store.Handovers(r.ctx, 100)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range hs {
		r.enqueue(h.Notification)
	}
	if err := r.store.HandedOver(r.ctx, hs); err != nil {
		r.t.Fatal(err)
	}
	return len(hs)
}

// elapse waits until a while has gone by, in which something must not happen.
func elapse(t *testing.T, d time.Duration) {
	t.Helper()
	start := time.Now()
	eventually(t, d.String()+" go by", func() bool { return time.Since(start) > d })
}
