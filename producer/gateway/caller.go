package gateway

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
)

// caller is a producer by one of its keys.
type caller struct {
	*Producer
	client  *producer.Client // accepts in the producer's name
	limiter *rate.Limiter    // of the key; nil: no limit
}

// newKeyring makes the callers of all keys. Those of a ring before it, which may
// be nil, go on with their limits where these are the same.
func newKeyring(producers []Producer, client *producer.Client, before *keyring) (*keyring, error) {
	ring := new(keyring)
	for i := range producers {
		p := &producers[i]
		named, err := client.For(p.Name)
		if err != nil {
			return nil, fmt.Errorf("gateway: Config.Producers[%d]: %w", i, err)
		}
		for _, hash := range p.Keys {
			c := &caller{Producer: p, client: named.Telling(p.Webhook)}
			if p.Rate > 0 {
				burst := p.Burst
				if burst == 0 {
					burst = max(1, int(math.Ceil(2*p.Rate)))
				}
				c.limiter = before.limiter(hash, rate.Limit(p.Rate), burst)
			}
			ring.hashes, ring.owners = append(ring.hashes, hash), append(ring.owners, c)
		}
	}
	return ring, nil
}

// limiter is the one that a key has in this ring, if it is such a one, or a new
// one.
func (k *keyring) limiter(hash apikey.Hash, limit rate.Limit, burst int) *rate.Limiter {
	if k != nil {
		if i := slices.Index(k.hashes, hash); i >= 0 {
			if l := k.owners[i].limiter; l != nil && l.Limit() == limit && l.Burst() == burst {
				return l
			}
		}
	}
	return rate.NewLimiter(limit, burst)
}

// has reports whether the caller has a right.
func (c *caller) has(r Right) bool { return slices.Contains(c.Rights, r) }

// mayApp refuses an app outside the caller's scope.
func (c *caller) mayApp(app string) error {
	if len(c.Apps) > 0 && !slices.Contains(c.Apps, app) {
		return refuse(http.StatusForbidden, CodeForbiddenApp, "this key may not use this app")
	}
	return nil
}

// mayTemplate refuses a template outside the caller's scope, which may name it by
// its id or its alias.
func (c *caller) mayTemplate(id, alias string) error {
	if len(c.Templates) > 0 && !slices.Contains(c.Templates, id) && (alias == "" || !slices.Contains(c.Templates, alias)) {
		return refuse(http.StatusForbidden, CodeForbiddenTemplate, "this key may not use this template")
	}
	return nil
}

// authenticate finds who calls and whether he may, as often as he does.
func (g *Gateway) authenticate(r *http.Request, right Right) (*caller, error) {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if key = strings.TrimSpace(key); !strings.EqualFold(scheme, "Bearer") || key == "" {
		return nil, refuse(http.StatusUnauthorized, CodeUnauthorized, "give an API key: Authorization: Bearer KEY")
	}
	c := g.served.Load().keys.find(key)
	if c == nil {
		return nil, refuse(http.StatusUnauthorized, CodeUnauthorized, "this API key is not known")
	}
	if !c.has(right) {
		return c, refuse(http.StatusForbidden, CodeForbiddenRight, "this key lacks the right "+string(right))
	}
	if wait := c.over(); wait > 0 {
		p := refuse(http.StatusTooManyRequests, CodeRateLimited, "this key makes more requests than it may")
		p.RetryAfter = wait
		return c, p
	}
	return c, nil
}

// over is how long the caller has to wait before the next request; 0: not at all.
func (c *caller) over() time.Duration {
	if c.limiter == nil {
		return 0
	}
	r := c.limiter.Reserve()
	wait := r.Delay()
	if wait > 0 {
		r.Cancel()
	}
	return wait
}
