package storetest

import "github.com/wxnotify/wxnotify/store"

// testBalances: the ledger added up; what is not known counts nowhere.
func testBalances(f *fixture) {
	if got := must[[]store.Balance](f)(f.Balances(f.ctx)); len(got) != 0 {
		f.Errorf("of an empty ledger: %+v", got)
	}
	for _, openID := range []string{"openid-1", "openid-1", "openid-2", "openid-3"} {
		f.answered(accepted(openID, testTemplate))
	}
	f.mustSettle(settlement(f.claimed("openid-3"), store.Sent, "ok"))       // none left
	f.answered(consentEvent("openid-4", testTemplate, store.ConsentReject)) // refused, and nothing known
	f.answered(accepted("openid-1", "template-2", longTerm))
	f.answered(accepted("openid-1", testTemplate, func(e *store.ConsentEvent) { e.App = "wx-other" }))
	f.diff("balances", []store.Balance{
		{App: "wx-other", TemplateID: testTemplate, Messages: 1, Some: 1},
		{App: testApp, TemplateID: testTemplate, Messages: 3, Some: 2, None: 1},
		{App: testApp, TemplateID: "template-2", LongTerm: 1},
	}, must[[]store.Balance](f)(f.Balances(f.ctx)))
}
