package main

import (
	"context"
	"crypto/rand"
	"net"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// anyPort is a free port of the loopback.
const anyPort = "127.0.0.1:0"

// devAdmin gives the console a password, and an address that is free unless one
// was asked for.
func devAdmin(cfg *config.Config, o devOptions) {
	if cfg.AdminPassword == "" {
		cfg.AdminPassword = config.Secret(rand.Text())
	}
	if !wasSet(cfg, "ADMIN_ADDR") && (o.once || !free(cfg.AdminAddr)) {
		cfg.AdminAddr = anyPort
	}
}

// devDoor is where dev's gateway listens when LISTEN_ADDR does not say.
const devDoor = "127.0.0.1:8080"

// devListener is nil when LISTEN_ADDR says where to listen; otherwise it is on
// devDoor, or on a free port when that is taken or nobody needs to know it.
func devListener(ctx context.Context, cfg *config.Config, o devOptions) (net.Listener, error) {
	if wasSet(cfg, "LISTEN_ADDR") {
		return nil, nil //nolint:nilnil // there is none to make
	}
	var lc net.ListenConfig
	if !o.once {
		if l, err := lc.Listen(ctx, "tcp", devDoor); err == nil {
			return l, nil
		}
	}
	return lc.Listen(ctx, "tcp", anyPort)
}

// wasSet reports whether a setting came from somewhere else than its default.
func wasSet(cfg *config.Config, name string) bool {
	for _, s := range cfg.Effective() {
		if s.Name == name {
			return s.Origin != "default" && s.Origin != "not set"
		}
	}
	return false
}

// free reports whether an address can be listened on now.
func free(addr string) bool {
	l, err := net.Listen("tcp", addr) //nolint:noctx // ends at once
	if err != nil {
		return false
	}
	return l.Close() == nil
}
