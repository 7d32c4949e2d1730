package bench

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// link is a TCP proxy that lets replies take longer, as a network does: what
// follows a piece is not held up by it.
type link struct {
	target   string
	listener net.Listener
	delay    atomic.Int64 // nanoseconds

	mu    sync.Mutex
	conns []net.Conn
	ended bool
	pumps sync.WaitGroup
}

// newLink starts a proxy to target, without delay.
func newLink(ctx context.Context, target string) (*link, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	k := &link{target: target, listener: l}
	k.pumps.Go(func() { k.accept(context.WithoutCancel(ctx)) })
	return k, nil
}

func (k *link) addr() string { return k.listener.Addr().String() }

// close ends every connection.
func (k *link) close() {
	_ = k.listener.Close()
	k.mu.Lock()
	k.ended = true
	for _, c := range k.conns {
		_ = c.Close()
	}
	k.mu.Unlock()
	k.pumps.Wait()
}

func (k *link) accept(ctx context.Context) {
	dialer := net.Dialer{Timeout: startPatience}
	for {
		in, err := k.listener.Accept()
		if err != nil {
			return
		}
		out, err := dialer.DialContext(ctx, "tcp", k.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		if !k.enter(in, out) {
			return
		}
		k.pumps.Go(func() { k.carry(in, out, nil) })
		k.pumps.Go(func() { k.reply(out, in) })
	}
}

func (k *link) enter(conns ...net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns = append(k.conns, conns...)
	if k.ended {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	return !k.ended
}

// piece is what was read at once, and when it is due.
type piece struct {
	bytes []byte
	due   time.Time
}

// carry reads from one side; the pieces go to the channel, or without one to
// the other side at once. It ends both with either.
func (k *link) carry(from, to net.Conn, pieces chan<- piece) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		switch {
		case err != nil:
			return
		case pieces != nil:
			pieces <- piece{slices.Clone(buf[:n]), time.Now().Add(time.Duration(k.delay.Load()))}
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// reply carries the pieces late.
func (k *link) reply(from, to net.Conn) {
	pieces := make(chan piece, 1024)
	k.pumps.Go(func() {
		defer close(pieces)
		k.carry(from, to, pieces)
	})
	for p := range pieces {
		if wait := time.Until(p.due); wait > 0 {
			<-time.After(wait)
		}
		if _, err := to.Write(p.bytes); err != nil {
			_ = from.Close()
			for range pieces { // until the reader has seen that
			}
			return
		}
	}
}

// calibrate sets the delay so that a PING through the link takes so long, and
// returns what one takes then: a timer may fire a millisecond late, and a busy
// machine adds more.
func (k *link) calibrate(ctx context.Context, opts *redis.Options, want time.Duration) (got time.Duration, err error) {
	own := *opts
	own.Addr, own.PoolSize = k.addr(), 1
	rdb := redis.NewClient(&own)
	defer func() { _ = rdb.Close() }()
	const rounds, pings = 4, 41
	for range rounds {
		took := make([]time.Duration, pings)
		for i := range took {
			start := time.Now()
			if err := rdb.Ping(ctx).Err(); err != nil {
				return 0, fmt.Errorf("redis: %w", err)
			}
			took[i] = time.Since(start)
		}
		slices.Sort(took)
		got = took[pings/2]
		if diff := want - got; diff.Abs() < want/20 {
			return got, nil
		}
		k.delay.Store(max(0, k.delay.Load()+int64(want-got)))
	}
	return got, nil
}
