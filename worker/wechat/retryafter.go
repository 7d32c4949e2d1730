package wechat

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxRetryAfter is the longest wait that a Retry-After header may ask for.
	maxRetryAfter = time.Hour
	// openIDRest is the first rest of an openid after 43117, whose threshold is
	// unknown; the worker doubles it.
	openIDRest = 10 * time.Minute
	// concurrentRest is the first wait after 43108, whose interval is not
	// documented; the worker adds jitter.
	concurrentRest = time.Second
)

// beijing is WeChat's day. A fixed zone: it has had no daylight saving time
// since 1991, and a container may be without zone files.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// retryAfter is how long code asks to wait; 0 when it does not.
func (a *answer) retryAfter(code int) time.Duration {
	switch code {
	case 45011:
		now := a.serverTime()
		return max(now.Truncate(time.Minute).Add(time.Minute).Sub(now), time.Second)
	case 45009:
		// That the day ends at midnight in Beijing is assumed, not documented.
		now := a.serverTime().In(beijing)
		next := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, beijing)
		return max(next.Sub(now), time.Second)
	case 43117:
		return openIDRest
	case 43108:
		return concurrentRest
	}
	return 0
}

// serverTime is the Date header's time, for quotas end by WeChat's clock, or
// ours when there is none.
func (a *answer) serverTime() time.Time {
	if t, err := http.ParseTime(a.header.Get("Date")); err == nil {
		return t
	}
	return a.at
}

// headerRetryAfter reads Retry-After, in seconds or as a date, between a second
// and maxRetryAfter; asked is false when there is none that can be read.
func (a *answer) headerRetryAfter() (wait time.Duration, asked bool) {
	value := strings.TrimSpace(a.header.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if n, err := strconv.ParseUint(value, 10, 64); err == nil {
		seconds := min(n, uint64(maxRetryAfter/time.Second))
		return max(time.Duration(seconds)*time.Second, time.Second), true
	}
	t, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(t.Sub(a.serverTime()), time.Second), maxRetryAfter), true
}
