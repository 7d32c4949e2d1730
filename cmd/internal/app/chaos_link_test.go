package app_test

import (
	"net"
	"sync"
	"testing"
	"time"
)

// linkMode is what a link does to the traffic.
type linkMode int

const (
	passing linkMode = iota
	slowed           // each piece takes slowness longer
	cut              // connections are reset and new ones refused
	mute             // requests arrive; instead of a reply the connection ends
)

func (m linkMode) String() string { return [...]string{"passing", "slowed", "cut", "mute"}[m] }

// slowness is more than any part of a healthy deployment takes to answer.
const slowness = 150 * time.Millisecond

// link is a TCP proxy between two processes.
type link struct {
	name, target string
	listener     net.Listener

	mu    sync.Mutex
	mode  linkMode
	conns map[net.Conn]bool
	ended bool
	pumps sync.WaitGroup
}

func newLink(t *testing.T, name, target string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{name: name, target: target, listener: l, conns: map[net.Conn]bool{}}
	k.pumps.Go(k.accept)
	t.Cleanup(func() {
		_ = l.Close()
		k.end()
		k.pumps.Wait()
	})
	return k
}

func (k *link) addr() string { return k.listener.Addr().String() }

// set changes the mode; cut ends the connections there are.
func (k *link) set(m linkMode) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mode = m
	if m == cut {
		k.resetAll()
	}
}

func (k *link) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	k.resetAll()
}

// resetAll needs k.mu.
func (k *link) resetAll() {
	for c := range k.conns {
		reset(c)
	}
	clear(k.conns)
}

func (k *link) accept() {
	for {
		in, err := k.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", k.target)
		if err != nil {
			reset(in)
			continue
		}
		if !k.enter(in, out) {
			continue
		}
		k.pumps.Go(func() { k.pump(in, out, false) })
		k.pumps.Go(func() { k.pump(out, in, true) })
	}
}

// enter takes a new connection in, unless the link is cut or has ended.
func (k *link) enter(in, out net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mode == cut || k.ended {
		reset(in)
		reset(out)
		return false
	}
	k.conns[in], k.conns[out] = true, true
	return true
}

// pump carries one direction of a connection and ends both with it.
func (k *link) pump(from, to net.Conn, replies bool) {
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.conns, from)
		delete(k.conns, to)
		reset(from)
		reset(to)
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		k.mu.Lock()
		mode := k.mode
		k.mu.Unlock()
		switch {
		case mode == slowed:
			<-time.After(slowness)
		case mode == mute && replies:
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
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
