package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal opens a terminal: what is written to keyboard is typed there.
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return keyboard, terminal
}

// TestSendLiveAsks: on a terminal nothing is sent without a yes.
func TestSendLiveAsks(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]struct {
		code  int
		sends int64
	}{
		"y\n": {exitOK, 1}, " YES \n": {exitOK, 1}, "\n": {exitFailed, 0}, "n\n": {exitFailed, 0}, "yeah\n": {exitFailed, 0},
		"\x04": {exitFailed, 0}, // the end of the input
	} {
		t.Run(fmt.Sprintf("%q", typed), func(t *testing.T) {
			t.Parallel()
			s := liveSite(t)
			keyboard, terminal := openTerminal(t)
			if _, err := keyboard.WriteString(typed); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			code := s.on(terminal, &stdout, &stderr).run(context.Background(), sendArgs("--live", "--openid", siteOpenID))
			if code != want.code || s.sim.State().Sends != want.sends {
				t.Errorf("exit code %d, %d sends, stderr %q", code, s.sim.State().Sends, stderr.String())
			}
			if question := "to " + maskID(siteOpenID) + ", app " + siteApp.AppID; !strings.Contains(stderr.String(), question) || strings.Contains(stderr.String(), siteOpenID) {
				t.Errorf("the question: %q", stderr.String())
			}
		})
	}
}

// TestSendLiveQuestionCanBeInterrupted: a question that nobody answers ends
// with an interrupt.
func TestSendLiveQuestionCanBeInterrupted(t *testing.T) {
	t.Parallel()
	s := liveSite(t)
	keyboard, terminal := openTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := s.on(terminal, &stdout, &stderr).run(ctx, sendArgs("--live", "--openid", siteOpenID)); code != exitFailed ||
		!strings.Contains(stderr.String(), "interrupted") || s.sim.State().Sends != 0 {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
	_, _ = keyboard.WriteString("\n") // lets the reader go
}
