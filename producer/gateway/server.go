package gateway

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The times and sizes of a server. Requests are a few kilobytes from back ends
// nearby: who needs longer is broken or means harm.
const (
	readHeaderTimeout = 5 * time.Second  // also what a new connection may be silent
	readTimeout       = 30 * time.Second // of header and body
	writeTimeout      = 75 * time.Second // from the end of the header: body, handling, answer
	idleTimeout       = time.Minute
	maxHeaderBytes    = 16 << 10
)

// DefaultMaxConns is the default of ServerConfig.MaxConns: some 30 KB of memory
// each, together less than 300 MB.
const DefaultMaxConns = 10_000

// ServerConfig is what NewServer needs.
type ServerConfig struct {
	Handler http.Handler
	// MaxConns is how many connections there may be at once. When there are more,
	// the one that was idle for the longest is closed, so that whoever holds
	// connections and asks for nothing keeps nobody out. Default: DefaultMaxConns.
	MaxConns int
	// Logger gets what net/http has to say. Default: none.
	Logger *zap.Logger
}

// NewServer makes a server whose limits keep one client from harming the
// others. The caller listens and shuts it down.
func NewServer(c ServerConfig) *http.Server {
	if c.MaxConns == 0 {
		c.MaxConns = DefaultMaxConns
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	conns := &connections{most: c.MaxConns, idle: list.New(), places: map[net.Conn]*list.Element{}, all: map[net.Conn]bool{}}
	return &http.Server{
		Handler:           c.Handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         conns.changed,
		ErrorLog:          zap.NewStdLog(c.Logger),
	}
}

// connections bounds the number of connections of a server.
type connections struct {
	most int

	mu     sync.Mutex
	all    map[net.Conn]bool
	idle   *list.List // connections without a request, the longest idle first
	places map[net.Conn]*list.Element
}

// changed is the server's ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place, ok := c.places[conn]; ok {
		c.idle.Remove(place)
		delete(c.places, conn)
	}
	switch state {
	case http.StateNew, http.StateIdle:
		c.all[conn] = true
		c.places[conn] = c.idle.PushBack(conn)
		if len(c.all) > c.most {
			// Closing makes the server report it closed, on its own goroutine.
			c.drop(c.idle.Front().Value.(net.Conn)) //nolint:forcetypeassert // nothing else is in the list
		}
	case http.StateActive:
	case http.StateHijacked, http.StateClosed:
		delete(c.all, conn)
	}
}

func (c *connections) drop(conn net.Conn) {
	c.idle.Remove(c.places[conn])
	delete(c.places, conn)
	delete(c.all, conn)
	_ = conn.Close() // the peer sees it; there is nobody to tell
}
