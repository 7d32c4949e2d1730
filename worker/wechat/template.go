package wechat

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
)

// The types of a template.
const (
	TypeOneTime  = 2 // one message for each consent
	TypeLongTerm = 3 // any number of messages after one consent
)

// Template is one of the app's private templates.
type Template struct {
	PriTmplID string
	Title     string
	// Content is the text with the keys, such as "会议时间:{{date2.DATA}}\n".
	Content string
	Example string
	// Type is TypeOneTime, TypeLongTerm, or a number that came later.
	Type int
	// Keys are the data keys in the order of the content, such as "date2".
	Keys []string
	// Labels are the words before each key, such as "会议时间".
	Labels map[string]string
	// Enums are the allowed values of those keys that have a closed list.
	Enums map[string][]string
}

// Templates lists the app's templates. The call has a small daily quota: keep
// the answer.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-message-management/subscribe-message/api_getwxapubnewtemplate.html
func (c *Client) Templates(ctx context.Context, token string) ([]Template, error) {
	var list []Template
	if _, err := c.do(ctx, templatesRequest(token, &list)); err != nil {
		return nil, err
	}
	return list, nil
}

const templatesPath = "/wxaapi/newtmpl/gettemplate"

// templatesRequest fills list when it is answered.
func templatesRequest(token string, list *[]Template) request {
	return request{
		api:   APITemplates,
		path:  templatesPath,
		query: withToken(token),
		read: func(f fields) string {
			if !present(f.Get("data")) {
				return "the answer has no data"
			}
			var err error
			if *list, err = parseTemplates(f.Get("data")); err != nil {
				return "the answer's data cannot be read"
			}
			return ""
		},
		limit:   maxTemplates,
		private: []string{token},
	}
}

func parseTemplates(raw json.RawMessage) ([]Template, error) {
	var rows []struct {
		PriTmplID string          `json:"priTmplId"`
		Title     string          `json:"title"`
		Content   string          `json:"content"`
		Example   string          `json:"example"`
		Type      json.RawMessage `json:"type"`
		Enums     []struct {
			Code   string   `json:"keywordCode"`
			Values []string `json:"enumValueList"`
		} `json:"keywordEnumValueList"`
	}
	if err := json.Unmarshal(raw, &rows); err != nil {
		return nil, err
	}
	list := make([]Template, 0, len(rows))
	for _, row := range rows {
		kind, _ := integer(row.Type)
		t := Template{
			PriTmplID: row.PriTmplID, Title: row.Title, Content: row.Content, Example: row.Example,
			Type: int(kind), Labels: make(map[string]string), Enums: make(map[string][]string),
		}
		t.readKeys()
		for _, e := range row.Enums {
			// WeChat writes the key as in the content: "enum_string2.DATA".
			t.Enums[strings.TrimSuffix(e.Code, ".DATA")] = e.Values
		}
		list = append(list, t)
	}
	return list, nil
}

var contentKey = regexp.MustCompile(`\{\{([A-Za-z_]+\d+)\.DATA\}\}`)

// readKeys fills Keys and Labels from Content: a label is what stands on the
// line before its key, without the colon.
func (t *Template) readKeys() {
	for line := range strings.Lines(t.Content) {
		from := 0
		for _, m := range contentKey.FindAllStringSubmatchIndex(line, -1) {
			key := line[m[2]:m[3]]
			label := strings.TrimRight(strings.TrimSpace(line[from:m[0]]), ":： ")
			from = m[1]
			if _, twice := t.Labels[key]; twice {
				continue
			}
			t.Keys = append(t.Keys, key)
			t.Labels[key] = label
		}
	}
}
