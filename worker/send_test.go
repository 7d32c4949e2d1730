package worker

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

func TestSendOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	n := r.send()
	got := r.awaitState(n.ID, store.Sent)
	if got.MsgID <= 1<<53 || got.Seq != 1 || got.Spent != 0 || got.Errcode != 0 {
		t.Errorf("row %+v, want a msgid above 2^53, one claim, nothing spent", got)
	}
	as := r.attempts(n.ID)
	if len(as) != 1 || as[0].Outcome != "ok" || as[0].MsgID != got.MsgID || as[0].Latency <= 0 {
		t.Errorf("attempts %+v, want one that was ok", as)
	}
	calls := r.sim.Calls(0)
	if len(calls) != 1 || calls[0].ContentLength <= 0 || len(calls[0].TransferEncoding) != 0 {
		t.Fatalf("calls %+v, want one with a length", calls)
	}
}

// A plain asynq client hands in the four fields of the contract and no more.
func TestSendRawTaskOfAnyClient(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	openID := simulator.OpenID("raw-user")
	if _, err := r.store.Bind(r.ctx, []store.Binding{{App: r.appID, UserID: "u-1", OpenID: openID}}); err != nil {
		t.Fatal(err)
	}
	id, taskID := r.raw(map[string]any{
		"template_id": simulator.SeedReport, "page": "/pages/a?b=1&c=2", "user_id": "u-1",
		"data": map[string]any{"thing1": map[string]any{"value": "月报"}, "thing2": 2026},
	})
	r.awaitState(id, store.Sent)
	calls := r.sim.Calls(0)
	if len(calls) != 1 {
		t.Fatalf("%d calls, want 1", len(calls))
	}
	var body map[string]any
	if err := json.Unmarshal(calls[0].Body, &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"touser": openID, "template_id": simulator.SeedReport, "page": "pages/a?b=1&c=2",
		"data":              map[string]any{"thing1": map[string]any{"value": "月报"}, "thing2": map[string]any{"value": "2026"}},
		"miniprogram_state": "formal", "lang": "zh_CN",
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body that WeChat received (-want +got):\n%s", diff)
	}
	eventually(t, "the task is acknowledged", func() bool {
		_, err := r.inspector().GetTaskInfo(r.queue(), taskID)
		return err != nil
	})
}
