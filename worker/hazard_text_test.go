package worker

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// storedText is every text that asynq may store about a failed task and asynqmon
// may show: words of ours from closed lists, numbers, the names of fields, and
// asynq's own three.
var storedText = regexp.MustCompile(`^(?:` +
	`handed back: (?:the store does not answer|the row changed under the delivery|another delivery is sending|not due yet|` +
	`the app's rate is used up|another call for this openid is running|no slot|the app is paused|no access token|` +
	`the worker stops|the claim failed|the claim came too late|the answer was not written|to be sent again|` +
	`the store refused a change|the task was not adopted)` +
	`|dead \d+: (?:` + reasonWords() + `)(?:, errcode -?\d+)?(?:, field (?:data|template_id|page|openid|app|(?:data\.)?(?:thing|character_string)\d{1,3}))?` +
	`|internal fault, see the log|asynq: task lease expired|context deadline exceeded|context canceled)$`)

func reasonWords() string {
	words := make([]string, 0, len(store.Reasons))
	for _, r := range store.Reasons {
		words = append(words, string(r))
	}
	return strings.Join(words, "|")
}

// What a hostile producer or WeChat's errmsg could bring into a text.
const (
	privateOpenID = "oPrivatePrivatePrivatePriv28"
	privateText   = "张三的体检报告"
	privateUser   = "user13800138000"
	privatePage   = "pages/report?patient=4711"
)

func TestErrorTextInRedisIsOfClosedLists(t *testing.T) {
	t.Parallel()
	private := func(n *store.Notification) {
		n.OpenID, n.Page = privateOpenID, privatePage
		n.Data = map[string]string{"thing1": privateText, "thing2": privateText}
	}
	answers := func(f simulator.Fault) func(*rig) string {
		return func(r *rig) string {
			f.API = simulator.APISend
			r.fault(f)
			r.start()
			n := r.send(private)
			return task.ID(n.ID, n.Generation)
		}
	}
	errcode := func(code int) func(*rig) string {
		return answers(simulator.Fault{
			Action: simulator.ActErrcode, Errcode: code,
			Errmsg: "argument invalid! data." + privateOpenID + ".value " + privateText + " of " + privateOpenID,
		})
	}
	sender := func(s senderFunc) func(*rig) string {
		return func(r *rig) string {
			r.edit = func(c *Config) { c.Sender = s }
			r.start()
			n := r.send(private)
			return task.ID(n.ID, n.Generation)
		}
	}
	raw := func(payload any, opts ...asynq.Option) func(*rig) string {
		return func(r *rig) string {
			r.start()
			_, taskID := r.raw(payload, opts...)
			return taskID
		}
	}
	for name, fail := range map[string]func(*rig) string{
		"rejected":          errcode(47003),
		"bad address":       errcode(40003),
		"page":              errcode(41030),
		"template":          errcode(40037),
		"openid concurrent": errcode(43108),
		"account":           errcode(48001),
		"day quota":         errcode(45009),
		"system busy":       errcode(-1),
		"busy":              answers(simulator.Fault{Action: simulator.ActStatus, Status: 412, Body: privateText}),
		"no token": func(r *rig) string {
			r.fault(simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActErrcode, Errcode: 40013, Errmsg: "invalid appid " + r.app.Secret})
			r.start()
			n := r.send(private)
			return task.ID(n.ID, n.Generation)
		},
		"panic": sender(func(context.Context, string, wechat.Message) (wechat.Receipt, error) { panic(privateText) }),
		"sender returns an unreachable URL": sender(func(_ context.Context, token string, m wechat.Message) (wechat.Receipt, error) {
			return wechat.Receipt{}, &wechat.Error{API: wechat.APISend, Kind: wechat.KindUnreachable, Msg: token, Err: errors.New(m.ToUser)}
		}),
		"cancelled": func(r *rig) string {
			r.hang()
			r.start()
			n := r.send(private)
			r.awaitHanging(1)
			if err := r.inspector().CancelProcessing(task.ID(n.ID, n.Generation)); err != nil {
				r.t.Fatal(err)
			}
			r.t.Cleanup(r.letGo)
			return task.ID(n.ID, n.Generation)
		},
		"timeout of a raw task": func(r *rig) string {
			r.hang()
			r.t.Cleanup(r.letGo)
			return raw(rawReport(privateOpenID), asynq.Timeout(time.Second))(r)
		},
		"row missing": func(r *rig) string {
			r.start()
			n := store.Notification{ID: uuid.Must(uuid.NewV7()), App: r.appID, Generation: 1, OpenID: privateOpenID, TemplateID: simulator.SeedReport}
			private(&n)
			r.enqueue(n)
			return task.ID(n.ID, 1)
		},
		"not JSON":              raw([]byte(privateText)),
		"keys and values mixed": raw(map[string]any{"template_id": "t", "user_id": privateUser, "data": map[string]any{privateText: true}}),
		"openid as a key":       raw(map[string]any{"template_id": "t", "user_id": privateUser, "data": map[string]any{privateOpenID: true}}),
		"number as a key":       raw(map[string]any{"template_id": "t", "user_id": privateUser, "data": map[string]any{"13800138000": true}}),
		"user as a key":         raw(map[string]any{"template_id": "t", "user_id": privateUser, "data": map[string]any{privateUser: nil}}),
		"unknown app":           raw(map[string]any{"template_id": "t", "user_id": privateUser, "app": privateOpenID, "data": reportData}),
		"wrong type":            raw(map[string]any{"template_id": map[string]any{privateOpenID: 1}, "user_id": privateUser}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			taskID := fail(r)
			var text string
			eventually(t, "asynq has stored a text", func() bool {
				text = r.lastErr(taskID)
				return text != ""
			})
			if !storedText.MatchString(text) {
				t.Errorf("%q is not made of closed lists", text)
			}
			for _, secret := range []string{privateOpenID, privateText, privateUser, "4711", "13800138000", r.app.Secret} {
				if strings.Contains(text, secret) {
					t.Errorf("%q contains %q", text, secret)
				}
			}
		})
	}
}
