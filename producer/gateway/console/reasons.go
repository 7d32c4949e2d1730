package console

import "github.com/wxnotify/wxnotify/store"

// Meaning says what a reason means and what to do about it, in one sentence.
func (v view) Meaning(r store.Reason) string {
	if text := reasonTexts[r]; text != "" {
		return v.T(text)
	}
	return ""
}

// reasonTexts has a message for every reason.
var reasonTexts = map[store.Reason]string{
	store.ReasonInDoubt:        "The request left and no usable answer came: the user may have the message. Ask the user; settle it as sent, or replay it and risk a second one.",
	store.ReasonBudget:         "WeChat was busy until the attempts were spent. Replay it.",
	store.ReasonNotSubscribed:  "The user gave no consent, or it is used up. The user has to subscribe again.",
	store.ReasonUnbound:        "No openid is known for the user in this app. Bind the user, then replay it.",
	store.ReasonNoConsent:      "It waits for the user's consent.",
	store.ReasonTemplate:       "WeChat does not know the template, or has banned it. Correct or restore the template, then replay it.",
	store.ReasonTemplatePaused: "It waits until its template is resumed.",
	store.ReasonPage:           "The page is not in the released version. Release it or correct the page, then replay it.",
	store.ReasonBadAddress:     "The openid is not of this app, or its account is limited. Bind the user again, then replay it.",
	store.ReasonRejected:       "WeChat refuses the content. Correct what is named, then replay it.",
	store.ReasonUnknownCode:    "WeChat answered with an errcode that nobody has documented. Look the rid up in WeChat's console.",
	store.ReasonMalformed:      "The task's payload cannot be read, so there is nothing to send. Hand it in anew and discard this one.",
	store.ReasonUnknownType:    "The task's type is not ours: something else uses our queues. Discard it.",
	store.ReasonUnknownApp:     "The task names an app that this deployment does not serve. Hand it in anew and discard this one.",
	store.ReasonRowMissing:     "The task came back after its notification was deleted or erased: there is nothing to send. Discard it.",
	store.ReasonTooOld:         "Its time was over before it could be sent.",
	store.ReasonDeadline:       "The task's own deadline went by while it was queued.",
	store.ReasonOnlyTo:         "The app's only_to list leaves this addressee out.",
	store.ReasonErased:         "The user was erased.",
	store.ReasonByAdmin:        "A person decided it.",
	store.ReasonQuietHours:     "It came within its template's quiet hours and is due at their end.",
}
