package app_test

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// linkMode is what a link does to the traffic.
type linkMode int

const (
	passing    linkMode = iota
	slowed              // each piece takes slowness longer
	cut                 // connections are reset and new ones refused
	mute                // requests arrive; instead of a reply the connection ends
	silent              // nothing arrives and nothing ends
	unanswered          // requests arrive; replies do not, and nothing ends
)

func (m linkMode) String() string {
	return [...]string{"passing", "slowed", "cut", "mute", "silent", "unanswered"}[m]
}

// slowness is more than any part of a healthy deployment takes to answer.
const slowness = 150 * time.Millisecond

// link is a TCP proxy between two processes.
type link struct {
	name, target string
	listener     net.Listener

	mu     sync.Mutex
	mode   linkMode
	moved  chan struct{} // closed, and replaced, when the mode changes
	conns  map[net.Conn]bool
	ended  bool
	dialed int // connections asked for
	pieces int // read from either side
	at     *trigger
	pumps  sync.WaitGroup
}

// trigger changes the mode of a link when it reads a text.
type trigger struct {
	replies bool // read it in replies, not in requests
	text    []byte
	mode    linkMode
	done    chan struct{} // closed when that happened
}

func newLink(t *testing.T, name, target string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{name: name, target: target, listener: l, moved: make(chan struct{}), conns: map[net.Conn]bool{}}
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
	k.change(m)
}

// change needs k.mu.
func (k *link) change(m linkMode) {
	k.mode = m
	close(k.moved)
	k.moved = make(chan struct{})
	if m == cut {
		k.resetAll()
	}
}

// setAt changes the mode at the first request, or reply, that has a text in it,
// which then meets the new mode. The channel is closed when that has happened.
func (k *link) setAt(m linkMode, replies bool, text string) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = &trigger{replies: replies, text: []byte(text), mode: m, done: make(chan struct{})}
	return k.at.done
}

// traffic is how many connections were asked for and how many pieces came.
func (k *link) traffic() (dialed, pieces int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dialed, k.pieces
}

func (k *link) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	k.change(cut)
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
		k.mu.Lock()
		k.dialed++
		k.mu.Unlock()
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
	var before []byte // the end of the last piece, for a text that comes in two
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		mode, moved := k.arrived(before, buf[:n], replies)
		before = append(before, buf[:n]...)
		before = bytes.Clone(before[max(0, len(before)-maxSplit):])
		for mode == silent || mode == unanswered && replies {
			<-moved
			mode, moved = k.now()
		}
		switch {
		case mode == slowed:
			<-time.After(slowness)
		case mode == cut, mode == mute && replies:
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// ends reports whether a text ends in piece; it may have begun before.
func ends(before, piece, text []byte) bool {
	split := min(len(before), len(text)-1)
	return bytes.Contains(slices.Concat(before[len(before)-split:], piece), text)
}

// maxSplit is no less than any text of a trigger but its last byte.
const maxSplit = 32

// arrived counts a piece and answers what is to become of it.
func (k *link) arrived(before, piece []byte, replies bool) (linkMode, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pieces++
	if k.at != nil && k.at.replies == replies && ends(before, piece, k.at.text) {
		close(k.at.done)
		k.change(k.at.mode)
		k.at = nil
	}
	return k.mode, k.moved
}

func (k *link) now() (linkMode, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mode, k.moved
}

// reset closes a connection as a broken network does: without a goodbye.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
