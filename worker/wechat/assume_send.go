package wechat

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// checkTemplates lists the templates once and looks at what it is told.
func (p *prober) checkTemplates(ctx context.Context) {
	if _, refused := p.ask(ctx, templatesRequest(p.token, &p.templates)); refused != nil {
		o := Observation{Verdict: VerdictUnchecked, Observed: refused.observed(), Err: refused}
		if refused.says() || refused.Code == 0 && refused.HTTPStatus == 200 {
			o.Verdict = VerdictBroken
		}
		p.seen[assumeTemplates] = o
		return
	}
	if len(p.templates) == 0 {
		p.unchecked(assumeTemplates, "the app has none: add one in the console")
		return
	}
	whole, enums, known := 0, 0, 0
	var strange []string
	for _, t := range p.templates {
		if t.PriTmplID != "" && (t.Type == TypeOneTime || t.Type == TypeLongTerm) && len(t.Keys) > 0 {
			whole++
		}
		for _, key := range t.Keys {
			kind := strings.TrimRight(key, "0123456789")
			if _, ok := plainValues[kind]; !ok && !slices.Contains(strange, kind) {
				strange = append(strange, kind)
			}
		}
		for key := range t.Enums {
			enums++
			if slices.Contains(t.Keys, key) {
				known++
			}
		}
	}
	p.verdict(assumeTemplates, whole == len(p.templates), "%d of %d", whole, len(p.templates))
	if enums > 0 {
		p.verdict(assumeEnums, known == enums, "%d of %d", known, enums)
	} else {
		p.unchecked(assumeEnums, "no template has one")
	}
	slices.Sort(strange)
	p.either(assumeKeyTypes, len(strange) == 0, "all are", "not so: "+clean(strings.Join(strange, ", "), nil))
}

// plainValues are, for each documented type, a value that breaks none of its
// rules.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-message-management/subscribe-message/api_sendmessage.html
var plainValues = map[string]string{
	"thing": "测试消息", "number": "1", "letter": "A", "symbol": "#", "character_string": "TEST-1",
	"time": "15:01", "date": "2019年10月1日", "amount": "100", "phone_number": "10086", "car_number": "粤A8Z888",
	"name": "测试", "phrase": "测试", "enum_string": "", "enum": "",
}

// otherValue goes with types that nobody documented.
const otherValue = "测试"

// plainData fills a template with values that are in order.
func plainData(t Template) map[string]string {
	data := make(map[string]string, len(t.Keys))
	for _, key := range t.Keys {
		value := plainValues[strings.TrimRight(key, "0123456789")]
		if allowed := t.Enums[key]; len(allowed) > 0 {
			value = allowed[0]
		}
		if value == "" {
			value = otherValue
		}
		data[key] = value
	}
	return data
}

// checkRefusals sends what WeChat has to refuse, to an openid that nobody has.
func (p *prober) checkRefusals(ctx context.Context) {
	_, refused := p.ask(ctx, sendRequest(p.token, []byte(`{`), []string{}))
	p.refusal(assumeBadJSON, refused, KindRejected)

	m := Message{ToUser: "o" + madeUp(27, idAlphabet), TemplateID: madeUp(43, idAlphabet)}
	if len(p.templates) > 0 {
		m.TemplateID, m.Data = p.templates[0].PriTmplID, plainData(p.templates[0])
	}
	refused = p.send(ctx, m)
	p.refusal(assumeBadOpenID, refused, KindBadAddress)
	switch {
	case refused == nil || refused.says():
		p.held(assumeAllowed, "it did")
	case refused.Kind == KindAccount || refused.Kind == KindBadToken:
		p.seen[assumeAllowed] = Observation{Verdict: VerdictBroken, Observed: refused.observed(), Err: refused}
	default:
		p.seen[assumeAllowed] = Observation{Verdict: VerdictUnchecked, Observed: refused.observed(), Err: refused}
	}
}

// send makes one call of send and returns what was wrong with it.
func (p *prober) send(ctx context.Context, m Message) *Error {
	_, refused := p.deliver(ctx, m)
	return refused
}

func (p *prober) deliver(ctx context.Context, m Message) (answer, *Error) {
	return p.ask(ctx, sendRequest(p.token, m.body(), m.private()))
}

