package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is longer than readyz may take to ask the store.
const healthTimeout = 5 * time.Second

// healthCommand is what a container's health check calls: the image has no shell
// and no other program. It is of no use to people, so the help does not list it.
func (p *program) healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "health",
		Short:  "Ask the process at ADMIN_ADDR whether its loops turn; exit code 1 when not",
		Hidden: true,
		Args:   cobra.NoArgs,
	}
	ready := cmd.Flags().Bool("ready", false, "ask whether it can do its part instead")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := p.config(cmd)
		if err != nil {
			return err
		}
		path := "/healthz"
		if *ready {
			path = "/readyz"
		}
		return askHealth(cmd.Context(), cfg.AdminAddr, path)
	}
	return cmd
}

// askHealth is nil when the listener of ADMIN_ADDR, on this machine, answers 200.
func askHealth(ctx context.Context, addr, path string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("ADMIN_ADDR is empty: there is no listener to ask")
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens on every address
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return err
	}
	// No proxy stands between a process and its own machine.
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("%s: %s: %s", path, resp.Status, strings.TrimSpace(string(said)))
	}
	return nil
}
