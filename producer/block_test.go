package producer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/worker/task"
)

func testDelivery(queue string) delivery {
	return delivery{queue: queue, task: task.New(uuid.New(), 1, queue, []byte(`{"template_id":"t"}`))}
}

// A task that came in a block is like one that asynq's client put there.
func TestATaskOfABlockIsAsynqsOwn(t *testing.T) {
	t.Parallel()
	rdb, queueName := sharedRedis(t), newApp()+":default"
	q := newQueue(rdb, 4, newPublished(rdb, time.Hour, time.Now), nil)
	defer q.wait()
	ds := make([]delivery, 2*blockSize+50)
	for i := range ds {
		ds[i] = testDelivery(queueName)
	}
	alone := testDelivery(queueName)
	for i, o := range append(q.put(t.Context(), ds), q.put(t.Context(), []delivery{alone})...) {
		if o.err != nil || o.conflict {
			t.Fatalf("put %d: %+v", i, o)
		}
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	infos, err := inspector.ListPendingTasks(queueName, asynq.PageSize(1000))
	if err != nil || len(infos) != len(ds)+1 {
		t.Fatalf("%d tasks (%v), want %d", len(infos), err, len(ds)+1)
	}
	// asynq lists the newest first.
	if diff := cmp.Diff(infos[0], infos[1], cmpopts.IgnoreFields(asynq.TaskInfo{}, "ID", "NextProcessAt")); diff != "" {
		t.Errorf("the one put alone and the last of a block (-alone +block):\n%s", diff)
	}
	fields := rdb.HKeys(t.Context(), "asynq:{"+queueName+"}:t:"+infos[1].ID).Val()
	slices.Sort(fields)
	if want := []string{"msg", "pending_since", "state"}; !slices.Equal(fields, want) {
		t.Errorf("fields %v, want %v", fields, want)
	}
	for i, o := range q.put(t.Context(), ds[:3]) {
		if o.err != nil || !o.conflict {
			t.Errorf("put %d again: %+v, want a conflict", i, o)
		}
	}
}

// Redis forgets scripts when it restarts.
func TestABlockWhoseScriptRedisHasForgotten(t *testing.T) {
	t.Parallel()
	rdb, queueName := ownRedis(t).client(t), newApp()+":default"
	q := newQueue(rdb, 4, newPublished(rdb, time.Hour, time.Now), nil)
	defer q.wait()
	for i := range 2 {
		for k, o := range q.put(t.Context(), []delivery{testDelivery(queueName), testDelivery(queueName), testDelivery(queueName)}) {
			if o.err != nil || o.conflict {
				t.Errorf("round %d, put %d: %+v", i, k, o)
			}
		}
		rdb.ScriptFlush(t.Context())
	}
	if got := rdb.LLen(t.Context(), "asynq:{"+queueName+"}:pending").Val(); got != 6 {
		t.Errorf("%d tasks, want 6", got)
	}
}

// A client that would send something else than one script is not written down:
// its task goes by itself.
func TestTheScribeRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	h := scribeHook{}.ProcessHook(nil)
	for _, cmd := range []redis.Cmder{
		redis.NewStatusCmd(t.Context(), "set", "a", "b"),
		redis.NewIntCmd(t.Context(), "del", "a"),
		redis.NewCmd(t.Context(), "evalsha", "x", 0),
	} {
		if err := h(t.Context(), cmd); !errors.Is(err, errUnwritten) {
			t.Errorf("%s: %v, want it refused", cmd.Name(), err)
		}
	}
}

// Who waits for tasks is told; many at a time cost few rings.
func TestPutRings(t *testing.T) {
	t.Parallel()
	rdb := ownRedis(t).client(t)
	sub := rdb.Subscribe(t.Context(), task.BellChannel)
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	q := newQueue(rdb, 4, newPublished(rdb, time.Hour, time.Now), nil)
	start := time.Now()
	d := testDelivery("quiet")
	for _, d := range []delivery{testDelivery("a"), d, testDelivery("b")} {
		q.put(t.Context(), []delivery{d})
	}
	heard := map[string]bool{}
	for len(heard) < 3 {
		m, err := sub.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		heard[m.Payload] = true
	}
	for range 200 {
		q.put(t.Context(), []delivery{testDelivery("a")})
	}
	q.wait()
	var rings int
	for line := range strings.Lines(rdb.Info(t.Context(), "commandstats").Val()) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_publish:calls="); ok {
			_, _ = fmt.Sscanf(rest, "%d", &rings)
		}
	}
	if most := 3*int(time.Since(start)/ringInterval) + 4; rings > most {
		t.Errorf("%d rings in %v, want at most %d", rings, time.Since(start), most)
	}
}
