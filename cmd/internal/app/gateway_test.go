package app_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/producer/gateway"
)

// The settings and the packages that they are for have the same words.
func TestSettingsHaveTheGatewaysWords(t *testing.T) {
	t.Parallel()
	var rights []gateway.Right
	for _, r := range config.Rights {
		rights = append(rights, gateway.Right(r))
	}
	if diff := cmp.Diff(gateway.Rights, rights); diff != "" {
		t.Errorf("rights (-gateway +settings):\n%s", diff)
	}
	for source, want := range map[config.ConsentSource]callback.ConsentSource{
		config.ConsentClient: callback.ConsentClient, config.ConsentEvent: callback.ConsentEvent,
	} {
		if got := callback.ConsentSource(source); got != want {
			t.Errorf("source of consents: got %q, want %q", got, want)
		}
	}
}
