package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"go.uber.org/zap"
)

// listener is a server on an address. The zero value with a name is ready; one
// that does not listen may be stopped.
type listener struct {
	name   string
	server *http.Server
}

// listen binds the address of a setting and serves on it until stop. It returns
// what it is bound to.
func (l *listener) listen(ctx context.Context, setting, addr string, server *http.Server, logger *zap.Logger) (bound string, err error) {
	var lc net.ListenConfig
	conn, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	return l.serve(conn, server, logger), nil
}

func (l *listener) serve(conn net.Listener, server *http.Server, logger *zap.Logger) (bound string) {
	l.server = server
	go func() {
		if err := server.Serve(conn); !errors.Is(err, http.ErrServerClosed) {
			logger.Error(l.name+" ended", zap.Error(err))
		}
	}()
	return conn.Addr().String()
}

// stop accepts nothing new and lets the requests under way finish; at the end of
// ctx it breaks their connections.
func (l *listener) stop(ctx context.Context) error {
	if l.server == nil {
		return nil
	}
	if err := l.server.Shutdown(ctx); err != nil {
		return errors.Join(err, l.server.Close())
	}
	return nil
}
