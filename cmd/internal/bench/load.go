package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

const (
	// users is how many users there are. They are written to in turn, so that two
	// messages of one are never in flight at once: more than any concurrency.
	users = 20_000
	// balance is how many messages each allows of the template: enough.
	balance = 1_000_000
	// loaders is how many connections load a backlog.
	loaders = 8
	// loadPage is how many notifications are accepted at a time.
	loadPage = 1000
)

func userID(i int) string { return "u" + strconv.Itoa(100_000+i) }

// openIDs are those of the users: to hash one costs more than it should where
// the time is taken.
var openIDs = sync.OnceValue(func() []string {
	ids := make([]string, users)
	for i := range ids {
		ids[i] = simulator.OpenID(userID(i))
	}
	return ids
})

func openID(i int) string { return openIDs()[i] }

// notification is the i-th message of a run: a one-time template, so that a
// balance is kept too.
func notification(i int) producer.Notification {
	return producer.Notification{
		TemplateID: simulator.SeedPickup, UserID: userID(i % users), Page: "pages/pickup/detail?id=" + strconv.Itoa(i),
		Data: map[string]string{
			"character_string1": "LY20260302-" + strconv.Itoa(i), "thing2": "人体工学椅", "number3": "2", "time5": "2026年3月2日 16:30",
		},
	}
}

// payload is what the task of the i-th message carries.
func payload(i int) ([]byte, error) {
	n := notification(i)
	return task.Payload{ID: uuid.Must(uuid.NewV7()), TemplateID: n.TemplateID, UserID: n.UserID, Page: n.Page, Data: n.Data}.Marshal()
}

// enqueueAll puts the first n messages on asynq's queue as any asynq client
// does.
func enqueueAll(ctx context.Context, client *asynq.Client, n int) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range loaders {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := enqueue(ctx, client, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func enqueue(ctx context.Context, client *asynq.Client, i int) error {
	b, err := payload(i)
	if err != nil {
		return err
	}
	_, err = client.EnqueueContext(ctx, asynq.NewTask(task.Type, b))
	return err
}

// acceptAll accepts the messages from one number on, up to the n-th.
func acceptAll(ctx context.Context, c *producer.Client, from, n int) error {
	var next atomic.Int64
	next.Store(int64(from))
	g, ctx := errgroup.WithContext(ctx)
	for range 2 {
		g.Go(func() error {
			for {
				from := int(next.Add(loadPage)) - loadPage
				if from >= n {
					return nil
				}
				ns := make([]producer.Notification, min(loadPage, n-from))
				for k := range ns {
					ns[k] = notification(from + k)
				}
				results, err := c.SendBatch(ctx, ns)
				if err != nil {
					return err
				}
				for _, r := range results {
					if r.Err != nil {
						return r.Err
					}
					if r.QueueErr != nil {
						return r.QueueErr
					}
				}
			}
		})
	}
	return g.Wait()
}

// introduce makes the users known to ours: bound, and with consents.
func introduce(ctx context.Context, conn *pgx.Conn, app string) error {
	now := time.Now()
	_, err := conn.CopyFrom(ctx, pgx.Identifier{"bindings"},
		[]string{"app", "user_id", "open_id", "union_id", "suspect", "updated_at"},
		pgx.CopyFromSlice(users, func(i int) ([]any, error) {
			return []any{app, userID(i), openID(i), "", false, now}, nil
		}))
	if err != nil {
		return fmt.Errorf("bind users: %w", err)
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"consents"},
		[]string{"app", "open_id", "template_id", "balance", "updated_at"},
		pgx.CopyFromSlice(users, func(i int) ([]any, error) {
			return []any{app, openID(i), simulator.SeedPickup, balance, now}, nil
		}))
	if err != nil {
		return fmt.Errorf("write consents: %w", err)
	}
	_, err = conn.Exec(ctx, `ANALYZE bindings, consents`)
	return err
}

// introduceNaive makes the users and the log of the naive one.
func introduceNaive(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		CREATE TABLE naive_users (user_id text PRIMARY KEY, open_id text NOT NULL);
		CREATE TABLE naive_log (
			id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			user_id     text        NOT NULL,
			template_id text        NOT NULL,
			body        text        NOT NULL,
			errcode     integer     NOT NULL,
			errmsg      text        NOT NULL,
			msg_id      bigint      NOT NULL,
			at          timestamptz NOT NULL
		)`)
	if err != nil {
		return err
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"naive_users"}, []string{"user_id", "open_id"},
		pgx.CopyFromSlice(users, func(i int) ([]any, error) { return []any{userID(i), openID(i)}, nil }))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `ANALYZE naive_users`)
	return err
}
