package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// victim is somebody who is going to be erased, with ids that nobody else has.
type victim struct {
	user, openID, text string
}

func newVictim() victim {
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	return victim{user: "u-" + id, openID: "o" + id[:27], text: "secret-" + id[:8]}
}

// texts are what must be nowhere afterwards.
func (v victim) texts() []string { return []string{v.user, v.openID, v.text} }

// send accepts a notification to the user, with its task on the queue.
func (p *people) send(v victim, edits ...func(*producer.Notification)) store.Notification {
	p.Helper()
	n := producer.Notification{
		App: p.other, TemplateID: simulator.SeedApproval, UserID: v.user, Page: "pages/x?of=" + v.text,
		Data: map[string]string{"thing1": v.text},
	}
	for _, edit := range edits {
		edit(&n)
	}
	a, err := p.client.Send(p.Context(), n)
	p.must(err)
	p.must(a.QueueErr)
	return p.get(a.ID)
}

// claim takes a notification as a worker does.
func (p *people) claim(n store.Notification) store.Look {
	p.Helper()
	r, err := p.store.Commit(p.Context(), store.Batch{Claims: []store.Claim{{
		ID: n.ID, Generation: n.Generation, Owner: uuid.New(), Lease: time.Minute,
	}}})
	p.must(err)
	if !r.Claims[0].OK {
		p.Fatalf("not claimed: %s", r.Claims[0].Look.State)
	}
	return r.Claims[0].Look
}

// settle ends an attempt as a worker does.
func (p *people) settle(l store.Look, state store.State, outcome string) store.State {
	p.Helper()
	s := store.Settlement{ID: l.ID, Seq: l.Seq, State: state, Attempt: store.Attempt{At: time.Now(), Outcome: outcome, Errmsg: "text", RID: "rid"}}
	if state == store.Dead {
		s.Class, s.Reason, s.Field = store.ClassFault, store.ReasonRejected, "thing1"
	}
	r, err := p.store.Commit(p.Context(), store.Batch{Settlements: []store.Settlement{s}})
	p.must(err)
	return r.Settlements[0].State
}

// raw puts a raw task on a queue of the other app and returns its TaskID.
func (p *people) raw(payload string, opts ...asynq.Option) string {
	p.Helper()
	c := asynq.NewClientFromRedisClient(p.redis)
	info, err := c.Enqueue(asynq.NewTask(task.Type, []byte(payload)), append([]asynq.Option{asynq.Queue(p.other + ":default")}, opts...)...)
	p.must(err)
	return info.ID
}

// handle lets handlers work on a queue: each waits for end, and then ends with err.
func (p *people) handle(err error) (took <-chan string, end func()) {
	p.Helper()
	ids, release := make(chan string, 10), make(chan struct{})
	srv := asynq.NewServerFromRedisClient(p.redis, asynq.Config{
		Concurrency: 1, Queues: map[string]int{p.other + ":default": 1}, LogLevel: asynq.FatalLevel,
		TaskCheckInterval: 50 * time.Millisecond,
	})
	p.must(srv.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		id, _ := asynq.GetTaskID(ctx)
		ids <- id
		<-release
		return err
	})))
	p.Cleanup(srv.Shutdown)
	return ids, func() { close(release) }
}

// erase erases somebody over HTTP.
func (p *people) erase(v victim) erasedUser {
	p.Helper()
	a := p.want("erase", p.do(keyAll, "DELETE", "/v1/users/"+v.user, nil), 200, "")
	var counts erasedUser
	p.must(json.Unmarshal(a.body, &counts))
	return counts
}

func (p *people) finish() int {
	p.Helper()
	left, err := p.eraser.Finish(p.Context())
	p.must(err)
	return left
}

