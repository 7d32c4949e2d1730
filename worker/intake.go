package worker

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// aheadMax bounds the tasks that one question asks for. asynq asks for them one
// by one and waits for each: at a round trip of 2.4 ms that is 400 a second,
// whatever the concurrency. Sixteen at a time are 6,000.
const aheadMax = 16

// askTimeout bounds a question for several tasks: go-redis's time for one answer.
const askTimeout = 3 * time.Second

// intake answers asynq's questions for the next task of one queue. It asks Redis
// for several at once, with asynq's own script, as long as its server has room
// to begin all of them now: nothing is taken that would have to wait here. The
// room is counted by handlers that run, so a few more may be taken while some
// begin or acknowledge; those wait here for moments. Should one wait so long that
// asynq's lease of it ends and it is delivered elsewhere too, the claim decides, as
// for every second delivery. After an empty answer it waits for the bell.
//
// asynq's server asks from one goroutine; an intake is safe for more.
type intake struct {
	queue string
	redis redis.UniversalClient // the one that the question came through
	bell  bell
	quit  <-chan struct{} // closed when no more tasks are to be begun
	// room is how many tasks the server could begin now.
	room func() int

	mu    sync.Mutex
	ahead []string // messages that are not handed out yet
	dry   bool     // the last answer was empty
	want  int      // what the next question asks for, when there is room
}

func newIntake(queue string, rdb redis.UniversalClient, quit <-chan struct{}, room func() int) *intake {
	return &intake{queue: queue, redis: rdb, bell: newBell(), quit: quit, room: room, want: aheadMax}
}

// ask answers one dequeue of asynq, which once would send as it is.
func (in *intake) ask(ctx context.Context, cmd *redis.Cmd, once func() error) error {
	// What is here when the server stops is given back to where it was.
	if stopping(in.quit) && !in.bell.wait(in.quit) {
		cmd.SetErr(redis.Nil) // as from an empty queue
		return redis.Nil
	}
	msg, ok, dry, n := in.next()
	if ok {
		cmd.SetVal(msg)
		return nil
	}
	if dry && !in.bell.wait(in.quit) {
		cmd.SetErr(redis.Nil)
		return redis.Nil
	}
	if n = min(n, in.room()/2); n > 1 && strings.HasPrefix(cmd.Name(), "evalsha") {
		return in.several(ctx, cmd, n)
	}
	err := once()
	in.learn(err == nil, troubled(err) || isNoScript(err))
	return err
}

func stopping(quit <-chan struct{}) bool {
	select {
	case <-quit:
		return true
	default:
		return false
	}
}

// next takes a message that is here, or says how to ask for more.
func (in *intake) next() (msg string, ok, dry bool, want int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.ahead) > 0 {
		msg, in.ahead = in.ahead[0], in.ahead[1:]
		return msg, true, false, 0
	}
	return "", false, in.dry, in.want
}

// several asks n times in one round trip. What comes beyond the first task is
// kept for the next questions, which asynq's loop asks at once.
func (in *intake) several(ctx context.Context, cmd *redis.Cmd, n int) error {
	// Not longer than one try: go-redis would repeat the block, and a Redis that
	// was frozen carries out each of them, for nobody.
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	pipe := in.redis.Pipeline()
	cmds := make([]redis.Cmder, 0, n)
	cmds = append(cmds, cmd)
	for range n - 1 {
		cmds = append(cmds, redis.NewCmd(ctx, cmd.Args()...))
	}
	_ = pipe.BatchProcess(ctx, cmds...)
	_, _ = pipe.Exec(ctx) // each command has its own answer
	var got []string
	for _, c := range cmds {
		if msg, err := c.(*redis.Cmd).Text(); err == nil {
			got = append(got, msg)
		}
	}
	err := cmd.Err()
	in.learn(len(got) == n, troubled(err) || isNoScript(err))
	if len(got) == 0 {
		if troubled(err) {
			in.one()
		}
		return err
	}
	cmd.SetErr(nil)
	cmd.SetVal(got[0])
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ahead = append(in.ahead, got[1:]...)
	return nil
}

// learn notes whether everything came that was asked for. An answer that says
// nothing of the queue changes nothing.
func (in *intake) learn(full, nothing bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case nothing:
	case full:
		in.dry, in.want = false, min(2*in.want, aheadMax)
	default:
		in.dry, in.want = true, 1
	}
}

// one lets the next question ask for one task: a block whose answer is lost is
// lost whole, until the leases of its tasks are over.
func (in *intake) one() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.want = 1
}

func isNoScript(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") }

// giveBackScript puts a task that was taken and not begun back where it was, as
// asynq does with one that it has begun.
//
// KEYS[1] active, [2] lease, [3] pending; ARGV[1] task key prefix, ARGV[2] its id.
var giveBackScript = redis.NewScript(`
if redis.call("LREM", KEYS[1], 0, ARGV[2]) == 0 then return 0 end
redis.call("ZREM", KEYS[2], ARGV[2])
redis.call("RPUSH", KEYS[3], ARGV[2])
redis.call("HSET", ARGV[1] .. ARGV[2], "state", "pending")
return 1`)

// giveBack returns what was taken ahead when the server has stopped. asynq's
// recovery takes what this cannot return, once its lease is over.
func (in *intake) giveBack(l *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), detachedTimeout)
	defer cancel()
	in.mu.Lock()
	left := in.ahead
	in.ahead = nil
	in.mu.Unlock()
	base := "asynq:{" + in.queue + "}:"
	for _, msg := range slices.Backward(left) { // the first taken is to be the first again
		m, err := decodeMessage([]byte(msg))
		if err == nil {
			err = giveBackScript.Run(ctx, in.redis, []string{base + "active", base + "lease", base + "pending"}, base+"t:", m.id).Err()
		}
		if err != nil {
			l.Warn("task not given back; it comes back when its lease is over", zap.String("queue", in.queue), zap.Error(err))
		}
	}
}
