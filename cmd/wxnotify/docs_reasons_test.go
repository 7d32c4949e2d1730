package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/store"
)

// startOfReasons is where package worker's part of the errcode handbook ends.
const startOfReasons = "<!-- end of the generated handbook -->\n"

// ordinaryReasons are those that ask nothing of anybody, in English and Chinese.
var ordinaryReasons = map[store.Reason][2]string{
	store.ReasonNoConsent:      {"waits for the user's consent", "等待用户授权"},
	store.ReasonTemplatePaused: {"waits until the template is resumed", "等待模板恢复"},
	store.ReasonTooOld:         {"expired: `expires_at`, or `MAX_AGE`, went by", "已过期：超过 `expires_at` 或 `MAX_AGE`"},
	store.ReasonDeadline:       {"expired: the deadline that a raw task had in asynq went by", "已过期：裸任务在 asynq 中的截止时间已过"},
	store.ReasonOnlyTo:         {"cancelled: the app's `only_to` leaves this addressee out", "已取消：小程序的 `only_to` 不包含该收件人"},
	store.ReasonErased:         {"cancelled: the user was erased", "已取消：用户已被抹除"},
	store.ReasonQuietHours:     {"queued until the quiet hours of its template end", "排队，等到模板的免打扰时段结束"},
	store.ReasonByAdmin:        {"cancelled, or settled as dead, by a person", "由人取消，或由人了结为 dead"},
}

// reasonsInChinese are what explainReason says, by the English text: one that
// changes fails the test until somebody has looked at the other.
var reasonsInChinese = map[string]string{
	"the request left and no answer came, or none that says what happened: the user may have the message": "请求已发出而没有应答，或应答说明不了结果：用户可能已收到消息",
	"ask the user; settle it as sent, or replay it with --force and risk a second message":                "询问用户；了结为已发送，或用 --force 重放并承担重复的风险",
	"WeChat was busy until the attempts were spent":                                                       "微信一直繁忙，直到次数用尽",
	"replay it": "重放",
	"the user gave no consent, or it is used up":                                                                "用户未授权，或次数已用完",
	"the user has to subscribe again; then replay it":                                                           "需要用户重新订阅，然后重放",
	"no openid is known for the user in this app":                                                               "该用户在此小程序中没有已知的 openid",
	"bind the user (wxnotify users bind); then replay it":                                                       "绑定用户（wxnotify users bind），然后重放",
	"WeChat does not know the template, or has banned it":                                                       "微信不认识该模板，或模板被封禁",
	"correct or restore the template; then replay it":                                                           "改正或恢复模板，然后重放",
	"the page is not in the released version":                                                                   "页面不在已发布版本中",
	"release the page or correct it; then replay it":                                                            "发布或改正页面，然后重放",
	"the openid is not of this app, or its account is limited":                                                  "openid 不属于该小程序，或账号受限",
	"bind the user again (wxnotify users bind); then replay it":                                                 "重新绑定用户（wxnotify users bind），然后重放",
	"WeChat refuses the content":                                                                                "微信拒绝该内容",
	"correct what is named; then replay it":                                                                     "改正指出的内容，然后重放",
	"WeChat answered with an errcode that nobody has documented":                                                "微信返回了没有文档的错误码",
	"look the rid up in the console":                                                                            "在公众平台按 rid 查询",
	"the task's payload cannot be read, so there is nothing to send":                                            "任务载荷无法读取，因此没有可发送的内容",
	"correct the payload, hand it in with 'wxnotify send', and discard this one":                                "改正载荷，用 wxnotify send 提交，并丢弃这一条",
	"the task's type is not ours: something else uses our queues":                                               "任务类型不属于本系统：有别的程序在用我们的队列",
	"let it use queues of its own; discard this one":                                                            "让它使用自己的队列；丢弃这一条",
	"the task names an app that this deployment does not serve":                                                 "任务指明的小程序不在本部署之列",
	"add the app to the settings or correct the payload, hand it in with 'wxnotify send', and discard this one": "把小程序加入设置或改正载荷，用 wxnotify send 提交，并丢弃这一条",
	"the task came back after its notification was deleted or erased: there is nothing to send":                 "通知已删除或抹除后任务又出现：没有可发送的内容",
	"discard it": "丢弃",
}

// reasonsTable is the handbook's second part.
func reasonsTable(t *testing.T, chinese bool) string {
	t.Helper()
	say := func(text string) string {
		if !chinese || text == "" {
			return text
		}
		translated, ok := reasonsInChinese[text]
		if !ok {
			t.Errorf("no Chinese for %q", text)
		}
		return translated
	}
	head := "\n## Reasons\n\nWhy a notification is dead, waits, expired or was cancelled: `reason` of the API, of `wxnotify dead list` and of the metrics.\n\n" +
		"| reason | meaning | what to do |\n| --- | --- | --- |\n"
	if chinese {
		head = "\n## 原因\n\n通知为何死亡、等待、过期或被取消：即 API、`wxnotify dead list` 和指标中的 `reason`。\n\n" +
			"| 原因 | 含义 | 怎么做 |\n| --- | --- | --- |\n"
	}
	var b strings.Builder
	b.WriteString(head)
	for _, r := range store.Reasons {
		meaning, do := explainReason(r)
		meaning, do = say(meaning), say(do)
		if meaning == "" {
			meaning = ordinaryReasons[r][0]
			if chinese {
				meaning = ordinaryReasons[r][1]
			}
		}
		if meaning == "" {
			t.Errorf("reason %s has no words", r)
		}
		b.WriteString("| `" + string(r) + "` | " + meaning + " | " + do + " |\n")
	}
	return b.String()
}

// The handbook's reasons are those that `dead show` explains. -update writes
// them.
func TestHandbookReasons(t *testing.T) {
	t.Parallel()
	for path, chinese := range map[string]bool{"deploy/docs/errcodes.md": false, "deploy/docs/errcodes.zh-CN.md": true} {
		head, got, found := strings.Cut(doc(t, path).text, startOfReasons)
		if !found {
			t.Fatalf("%s has no %q", path, startOfReasons)
		}
		want := reasonsTable(t, chinese)
		if *update {
			if err := os.WriteFile("../../"+path, []byte(head+startOfReasons+want), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs from the code; go test ./cmd/wxnotify -run TestHandbookReasons -update writes it:\n%s", path, diff)
		}
	}
}
