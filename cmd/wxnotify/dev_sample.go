package main

import (
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// devUser is an invented user of the sample app.
type devUser struct{ id, name string }

func (u devUser) openID() string { return simulator.OpenID(u.id) }

var (
	liLei     = devUser{"lilei", "李雷"}
	hanMeimei = devUser{"hanmeimei", "韩梅梅"}
	wangFang  = devUser{"wangfang", "王芳"}
	zhangWei  = devUser{"zhangwei", "张伟"}

	devUsers = []devUser{liLei, hanMeimei, wangFang, zhangWei}
)

// devNames are the users by openid, as the page of phones shows them.
func devNames() map[string]string {
	names := map[string]string{}
	for _, u := range devUsers {
		names[u.openID()] = u.id + " " + u.name
	}
	return names
}

// sampleEnd is how a notification ends.
type sampleEnd struct {
	state   store.State
	class   store.Class
	reason  store.Reason
	errcode int
	field   string
}

// sample is one notification of dev and what must become of it. No two samples
// share user and template: that pair finds their calls in the simulator.
type sample struct {
	// title says what is shown; the five notices have their template's.
	title string
	user  devUser
	n     producer.Notification
	// refused: the user did not allow the message.
	refused bool
	// busyOnce: WeChat answers the first call that another one is running.
	busyOnce bool
	// rotated: someone else fetches a new token just before.
	rotated bool

	// want is its end, or where it stays until the user taps.
	want sampleEnd
	// answers are those of its calls, when nothing gets between.
	answers string
}

// samples are the five notices of an office Mini Program, and five cases that
// do not go straight. Their content is fixed, because a ref that comes again
// with other content is refused: whoever changes a sample changes its ref.
func samples() []sample {
	sent := sampleEnd{state: store.Sent}
	return []sample{
		{
			title: "审批结果通知", user: liLei, want: sent, answers: "ok",
			n: producer.Notification{
				Ref: "dev-sample-1", TemplateID: simulator.SeedApproval, Page: "pages/approval/detail?id=1017",
				Data: map[string]string{"phrase1": "已通过", "thing2": "办公用品领用", "name3": "王芳", "time4": "2026年3月2日 15:01"},
			},
		},
		{
			title: "领用单领用通知", user: hanMeimei, want: sent, answers: "ok",
			n: producer.Notification{
				Ref: "dev-sample-2", TemplateID: simulator.SeedPickup, Page: "pages/pickup/detail?no=LY20260302-0017",
				Data: map[string]string{"character_string1": "LY20260302-0017", "thing2": "人体工学椅", "number3": "2", "time5": "2026年3月2日 16:30"},
			},
		},
		{
			title: "待审核通知", user: wangFang, want: sent, answers: "ok",
			n: producer.Notification{
				Ref: "dev-sample-3", TemplateID: simulator.SeedReview, Page: "pages/approval/todo", Priority: store.Critical,
				Data: review("李雷"),
			},
		},
		{
			title: "数据报表生成通知", user: zhangWei, want: sent, answers: "ok",
			n: producer.Notification{
				Ref: "dev-sample-4", TemplateID: simulator.SeedReport, Page: "pages/report/list", Priority: store.Low,
				// A long-term consent lets a duplicate through, a one-time one does not.
				Duplicates: store.DuplicatesAvoid,
				Data:       map[string]string{"thing1": "设备领用月报", "thing2": "2026年2月"},
			},
		},
		{
			title: "工单完成提醒", user: liLei, want: sent, answers: "ok",
			n: producer.Notification{
				Ref: "dev-sample-5", TemplateID: simulator.SeedWorkOrder, Page: "pages/order/detail?no=GD-88021",
				Data: workOrder("GD-88021"),
			},
		},
		{
			title: "retry: first call refused, 43108", user: hanMeimei, want: sent, answers: "43108, ok", busyOnce: true,
			n: producer.Notification{
				Ref: "dev-sample-6", TemplateID: simulator.SeedApproval, Page: "pages/approval/detail?id=1018",
				Data: map[string]string{"phrase1": "未通过", "thing2": "出差申请", "name3": "王芳", "time4": "2026年3月2日 15:04"},
			},
		},
		{
			title: "no consent: user said no", user: wangFang, refused: true, answers: "43101",
			want: sampleEnd{store.Dead, store.ClassRefused, store.ReasonNotSubscribed, 43101, ""},
			n: producer.Notification{
				Ref: "dev-sample-7", TemplateID: simulator.SeedPickup,
				Data: map[string]string{"character_string1": "LY20260302-0018", "thing2": "显示器", "number3": "1", "time5": "2026年3月2日 17:00"},
			},
		},
		{
			title: "bad field: thing1 over 20", user: zhangWei, answers: "47003",
			want: sampleEnd{store.Dead, store.ClassFault, store.ReasonRejected, 47003, "thing1"},
			n: producer.Notification{
				Ref: "dev-sample-8", TemplateID: simulator.SeedReview,
				Data: review("李雷（设备部电工班组长，代三号车间全体员工申请）"),
			},
		},
		{
			title: "token rotated by another system", user: hanMeimei, want: sent, answers: "40001, ok", rotated: true,
			n: producer.Notification{
				Ref: "dev-sample-9", TemplateID: simulator.SeedWorkOrder, Page: "pages/order/detail?no=GD-88022",
				Data: workOrder("GD-88022"),
			},
		},
		{
			title: "parked: waits for a consent", user: wangFang, refused: true, answers: "43101",
			want: sampleEnd{state: store.Waiting, reason: store.ReasonNoConsent, errcode: 43101},
			n: producer.Notification{
				Ref: "dev-sample-10", TemplateID: simulator.SeedApproval, Page: "pages/approval/detail?id=1019", Wait: 48 * time.Hour,
				Data: map[string]string{"phrase1": "已通过", "thing2": "年假申请", "name3": "李雷", "time4": "2026年3月2日 15:09"},
			},
		},
	}
}

func review(applicant string) map[string]string {
	return map[string]string{
		"thing1": applicant, "thing11": "设备部", "thing12": "电工", "time4": "2026年3月2日 09:12", "thing10": "绝缘手套",
	}
}

func workOrder(no string) map[string]string {
	return map[string]string{
		"character_string1": no, "thing3": "三楼空调维修", "amount5": "¥214.00", "name6": "韩梅梅", "date7": "2026年3月2日",
	}
}

// notification is the sample as it is handed in.
func (s sample) notification() producer.Notification {
	n := s.n
	n.UserID = s.user.id
	return n
}

// parked reports whether the sample stays open until the user taps.
func (s sample) parked() bool { return s.want.state == store.Waiting }

// expected is how the sample has to end, given what became of its calls. After
// a doubt, which an earlier process left that was killed in mid-call, nobody
// knows whether WeChat took the message: it is not sent again where duplicates
// are to be avoided, and a refusal no longer proves anything.
func (s sample) expected(row store.Notification) sampleEnd {
	switch {
	case s.parked() && row.State == store.Sent:
		return sampleEnd{state: store.Sent} // the user tapped
	case row.Doubts == 0:
		return s.want
	case s.n.Duplicates == store.DuplicatesAvoid:
		return sampleEnd{store.Dead, store.ClassFault, store.ReasonInDoubt, 0, ""}
	case s.refused:
		return sampleEnd{store.Dead, store.ClassFault, store.ReasonInDoubt, s.want.errcode, ""}
	}
	return s.want
}
