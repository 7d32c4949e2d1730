package main

import (
	"strings"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// next says what there is to look at and to try, in commands that work as they
// stand in a directory of this module.
func (r *devRun) next(keeps bool) string {
	var b strings.Builder
	b.WriteString("\nLook at\n")
	line(&b, "phones", r.d.Simulator.URL+"/_sim/", "what users received, and what they allow")
	line(&b, "api", r.d.GatewayURL+"/docs", "opened by the key below")
	console(&b, r.d, r.cfg)
	for _, s := range r.results {
		if s.want.field != "" && s.row.State == store.Dead && r.d.Process.AdminAddr != "" {
			line(&b, "", consoleURL(r.d)+"notifications/"+s.row.ID.String(), "the dead letter of the bad field")
		}
	}
	line(&b, "data", r.d.Dir, map[bool]string{true: "kept: start again with the same --data to go on", false: "removed at the end; --data DIR keeps it"}[keeps])
	if r.d.LogFile != "" {
		line(&b, "log", r.d.LogFile, "")
	}

	b.WriteString("\nHand one in by HTTP, by its alias and the names of its fields (again and again: zhangwei's consent is long-term)\n\n")
	b.WriteString(curlExample(r.d, "/v1/notifications", `{"template_id":"data_report","user_id":"`+zhangWei.id+
		`","page":"pages/report/list","data":{"report":"设备领用周报","period":"2026年第9周"}}`))
	if s := r.parked(); s != nil {
		b.WriteString("\nLet the parked one go: on " + s.user.name + "'s phone press Accept beside 审批结果通知, and it is there within a second; see what became of it\n\n")
		b.WriteString(curlExample(r.d, "/v1/notifications/"+s.accepted.ID.String(), ""))
	}

	b.WriteString("\nSend one as any program with an asynq client does: in this folder, a clone of wxnotify\n\n")
	b.WriteString(enqueueExample(r.d, `{"template_id":"`+simulator.SeedReport+`","page":"pages/report/detail?id=1",`+
		`"user_id":"`+zhangWei.id+`","data":{"thing1":"设备领用周报","thing2":"2026年第9周"}}`))
	b.WriteString("\nMake the simulated WeChat refuse the next two calls, then send one more: it is on the phone at the third,\n" +
		"a few seconds later (between its calls it waits in the database, not on the queue)\n\n")
	b.WriteString("  curl -H 'Content-Type: application/json' " + r.d.Simulator.URL + "/_sim/faults \\\n" +
		"    -d '{\"api\":\"subscribe_send\",\"action\":\"errcode\",\"errcode\":43108,\"count\":2}'\n")
	if metrics := r.d.Process.AdminAddr; metrics != "" {
		b.WriteString("  curl -s http://" + metrics + "/metrics | grep 'errcode=\"43108\"'\n")
	}
	b.WriteString("\n")
	return b.String()
}

// parked is the sample that waits for the user; nil when none does any more.
func (r *devRun) parked() *sampleResult {
	for _, s := range r.results {
		if s.parked() && s.row.State == store.Waiting {
			return s
		}
	}
	return nil
}

// curlExample is a call of producers' API; without a body it gets.
func curlExample(d *app.Dev, path, body string) string {
	text := "  curl -H 'Authorization: Bearer " + d.APIKey + "' " + d.GatewayURL + path
	if body != "" {
		text += " \\\n    -H 'Content-Type: application/json' -d '" + body + "'"
	}
	return text + "\n"
}

// console adds the lines of the admin listener.
func console(b *strings.Builder, d *app.Dev, cfg *config.Config) {
	if d.Process.AdminAddr == "" {
		return
	}
	login := "user admin, the password of ADMIN_PASSWORD"
	if !wasSet(cfg, "ADMIN_PASSWORD") {
		login = "user admin, password " + cfg.AdminPassword.Reveal()
	}
	line(b, "metrics", "http://"+d.Process.AdminAddr+"/metrics", "")
	line(b, "console", consoleURL(d), login)
}

func consoleURL(d *app.Dev) string { return "http://" + d.Process.AdminAddr + "/admin/" }

// line is one thing to look at.
func line(b *strings.Builder, name, where, what string) {
	b.WriteString("  " + name + strings.Repeat(" ", max(1, 9-len(name))) + where)
	if what != "" {
		b.WriteString("   " + what)
	}
	b.WriteString("\n")
}

// enqueueExample is a program that puts a task on the embedded queue with
// nothing but asynq, and the command that runs it.
func enqueueExample(d *app.Dev, payload string) string {
	return "  cat > /tmp/enqueue.go <<'EOF'\n" + enqueueProgram(d, payload) + "EOF\n  go run /tmp/enqueue.go\n"
}

func enqueueProgram(d *app.Dev, payload string) string {
	return "package main\n\n" +
		"import \"github.com/hibiken/asynq\"\n\n" +
		"func main() {\n" +
		"\tredis, err := asynq.ParseRedisURI(\"" + d.Redis.URL() + "\")\n" +
		"\tif err == nil {\n" +
		"\t\t_, err = asynq.NewClient(redis).Enqueue(asynq.NewTask(\"" + task.Type + "\", []byte(`" + payload + "`)))\n" +
		"\t}\n" +
		"\tif err != nil {\n\t\tpanic(err)\n\t}\n" +
		"}\n"
}
