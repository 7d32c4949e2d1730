package simulator

import (
	"fmt"
	"time"
)

// tokenSide are the account faults that WeChat answers where the secret is
// used: on the token endpoints and jscode2session. The others it answers where
// a token is used.
var tokenSide = map[int]bool{
	40013: true, 40125: true, 40164: true, 40243: true,
	50004: true, 50007: true, 89503: true, 89506: true, 89507: true,
}

// SetAccountFault makes every call of the app answer errcode until it is set to
// 0: those with a token for codes such as 48001, 48004, 43107 or 61007, those
// with the secret for codes such as 40125, 40164 or 50007.
func (s *Simulator) SetAccountFault(appID string, errcode int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return err
	}
	a.errcode = errcode
	return nil
}

// BanTemplate makes sends of the template answer 43116, or ends that.
func (s *Simulator) BanTemplate(appID, templateID string, on bool) error {
	return s.template(appID, templateID, func(_ *appState, t *templateState) { t.banned = on })
}

// DeleteTemplate takes the template from the app: sends answer 40037 and
// gettemplate no longer lists it.
func (s *Simulator) DeleteTemplate(appID, templateID string) error {
	return s.template(appID, templateID, func(a *appState, _ *templateState) { delete(a.templates, templateID) })
}

func (s *Simulator) template(appID, templateID string, change func(*appState, *templateState)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return err
	}
	t, ok := a.templates[templateID]
	if !ok {
		return fmt.Errorf("simulator: no template %q", templateID)
	}
	change(a, t)
	return nil
}

// SetCallback sets where events of the app are pushed to from now on.
func (s *Simulator) SetCallback(appID string, c Callback) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return err
	}
	a.Callback = c
	return nil
}

// SetLatency sets how long each call takes from now on.
func (s *Simulator) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = max(0, d)
}

// ShiftTime moves WeChat's clock by d and returns its new time. Shifts add up.
// Latencies and delays are not affected.
func (s *Simulator) ShiftTime(d time.Duration) time.Time {
	s.shift.Add(int64(d))
	return s.now()
}

// authorize checks the token of a call that is not a send.
func (x *exchange) authorize() (*token, int) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	t, code := x.s.checkToken(x.query.Get("access_token"), x.at)
	if code != 0 {
		return nil, code
	}
	if t.app.errcode != 0 && !tokenSide[t.app.errcode] {
		return nil, t.app.errcode
	}
	return t, 0
}

type enumReply struct {
	KeywordCode   string   `json:"keywordCode"`
	EnumValueList []string `json:"enumValueList"`
}

type templateReply struct {
	PriTmplID string      `json:"priTmplId"`
	Title     string      `json:"title"`
	Content   string      `json:"content"`
	Example   string      `json:"example"`
	Type      int         `json:"type"`
	Enums     []enumReply `json:"keywordEnumValueList,omitempty"`
}

type templatesReply struct {
	Errcode int             `json:"errcode"`
	Errmsg  string          `json:"errmsg"`
	Data    []templateReply `json:"data"`
}

// listTemplates is GET /wxaapi/newtmpl/gettemplate.
func (x *exchange) listTemplates() answer {
	t, code := x.authorize()
	if code != 0 {
		return x.refuse(code)
	}
	reply := templatesReply{Errmsg: "ok", Data: []templateReply{}}
	x.s.mu.Lock()
	for _, c := range t.app.Templates {
		if t.app.templates[c.PriTmplID] == nil {
			continue // deleted since
		}
		r := templateReply{PriTmplID: c.PriTmplID, Title: c.Title, Content: c.Content, Example: c.Example, Type: c.Type}
		for _, f := range c.Fields() {
			if values, ok := c.Enums[f.Key]; ok {
				r.Enums = append(r.Enums, enumReply{f.Key + ".DATA", values}) // WeChat too has the suffix here
			}
		}
		reply.Data = append(reply.Data, r)
	}
	x.s.mu.Unlock()
	return jsonAnswer(reply)
}
