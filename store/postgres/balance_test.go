package postgres_test

import (
	"testing"

	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// TestBalancesSampled: of a large ledger a part is read, the same each time, and
// what all have is estimated by it.
func TestBalancesSampled(t *testing.T) {
	t.Parallel()
	s, address := postgrestest.Open(t)
	admin(t, address, `
		INSERT INTO consents (app, open_id, template_id, balance, updated_at)
		SELECT 'wx1', 'openid-' || n, 'template-' || n % 2, n % 3, now()
		FROM generate_series(1, 20000) AS n`)
	exact, err := s.Balances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(exact) != 2 || exact[0].Add(exact[1]).Messages != 20001 || exact[0].Some+exact[0].None != 10000 {
		t.Fatalf("the whole ledger: %+v", exact)
	}
	s.SetBalancePages(60) // of some 350
	for range 2 {
		some, err := s.Balances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(some) != 2 {
			t.Fatalf("a part of the ledger: %+v", some)
		}
		for i, b := range some {
			off := float64(b.Messages)/float64(exact[i].Messages) - 1
			if off == 0 || off < -0.5 || off > 0.5 {
				t.Errorf("%s: %d messages are estimated, there are %d", b.TemplateID, b.Messages, exact[i].Messages)
			}
			t.Logf("%s: off by %.1f %%", b.TemplateID, 100*off)
		}
	}
}
