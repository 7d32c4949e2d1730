package app_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

func TestLoggerJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	app.NewLogger(&out, "warn", config.LogJSON).Warn("slow", zap.Duration("took", 1500*time.Millisecond))
	var line map[string]string
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(line["time"]) {
		t.Errorf("time: got %q, want UTC with milliseconds", line["time"])
	}
	if line["level"] != "warn" || line["msg"] != "slow" || line["took"] != "1.5s" {
		t.Errorf("got %v", line)
	}
}

func TestLoggerConsole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	app.NewLogger(&out, "info", config.LogConsole).Info("ready", zap.Int("port", 80))
	if got := strings.TrimSpace(out.String()); !strings.HasSuffix(got, "INFO\tready\t{\"port\": 80}") {
		t.Errorf("got %q", got)
	}
}

func TestLoggerLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1, "": 3} {
		var out bytes.Buffer
		log := app.NewLogger(&out, level, config.LogJSON)
		log.Debug("a")
		log.Info("b")
		log.Warn("c")
		log.Error("d")
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("level %q: got %d lines, want %d", level, got, want)
		}
	}
}
