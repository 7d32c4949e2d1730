package wechat

import (
	"math/rand/v2"
	"time"
)

const (
	// refreshMargin is when before its end a token is replaced. Within its last
	// 300 s a stable token is answered with a new one and both work; a call
	// before that only returns the same. The 60 s between are for clocks and
	// retries.
	refreshMargin = 240 * time.Second
	// refreshSpread keeps the processes of a fleet from asking in one instant.
	refreshSpread = 30 * time.Second
	// foreignLife is the longest a token lives, for a foreign one does not say.
	foreignLife = 2 * time.Hour
	// foreignCheck is how often a foreign key is read again: its keeper may
	// replace it at any time, and an old token works for some minutes more.
	foreignCheck = 30 * time.Second
)

type origin string

const (
	originFetched origin = "fetched" // by this process
	originShared  origin = "shared"  // by another, through the cache
	originForeign origin = "foreign"
)

// held is a token in this process.
type held struct {
	value    string
	origin   origin
	obtained time.Time
	// check is when to look for a better one in the background; refresh is when
	// this one nears its end. They differ for SourceForeign only.
	check, refresh time.Time
	expires        time.Time
}

// hold returns a token that lives for life from at.
func (t *Tokens) hold(value string, from origin, at time.Time, life time.Duration) held {
	margin := min(refreshMargin-rand.N(refreshSpread), life/2) //nolint:gosec // spreads load, guards nothing
	h := held{value: value, origin: from, obtained: at, expires: at.Add(life)}
	h.refresh = h.expires.Add(-margin)
	h.check = h.refresh
	if t.source == SourceForeign {
		h.check = earlier(h.refresh, at.Add(foreignCheck))
	}
	return h
}

// serves reports whether h may be used at now.
func (h held) serves(now time.Time) bool { return h.value != "" && now.Before(h.expires) }

// usableLife is how long a token is used that WeChat gave left: a little less,
// for the way it still has to travel, and always positive.
func usableLife(left time.Duration) time.Duration {
	return max(left-min(10*time.Second, left/10), time.Second)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

const (
	// refusalMemory is how long a refused token is not taken from the cache or a
	// foreign key again.
	refusalMemory = 10 * time.Minute
	// minRest and maxRest bound how long a fetched token rests that was refused.
	// It is tried again after that: WeChat was seen to refuse a token and take it
	// seconds later, and a stable token stays the same for up to two hours.
	minRest = 5 * time.Second
	maxRest = time.Minute
	// maxRefusals bounds the memory; a fleet sees a few a day.
	maxRefusals = 32
)

// refusals remembers which tokens WeChat refused.
type refusals struct {
	seen map[string]refusal
}

type refusal struct {
	at   time.Time
	rest time.Duration
}

// add notes that WeChat refused value and reports whether that is news: all
// sends in flight learn of it at once and count as one refusal.
func (r *refusals) add(value string, now time.Time) bool {
	old, known := r.seen[value]
	if known && now.Before(old.at.Add(old.rest)) {
		return false
	}
	if r.seen == nil {
		r.seen = make(map[string]refusal)
	}
	r.seen[value] = refusal{at: now, rest: min(max(2*old.rest, minRest), maxRest)}
	r.forget(now)
	return true
}

// forget drops what is past its time and the oldest beyond the bound.
func (r *refusals) forget(now time.Time) {
	for value, entry := range r.seen {
		if !now.Before(entry.at.Add(refusalMemory)) {
			delete(r.seen, value)
		}
	}
	for len(r.seen) > maxRefusals {
		oldest := ""
		for value, entry := range r.seen {
			if oldest == "" || entry.at.Before(r.seen[oldest].at) {
				oldest = value
			}
		}
		delete(r.seen, oldest)
	}
}

// has reports whether value was refused not long ago.
func (r *refusals) has(value string, now time.Time) bool {
	entry, known := r.seen[value]
	return known && now.Before(entry.at.Add(refusalMemory))
}

// resting returns until when a fetched value is not to be used; zero when it may be.
func (r *refusals) resting(value string, now time.Time) time.Time {
	entry, known := r.seen[value]
	if until := entry.at.Add(entry.rest); known && now.Before(until) {
		return until
	}
	return time.Time{}
}