// TestErase erases somebody of whom something is everywhere.
func TestErase(t *testing.T) {
	t.Parallel()
	eachPeople(t, func(p *people) {
		v, keep := newVictim(), newVictim()
		inspector := asynq.NewInspectorFromRedisClient(p.redis)
		for _, who := range []victim{v, keep} {
			p.want("bind", p.do(keyAll, "PUT", "/v1/users/"+who.user, map[string]any{
				"app": p.other, "openid": who.openID, "unionid": "union-" + who.text,
			}), 200, "")
			// In every state and place.
			p.send(who)
			p.send(who, func(n *producer.Notification) { n.Delay = time.Hour })
			p.send(who, func(n *producer.Notification) { n.UserID, n.OpenID, n.Ref = "", who.openID, "ref-"+uuid.NewString() })
			sent, dead := p.claim(p.send(who)), p.claim(p.send(who))
			p.settle(sent, store.Sent, "ok")
			p.settle(dead, store.Dead, "rejected")
			p.must(inspector.ArchiveTask(p.other+":default", task.ID(dead.ID, 1)))
			p.raw(`{"user_id":"` + who.user + `","template_id":"T","data":{"thing1":"` + who.text + `"}}`)
			p.raw(`{"openid":"`+who.openID+`","template_id":"T","data":{"thing1":"`+who.text+`"}}`, asynq.ProcessIn(time.Hour))
			p.must(inspector.ArchiveTask(p.other+":default", p.raw(`{"user_id":"`+who.user+`","data":"`+who.text)))
			p.unread(who)
			p.poison(who)
			p.consent(who, uuid.New(), "accept")
			p.pushes(who)
		}
		unbound := p.waitingIn(p.other, v)
		if n := len(p.hits(v.texts()...)); n < 15 {
			p.Fatalf("only %d places to erase", n)
		}
		kept := p.hits(keep.texts()...)

		got := p.erase(v)
		want := erasedUser{Cancelled: 4, Blanked: 3, Unbound: 1, Consents: 1, Pushes: 2, Tasks: 7}
		if got != want {
			p.Errorf("%+v, want %+v", got, want)
		}
		p.wantNowhere(v)
		if left := p.hits(keep.texts()...); len(left) != len(kept) {
			p.Errorf("%d places name somebody else, there were %d", len(left), len(kept))
		}
		if n := p.get(unbound); n.State != store.Cancelled || n.Reason != store.ReasonErased {
			p.Errorf("a waiting one is %s, %s", n.State, n.Reason)
		}
		p.want("gone", p.do(keyAll, "GET", "/v1/users/"+v.user, nil), 404, CodeNotFound)
		if again := p.erase(v); again != (erasedUser{}) {
			p.Errorf("again: %+v", again)
		}
		if left := p.finish(); left != 0 {
			p.Errorf("%d left", left)
		}
		if line := p.logged(); strings.Count(line, "user erased") != 2 || !strings.Contains(line, `"by":"all"`) {
			p.Error("not audited")
		}
		p.leaks(v.texts()...)
	})
}

// unread is a dead letter that could not be read.
func (p *people) unread(v victim) {
	p.Helper()
	_, err := p.store.Insert(p.Context(), []store.Acceptance{{Notification: store.Notification{
		ID: uuid.New(), App: p.other, State: store.Dead, Class: store.ClassFault, Reason: store.ReasonMalformed, Generation: 1,
		Payload: []byte(`{"user_id":"` + v.user + `","openid":"` + v.openID + `","data":"` + v.text),
	}}})
	p.must(err)
}

// poison is a message that asynq could not read.
func (p *people) poison(v victim) {
	p.Helper()
	entry, err := json.Marshal(task.Poison{Queue: p.other + ":low", TaskID: uuid.NewString(), Msg: []byte("\x00\"" + v.user + "\"" + v.text)})
	p.must(err)
	p.must(p.redis.LPush(p.Context(), task.PoisonKey, entry).Err())
	p.Cleanup(func() { p.redis.LRem(context.Background(), task.PoisonKey, 0, entry) })
}

func (p *people) consent(v victim, report uuid.UUID, answer string) {
	p.Helper()
	p.want("consent", p.do(keyAll, "POST", "/v1/users/"+v.user+"/consents", map[string]any{
		"report_id": report, "app": p.other, "results": map[string]string{simulator.SeedReview: answer},
	}), 200, "")
}

// pushes are a receipt that nobody waits for, and an event in the inbox.
func (p *people) pushes(v victim) {
	p.Helper()
	_, err := p.store.RecordReceipts(p.Context(), []store.ReceiptEvent{{
		App: p.other, OpenID: v.openID, TemplateID: simulator.SeedReview, MsgID: time.Now().UnixNano(), OK: true, At: time.Now().Add(-time.Hour),
	}})
	p.must(err)
	key := uuid.New()
	_, err = p.store.ReceivePushes(p.Context(), []store.Push{{
		Key: store.PushKey{key[0], key[1], key[2], key[3]}, App: p.other, Kind: store.PushEvent, Body: []byte(`{"from":"` + v.openID + `"}`),
	}})
	p.must(err)
}

// waitingIn is a notification of the user that waits.
func (p *people) waitingIn(app string, v victim) uuid.UUID {
	p.Helper()
	id := uuid.Must(uuid.NewV7())
	_, err := p.store.Insert(p.Context(), []store.Acceptance{{
		Notification: store.Notification{
			ID: id, App: app, TemplateID: simulator.SeedApproval, UserID: v.user, Data: map[string]string{"thing1": v.text},
			State: store.Waiting, Reason: store.ReasonTemplatePaused, Generation: 1,
		},
		MaxAge: time.Hour,
	}})
	p.must(err)
	return id
}

