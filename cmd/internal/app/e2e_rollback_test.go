package app_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// A Redis that was set back to an older copy brings tasks back whose
// notifications are done, dead ones among them that are not archived any more.
// The rows know better.
func TestRedisSetBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, nil)
	_, _, stop := r.start()
	early := r.send(20, nil)
	r.awaitStates(map[store.State]int{store.Sent: 20})
	r.awaitDrained()
	stop()

	late := r.send(40, func(i int, n *producer.Notification) {
		switch i {
		case 0, 1:
			r.fault(simulator.Fault{API: simulator.APISend, OpenID: n.OpenID, Action: simulator.ActErrcode, Errcode: 47003})
		case 2, 3:
			r.fault(simulator.Fault{API: simulator.APISend, OpenID: n.OpenID, Action: simulator.ActErrcode, Errcode: 43101})
		}
	})
	older, mark := r.redis.snapshot(t), r.mark()
	_, _, stop = r.start()
	r.awaitStates(map[store.State]int{store.Sent: 56, store.Dead: 4})
	r.awaitDrained()
	eventually(t, "the mark moves on", func() error {
		if now := r.mark(); now == mark {
			return fmt.Errorf("it is still %+v", now)
		}
		return nil
	})
	stop()
	before, sends := r.rows(append(early, late...)), r.sim.State().Sends

	r.redis.restore(t, older)
	if info, err := r.queue(); err != nil || info.Pending != 40 {
		t.Fatalf("the older copy has %+v, %v; want 40 pending tasks", info, err)
	}
	_, log, _ := r.start()
	awaitLog(t, log, "redis was wiped or rolled back")
	awaitLog(t, log, `"queue rebuilt"`)
	r.awaitDrained()
	eventually(t, "the dead letters are archived again", func() error {
		info, err := r.queue()
		if err == nil && info.Archived != 2 {
			err = fmt.Errorf("%d are archived", info.Archived)
		}
		return err
	})
	if got := r.sim.State().Sends; got != sends {
		t.Errorf("%d more calls after Redis was set back, want 0", got-sends)
	}
	if diff := cmp.Diff(before, r.rows(append(early, late...))); diff != "" {
		t.Errorf("rows changed:\n%s", diff)
	}
}

// A Redis that is wiped under load costs nothing but time.
func TestRedisWipedUnderLoad(t *testing.T) {
	t.Parallel()
	const rows = 300
	r := newRig(t, simulator.Config{Latency: 50 * time.Millisecond}, map[string]string{"CONCURRENCY": "10"})
	_, log, _ := r.start()
	awaitLog(t, log, `"queue rebuilt"`) // of the first start, so that a mark is there
	list := r.send(rows, nil)
	later := r.send(20, func(_ int, n *producer.Notification) { n.Delay = 3 * time.Second })
	r.awaitSim("part is sent", func(s simulator.State) bool { return s.Accepted >= rows/4 })
	if err := r.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	wiped := time.Now()
	left := rows + 20 - r.sim.State().Accepted
	r.awaitStates(map[store.State]int{store.Sent: rows + 20})
	t.Logf("wiped with %d open rows: all sent after %v", left, time.Since(wiped).Round(time.Millisecond))
	awaitLog(t, log, "redis was wiped or rolled back")
	r.awaitDrained()
	r.wantOnce(append(list, later...))
}

// mark is what the store knows of Redis.
func (r *rig) mark() store.Mark {
	r.t.Helper()
	mark, err := r.store.Mark(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return mark
}

func awaitLog(t *testing.T, log *logBuffer, text string) {
	t.Helper()
	eventually(t, "log has "+text, func() error {
		if strings.Contains(log.String(), text) {
			return nil
		}
		return errors.New("not there")
	})
}
