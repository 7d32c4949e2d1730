package gateway

import (
	"net/http"
	"testing"
)

// A key that is gone opens nothing any more, an app that is gone takes nothing;
// who stays keeps what the rate has left.
func TestReload(t *testing.T) {
	t.Parallel()
	limited := func() []Producer {
		producers := doorProducers()
		producers[0].Rate, producers[0].Burst = 0.001, 2
		return producers
	}
	d := sqliteDoor(t, func(c *Config) { c.Producers = limited() })
	other := report(map[string]any{"app": doorOtherApp})
	d.post(keyBilling, report(nil))
	d.post(keyReports, other)

	next := limited()
	next[0].Keys = next[0].Keys[:1] // without keyBilling2
	next[1].Rights = []Right{RightRead}
	apps := []App{{ID: doorApp}}
	if _, err := d.gateway.Reload(append(next, Producer{Name: "reports"}), apps); err == nil {
		t.Error("a name that is there twice is taken over")
	}
	d.post(keyBilling2, report(nil)) // nothing has changed
	apply, err := d.gateway.Reload(next, apps)
	if err != nil {
		t.Fatal(err)
	}
	apply()

	a := d.do(keyBilling2, "POST", "/v1/notifications", report(nil))
	d.want("a key that is gone", a, http.StatusUnauthorized, CodeUnauthorized)
	a = d.do(keyReports, "POST", "/v1/notifications", report(nil))
	d.want("a right that is gone", a, http.StatusForbidden, CodeForbiddenRight)
	a = d.do(keyManager, "POST", "/v1/notifications", other)
	d.want("an app that is gone", a, http.StatusUnprocessableEntity, CodeInvalid)
	d.post(keyBilling, report(nil))
	a = d.do(keyBilling, "POST", "/v1/notifications", report(nil))
	d.want("more than the rate, before and after together", a, http.StatusTooManyRequests, CodeRateLimited)
}
