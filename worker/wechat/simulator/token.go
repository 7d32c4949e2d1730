package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// What WeChat allows on the token endpoints.
const (
	classicPerDay      = 2000
	stablePerMinute    = 10_000
	stablePerDay       = 500_000
	forcedPerDay       = 20
	forcedEvery        = 30 * time.Second
	tokenPrefix        = "92_"
	tokenAlphabet      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	tokenHashHexDigits = 8
)

// token is an access token. Which app it belongs to is all it says.
type token struct {
	app     *appState
	value   string
	hash    string
	expires time.Time
	dead    time.Time // when a successor ended it; zero for not yet
}

// tokenLine is the succession of tokens from one endpoint. The lines of the two
// endpoints do not touch each other.
type tokenLine struct {
	current, previous *token
	forced            time.Time // the last forced refresh
	forcedDay         int64
	forcedCount       int
}

// issue makes a new token. Its predecessor lives on for keep; the one before
// that ends now, which is why WeChat says to force twice to be rid of a leaked
// token. s.mu must be held.
func (s *Simulator) issue(a *appState, line *tokenLine, at time.Time, keep time.Duration) *token {
	for _, old := range []struct {
		token *token
		dead  time.Time
	}{{line.previous, at}, {line.current, at.Add(keep)}} {
		if old.token != nil && (old.token.dead.IsZero() || old.dead.Before(old.token.dead)) {
			old.token.dead = old.dead
		}
	}
	var b strings.Builder
	b.Grow(s.cfg.TokenLength)
	b.WriteString(tokenPrefix)
	for b.Len() < s.cfg.TokenLength {
		b.WriteByte(tokenAlphabet[s.rng.IntN(len(tokenAlphabet))])
	}
	t := &token{app: a, value: b.String(), hash: tokenHash(b.String()), expires: at.Add(s.cfg.TokenLife)}
	line.previous, line.current = line.current, t
	s.tokens[t.value] = t
	s.truth.issued++
	return t
}

// checkToken finds the token of a call and what is wrong with it; 0 is nothing.
// A token that is refused is returned when it is known at all. s.mu must be held.
func (s *Simulator) checkToken(value string, at time.Time) (*token, int) {
	if value == "" {
		return nil, 41001
	}
	if len(value) != s.cfg.TokenLength || !strings.HasPrefix(value, tokenPrefix) {
		return nil, 40014
	}
	t, ok := s.tokens[value]
	switch {
	case !ok:
		return nil, 40001
	case t.app.deadTokens || !t.dead.IsZero() && !at.Before(t.dead) && t.dead.Before(t.expires):
		return t, 40001
	case !at.Before(t.expires):
		return t, 42001
	}
	return t, 0
}

func tokenHash(value string) string {
	if value == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])[:tokenHashHexDigits]
}

// tokenRequest is what both token endpoints are asked.
type tokenRequest struct {
	grantType, appID, secret string
	force, malformed         bool
}

// tokenRequest reads the body of a stable_token call; its query means nothing.
func (x *exchange) tokenRequest() tokenRequest {
	var q tokenRequest
	if x.bodyFault() != 0 {
		return q
	}
	object := eachMember(x.body, func(name string, value []byte) {
		text, isString := stringValue(value)
		switch name {
		case "grant_type", "appid", "secret":
			q.malformed = q.malformed || !isString
		case "force_refresh":
			q.force = string(value) == "true"
			q.malformed = q.malformed || !q.force && string(value) != "false"
		}
		switch name {
		case "grant_type":
			q.grantType = text
		case "appid":
			q.appID = text
		case "secret":
			q.secret = text
		}
	})
	q.malformed = q.malformed || !object
	return q
}

// credentials checks what a caller without a token identifies itself with.
func (s *Simulator) credentials(appID, secret string) (*appState, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[appID]
	switch {
	case appID == "":
		return nil, 41002
	case a == nil:
		return nil, 40013
	case secret == "":
		return nil, 41004
	case secret != a.Secret:
		return nil, 40125
	case a.errcode != 0 && tokenSide[a.errcode]:
		return nil, a.errcode
	}
	return a, 0
}

type tokenReply struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
}

// classicToken is GET /cgi-bin/token: a new token at each call.
func (x *exchange) classicToken() answer {
	if x.query.Get("grant_type") != "client_credential" {
		return x.refuse(40002)
	}
	a, code := x.s.credentials(x.query.Get("appid"), x.query.Get("secret"))
	if code != 0 {
		return x.refuse(code)
	}
	x.s.mu.Lock()
	code = a.count(APIToken).take(x.at, 0, classicPerDay)
	if code != 0 {
		x.s.mu.Unlock()
		return x.refuse(code)
	}
	t := x.s.issue(a, a.lines[APIToken], x.at, overlap)
	x.s.mu.Unlock()
	return jsonAnswer(tokenReply{t.value, int(x.s.cfg.TokenLife.Seconds())})
}

// stableToken is POST /cgi-bin/stable_token: the token there is, until its last
// five minutes.
func (x *exchange) stableToken() answer {
	if code := x.bodyFault(); code != 0 {
		return x.refuse(code)
	}
	q := x.tokenRequest()
	if q.malformed {
		return x.refuse(47001)
	}
	if q.grantType != "client_credential" {
		return x.refuse(40002)
	}
	a, code := x.s.credentials(q.appID, q.secret)
	if code != 0 {
		return x.refuse(code)
	}
	x.s.mu.Lock()
	t, code := x.s.stable(a, q.force, x.at)
	x.s.mu.Unlock()
	if code != 0 {
		return x.refuse(code)
	}
	return jsonAnswer(tokenReply{t.value, int(t.expires.Sub(x.at).Seconds())})
}

// stable returns the stable token for a call at the time at. s.mu must be held.
func (s *Simulator) stable(a *appState, force bool, at time.Time) (*token, int) {
	if code := a.count(APIStableToken).take(at, stablePerMinute, stablePerDay); code != 0 {
		return nil, code
	}
	line := a.lines[APIStableToken]
	if force && at.Sub(line.forced) >= forcedEvery {
		if d := day(at); d != line.forcedDay {
			line.forcedDay, line.forcedCount = d, 0
		}
		if line.forcedCount == forcedPerDay {
			return nil, 45009
		}
		line.forcedCount++
		line.forced = at
		return s.issue(a, line, at, overlap), 0
	}
	t := line.current
	if t == nil || t.expires.Sub(at) < overlap {
		t = s.issue(a, line, at, overlap)
	}
	return t, 0
}

// Rotate does what a foreign caller does to the tokens of an app: one of GET
// /cgi-bin/token (source APIToken) or one of stable_token with force_refresh
// (APIStableToken). The old token lives on for five minutes, or with atOnce
// not at all. It counts against no quota and not as a request.
func (s *Simulator) Rotate(appID string, source API, atOnce bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return err
	}
	line, ok := a.lines[source]
	if !ok {
		return fmt.Errorf("simulator: rotate: source must be %q or %q", APIToken, APIStableToken)
	}
	keep := overlap
	if atOnce {
		keep = 0
	}
	s.issue(a, line, s.now(), keep)
	return nil
}

// SetDeadTokens makes send and gettemplate refuse every token of the app with
// 40001, while stable_token goes on returning the same one.
func (s *Simulator) SetDeadTokens(appID string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return err
	}
	a.deadTokens = on
	return nil
}