// checkMessage sends to the one who agreed: what has to be refused first, then
// one message that tries what nobody documented.
func (p *prober) checkMessage(ctx context.Context) {
	to := p.with.Message
	if to.ToUser == "" || to.TemplateID == "" {
		return
	}
	i := slices.IndexFunc(p.templates, func(t Template) bool { return t.PriTmplID == to.TemplateID })
	if i < 0 {
		for _, name := range []string{assumeBadTemplate, assumeBadData, assumeAccepted, assumeMsgID} {
			p.unchecked(name, "the template is not among the app's")
		}
		return
	}
	wrong := to
	wrong.TemplateID, wrong.Data = madeUp(43, idAlphabet), plainData(p.templates[i])
	p.refusal(assumeBadTemplate, p.send(ctx, wrong), KindTemplate)

	empty := to
	empty.Data = map[string]string{}
	refused := p.send(ctx, empty)
	p.refusal(assumeBadData, refused, KindRejected)
	switch {
	case refused == nil:
		// It was delivered, so this was the one message.
		for _, name := range []string{assumeAccepted, assumeMsgID} {
			p.unchecked(name, "a message without data was accepted, so no other was sent")
		}
		return
	case refused.Kind == KindRejected:
		p.either(assumeBadKey, slices.Contains(p.templates[i].Keys, refused.Field), "it named "+refused.Field, "it named none of the template's")
	}
	p.checkAccepted(ctx, to, p.templates[i])
}

// A dare is a value that may be refused, in a key of the message.
type dare struct{ name, value string }

// extraKey is a key that no template has.
const extraKey = "thing987654"

// dares are what to try in a template's keys, one for each assumption.
func dares(t Template) map[string]dare {
	list := map[string]dare{extraKey: {assumeExtra, "-"}}
	tried := map[string]bool{}
	for _, key := range t.Keys {
		kind := strings.TrimRight(key, "0123456789")
		if tried[kind] {
			continue
		}
		switch kind {
		case "thing":
			list[key] = dare{assumeEmoji, strings.Repeat("\U0001f600", 10)}
		case "time":
			list[key] = dare{assumeDashes, "2019-10-01 15:01:05"}
		}
		tried[kind] = true
	}
	return list
}

// checkAccepted sends one message. While WeChat refuses a key that dares
// something, that dare is taken back and it is tried again, so at most one
// message is accepted.
func (p *prober) checkAccepted(ctx context.Context, to Message, t Template) {
	plain, open := plainData(t), dares(t)
	for _, d := range []struct{ name, why string }{
		{assumeEmoji, "the template has no key of type thing"}, {assumeDashes, "the template has no key of type time"},
	} {
		p.unchecked(d.name, "%s", d.why)
	}
	for {
		to.Data = maps.Clone(plain)
		for key, d := range open {
			to.Data[key] = d.value
		}
		a, refused := p.deliver(ctx, to)
		if refused != nil && refused.Kind == KindRejected {
			if d, ok := open[refused.Field]; ok {
				p.broken(d.name, "%s", refused.observed())
				delete(open, refused.Field)
				continue
			}
		}
		p.judgeAccepted(a, refused, open, t)
		return
	}
}

// judgeAccepted says what the end of it means. A message that is in doubt is not
// sent again.
func (p *prober) judgeAccepted(a answer, refused *Error, open map[string]dare, t Template) {
	if refused != nil {
		for _, d := range open {
			p.unchecked(d.name, "the message was not accepted")
		}
		p.unchecked(assumeMsgID, "the message was not accepted")
		p.unchecked(assumeKept, "the message was not accepted")
		if refused.Kind == KindRefused || !refused.says() {
			p.seen[assumeAccepted] = Observation{Verdict: VerdictUnchecked, Observed: refused.observed(), Err: refused}
			return
		}
		p.seen[assumeAccepted] = Observation{Verdict: VerdictBroken, Observed: refused.observed(), Err: refused}
		return
	}
	p.held(assumeAccepted, "errcode 0")
	for _, d := range open {
		p.held(d.name, "it was accepted")
	}
	msgID, _ := integer(a.fields.Get("msgid"))
	switch {
	case msgID > 1<<53:
		p.held(assumeMsgID, "a number above 2^53")
	case msgID > 0:
		p.held(assumeMsgID, "a number")
	default:
		p.broken(assumeMsgID, "there is none that can be read")
	}
	if t.Type == TypeOneTime {
		p.held(assumeKept, "accepted after refusals; it proves something if there was one consent")
	} else {
		p.unchecked(assumeKept, "takes a one-time template")
	}
}
