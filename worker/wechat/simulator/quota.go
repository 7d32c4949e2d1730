package simulator

import (
	"strings"
	"time"
)

// counter counts the calls of one app to one API in the running clock minute
// and day.
type counter struct {
	minute, day     int64
	inMinute, inDay int
}

// count returns the app's counter for api. Simulator.mu must be held.
func (a *appState) count(api API) *counter {
	c := a.counters[api]
	if c == nil {
		c = &counter{}
		a.counters[api] = c
	}
	return c
}

// day numbers the days of Asia/Shanghai, which has had no summer time since
// 1991. When WeChat's day begins is not documented.
func day(t time.Time) int64 { return (t.Unix() + 8*3600) / 86400 }

func (c *counter) roll(at time.Time) {
	if m := at.Unix() / 60; m != c.minute {
		c.minute, c.inMinute = m, 0
	}
	if d := day(at); d != c.day {
		c.day, c.inDay = d, 0
	}
}

// take counts one call and returns 0, or the errcode of the limit that it would
// break; a limit of 0 is none. A refused call is not counted.
func (c *counter) take(at time.Time, perMinute, perDay int) int {
	c.roll(at)
	if perMinute > 0 && c.inMinute >= perMinute {
		return 45011
	}
	if perDay > 0 && c.inDay >= perDay {
		return 45009
	}
	c.inMinute++
	c.inDay++
	return 0
}

// SetQuotas sets how many sends the app has per minute and per day; 0 is
// without limit. What was sent before counts.
func (s *Simulator) SetQuotas(appID string, perMinute, perDay int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return err
	}
	a.minuteQuota, a.dayQuota = perMinute, perDay
	return nil
}

type quotaReply struct {
	Errcode int    `json:"errcode"`
	Errmsg  string `json:"errmsg"`
	Quota   struct {
		DailyLimit int `json:"daily_limit"`
		Used       int `json:"used"`
		Remain     int `json:"remain"`
	} `json:"quota"`
	RateLimit struct {
		CallCount     int `json:"call_count"`
		RefreshSecond int `json:"refresh_second"`
	} `json:"rate_limit"`
}

// unpaidDayQuota is WeChat's limit of sends for an account without WeChat Pay.
const unpaidDayQuota = 10_000_000

// quota is POST /cgi-bin/openapi/quota/get.
func (x *exchange) quota() answer {
	t, code := x.authorize()
	if code != 0 {
		return x.refuse(code)
	}
	if code := x.bodyFault(); code != 0 {
		return x.refuse(code)
	}
	var path string
	eachMember(x.body, func(name string, value []byte) {
		if name == "cgi_path" {
			path, _ = stringValue(value)
		}
	})
	if !strings.HasPrefix(path, "/") {
		return x.refuse(76003)
	}
	ep, ok := quotaPaths[path]
	if !ok {
		return x.refuse(76021)
	}
	x.s.mu.Lock()
	c := t.app.count(ep)
	c.roll(x.at)
	reply := quotaReply{Errmsg: "ok"}
	reply.Quota.Used = c.inDay
	switch ep {
	case APISend:
		reply.Quota.DailyLimit = t.app.dayQuota
		if reply.Quota.DailyLimit == 0 {
			reply.Quota.DailyLimit = unpaidDayQuota
		}
		if t.app.minuteQuota > 0 {
			reply.RateLimit.CallCount, reply.RateLimit.RefreshSecond = t.app.minuteQuota, 60
		}
	case APIToken:
		reply.Quota.DailyLimit = classicPerDay
	case APIStableToken:
		reply.Quota.DailyLimit = stablePerDay
	case APICode2Session, APITemplates, APIQuota, APIEvent: // not in quotaPaths
	}
	x.s.mu.Unlock()
	reply.Quota.Remain = max(0, reply.Quota.DailyLimit-reply.Quota.Used)
	return jsonAnswer(reply)
}

// quotaPaths are the paths that quota/get knows here.
var quotaPaths = map[string]API{
	"/cgi-bin/message/subscribe/send": APISend,
	"/cgi-bin/token":                  APIToken,
	"/cgi-bin/stable_token":           APIStableToken,
}
