package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// SimulatorServer is a simulated WeChat on a listener.
type SimulatorServer struct {
	*simulator.Simulator
	// URL is its origin, for WECHAT_API_BASE_URL.
	URL string

	server *http.Server
}

// ServeSimulator serves a simulator on addr until Stop. Whoever reaches addr can
// read every message and script every failure: whether it may be anything but
// loopback is the caller's to decide.
func ServeSimulator(ctx context.Context, addr string, cfg simulator.Config, logger *zap.Logger) (*SimulatorServer, error) {
	cfg.Logger = logger.Named("simulator")
	sim, err := simulator.New(cfg)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		sim.Close()
		return nil, fmt.Errorf("listen for the simulator: %w", err)
	}
	s := &SimulatorServer{
		Simulator: sim,
		URL:       "http://" + l.Addr().String(),
		// No write timeout: it is asked to hang for as long as a test likes.
		server: &http.Server{
			Handler: sim, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
			ErrorLog: zap.NewStdLog(cfg.Logger),
		},
	}
	go func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			cfg.Logger.Error("simulator's listener ended", zap.Error(err))
		}
	}()
	return s, nil
}

// Stop lets hanging calls go, answers what is inside and closes the listener;
// at the end of ctx it breaks the connections that are left.
func (s *SimulatorServer) Stop(ctx context.Context) error {
	s.Close()
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("stop the simulator: %w", err), s.server.Close())
	}
	return nil
}
