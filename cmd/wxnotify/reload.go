package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// reloading is in the help of the commands that reload.
const reloading = "On SIGHUP the settings are read again: apps, producers, templates, webhooks and the\n" +
	"console's users are taken over, and what is under way goes on. A fault refuses the\n" +
	"whole. With CONFIG_WATCH changed files are taken over without a signal."

// fingerprint is what the files of the settings were like.
type fingerprint [sha256.Size]byte

// settings reads the settings of a command as often as they may have changed. It
// is for one goroutine.
type settings struct {
	load func(readFile func(string) ([]byte, error)) (*config.Config, error)
	read func(string) ([]byte, error)
	// taken is of the files as they were read last, seen of those that watch saw.
	taken, seen fingerprint
}

// settingsFor are those of a command in a role.
func (p *program) settingsFor(cmd *cobra.Command, role config.Role) *settings {
	return &settings{read: p.readFile, load: func(readFile func(string) ([]byte, error)) (*config.Config, error) {
		return p.configWith(cmd, role, readFile)
	}}
}

// now reads the settings.
func (s *settings) now() (*config.Config, error) {
	cfg, print, err := s.look()
	s.taken, s.seen = print, print
	return cfg, err
}

// changed reads the files, and reports whether they differ from those that were
// read last. They must have been the same twice, since who writes one may not be
// done.
func (s *settings) changed() bool {
	_, print, _ := s.look() // a fault is told once, when they are read
	settled := print == s.seen
	s.seen = print
	return settled && print != s.taken
}

func (s *settings) look() (*config.Config, fingerprint, error) {
	sum := sha256.New()
	cfg, err := s.load(func(path string) ([]byte, error) {
		data, err := s.read(path)
		sum.Write(fmt.Appendf(nil, "%q %d %t\n", path, len(data), err == nil))
		sum.Write(data)
		return data, err
	})
	return cfg, fingerprint(sum.Sum(nil)), err
}

// follow takes over other settings until ctx is done: on a hang-up, and every so
// often when the files have changed; 0: never. What is wrong with them is in the
// log.
func (s *settings) follow(ctx context.Context, process *app.Process, hangups <-chan struct{}, every time.Duration) {
	var ticks <-chan time.Time
	if every > 0 {
		tick := time.NewTicker(every)
		defer tick.Stop()
		ticks = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		case <-ticks:
			if !s.changed() {
				continue
			}
		}
		_ = process.Reload(ctx, s.now) // logged there
	}
}
