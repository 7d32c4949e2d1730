package wechat

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"
)

// What is documented of a token: its life is: never below 300, for a new one is issued
// within the last five minutes, and within 7200.
const (
	leastLife     = 300 * time.Second
	mostLife      = 7200 * time.Second
	documentedLen = 512
)

// madeUpToken is no token, and shorter than any.
const madeUpToken = "made_up_by_wxnotify" //nolint:gosec // it is made up

// madeUp is n random characters of an alphabet: what cannot exist at WeChat, and
// is not the same twice, so that nobody can register it.
func madeUp(n int, alphabet string) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	for i, b := range raw {
		raw[i] = alphabet[int(b)%len(alphabet)]
	}
	return string(raw)
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// checkTokens gets the stable token twice and tries one that is none; it reports
// whether there is one to go on with.
func (p *prober) checkTokens(ctx context.Context) bool {
	first, ok := p.fetchToken(ctx)
	if !ok {
		return false
	}
	p.token = first.Value
	p.held(assumeStable, "%d s left", int(first.ExpiresIn.Seconds()))
	p.verdict(assumeLife, first.ExpiresIn >= leastLife && first.ExpiresIn <= mostLife, "%d s", int(first.ExpiresIn.Seconds()))
	p.verdict(assumeLength, len(first.Value) <= documentedLen, "%d characters", len(first.Value))

	second, callErr := p.client.StableToken(ctx, p.with.App)
	switch {
	case callErr != nil:
		p.unchecked(assumeSame, "the second call failed")
	case second.Value == first.Value:
		p.held(assumeSame, "it did")
	case first.ExpiresIn <= leastLife+2*p.client.timeout:
		p.unchecked(assumeSame, "the first was about to end: try again")
	default:
		p.broken(assumeSame, "another one")
		p.token = second.Value
	}

	_, refused := p.ask(ctx, sendRequest(madeUpToken, []byte(`{}`), nil))
	p.refusal(assumeBadToken, refused, KindBadToken)
	return true
}

// fetchToken asks like StableToken and keeps the answer's headers.
func (p *prober) fetchToken(ctx context.Context) (Token, bool) {
	r, err := stableRequest(p.with.App)
	if err != nil {
		p.broken(assumeStable, "appid and secret cannot be written as JSON")
		return Token{}, false
	}
	var t Token
	r.read = t.read
	if _, callErr := p.ask(ctx, r); callErr != nil {
		p.seen[assumeStable] = Observation{Verdict: VerdictBroken, Observed: callErr.observed(), Err: callErr}
		return Token{}, false
	}
	return t, true
}

// checkLogin uses a code that is none, and the caller's twice.
func (p *prober) checkLogin(ctx context.Context) {
	_, refused := p.ask(ctx, sessionRequest(p.with.App, madeUp(32, idAlphabet), new(Session)))
	p.refusal(assumeBadCode, refused, KindBadCode)
	if p.with.Code == "" {
		return
	}
	r := sessionRequest(p.with.App, p.with.Code, new(Session))
	if _, refused := p.ask(ctx, r); refused != nil {
		p.unchecked(assumeUsedCode, "the first use: %s", refused.observed())
		return
	}
	_, refused = p.ask(ctx, r)
	p.refusal(assumeUsedCode, refused, KindBadCode)
}

// checkQuotas asks what WeChat allows. Its figures may be off by a hundredth.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/openApi-mgnt/api_getapiquota.html
func (p *prober) checkQuotas(ctx context.Context) {
	q, refused := p.quota(ctx, sendPath)
	if refused != nil {
		p.unchecked(assumeSendQuota, "%s", refused.observed())
		p.unchecked(assumeSendRate, "%s", refused.observed())
	} else {
		p.verdict(assumeSendQuota, q.Daily >= 10_000_000, "%d a day, %d used", q.Daily, q.Used)
		if q.Calls > 0 {
			p.broken(assumeSendRate, "%d calls in %d s", q.Calls, q.Seconds)
		} else {
			p.held(assumeSendRate, "none is named")
		}
	}
	for _, api := range []struct {
		name, path string
		least      int64
	}{{assumeClassicQuota, classicPath, 2000}, {assumeListQuota, templatesPath, 20}} {
		q, refused := p.quota(ctx, api.path)
		if refused != nil {
			p.unchecked(api.name, "%s", refused.observed())
			continue
		}
		p.verdict(api.name, q.Daily >= api.least, "%d a day, %d used", q.Daily, q.Used)
	}
}

// quota is what quota/get says of one API.
type quota struct {
	Daily, Used, Calls, Seconds int64
}

func (p *prober) quota(ctx context.Context, path string) (quota, *Error) {
	body, err := encode(map[string]string{"cgi_path": path})
	if err != nil {
		return quota{}, &Error{Kind: KindUnreachable, Msg: "the request cannot be built"} // a string always encodes
	}
	var q quota
	_, refused := p.ask(ctx, request{
		api: "quota_get", path: "/cgi-bin/openapi/quota/get", query: withToken(p.token),
		body: body, limit: maxAnswer, private: []string{p.token},
		read: func(f fields) string {
			var day, rate fields
			_ = json.Unmarshal(f.Get("quota"), &day)
			_ = json.Unmarshal(f.Get("rate_limit"), &rate) // absent when there is none
			limit, state := integer(day.Get("daily_limit"))
			if state != valueGood {
				return "the answer has no daily_limit"
			}
			used, _ := integer(day.Get("used"))
			calls, _ := integer(rate.Get("call_count"))
			seconds, _ := integer(rate.Get("refresh_second"))
			q = quota{limit, used, calls, seconds}
			return ""
		},
	})
	return q, refused
}
