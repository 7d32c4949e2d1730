package app_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// hostile is a raw task that somebody put on the queue and what has to become
// of it.
type hostile struct {
	name    string
	payload string
	kind    string         // "": task.Type
	opts    []asynq.Option // beside the queue

	state  store.State // "": dead
	class  store.Class // "": fault, for the dead
	reason store.Reason
	field  string
	// shown is the field as asynq is told it; "": as field.
	shown string
	calls int // of WeChat
}

// hostilePayload is a payload that nothing is wrong with, with some members
// replaced by raw JSON; "" takes a member out.
func hostilePayload(members ...string) string {
	p := map[string]json.RawMessage{
		"template_id": json.RawMessage(`"` + simulator.SeedReport + `"`),
		"openid":      json.RawMessage(`"` + simulator.OpenID(uuid.NewString()) + `"`),
		"data":        json.RawMessage(`{"thing1":"设备领用月报","thing2":"2026年10月"}`),
	}
	for i := 0; i < len(members); i += 2 {
		if members[i+1] == "" {
			delete(p, members[i])
			continue
		}
		p[members[i]] = json.RawMessage(members[i+1])
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // a case of the table is no JSON
	}
	return string(b)
}

// injections are user ids, openids and TaskIDs that mean something elsewhere.
var injections = []string{
	`'; DROP TABLE notifications; --`, `" OR 1=1 /*`, `$1`, `*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$1\r\ny`,
	"FLUSHALL\r\nFLUSHALL\r\n", `{critical}:asynq`, `${jndi:ldap://127.0.0.1/a}`, `%s%s%n`, `../../etc/passwd`, "\u202e\u2028", `a","touser":"b`,
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func hostileTasks() []hostile {
	malformed := func(name, payload, field string) hostile {
		return hostile{name: name, payload: payload, reason: store.ReasonMalformed, field: field}
	}
	list := []hostile{
		malformed("not JSON", "<xml>hello</xml>", ""),
		malformed("empty", "", ""),
		malformed("null", "null", "template_id"),
		malformed("a string", `"template_id"`, ""),
		malformed("cut off", hostilePayload()[:40], ""),
		malformed("1 MiB", hostilePayload("page", `"`+strings.Repeat("p", 1<<20)+`"`), ""),
		malformed("deep nesting", strings.Repeat("[", 30_000), ""),
		malformed("deep nesting inside", hostilePayload("data", `{"thing1":`+strings.Repeat(`{"a":`, 5_000)+"1"+strings.Repeat("}", 5_001)), "data.thing1"),
		malformed("invalid UTF-8", strings.Replace(hostilePayload(), "pages", "\xff\xfe\xc0", 1)+"\xff", ""),
		malformed("a NUL byte", hostilePayload()+"\x00", ""),
		malformed("an escaped NUL", hostilePayload("data", `{"thing1":"a\u0000b"}`), "data.thing1"),
		malformed("a NUL in an openid", hostilePayload("openid", `"o\u0000"`), "openid"),
		malformed("no template", hostilePayload("template_id", ""), "template_id"),
		malformed("template of a wrong type", hostilePayload("template_id", `{"a":1}`), "template_id"),
		malformed("template of 10 kB", hostilePayload("template_id", `"`+strings.Repeat("t", 10<<10)+`"`), "template_id"),
		malformed("data is a list", hostilePayload("data", `["thing1"]`), "data"),
		malformed("data is JSON in a string", hostilePayload("data", `"{\"thing1\":\"x\"}"`), "data"),
		malformed("a value is a list", hostilePayload("data", `{"thing1":[1]}`), "data.thing1"),
		malformed("user id is an object", hostilePayload("openid", "", "user_id", `{"$gt":""}`), "user_id"),
		malformed("user id is a fraction", hostilePayload("openid", "", "user_id", `1e400`), "user_id"),
		malformed("both addressees", hostilePayload("user_id", `"u"`), "openid"),
		malformed("nobody", hostilePayload("openid", ""), "user_id"),
		malformed("unknown language", hostilePayload("lang", `"xx"`), "lang"),
		malformed("id is not ours", hostilePayload("id", `"../../x"`), "id"),
		{name: "thousands of bad keys", payload: hostilePayload("data", badKeys(4_000)), reason: store.ReasonMalformed, field: "data.k0000", shown: "data"},
		malformed("a key with syntax", hostilePayload("data", `{"a\"b'; --":[]}`), "data"),
		{name: "unknown app", payload: hostilePayload("app", `"wx0000"`), reason: store.ReasonUnknownApp, field: "app"},
		{name: "unknown type", kind: "email:send", payload: hostilePayload(), reason: store.ReasonUnknownType},
		{name: "hostile type", kind: "a'\r\n" + strings.Repeat("x", 10<<10), payload: hostilePayload(), reason: store.ReasonUnknownType},
		{name: "row missing", payload: hostilePayload(), opts: []asynq.Option{asynq.TaskID(task.ID(uuid.New(), 3))}, reason: store.ReasonRowMissing},
		{name: "template that does not exist", payload: hostilePayload("template_id", `"' OR 1=1"`), reason: store.ReasonTemplate, field: "template_id", calls: 1},
	}
	for i, s := range injections {
		list = append(list,
			hostile{name: fmt.Sprintf("user id, injection %d", i), payload: hostilePayload("openid", "", "user_id", quoted(s)), class: store.ClassRefused, reason: store.ReasonUnbound},
			hostile{name: fmt.Sprintf("openid, injection %d", i), payload: hostilePayload("openid", quoted(s)), reason: store.ReasonBadAddress, field: "openid", calls: 1},
			hostile{name: fmt.Sprintf("TaskID, injection %d", i), payload: hostilePayload(), opts: []asynq.Option{asynq.TaskID(s)}, state: store.Sent, calls: 1},
			hostile{name: fmt.Sprintf("bound user id, injection %d", i), payload: hostilePayload("openid", "", "user_id", quoted("bound "+s)), state: store.Sent, calls: 1},
		)
	}
	return list
}

// badKeys is data whose n values are all of a wrong type.
func badKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%04d":[]`, i)
	}
	return "{" + b.String()[1:] + "}"
}