// What is being sent ends, is not sent again, and is erased then, with its task:
// also when another process goes on with it.
func TestEraseInFlight(t *testing.T) {
	t.Parallel()
	eachPeople(t, func(p *people) {
		v := newVictim()
		p.want("bind", p.do(keyAll, "PUT", "/v1/users/"+v.user, map[string]any{"app": p.other, "openid": v.openID}), 200, "")
		took, end := p.handle(errors.Join(errors.New("dead 1"), asynq.SkipRetry))
		n := p.send(v)
		<-took
		l := p.claim(n)
		if got := p.erase(v); got.InFlight != 1 || got.Unbound != 1 || got.Cancelled+got.Blanked+got.Tasks != 0 {
			p.Errorf("%+v, want one in flight", got)
		}
		if left := p.finish(); left != 1 {
			p.Errorf("%d left while it is being sent", left)
		}
		if got := p.settle(l, store.Dead, "rejected"); got != store.Dead {
			p.Errorf("ended as %s", got)
		}
		other, err := NewEraser(EraserConfig{Store: p.store, Redis: p.redis, DefaultApp: p.app, settled: time.Nanosecond})
		p.must(err)
		left, err := other.Finish(p.Context())
		if err != nil || left != 1 {
			p.Errorf("%d left while a worker has the task, %v", left, err)
		}
		if got := p.get(n.ID); got.UserID != "" || got.Reason != store.ReasonRejected {
			p.Errorf("%s, %s, blanked: %v", got.State, got.Reason, got.UserID == "")
		}
		end()
		p.eventually("the archived task is gone", func() bool {
			left, err := other.Finish(p.Context())
			p.must(err)
			return left == 0
		})
		// asynq's own note of who works on what ends with the task.
		p.eventually("nothing names the user", func() bool { return len(p.hits(v.texts()...)) == 0 })
	})
}

// A raw task that a worker took before anybody knew of it is erased when it was
// adopted.
func TestEraseRawInFlight(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	v := newVictim()
	took, end := p.handle(nil)
	taskID := p.raw(`{"user_id":"` + v.user + `","template_id":"T","data":{"thing1":"` + v.text + `"}}`)
	<-took
	if got := p.erase(v); got != (erasedUser{}) {
		p.Errorf("%+v", got)
	}
	if left := p.finish(); left != 1 {
		p.Errorf("%d left, want the raw one", left)
	}
	id := task.RawID(p.other+":default", taskID)
	_, err := p.store.Insert(p.Context(), []store.Acceptance{{
		Notification: store.Notification{
			ID: id, App: p.other, TemplateID: "T", UserID: v.user, Data: map[string]string{"thing1": v.text}, Generation: 1,
		},
		MaxAge: time.Hour,
	}})
	p.must(err)
	end()
	p.eventually("it is erased", func() bool { return p.finish() == 0 })
	if n := p.get(id); n.State != store.Cancelled || n.Reason != store.ReasonErased {
		p.Errorf("%s, %s", n.State, n.Reason)
	}
	p.eventually("nothing names the user", func() bool { return len(p.hits(v.texts()...)) == 0 })
}

// A task that somebody puts on the queue late, after having read the row before,
// is found.
func TestEraseLateTask(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	v := newVictim()
	n := p.send(v)
	inspector := asynq.NewInspectorFromRedisClient(p.redis)
	info, err := inspector.GetTaskInfo(p.other+":default", task.ID(n.ID, 1))
	p.must(err)
	p.gateway.config.Eraser.cfg.settled = time.Hour
	if got := p.erase(v); got.Cancelled != 1 || got.Tasks != 1 {
		p.Errorf("%+v", got)
	}
	_, err = asynq.NewClientFromRedisClient(p.redis).Enqueue(asynq.NewTask(task.Type, info.Payload, asynq.TaskID(info.ID), asynq.Queue(info.Queue)))
	p.must(err)
	if left := p.finish(); left != 1 {
		p.Errorf("%d left, want one that is looked for again", left)
	}
	p.wantNowhere(v)
	p.eraser.cfg.settled = time.Nanosecond
	if left := p.finish(); left != 0 {
		p.Errorf("%d left", left)
	}
	// Who repeats the request that made it learns that it is cancelled.
	if late := p.send(v); late.ID == n.ID {
		p.Error("a new request found the old one")
	}
}

