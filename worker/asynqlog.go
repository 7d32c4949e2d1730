package worker

import (
	"fmt"
	"os"
	"strings"

	"go.uber.org/zap"
)

// asynqLogger passes asynq's own messages on. They carry task ids, queue names
// and the texts of our errors, none of which is personal.
type asynqLogger struct{ l *zap.Logger }

func (a *asynqLogger) Debug(args ...any) { a.l.Debug("asynq", zap.String("text", fmt.Sprint(args...))) }

func (a *asynqLogger) Info(args ...any) { a.l.Info("asynq", zap.String("text", fmt.Sprint(args...))) }

// Warn leaves out what asynq says of every task that is archived at once: the
// death has been logged with its reason, and nothing was retried.
func (a *asynqLogger) Warn(args ...any) {
	if text := fmt.Sprint(args...); !strings.HasPrefix(text, "Retry exhausted") {
		a.l.Warn("asynq", zap.String("text", text))
	}
}

func (a *asynqLogger) Error(args ...any) { a.l.Error("asynq", zap.String("text", fmt.Sprint(args...))) }

// Fatal is called by asynq for a Redis it cannot work with; it must not return.
func (a *asynqLogger) Fatal(args ...any) {
	a.l.Error("asynq gave up", zap.String("text", fmt.Sprint(args...)))
	_ = a.l.Sync()
	os.Exit(1)
}
