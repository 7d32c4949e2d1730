package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store/tokencache"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// wechatChecks ask the API's origin for nothing in particular: no call with a
// credential, no quota. Package wechat is not used, since only the status line
// and the Date header of the answer count.
func wechatChecks(base string) group {
	var (
		date        string
		from, until time.Time
	)
	return group{
		{"wechat", func(ctx context.Context) Result {
			from = time.Now()
			status, header, err := probe(ctx, base)
			until = time.Now()
			if err != nil {
				_, do := explainKind(wechat.KindUnreachable)
				return fail(base+": "+shortErr(err), do)
			}
			date = header.Get("Date")
			return originResult(base, status, until.Sub(from))
		}},
		{"wechat clock", func(context.Context) Result {
			there, err := http.ParseTime(date)
			if err != nil {
				return Result{Status: StatusSkipped, Found: "the answer has no Date"}
			}
			// Date has whole seconds: the middle of that second is the best guess.
			return clockResult(there.Add(time.Second/2), from, until)
		}},
	}
}

// originResult judges who answers at base. There is no page at the root, so any
// answer will do that is not a gateway's complaint.
func originResult(base string, status int, took time.Duration) Result {
	found := fmt.Sprintf("%s answers in %d ms%s", base, took.Milliseconds(), throughProxy(base))
	u, err := url.Parse(base)
	if err != nil {
		return fail("WECHAT_API_BASE_URL cannot be read", "correct it")
	}
	host := u.Hostname()
	wechats := host == wechatDomain || strings.HasSuffix(host, "."+wechatDomain)
	switch {
	case status >= http.StatusInternalServerError || status == http.StatusProxyAuthRequired:
		return warn(fmt.Sprintf("%s, but with HTTP %d", found, status), "see what stands between this machine and WeChat: a proxy or a gateway says so")
	case u.Scheme == "http" && !loopback(net.JoinHostPort(host, "80")):
		return warn(found+", without TLS", "use https, unless it is the simulator: secrets and tokens can be read on the way")
	case !wechats:
		return okay("%s; it is not WeChat's own host", found)
	}
	return okay("%s", found)
}

// wechatDomain is that of all entries to WeChat's API.
const wechatDomain = "weixin.qq.com"

// throughProxy names the proxy of the environment on the way to base; "" when
// there is none.
func throughProxy(base string) string {
	req, err := http.NewRequest(http.MethodGet, base, http.NoBody) //nolint:noctx // it is not sent
	if err != nil {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil || proxy == nil {
		return ""
	}
	return "; through the proxy " + proxy.Host + ", whose address is what the IP whitelist has to name"
}

// probe gets the root of base, whatever the answer is.
func probe(ctx context.Context, base string) (status int, header http.Header, err error) {
	transport := &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			u, err := http.ProxyFromEnvironment(r)
			if err != nil {
				// The original repeats the setting, which may hold a password.
				return nil, errors.New("the proxy setting cannot be used")
			}
			return u, nil
		},
		DisableKeepAlives: true,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/", http.NoBody)
	if err != nil {
		return 0, nil, errors.New("WECHAT_API_BASE_URL cannot be used")
	}
	req.Header.Set("User-Agent", "wxnotify")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, resp.Header, resp.Body.Close()
}

// appChecks are those of one app: its token and what the token shows, and its
// own settings.
func (d *Doctor) appChecks(cfg *config.Config, a config.App, shared redis.UniversalClient, logger *zap.Logger) []group {
	t := &tokenCheck{app: a, shared: shared}
	if key := a.TokenSource.Foreign; !key.IsZero() {
		t.foreign = tokencache.NewForeign(d.redis(key.Redis), key.Key)
	}
	prefix := "app " + a.AppID + " "
	mirror := func(context.Context) Result {
		return Result{Status: StatusSkipped, Found: "WECHAT_TOKEN_MIRROR is not set"}
	}
	if !a.TokenMirror.IsZero() {
		c := d.redis(a.TokenMirror.Redis)
		mirror = func(ctx context.Context) Result { return checkMirror(ctx, c, a) }
	}
	own := []group{
		{{prefix + "token mirror", mirror}},
		{{prefix + "addressees", func(context.Context) Result { return addressees(a) }}},
		{{prefix + "pushes", pushCheck(cfg, a, logger)}},
		{{prefix + "catalog", catalogCheck(cfg, a, logger)}},
	}
	if a.Secret == "" {
		return append([]group{unset(prefix+"token", "its secret")}, own...)
	}
	var err error
	t.client, err = wechat.New(wechat.Config{BaseURL: cfg.APIBaseURL, MaxConns: 1, Timeout: checkTimeout, Logger: logger})
	if err != nil {
		return append([]group{{{prefix + "token", func(context.Context) Result { return fail(shortErr(err), "correct WECHAT_API_BASE_URL") }}}}, own...)
	}
	d.stops.add("WeChat client", func(context.Context) error { t.client.Close(); return nil })
	return append([]group{{{prefix + "token", t.obtain}, {prefix + "templates", t.templates}}}, own...)
}

// addressees says who may get messages of the app.
func addressees(a config.App) Result {
	switch {
	case len(a.OnlyTo) == 0:
		return okay("everybody; messages open the %s version", a.MiniprogramState)
	case a.MiniprogramState == config.Formal:
		return warn(fmt.Sprintf("only the %d of only_to, and messages open the formal version", len(a.OnlyTo)),
			"take only_to out of the app's settings if this is production: everybody else's messages end cancelled")
	}
	return okay("only the %d of only_to; messages open the %s version", len(a.OnlyTo), a.MiniprogramState)
}

