package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
)

// devDir is where dev keeps what it remembers.
type devDir struct {
	path string
	temp bool
}

// The files of a devDir.
const (
	devDatabase = "wxnotify.db"
	devLog      = "dev.log"
	devKey      = "api_key"
)

// openDevDir takes path, which is made when it is missing, or a new temporary
// directory for "". Only this user can read it: it holds message texts.
func openDevDir(path string) (devDir, error) {
	if path == "" {
		temp, err := os.MkdirTemp("", "wxnotify-dev-")
		if err != nil {
			return devDir{}, fmt.Errorf("make a directory for the data: %w", err)
		}
		return devDir{path: temp, temp: true}, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return devDir{}, fmt.Errorf("find the data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return devDir{}, fmt.Errorf("make the data directory: %w", err)
	}
	return devDir{path: path}, nil
}

func (d devDir) file(name string) string { return filepath.Join(d.path, name) }

// apiKey is the directory's API key, which is made when it is missing.
func (d devDir) apiKey() (string, error) {
	key, err := os.ReadFile(d.file(devKey))
	if errors.Is(err, fs.ErrNotExist) {
		key = []byte(apikey.New())
		err = os.WriteFile(d.file(devKey), key, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("keep an API key: %w", err)
	}
	return string(key), nil
}

// remove deletes a temporary directory and leaves any other.
func (d devDir) remove() error {
	if !d.temp {
		return nil
	}
	return os.RemoveAll(d.path)
}

// openLog appends to the directory's log.
func (d devDir) openLog(level string) (*zap.Logger, *os.File, error) {
	f, err := os.OpenFile(d.file(devLog), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	return NewLogger(f, level, config.LogJSON), f, nil
}
