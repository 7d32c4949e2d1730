package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/gateway"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// TestEraseWhileSending erases a user of whom a message is on its way: it ends,
// the worker erases it then, and the ones behind it are not sent.
func TestEraseWhileSending(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, nil)
	user, openID := "u-"+uuid.NewString(), simulator.OpenID(uuid.NewString())
	if _, err := r.store.Bind(t.Context(), []store.Binding{{App: r.app.AppID, UserID: user, OpenID: openID}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.sim.AddFault(simulator.Fault{API: simulator.APISend, OpenID: openID, Action: simulator.ActHang, Count: 1}); err != nil {
		t.Fatal(err)
	}
	_, log, _ := r.start()
	toUser := func(_ int, n *producer.Notification) { n.UserID, n.OpenID = user, "" }
	first := r.send(1, toUser)[0]
	eventually(t, "it is being sent", func() error {
		if n, _ := r.get(first.id); n.State != store.Sending {
			return fmt.Errorf("it is %s", n.State)
		}
		return nil
	})
	behind := r.send(3, toUser)

	// A dump that is compressed could not be searched.
	if err := r.rdb.ConfigSet(t.Context(), "rdbcompression", "no").Err(); err != nil {
		t.Fatal(err)
	}
	if r.redisNames(user) == "" {
		t.Fatal("there is nothing in Redis to erase")
	}
	eraser, err := gateway.NewEraser(gateway.EraserConfig{Store: r.store, Redis: r.rdb, DefaultApp: r.app.AppID})
	if err != nil {
		t.Fatal(err)
	}
	erased, err := eraser.Erase(t.Context(), gateway.EraseRequest{UserID: user, By: "test"})
	if err != nil || erased.InFlight != 1 || erased.Cancelled != len(behind) || erased.Unbound != 1 {
		t.Fatalf("%+v, %v", erased, err)
	}
	r.sim.Release()
	eventually(t, "what was on its way is erased", func() error {
		if n, _ := r.get(first.id); n.State != store.Sent || n.UserID != "" || len(n.Data) > 0 {
			return fmt.Errorf("it is %s, blanked: %v", n.State, n.UserID == "")
		}
		return nil
	})
	for _, s := range behind {
		if n, as := r.get(s.id); n.State != store.Cancelled || n.Reason != store.ReasonErased || len(as) > 0 {
			t.Errorf("one behind it is %s, %s, after %d attempts", n.State, n.Reason, len(as))
		}
	}
	eventually(t, "Redis knows nothing", func() error {
		if key := r.redisNames(user, openID); key != "" {
			return fmt.Errorf("%s names the user", key)
		}
		return nil
	})
	if text := log.tail(1 << 20); strings.Contains(text, user) || strings.Contains(text, openID) {
		t.Error("the worker's log names the user")
	}
}

// redisNames is a key of Redis in which, or under which, one of the texts stands;
// "" when there is none.
func (r *rig) redisNames(texts ...string) string {
	r.t.Helper()
	keys, err := r.rdb.Keys(r.t.Context(), "*").Result()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, key := range keys {
		dump, _ := r.rdb.Dump(r.t.Context(), key).Result() // one that has just gone has none
		for _, text := range texts {
			if strings.Contains(key+dump, text) {
				return key
			}
		}
	}
	return ""
}