// maxErrmsg is more than any text about what is wrong needs.
const maxErrmsg = 2048

// Whatever is put on a queue ends where it belongs, with a reason, and the
// worker goes on.
func TestHostilePayloads(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, nil)
	for _, s := range injections {
		b := store.Binding{App: r.app.AppID, UserID: "bound " + s, OpenID: simulator.OpenID(s)}
		if _, err := r.store.Bind(t.Context(), []store.Binding{b}); err != nil {
			t.Fatal(err)
		}
	}
	w, _, _ := r.start()
	client := asynq.NewClientFromRedisClient(r.rdb)
	cases := hostileTasks()
	taskIDs := make([]string, len(cases))
	for i, c := range cases {
		kind := c.kind
		if kind == "" {
			kind = task.Type
		}
		info, err := client.EnqueueContext(t.Context(), asynq.NewTask(kind, []byte(c.payload)), append(c.opts, asynq.Queue(defaultQueue))...)
		if err != nil {
			t.Fatalf("%s: enqueue: %v", c.name, err)
		}
		taskIDs[i] = info.ID
	}
	r.awaitDrained()

	calls := 0
	for i, c := range cases {
		calls += c.calls
		r.checkHostile(c, taskIDs[i])
	}
	if got := r.sim.State().Sends; got != int64(calls) {
		t.Errorf("WeChat received %d calls, want %d", got, calls)
	}
	r.checkStillborn(w, cases)
	good := r.send(1, nil)
	eventually(t, "a good one is sent afterwards", func() error {
		n, _ := r.get(good[0].id)
		if n.State != store.Sent {
			return fmt.Errorf("it is %s", n.State)
		}
		return nil
	})
	if !w.Worker.Alive() {
		t.Error("the worker's loop stands still")
	}
}

func (r *rig) checkHostile(c hostile, taskID string) {
	r.t.Helper()
	id := task.RawID(defaultQueue, taskID)
	if ours, _, ok := task.ParseID(taskID); ok {
		id = ours
	}
	n, _ := r.get(id)
	state, class := c.state, c.class
	if state == "" {
		state = store.Dead
	}
	if state == store.Dead && class == "" {
		class = store.ClassFault
	}
	if n.State != state || n.Class != class || n.Reason != c.reason || n.Field != c.field || n.Seq != c.calls {
		r.t.Errorf("%s: %s %q %q field %q seq %d (%.80s), want %s %q %q field %q seq %d", c.name,
			n.State, n.Class, n.Reason, n.Field, n.Seq, n.Errmsg, state, class, c.reason, c.field, c.calls)
	}
	if len(n.Errmsg) > maxErrmsg || len(n.Payload) > task.MaxPayload {
		r.t.Errorf("%s: an errmsg of %d bytes and a payload of %d are kept", c.name, len(n.Errmsg), len(n.Payload))
	}
	if unread := c.reason == store.ReasonMalformed || c.reason == store.ReasonUnknownType; unread && len(n.Payload) == 0 && c.payload != "" {
		r.t.Errorf("%s: the payload is not kept for whoever looks", c.name)
	}
	info, err := r.inspector().GetTaskInfo(defaultQueue, taskID)
	if class != store.ClassFault {
		if err == nil {
			r.t.Errorf("%s: the task is %s, want it gone", c.name, info.State)
		}
		return
	}
	want := fmt.Sprintf("dead %d: %s", c.calls, c.reason)
	if n.Errcode != 0 {
		want += fmt.Sprintf(", errcode %d", n.Errcode)
	}
	if shown := cmp.Or(c.shown, c.field); shown != "" {
		want += ", field " + shown
	}
	switch {
	case err != nil:
		r.t.Errorf("%s: the task: %v", c.name, err)
	case info.State != asynq.TaskStateArchived || info.LastErr != want:
		r.t.Errorf("%s: the task is %s with %q, want it archived with %q", c.name, info.State, info.LastErr, want)
	}
}

// checkStillborn checks that what was dead on arrival shows in the metrics.
func (r *rig) checkStillborn(w *app.Process, cases []hostile) {
	r.t.Helper()
	want := map[store.Reason]float64{}
	for _, c := range cases {
		switch c.reason { //nolint:exhaustive // the others are the end of a delivery, not of its beginning
		case store.ReasonMalformed, store.ReasonUnknownApp, store.ReasonUnknownType, store.ReasonRowMissing:
			want[c.reason]++
		}
	}
	families, err := w.Registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "wxnotify_worker_outcomes_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if n, ok := want[store.Reason(l.GetValue())]; ok && m.GetCounter().GetValue() == n {
					delete(want, store.Reason(l.GetValue()))
				}
			}
		}
	}
	if len(want) > 0 {
		r.t.Errorf("not counted: %v", want)
	}
}