// An erasure that broke off at any step goes on when it is repeated, or by itself.
func TestEraseBrokenOff(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"addresses", "begin", "rows"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			p := onePeople(t)
			v := newVictim()
			p.want("bind", p.do(keyAll, "PUT", "/v1/users/"+v.user, map[string]any{"app": p.other, "openid": v.openID}), 200, "")
			p.send(v)
			p.raw(`{"openid":"` + v.openID + `","template_id":"T","data":{"thing1":"` + v.text + `"}}`)
			broken := &breakingStore{EraseStore: p.store, at: step}
			p.eraser.cfg.Store = broken
			p.want("broken off", p.do(keyAll, "DELETE", "/v1/users/"+v.user, nil), 503, CodeUnavailable)
			broken.at = ""
			if step == "rows" { // the list is there
				if left := p.finish(); left != 0 {
					p.Errorf("%d left", left)
				}
			} else {
				p.erase(v)
			}
			p.wantNowhere(v)
		})
	}
}

// Without Redis nothing is said to be erased; what was erased by then stays so.
func TestEraseQueueAway(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	v := newVictim()
	p.send(v)
	here := p.eraser.cfg.Redis
	away := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer func() { _ = away.Close() }()
	p.eraser.cfg.Redis = away
	p.want("away", p.do(keyAll, "DELETE", "/v1/users/"+v.user, nil), 503, CodeUnavailable)
	if !strings.Contains(p.logged(), "user not erased completely") || strings.Contains(p.logged(), "user erased") {
		t.Error("not said in the log")
	}
	p.eraser.cfg.Redis = here
	p.erase(v)
	p.wantNowhere(v)
	p.leaks(v.texts()...)
}

// breakingStore fails at one step.
type breakingStore struct {
	EraseStore
	at string
}

func (s *breakingStore) Addresses(ctx context.Context, userID string, apps []string) ([]store.Address, error) {
	if s.at == "addresses" {
		return nil, store.ErrUnavailable
	}
	return s.EraseStore.Addresses(ctx, userID, apps)
}

func (s *breakingStore) BeginErasure(ctx context.Context, e store.Erasure) (store.ErasureBegun, error) {
	if s.at == "begin" {
		return store.ErasureBegun{}, store.ErrUnavailable
	}
	return s.EraseStore.BeginErasure(ctx, e)
}

func (s *breakingStore) EraseRows(ctx context.Context, ids []uuid.UUID) ([]store.ErasedRow, error) {
	if s.at == "rows" {
		return nil, store.ErrUnavailable
	}
	return s.EraseStore.EraseRows(ctx, ids)
}

// A key of one app erases in that app only.
func TestEraseScope(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	v := newVictim()
	for _, app := range []string{p.app, p.other} {
		p.want("bind", p.do(keyAll, "PUT", "/v1/users/"+v.user, map[string]any{"app": app, "openid": v.openID}), 200, "")
		p.send(v, func(n *producer.Notification) { n.App = app })
	}
	a := p.want("erase", p.do(keyOther, "DELETE", "/v1/users/"+v.user, nil), 200, "")
	p.wantJSON("erase", a, `{"cancelled":1,"blanked":0,"in_flight":0,"unbound":1,"consents":0,"pushes":0,"tasks":1}`)
	left, err := p.store.Bindings(p.Context(), v.user)
	if err != nil || len(left) != 1 || left[0].App != p.app {
		p.Errorf("%d bindings left, %v", len(left), err)
	}
	p.want("without the right", p.do(keySend, "DELETE", "/v1/users/"+v.user, nil), 403, CodeForbiddenRight)
}

// The loop finishes what is left, tells once when it cannot, and stops.
func TestEraserLoop(t *testing.T) {
	st := &listStore{}
	rdb := peopleRedis(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	e, err := NewEraser(EraserConfig{Store: st, Redis: rdb, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Errorf("stop before start: %v", err)
	}
	e, err = NewEraser(EraserConfig{Store: st, Redis: rdb, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	rounds := make(chan struct{})
	st.called = rounds
	e.Start(t.Context())
	e.Start(t.Context())
	for range 3 {
		<-rounds
	}
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop(t.Context()) }()
	for {
		select {
		case <-rounds:
			continue
		case err := <-stopped:
			if err != nil {
				t.Error(err)
			}
		}
		break
	}
	if _, err := NewEraser(EraserConfig{Interval: -1}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("an eraser of nothing: %v, want three faults", err)
	}
}

// listStore tells each time it is asked for what is left.
type listStore struct {
	EraseStore
	called chan struct{}
}

func (s *listStore) Erasures(context.Context, uuid.UUID, int) ([]store.Erasing, error) {
	s.called <- struct{}{}
	return nil, store.ErrUnavailable
}
