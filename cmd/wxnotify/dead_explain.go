package main

import (
	"fmt"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// advice is what a death means and what a person can do about it.
type advice struct {
	Meaning string `json:"meaning,omitempty"`
	WeChat  string `json:"wechat,omitempty"` // what its errcode means; "" when it adds nothing
	Do      string `json:"do,omitempty"`
	// Command lines to choose from.
	Commands []string `json:"commands,omitempty"`
}

// advise is about a notification that is dead or in doubt; for any other it is
// empty.
func advise(n store.Notification) advice {
	reason := n.Reason
	if n.State == store.InDoubt {
		reason = store.ReasonInDoubt
	} else if n.State != store.Dead {
		return advice{}
	}
	var a advice
	a.Meaning, a.Do = explainReason(reason)
	if n.Errcode != 0 {
		row, _ := wechat.LookupErrcode(n.Errcode)
		x := app.Explain(&wechat.Error{API: wechat.APISend, Kind: row.Kind, Code: n.Errcode, Msg: n.Errmsg})
		a.WeChat = x.Meaning
		if x.Do != "" && reason != store.ReasonInDoubt {
			a.Do = x.Do
		}
	}
	a.Commands = adviseCommands(n, reason)
	return a
}

// adviseCommands are the command lines that fit the case.
func adviseCommands(n store.Notification, reason store.Reason) []string {
	settle := fmt.Sprintf("wxnotify dead settle %s --as sent", n.ID)
	discard := fmt.Sprintf("wxnotify dead discard %s --yes", n.ID)
	replay := fmt.Sprintf("wxnotify dead replay %s", n.ID)
	switch {
	case n.State == store.InDoubt:
		return []string{settle, fmt.Sprintf("wxnotify dead settle %s --as dead", n.ID)}
	case n.Payload != nil:
		return []string{fmt.Sprintf("wxnotify dead show %s --reveal", n.ID), "wxnotify send FILE", discard}
	case !hasContent(n):
		return []string{discard}
	}
	switch reason { //nolint:exhaustive // the other reasons need nothing but a replay
	case store.ReasonInDoubt:
		return []string{settle, replay + " --force", discard}
	case store.ReasonRejected:
		key := maskField(n.Field)
		if key == "" || key == "***" {
			key = "KEY"
		}
		replay += " --set data." + key + "=TEXT"
	case store.ReasonPage:
		replay += " --set page=PAGE"
	case store.ReasonTemplate:
		replay += " --set template_id=TEMPLATE"
	}
	return []string{replay, discard}
}

// hasContent reports whether the notification has what a message needs.
func hasContent(n store.Notification) bool {
	return n.TemplateID != "" && (n.UserID != "" || n.OpenID != "") && len(n.Data) > 0 && n.DataBlankedAt.IsZero()
}

// explainReason says what a reason means and what to do where the errcode does
// not say it.
func explainReason(r store.Reason) (meaning, do string) {
	switch r {
	case store.ReasonInDoubt:
		return "the request left and no answer came, or none that says what happened: the user may have the message",
			"ask the user; settle it as sent, or replay it with --force and risk a second message"
	case store.ReasonBudget:
		return "WeChat was busy until the attempts were spent", "replay it"
	case store.ReasonNotSubscribed:
		return "the user gave no consent, or it is used up", "the user has to subscribe again; then replay it"
	case store.ReasonUnbound:
		return "no openid is known for the user in this app", "bind the user (wxnotify users bind); then replay it"
	case store.ReasonTemplate:
		return "WeChat does not know the template, or has banned it", "correct or restore the template; then replay it"
	case store.ReasonPage:
		return "the page is not in the released version", "release the page or correct it; then replay it"
	case store.ReasonBadAddress:
		return "the openid is not of this app, or its account is limited", "bind the user again (wxnotify users bind); then replay it"
	case store.ReasonRejected:
		return "WeChat refuses the content", "correct what is named; then replay it"
	case store.ReasonUnknownCode:
		return "WeChat answered with an errcode that nobody has documented", "look the rid up in the console"
	case store.ReasonMalformed:
		return "the task's payload cannot be read, so there is nothing to send",
			"correct the payload, hand it in with 'wxnotify send', and discard this one"
	case store.ReasonUnknownType:
		return "the task's type is not ours: something else uses our queues", "let it use queues of its own; discard this one"
	case store.ReasonUnknownApp:
		return "the task names an app that this deployment does not serve",
			"add the app to the settings or correct the payload, hand it in with 'wxnotify send', and discard this one"
	case store.ReasonRowMissing:
		return "the task came back after its notification was deleted or erased: there is nothing to send", "discard it"
	case store.ReasonNone, store.ReasonNoConsent, store.ReasonTemplatePaused, store.ReasonTooOld, store.ReasonDeadline,
		store.ReasonOnlyTo, store.ReasonErased, store.ReasonByAdmin, store.ReasonQuietHours:
		return "", ""
	}
	return "", ""
}

// explainAttempt says what an attempt's answer means.
func explainAttempt(a store.Attempt) string {
	for _, k := range wechat.Kinds {
		if k.String() == a.Outcome {
			if k == wechat.KindOK {
				return "accepted"
			}
			return app.Explain(&wechat.Error{API: wechat.APISend, Kind: k, Code: a.Errcode, Msg: a.Errmsg}).Meaning
		}
	}
	return ""
}