// checkMirror says whether the Redis that others read the token in is there, and
// the token with it.
func checkMirror(ctx context.Context, c redis.UniversalClient, a config.App) Result {
	found := a.TokenMirror.String()
	switch n, err := c.Exists(ctx, a.TokenMirror.Key).Result(); {
	case err != nil:
		return fail(found+": "+shortErr(err), strings.ReplaceAll(redisAdvice(err), "REDIS_URL", "WECHAT_TOKEN_MIRROR")+"; until then its readers get an old token, or none")
	case n == 0:
		return warn(found+" has no token", "start a worker, which writes one when it fetches one; readers get none until then")
	}
	return okay("there is a token in %s", found)
}

// tokenCheck finds a token without disturbing who uses one.
type tokenCheck struct {
	app     config.App
	shared  redis.UniversalClient // nil without Redis
	foreign *tokencache.Foreign   // nil unless the app's token is kept by others
	client  *wechat.Client

	value  string // what obtain found, for templates
	origin string // in words; "" when it was fetched here
}

// sharedTimeout bounds looking for a shared token, so that there is time left
// to do without.
const sharedTimeout = 1500 * time.Millisecond

// obtain finds a token: the foreign one, the one the workers share, or, where
// fetching rotates nothing, the stable one.
func (t *tokenCheck) obtain(ctx context.Context) Result {
	foreignProblem := ""
	if t.foreign != nil {
		value, problem := t.readForeign(ctx)
		if value != "" {
			t.value, t.origin = value, "the token of "+t.app.TokenSource.String()
			return okay("there is one in %s", t.app.TokenSource)
		}
		foreignProblem = problem
	}
	value, left, problem := t.readShared(ctx)
	if value != "" {
		t.value, t.origin = value, "the shared token in Redis"
		return t.despite(foreignProblem, fmt.Sprintf("shared in Redis, %s left", left.Round(time.Second)))
	}
	if t.app.TokenSource.Kind == config.TokenClassic {
		return warn(problem+"; not fetched: with token source `token` a fetch ends the token that everybody uses",
			"start a worker, which fetches one, and run doctor again; or use stable_token, which disturbs nobody")
	}
	token, err := t.client.StableToken(ctx, wechat.App{AppID: t.app.AppID, Secret: t.app.Secret.Reveal()})
	if err != nil {
		return callFailed(err)
	}
	t.value = token.Value
	return t.despite(foreignProblem, fmt.Sprintf("stable_token gives one, %s left", token.ExpiresIn))
}

// despite is the result when a token was found though the foreign key had none.
func (t *tokenCheck) despite(foreignProblem, found string) Result {
	if foreignProblem == "" {
		return okay("%s", found)
	}
	return warn(foreignProblem+"; "+found, "see who keeps that key; until then workers use stable_token")
}

func (t *tokenCheck) readForeign(ctx context.Context) (value, problem string) {
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	value, err := t.foreign.Read(ctx)
	if err != nil {
		return "", t.app.TokenSource.String() + " cannot be read"
	}
	value = strings.TrimSpace(value)
	var unquoted string
	if json.Unmarshal([]byte(value), &unquoted) == nil {
		value = strings.TrimSpace(unquoted)
	}
	if value == "" {
		return "", t.app.TokenSource.String() + " is empty"
	}
	return value, ""
}

func (t *tokenCheck) readShared(ctx context.Context) (value string, left time.Duration, problem string) {
	if t.shared == nil {
		return "", 0, "there is no Redis to look for a shared token in"
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	cache, err := tokencache.New(tokencache.Config{Redis: t.shared})
	if err == nil {
		value, left, err = cache.Get(ctx, t.app.AppID)
	}
	switch {
	case err != nil:
		return "", 0, "the shared token in Redis cannot be read"
	case value == "":
		return "", 0, "there is no shared token in Redis"
	}
	return value, left, ""
}

// templates lists the app's templates, which needs a token that works.
func (t *tokenCheck) templates(ctx context.Context) Result {
	if t.value == "" {
		return Result{Status: StatusSkipped, Found: "needs a token"}
	}
	list, err := t.client.Templates(ctx, t.value)
	if e, ok := errors.AsType[*wechat.Error](err); ok && e.Kind == wechat.KindBadToken && t.origin != "" {
		r := callFailed(err)
		return warn(t.origin+" is refused: "+r.Found,
			"workers replace it at the next send; if it comes back, find what else fetches tokens for this appid")
	}
	if err != nil {
		return callFailed(err)
	}
	oneTime, longTerm := 0, 0
	for _, tmpl := range list {
		switch tmpl.Type {
		case wechat.TypeOneTime:
			oneTime++
		case wechat.TypeLongTerm:
			longTerm++
		}
	}
	found := fmt.Sprintf("%d: %d one-time, %d long-term", len(list), oneTime, longTerm)
	if len(list) == 0 {
		return warn("none", "add templates in the console, under subscribe messages")
	}
	if other := len(list) - oneTime - longTerm; other > 0 {
		found += fmt.Sprintf(", %d of a type that is not known", other)
	}
	return okay("%s", found)
}

// callFailed is the result of a failed call: what WeChat said, what it means
// and what to do. A quota that is used up is no fault of the deployment.
func callFailed(err error) Result {
	e, ok := errors.AsType[*wechat.Error](err)
	if !ok {
		return fail(shortErr(err), "")
	}
	x := Explain(e)
	found := x.Kind + ": " + x.Errmsg
	if x.Errcode != 0 {
		found = fmt.Sprintf("errcode %d, %s: %s", x.Errcode, x.Meaning, x.Errmsg)
	}
	passing := []wechat.Kind{wechat.KindThrottled, wechat.KindThrottledDay, wechat.KindConcurrent, wechat.KindBusy}
	if slices.Contains(passing, e.Kind) {
		return warn(found, x.Do)
	}
	return fail(found, x.Do)
}
