package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// sendLive sends one message straight to WeChat and explains the answer.
func (p *program) sendLive(cmd *cobra.Command, f *sendFlags) error {
	data, err := f.values()
	if err != nil {
		return err
	}
	payload := task.Payload{
		TemplateID: f.template, Page: f.page, OpenID: f.openID, Data: data, Lang: f.lang, MiniprogramState: f.state,
	}
	if f.openID == "" {
		return usagef("--live needs --openid")
	}
	if faults, ok := errors.AsType[task.FieldErrors](payload.Check()); ok {
		return usageError{flagFaults(faults)}
	}
	cfg, err := p.configFor(cmd, config.RoleLive)
	if err != nil {
		return err
	}
	id, err := appID(cfg, f.app)
	if err != nil {
		return err
	}
	a, _ := cfg.App(id)
	if len(a.OnlyTo) > 0 && !slices.Contains(a.OnlyTo, f.openID) {
		return fmt.Errorf("not sent: the only_to list of app %s leaves this openid out", id)
	}
	m := f.message(a, data)
	if err := p.confirmLive(cmd.Context(), cfg, id, m, f.yes); err != nil {
		return err
	}
	answer, err := app.SendLive(cmd.Context(), cfg, a, m, p.logger(cfg))
	if err != nil {
		return err
	}
	if answer.Problem != nil {
		answer.Problem.Do = liveAdvice(answer.Problem.Do)
	}
	if err := p.printLive(id, answer, f.asJSON); err != nil {
		return err
	}
	if !answer.Accepted {
		return errors.New("not accepted by WeChat")
	}
	return nil
}

// replayAdvice ends the advice on an errcode that needs other content.
const replayAdvice = ", and replay"

// liveAdvice is the advice on an errcode for a message that is kept nowhere:
// there is nothing to replay.
func liveAdvice(do string) string {
	if first, found := strings.CutSuffix(do, replayAdvice); found {
		return first + ", and send it again"
	}
	return do
}

// message is that of the flags, with the app's own settings where they say
// nothing.
func (f *sendFlags) message(a config.App, data map[string]string) wechat.Message {
	m := wechat.Message{
		ToUser: f.openID, TemplateID: f.template, Page: f.page, Data: data,
		MiniprogramState: f.state, Lang: f.lang,
	}
	if m.MiniprogramState == "" {
		m.MiniprogramState = string(a.MiniprogramState)
	}
	if m.Lang == "" {
		m.Lang = string(a.Lang)
	}
	return m
}

// confirmLive asks before the message leaves.
func (p *program) confirmLive(ctx context.Context, cfg *config.Config, id string, m wechat.Message, yes bool) error {
	if yes {
		return nil
	}
	return p.askYes(ctx, fmt.Sprintf("Send template %s to %s, app %s, through %s?", cell(m.TemplateID), maskID(m.ToUser), id, cfg.APIBaseURL))
}

// liveAnswer is the answer as --json prints it.
type liveAnswer struct {
	Accepted bool   `json:"accepted"`
	App      string `json:"app"`
	MsgID    int64  `json:"msgid,omitempty,string"` // above 2^53, which a JSON number may not survive
	RID      string `json:"rid,omitempty"`
	Latency  int64  `json:"latency_ms"`

	Problem *app.Explained `json:"problem,omitempty"`
}

func (p *program) printLive(id string, a app.LiveAnswer, asJSON bool) error {
	if asJSON {
		return p.printJSON(liveAnswer{
			Accepted: a.Accepted, App: id, MsgID: a.MsgID, RID: a.RID, Latency: a.Latency.Milliseconds(), Problem: a.Problem,
		})
	}
	if a.Accepted {
		return p.print(facts("accepted", [][2]string{
			{"errcode", "0"},
			{"meaning", "WeChat took the message; whether a phone showed it, the later event says"},
			{"msgid", number(a.MsgID)},
			{"rid", a.RID},
			{"latency", strconv.FormatInt(a.Latency.Milliseconds(), 10) + " ms"},
		}))
	}
	x := a.Problem
	latency, status := "", ""
	if x.Errcode == 0 {
		status = number(int64(x.HTTP))
	}
	if a.Latency > 0 {
		latency = strconv.FormatInt(a.Latency.Milliseconds(), 10) + " ms"
	}
	return p.print(facts("not accepted", [][2]string{
		{"call", x.API},
		{"errcode", number(int64(x.Errcode))},
		{"http", status},
		{"errmsg", x.Errmsg},
		{"kind", x.Kind},
		{"field", x.Field},
		{"meaning", x.Meaning},
		{"do", x.Do},
		{"rid", x.RID},
		{"latency", latency},
	}))
}

// number is n, or nothing for 0.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// facts is a headline and what is known, one thing a line; what is empty is
// left out.
func facts(headline string, pairs [][2]string) string {
	var b strings.Builder
	b.WriteString(headline + "\n")
	for _, pair := range pairs {
		if pair[1] != "" {
			fmt.Fprintf(&b, "  %-9s %s\n", pair[0], cell(pair[1]))
		}
	}
	return b.String()
}
