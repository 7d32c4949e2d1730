package tokencache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Foreign reads a key that someone else keeps. It cannot write.
type Foreign struct {
	rdb redis.UniversalClient
	key string
}

// NewForeign returns a reader of key on rdb, which stays the caller's to close.
func NewForeign(rdb redis.UniversalClient, key string) *Foreign {
	return &Foreign{rdb: rdb, key: key}
}

// Read returns what the key holds, "" when it does not exist.
func (f *Foreign) Read(ctx context.Context) (string, error) {
	value, err := f.rdb.Get(ctx, f.key).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read foreign token: %w", err)
	}
	return value, nil
}

// Mirror writes tokens to a key that others read.
type Mirror struct {
	rdb redis.UniversalClient
	key string
}

// NewMirror returns a writer of key on rdb, which stays the caller's to close.
func NewMirror(rdb redis.UniversalClient, key string) *Mirror {
	return &Mirror{rdb: rdb, key: key}
}

// Write puts value there as a plain string for life, which is positive.
func (m *Mirror) Write(ctx context.Context, value string, life time.Duration) error {
	return set(ctx, m.rdb, m.key, value, life)
}
