package simulator

import (
	"encoding/json"
	"encoding/xml"
	"strconv"
	"time"
)

// event is what is pushed to a callback URL, before it is encoded. An event has
// one item here.
type event struct {
	name, openID string
	at           time.Time
	item         eventItem
}

const (
	eventSent  = "subscribe_msg_sent_event"
	eventPopup = "subscribe_msg_popup_event"
)

// eventItem holds the fields of both kinds of event.
type eventItem struct {
	TemplateID            string `json:"TemplateId" xml:"TemplateId"`
	MsgID                 string `json:"MsgID,omitempty" xml:"MsgID,omitempty"`
	ErrorCode             string `json:"ErrorCode,omitempty" xml:"ErrorCode,omitempty"`
	ErrorStatus           string `json:"ErrorStatus,omitempty" xml:"ErrorStatus,omitempty"`
	SubscribeStatusString string `json:"SubscribeStatusString,omitempty" xml:"SubscribeStatusString,omitempty"`
	PopupScene            string `json:"PopupScene,omitempty" xml:"PopupScene,omitempty"`
}

type eventHead struct {
	ToUserName   string `json:"ToUserName" xml:"ToUserName"`
	FromUserName string `json:"FromUserName" xml:"FromUserName"`
	// CreateTime is a number in real traffic, a string in the documentation.
	CreateTime int64  `json:"CreateTime" xml:"CreateTime"`
	MsgType    string `json:"MsgType" xml:"MsgType"`
	Event      string `json:"Event" xml:"Event"`
}

// eventJSON has the item at top level; a single one is an object, not an array.
type eventJSON struct {
	eventHead
	List eventItem `json:"List"`
}

type eventList struct {
	List eventItem `xml:"List"`
}

type eventXML struct {
	XMLName xml.Name `xml:"xml"`
	eventHead
	Popup *eventList `xml:"SubscribeMsgPopupEvent"`
	Sent  *eventList `xml:"SubscribeMsgSentEvent"`
}

// originalID is the account's gh_ id, which WeChat uses instead of the appid.
func originalID(appID string) string { return "gh_" + tokenHash(appID) + "0000" }

func (e event) encode(appID string, asXML bool) ([]byte, error) {
	head := eventHead{
		ToUserName:   originalID(appID),
		FromUserName: e.openID,
		CreateTime:   e.at.Unix(),
		MsgType:      "event",
		Event:        e.name,
	}
	if !asXML {
		return json.Marshal(eventJSON{head, e.item})
	}
	doc := eventXML{eventHead: head}
	if e.name == eventPopup {
		doc.Popup = &eventList{e.item}
	} else {
		doc.Sent = &eventList{e.item}
	}
	return xml.Marshal(doc)
}

// sealed is the outer form of an encrypted event.
type sealed struct {
	XMLName    xml.Name `json:"-" xml:"xml"`
	ToUserName string   `json:"ToUserName" xml:"ToUserName"`
	Encrypt    string   `json:"Encrypt" xml:"Encrypt"`
}

func (e sealed) encode(asXML bool) ([]byte, error) {
	if asXML {
		return xml.Marshal(e)
	}
	return json.Marshal(e)
}

// sent pushes the final result of a send. Simulator.mu must be held.
func (p *pusher) sent(a *appState, openID, templateID string, msgID int64, at time.Time) {
	item := eventItem{TemplateID: templateID, MsgID: strconv.FormatInt(msgID, 10), ErrorCode: "0", ErrorStatus: "success"}
	p.push(a, event{eventSent, openID, at, item})
}

// popup pushes the answer to a consent dialog. Simulator.mu must be held.
func (p *pusher) popup(a *appState, openID, templateID, result string, at time.Time) {
	p.push(a, event{eventPopup, openID, at, eventItem{TemplateID: templateID, SubscribeStatusString: result, PopupScene: "0"}})
}
