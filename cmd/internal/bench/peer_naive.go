package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

const (
	// naiveTokenKey is where the naive pipeline keeps its token, for naiveTokenLife.
	naiveTokenKey  = "AppletToken"
	naiveTokenLife = 100 * time.Minute
	// naiveConns is how many connections to the database it has, which is what
	// the pools of the usual frameworks have.
	naiveConns = 10
)

// naiveHandler asks for everything again with every message.
type naiveHandler struct {
	config PeerConfig
	rdb    *redis.Client
	pool   *pgxpool.Pool
	client *http.Client // with the default transport

	fetch sync.Mutex // or each slot would fetch a token of its own at the start
}

func newNaiveHandler(ctx context.Context, c PeerConfig, rdb *redis.Client) (*naiveHandler, func(), error) {
	config, err := pgxpool.ParseConfig(c.DatabaseURL)
	if err != nil {
		return nil, nil, errors.New("DATABASE_URL cannot be parsed")
	}
	config.MaxConns = naiveConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, nil, fmt.Errorf("database: %w", err)
	}
	return &naiveHandler{config: c, rdb: rdb, pool: pool, client: &http.Client{}}, pool.Close, nil
}

// ProcessTask implements asynq.Handler.
func (h *naiveHandler) ProcessTask(ctx context.Context, t *asynq.Task) error {
	var o order
	if err := json.Unmarshal(t.Payload(), &o); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	token, err := h.token(ctx)
	if err != nil {
		return err
	}
	var openID string
	if err := h.pool.QueryRow(ctx, `SELECT open_id FROM naive_users WHERE user_id = $1`, o.UserID).Scan(&openID); err != nil {
		return fmt.Errorf("openid: %w", err)
	}
	r, sendErr := postMessage(ctx, h.client, sendURL(h.config.BaseURL, token), o.message(openID))
	_, err = h.pool.Exec(ctx, `
		INSERT INTO naive_log (user_id, template_id, body, errcode, errmsg, msg_id, at)
		VALUES ($1, $2, $3, $4, $5, $6, now())`,
		o.UserID, o.TemplateID, string(t.Payload()), r.Errcode, r.Errmsg, r.MsgID)
	return errors.Join(sendErr, err)
}

func (h *naiveHandler) token(ctx context.Context) (string, error) {
	token, err := h.rdb.Get(ctx, naiveTokenKey).Result()
	if err == nil || !errors.Is(err, redis.Nil) {
		return token, err
	}
	h.fetch.Lock()
	defer h.fetch.Unlock()
	if token, err := h.rdb.Get(ctx, naiveTokenKey).Result(); err == nil {
		return token, nil
	}
	if token, err = fetchToken(ctx, h.client, h.config); err != nil {
		return "", err
	}
	return token, h.rdb.Set(ctx, naiveTokenKey, token, naiveTokenLife).Err()
}
