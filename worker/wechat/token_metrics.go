package wechat

import "github.com/prometheus/client_golang/prometheus"

// Why a foreign key is not in use.
const (
	fallbackEmpty      = "empty"
	fallbackRefused    = "refused"
	fallbackUnreadable = "unreadable"
)

type tokenMetrics struct {
	obtained     map[origin]prometheus.Counter
	fallbacks    map[string]prometheus.Counter
	failed       map[Kind]prometheus.Counter
	refused      prometheus.Counter
	same         prometheus.Counter
	cacheErrors  prometheus.Counter
	mirrorErrors prometheus.Counter
}

func newTokenMetrics(reg prometheus.Registerer, t *Tokens) (*tokenMetrics, error) {
	app := prometheus.Labels{"app": t.app.AppID}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: app}, []string{label})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: app})
	}
	obtained := vec("wxnotify_wechat_token_obtained_total", "Tokens taken into use, by where they came from.", "origin")
	fallbacks := vec("wxnotify_wechat_token_fallbacks_total", "Looks at the foreign key that found no usable token, by reason.", "reason")
	failed := vec("wxnotify_wechat_token_fetch_failures_total", "Fetches of a token that failed, by the kind of the answer.", "kind")
	m := &tokenMetrics{
		obtained:     make(map[origin]prometheus.Counter),
		fallbacks:    make(map[string]prometheus.Counter),
		failed:       make(map[Kind]prometheus.Counter),
		refused:      counter("wxnotify_wechat_token_refused_total", "Tokens that WeChat refused."),
		same:         counter("wxnotify_wechat_token_same_total", "Fetches that returned the token WeChat had just refused."),
		cacheErrors:  counter("wxnotify_wechat_token_cache_errors_total", "Failed operations on the shared token cache."),
		mirrorErrors: counter("wxnotify_wechat_token_mirror_errors_total", "Failed writes of the token mirror."),
	}
	for _, o := range []origin{originFetched, originShared, originForeign} {
		m.obtained[o] = obtained.WithLabelValues(string(o))
	}
	for _, why := range []string{fallbackEmpty, fallbackRefused, fallbackUnreadable} {
		m.fallbacks[why] = fallbacks.WithLabelValues(why)
	}
	for _, k := range Kinds {
		m.failed[k] = failed.WithLabelValues(k.String())
	}
	left := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wxnotify_wechat_token_left_seconds", Help: "How long the held token still lives; 0 when none is held.", ConstLabels: app,
	}, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		now := t.now()
		if !t.held.serves(now) {
			return 0
		}
		return t.held.expires.Sub(now).Seconds()
	})
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wxnotify_wechat_token_age_seconds", Help: "How long this process has held its token; 0 when none is held.", ConstLabels: app,
	}, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		now := t.now()
		if !t.held.serves(now) {
			return 0
		}
		return now.Sub(t.held.obtained).Seconds()
	})
	return m, register(reg, obtained, fallbacks, failed, m.refused, m.same, m.cacheErrors, m.mirrorErrors, left, age)
}
