package webhook

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A producer that comes is told, one that goes is not, and one whose address
// changes is told there; one that stays as it is keeps its loop.
func TestReload(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	accept := func(http.ResponseWriter, int) {}
	stays, gotStays := endpoint(t, accept)
	goes, gotGoes := endpoint(t, accept)
	comes, gotComes := endpoint(t, accept)
	moves, gotMoves := endpoint(t, accept)
	to := func(producer, url string) Subscription {
		return Subscription{Producer: producer, URL: url, Secret: secret}
	}
	s := startSender(t, Config{Store: st, Allow: loopback, Subscriptions: []Subscription{
		to("stays", stays.URL), to("goes", goes.URL), to("moves", goes.URL),
	}})
	end(t, st, "stays")
	next(t, gotStays)
	kept := s.subscribers[0]

	if _, err := s.Reload([]Subscription{{Producer: "comes", URL: "ftp://host", Secret: "no secret"}}, loopback); err == nil {
		t.Error("a webhook with two faults is taken over")
	}
	apply, err := s.Reload([]Subscription{to("stays", stays.URL), to("comes", comes.URL), to("moves", moves.URL)}, loopback)
	if err != nil {
		t.Fatal(err)
	}
	apply()
	if s.subscribers[0] != kept {
		t.Error("the webhook that stays was made anew")
	}
	for _, producer := range []string{"goes", "comes", "moves", "stays"} {
		end(t, st, producer)
	}
	next(t, gotComes)
	next(t, gotMoves)
	next(t, gotStays)
	select {
	case <-gotGoes:
		t.Error("the webhook that is gone was told")
	default:
	}

	// Other networks are another way out for all of them.
	if apply, err = s.Reload([]Subscription{to("stays", stays.URL)}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); err != nil {
		t.Fatal(err)
	}
	apply()
	end(t, st, "stays")
	tries := func() float64 { return testutil.ToFloat64(s.metrics.tries.WithLabelValues(string(forbidden))) }
	eventually(t, "the address is no longer allowed", 1, tries)
}
