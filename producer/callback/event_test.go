package callback

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/store"
)

// The head that the events of these tests share, in both formats.
const (
	headJSON = `"ToUserName":"gh_1","FromUserName":"o1","CreateTime":1610969440,"MsgType":"event"`
	headXML  = `<ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName>` +
		`<CreateTime>1610969440</CreateTime><MsgType><![CDATA[event]]></MsgType>`
)

func answered(kind eventKind, template string, a store.ConsentAnswer) event {
	return event{Kind: kind, OpenID: "o1", TemplateID: template, At: 1610969440, Answer: a}
}

func delivered(msgID int64, code int, status string) event {
	return event{Kind: eventSent, OpenID: "o1", TemplateID: "T1", At: 1610969440, MsgID: msgID, OK: code == 0, Code: code, Status: status}
}

const bigID = 1864323726461255680 // does not fit a float64

// Every shape that WeChat is known to use, documented or seen.
func TestParseShapes(t *testing.T) {
	t.Parallel()
	twoItems := []event{answered(eventPopup, "T1", store.ConsentAccept), answered(eventPopup, "T2", store.ConsentReject)}
	item := func(id, answer string) string {
		return fmt.Sprintf(`{"TemplateId":"%s","SubscribeStatusString":"%s","PopupScene":"0"}`, id, answer)
	}
	itemXML := func(id, answer string) string {
		return fmt.Sprintf(`<List><TemplateId><![CDATA[%s]]></TemplateId><SubscribeStatusString><![CDATA[%s]]></SubscribeStatusString><PopupScene>0</PopupScene></List>`, id, answer)
	}
	sent := `{"TemplateId":"T1","MsgID":"1864323726461255680","ErrorCode":"0","ErrorStatus":"success"}`
	ok := []event{delivered(bigID, 0, "success")}
	for name, test := range map[string]struct {
		body string
		want []event
	}{
		"popup, XML": {
			`<xml>` + headXML + `<Event><![CDATA[subscribe_msg_popup_event]]></Event><SubscribeMsgPopupEvent>` +
				itemXML("T1", "accept") + itemXML("T2", "reject") + `</SubscribeMsgPopupEvent></xml>`, twoItems,
		},
		"popup, XML with a declaration, spaces and a mark": {
			"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml>\n " + headXML + `<Event> subscribe_msg_popup_event </Event><SubscribeMsgPopupEvent>` +
				itemXML("T1", "accept") + "\n" + itemXML("T2", "reject") + "</SubscribeMsgPopupEvent>\n</xml>\n", twoItems,
		},
		"popup, several":            {`{` + headJSON + `,"Event":"subscribe_msg_popup_event","List":[` + item("T1", "accept") + `,` + item("T2", "reject") + `]}`, twoItems},
		"popup, one as an object":   {`{` + headJSON + `,"Event":"subscribe_msg_popup_event","List":` + item("T1", "accept") + `}`, twoItems[:1]},
		"popup, in a container":     {`{` + headJSON + `,"Event":"subscribe_msg_popup_event","SubscribeMsgPopupEvent":{"List":[` + item("T1", "accept") + `,` + item("T2", "reject") + `]}}`, twoItems},
		"popup, container of items": {`{` + headJSON + `,"Event":"subscribe_msg_popup_event","SubscribeMsgPopupEvent":[` + item("T1", "accept") + `,` + item("T2", "reject") + `]}`, twoItems},
		"popup, time as text": {
			strings.Replace(`{`+headJSON+`,"Event":"subscribe_msg_popup_event","List":`+item("T1", "accept")+`}`, "1610969440", `"1610969440"`, 1), twoItems[:1],
		},
		"popup, scene as a number": {`{` + headJSON + `,"Event":"subscribe_msg_popup_event","List":{"TemplateId":"T1","SubscribeStatusString":"accept","PopupScene":2}}`, twoItems[:1]},
		"change, in the popup's container": {
			`<xml>` + headXML + `<Event>subscribe_msg_change_event</Event><SubscribeMsgPopupEvent>` + itemXML("T1", "reject") + `</SubscribeMsgPopupEvent></xml>`,
			[]event{answered(eventChange, "T1", store.ConsentReject)},
		},
		"change, container of items": {
			`{` + headJSON + `,"Event":"subscribe_msg_change_event","SubscribeMsgChangeEvent":[{"TemplateId":"T1","SubscribeStatusString":"reject"}]}`,
			[]event{answered(eventChange, "T1", store.ConsentReject)},
		},
		"sent":                 {`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":` + sent + `}`, ok},
		"sent, as an array":    {`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":[` + sent + `]}`, ok},
		"sent, in a container": {`{` + headJSON + `,"Event":"subscribe_msg_sent_event","SubscribeMsgSentEvent":{"List":` + sent + `}}`, ok},
		"sent, numbers": {
			`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":{"TemplateId":"T1","MsgID":1864323726461255680,"ErrorCode":0,"ErrorStatus":"success"}}`, ok,
		},
		"sent, MsgId": {`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":{"TemplateId":"T1","MsgId":7,"ErrorCode":0,"ErrorStatus":"success"}}`, []event{delivered(7, 0, "success")}},
		"sent, XML": {
			`<xml>` + headXML + `<Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><TemplateId>T1</TemplateId><MsgID>1864323726461255680</MsgID>` +
				`<ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List></SubscribeMsgSentEvent></xml>`, ok,
		},
		"sent, failed":             {`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":{"TemplateId":"T1","MsgID":7,"ErrorCode":"42","ErrorStatus":"system\nerror"}}`, []event{delivered(7, 42, "system error")}},
		"sent, only a good status": {`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":{"TemplateId":"T1","MsgID":7,"ErrorStatus":"success"}}`, []event{delivered(7, 0, "success")}},
		"sent, only a bad status":  {`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":{"TemplateId":"T1","MsgID":7,"ErrorStatus":"failed"}}`, []event{delivered(7, -1, "failed")}},
		"sent, a code in words":    {`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":{"TemplateId":"T1","MsgID":7,"ErrorCode":"E1","ErrorStatus":"failed"}}`, []event{delivered(7, -1, "E1 failed")}},
		"sent, a long status": {
			`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":{"TemplateId":"T1","MsgID":7,"ErrorCode":1,"ErrorStatus":"` + strings.Repeat("错", 100) + `"}}`,
			[]event{delivered(7, 1, strings.Repeat("错", 42))},
		},
		"ways to accept": {
			`{` + headJSON + `,"Event":"subscribe_msg_popup_event","List":[` + item("T1", "acceptWithAudio") + `,` + item("T2", "acceptWithAlert") + `,` + item("T3", "acceptWithForcePush") + `]}`,
			[]event{answered(eventPopup, "T1", store.ConsentAccept), answered(eventPopup, "T2", store.ConsentAccept), answered(eventPopup, "T3", store.ConsentAccept)},
		},
		"not a yes and not a no": {
			`{` + headJSON + `,"Event":"subscribe_msg_popup_event","List":[` + item("T1", "ban") + `,` + item("T2", "filter") + `]}`,
			[]event{answered(eventPopup, "T1", store.ConsentBan), answered(eventPopup, "T2", store.ConsentFilter)},
		},
		"an answer nobody knows, and one": {
			`{` + headJSON + `,"Event":"subscribe_msg_popup_event","List":[` + item("T0", "perhaps") + `,` + item("T1", "accept") + `]}`, twoItems[:1],
		},
	} {
		root, err := parseBody([]byte(test.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		kind, got, unknown, err := parseEvents(root)
		if err != nil || kind != test.want[0].Kind || (unknown > 0) != strings.Contains(test.body, "perhaps") {
			t.Errorf("%s: %s, %d unknown, %v", name, kind, unknown, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseForeign(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{}`,
		`{` + headJSON + `,"Event":"debug_demo","debug_str":"hello world"}`,
		`{"ToUserName":"gh_1","FromUserName":"o1","CreateTime":1,"MsgType":"text","Content":"hi","MsgId":1,"nested":[[{"a":[1,2,[3]]}],null,true]}`,
		`{` + strings.Replace(headJSON, `"event"`, `"text"`, 1) + `,"Event":"subscribe_msg_sent_event"}`,
		`<xml><MsgType><![CDATA[text]]></MsgType><Content>a &lt; b</Content></xml>`,
	} {
		root, err := parseBody([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if kind, events, _, err := parseEvents(root); kind != eventForeign || len(events) > 0 || err != nil {
			t.Errorf("%s: %s, %v", body, kind, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const sentinel = "sentinel-7c1f"
	item := `{"TemplateId":"` + sentinel + `","SubscribeStatusString":"accept"}`
	popup := func(list string) string {
		return `{` + headJSON + `,"Event":"subscribe_msg_popup_event","List":` + list + `}`
	}
	sent := func(list string) string {
		return `{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":` + list + `}`
	}
	for name, body := range map[string]string{
		"nothing":                      "",
		"spaces":                       "  \n",
		"text":                         sentinel,
		"a JSON array":                 `[` + item + `]`,
		"a JSON string":                `"` + sentinel + `"`,
		"cut off":                      popup(item)[:40],
		"a comma too many":             popup(`{"TemplateId":"T1",}`),
		"two JSON values":              popup(item) + `{}`,
		"text after JSON":              popup(item) + sentinel,
		"a key twice":                  `{` + headJSON + `,"Event":"subscribe_msg_popup_event","Event":"subscribe_msg_sent_event","List":` + item + `}`,
		"an openid twice":              `{` + headJSON + `,"FromUserName":"o2","Event":"subscribe_msg_popup_event","List":` + item + `}`,
		"deep arrays":                  strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"deep in an object":            `{"a":` + strings.Repeat("[", 60_000) + strings.Repeat("]", 60_000) + `}`,
		"deep objects":                 strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000),
		"many values":                  `{"a":[` + strings.Repeat("1,", 20_000) + `1]}`,
		"many items":                   popup(`[` + strings.Repeat(item+",", 100) + item + `]`),
		"no list":                      `{` + headJSON + `,"Event":"subscribe_msg_popup_event"}`,
		"an empty list":                popup(`[]`),
		"a list of nothing":            popup(`null`),
		"a list of text":               popup(`"` + sentinel + `"`),
		"no template":                  popup(`{"SubscribeStatusString":"accept"}`),
		"a template that is an object": popup(`{"TemplateId":{"a":"` + sentinel + `"},"SubscribeStatusString":"accept"}`),
		"a template that is too long":  popup(`{"TemplateId":"` + strings.Repeat("x", 129) + `","SubscribeStatusString":"accept"}`),
		"a template with a zero":       popup(`{"TemplateId":"a\u0000b","SubscribeStatusString":"accept"}`),
		"no answer":                    popup(`{"TemplateId":"T1"}`),
		"no openid":                    strings.Replace(popup(item), `"o1"`, `""`, 1),
		"no time":                      strings.Replace(popup(item), `1610969440`, `null`, 1),
		"a time in words":              strings.Replace(popup(item), `1610969440`, `"`+sentinel+`"`, 1),
		"a time of nobody's":           strings.Replace(popup(item), `1610969440`, `99999999999999`, 1),
		"a negative time":              strings.Replace(popup(item), `1610969440`, `-1`, 1),
		"no msgid":                     sent(`{"TemplateId":"T1","ErrorCode":0}`),
		"a msgid of zero":              sent(`{"TemplateId":"T1","MsgID":0,"ErrorCode":0}`),
		"a negative msgid":             sent(`{"TemplateId":"T1","MsgID":-5,"ErrorCode":0}`),
		"a msgid with a fraction":      sent(`{"TemplateId":"T1","MsgID":1.5,"ErrorCode":0}`),
		"a msgid in powers":            sent(`{"TemplateId":"T1","MsgID":1e18,"ErrorCode":0}`),
		"a msgid of 65 bits":           sent(`{"TemplateId":"T1","MsgID":18446744073709551616,"ErrorCode":0}`),
		"two msgids":                   sent(`{"TemplateId":"T1","MsgID":1,"MsgId":2,"ErrorCode":0}`),
		"no code":                      sent(`{"TemplateId":"T1","MsgID":1}`),
		"XML cut off":                  `<xml>` + headXML,
		"two XML elements":             `<xml></xml><xml></xml>`,
		"XML and text":                 `<xml></xml>` + sentinel,
		"a DOCTYPE":                    `<!DOCTYPE xml [<!ENTITY a "` + sentinel + `">]><xml>&a;</xml>`,
		"a DOCTYPE and no more":        `<!DOCTYPE xml><xml></xml>`,
		"laughs":                       `<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><xml><Event>&b;</Event></xml>`,
		"an entity":                    `<xml><Event>&` + sentinel + `;</Event></xml>`,
		"a file":                       `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><Event>&f;</Event></xml>`,
		"many attributes":              `<xml ` + strings.Repeat(`a="1" `, 10_000) + `></xml>`,
		"deep XML":                     strings.Repeat("<a>", 20_000) + strings.Repeat("</a>", 20_000),
		"many elements":                `<xml>` + strings.Repeat("<a/>", 20_000) + `</xml>`,
		"another charset":              `<?xml version="1.0" encoding="GBK"?><xml></xml>`,
		"wrong UTF-8":                  "<xml><Event>\xff\xfe</Event></xml>",
	} {
		root, err := parseBody([]byte(body))
		if err == nil {
			_, _, _, err = parseEvents(root)
		}
		if !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v, want it refused", name, err)
			continue
		}
		if strings.Contains(err.Error(), sentinel) {
			t.Errorf("%s: the error quotes the body: %v", name, err)
		}
	}
}

// What WeChat repeats has the same key, and nothing else has.
func TestEventKeys(t *testing.T) {
	t.Parallel()
	popup, sent := answered(eventPopup, "T1", store.ConsentAccept), delivered(7, 0, "success")
	with := func(e event, edit func(*event)) event {
		edit(&e)
		return e
	}
	different := map[string]store.PushKey{
		"popup":                         popup.key("wx1"),
		"popup of another app":          popup.key("wx2"),
		"popup of another template":     with(popup, func(e *event) { e.TemplateID = "T2" }).key("wx1"),
		"popup of another user":         with(popup, func(e *event) { e.OpenID = "o2" }).key("wx1"),
		"popup a second later":          with(popup, func(e *event) { e.At++ }).key("wx1"),
		"popup with another answer":     with(popup, func(e *event) { e.Answer = store.ConsentReject }).key("wx1"),
		"popup that is not verified":    with(popup, func(e *event) { e.Verified = true }).key("wx1"),
		"change":                        with(popup, func(e *event) { e.Kind = eventChange }).key("wx1"),
		"sent":                          sent.key("wx1"),
		"sent with another msgid":       with(sent, func(e *event) { e.MsgID++ }).key("wx1"),
		"text that moves between parts": with(popup, func(e *event) { e.OpenID, e.TemplateID = "o1T", "1" }).key("wx1"),
	}
	seen := map[store.PushKey]string{}
	for name, key := range different {
		if other, ok := seen[key]; ok {
			t.Errorf("%s has the key of %s", name, other)
		}
		seen[key] = name
	}
	later := with(sent, func(e *event) { e.At += 5; e.TemplateID = "T9" })
	if later.key("wx1") != sent.key("wx1") {
		t.Error("a sent event is known by its msgid alone")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":{"TemplateId":"T1","MsgID":"1864323726461255680","ErrorCode":"0","ErrorStatus":"success"}}`))
	f.Add([]byte(`{` + headJSON + `,"Event":"subscribe_msg_popup_event","SubscribeMsgPopupEvent":[{"TemplateId":"T1","SubscribeStatusString":"accept"}]}`))
	f.Add([]byte(`<xml>` + headXML + `<Event>subscribe_msg_change_event</Event><SubscribeMsgChangeEvent><List><TemplateId>T1</TemplateId><SubscribeStatusString>reject</SubscribeStatusString></List></SubscribeMsgChangeEvent></xml>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		root, err := parseBody(body)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		_, events, _, err := parseEvents(root)
		if err != nil && !errors.Is(err, errMalformed) {
			t.Fatalf("an error of another kind: %v", err)
		}
		// What is accepted is what the store takes, also after the inbox.
		for _, e := range events {
			entry, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			var kept event
			if err := json.Unmarshal(entry, &kept); err != nil || kept != e {
				t.Fatalf("%+v became %+v, %v", e, kept, err)
			}
			if e.Kind == eventSent {
				err = e.receipt("wx1", 0).Check()
			} else {
				err = e.consent("wx1", e.key("wx1")).Check()
			}
			if err != nil {
				t.Fatalf("the store does not take %+v: %v", e, err)
			}
		}
	})
}
