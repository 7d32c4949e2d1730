package producer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/sqlite"
	"github.com/wxnotify/wxnotify/worker/task"
)

// A back end that shares the workers' store hands a notification in: the row is
// written first, so nothing accepted is lost with Redis. In production Redis and
// the store are real ones; here they are embedded.
func Example_send() {
	if err := sendWithStore(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// accepted: queued
	// again: queued, duplicate true
	// other content: conflict true
	// invalid: template_id is required; data is required
	// on the queue: 1 task
}

func sendWithStore() error {
	ctx := context.Background()
	server, err := miniredis.Run()
	if err != nil {
		return err
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer func() { _ = rdb.Close() }()

	dir, err := os.MkdirTemp("", "wxnotify")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	st, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "wxnotify.db")})
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Migrate(ctx, nil); err != nil {
		return err
	}

	client, err := producer.New(producer.Config{Redis: rdb, Store: st, Producer: "approval", DefaultApp: "wx0123456789abcdef"})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()

	n := producer.Notification{
		TemplateID: "priTmplId-of-the-approval-result",
		Page:       "pages/approval/detail?id=4711",
		UserID:     "u-1001",
		Data:       map[string]string{"thing1": "采购申请", "phrase2": "已通过", "time3": "2024-05-01 09:00"},
		Ref:        "approval-4711-result",
		Priority:   store.Critical,
		ExpiresAt:  time.Now().Add(24 * time.Hour),
	}
	accepted, err := client.Send(ctx, n)
	if err != nil {
		return err
	}
	fmt.Println("accepted:", accepted.State)

	// A call whose answer was lost is repeated with the same Ref.
	accepted, err = client.Send(ctx, n)
	if err != nil {
		return err
	}
	fmt.Printf("again: %s, duplicate %t\n", accepted.State, accepted.Duplicate)

	n.Page = "pages/approval/other"
	_, err = client.Send(ctx, n)
	fmt.Println("other content: conflict", errors.Is(err, store.ErrConflict))

	_, err = client.Send(ctx, producer.Notification{UserID: "u-1001"})
	if faults, ok := errors.AsType[task.FieldErrors](err); ok {
		fmt.Println("invalid:", faults)
	}

	info, err := asynq.NewInspectorFromRedisClient(rdb).GetQueueInfo("critical")
	if err != nil {
		return err
	}
	fmt.Println("on the queue:", info.Pending, "task")
	return nil
}

// A program that knows Redis alone can hand in as well; what it cannot promise
// is in Config.Store.
func ExampleClient_SendBatch() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer func() { _ = rdb.Close() }()
	client, err := producer.New(producer.Config{Redis: rdb})
	if err != nil {
		log.Print(err)
		return
	}
	defer func() { _ = client.Close() }()

	results, err := client.SendBatch(context.Background(), []producer.Notification{
		{TemplateID: "T", UserID: "u-1", Data: map[string]string{"thing1": "报表已生成"}},
		{TemplateID: "T", Data: map[string]string{"thing1": "报表已生成"}},
		{TemplateID: "T", UserID: "u-3", Data: map[string]string{"thing1": "报表已生成"}, Delay: time.Minute},
	})
	if err != nil {
		log.Print(err)
		return
	}
	for i, r := range results {
		fmt.Println(i, r.State, r.Err)
	}
	// Output:
	// 0 queued <nil>
	// 1  user_id is required (or openid)
	// 2 queued <nil>
}
