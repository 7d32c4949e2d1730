package gateway

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
)

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		post := func(key string, edits map[string]any, headers ...string) answer {
			return d.do(key, "POST", "/v1/notifications", report(edits), append(headers, "Idempotency-Key", "k1")...)
		}
		first := post(keyBilling, nil)
		d.want("first", first, http.StatusAccepted, "")
		again := post(keyBilling2, nil)
		if again.status != first.status || !bytes.Equal(again.body, first.body) ||
			again.header.Get("Location") != first.header.Get("Location") || again.header.Get("Content-Type") != "application/json" {
			t.Errorf("again: %d %s %v, want the first answer", again.status, again.body, again.header)
		}
		d.want("another body", post(keyBilling, map[string]any{"page": "pages/x"}), http.StatusUnprocessableEntity, CodeKeyReused)
		d.want("another operation", d.do(keyBilling, "POST", "/v1/notifications/batch",
			map[string]any{"notifications": []any{report(nil)}}, "Idempotency-Key", "k1"), http.StatusUnprocessableEntity, CodeKeyReused)
		d.want("another producer", post(keyReports, nil), http.StatusAccepted, "")
		d.wantRows(2)
		for _, key := range []string{"", "a b", strings.Repeat("k", 256)} {
			d.want("a key that is none", d.do(keyBilling, "POST", "/v1/notifications", report(nil), "Idempotency-Key", key),
				http.StatusUnprocessableEntity, CodeInvalid)
		}
	})
}

// Only a dry run accepts nothing, and not whatever names the parameter.
func TestIdempotencyKeyCountsWithoutADryRun(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	for range 2 {
		a := d.do(keyBilling, "POST", "/v1/notifications?dry_run=false", report(nil), "Idempotency-Key", "k")
		d.want("no dry run", a, http.StatusAccepted, "")
	}
	d.wantRows(1)
}

// A request that was refused did nothing: its key may come with a better one.
func TestARefusedRequestFreesItsKey(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		bad := report(map[string]any{"lang": "xx"})
		d.want("bad", d.do(keyBilling, "POST", "/v1/notifications", bad, "Idempotency-Key", "k"), http.StatusUnprocessableEntity, CodeInvalid)
		d.post(keyBilling, report(nil), "Idempotency-Key", "k")
		d.wantRows(1)
	})
}

func TestParallelPostsWithOneIdempotencyKey(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		statuses, ids := parallel(d, 100, func() (answer, error) {
			return d.try(t.Context(), keyBilling, "POST", "/v1/notifications", report(nil), "Idempotency-Key", "k")
		})
		if len(ids) != 1 || statuses[http.StatusAccepted]+statuses[http.StatusConflict] != 100 {
			t.Errorf("statuses %v, %d notifications; want one, and 409 for who comes while it runs", statuses, len(ids))
		}
		d.wantRows(1)
	})
}

// crashing is a store of requests whose process dies after the request was
// carried out and before its answer was kept.
type crashing struct {
	RequestStore
	dead bool
}

func (c *crashing) ClaimRequest(ctx context.Context, claim store.RequestClaim) (store.RequestClaimed, error) {
	if c.dead {
		claim.Lease = time.Microsecond
	}
	return c.RequestStore.ClaimRequest(ctx, claim)
}

func (c *crashing) EndRequest(ctx context.Context, e store.RequestEnd) error {
	if c.dead {
		return errors.New("the process is dead")
	}
	return c.RequestStore.EndRequest(ctx, e)
}

// A crash between the acceptance and the keeping of the answer neither blocks
// the key nor makes a second notification.
func TestACrashInARequest(t *testing.T) {
	t.Parallel()
	batch := map[string]any{"notifications": []any{report(nil), report(map[string]any{"ref": "r"}), report(nil)}}
	eachDoor(t, func(t *testing.T, d *door) {
		requests := &crashing{d.store, true}
		d.gateway.config.Requests = requests
		first := d.post(keyBilling, report(nil), "Idempotency-Key", "one")
		many := parsed[batchAnswer](d, d.do(keyBilling, "POST", "/v1/notifications/batch", batch, "Idempotency-Key", "many"))

		requests.dead = false
		again := d.post(keyBilling, report(nil), "Idempotency-Key", "one")
		if again != first {
			t.Errorf("after the crash: %+v, want %+v", again, first)
		}
		manyAgain := parsed[batchAnswer](d, d.do(keyBilling, "POST", "/v1/notifications/batch", batch, "Idempotency-Key", "many"))
		for i, r := range manyAgain.Results {
			if *r.ID != *many.Results[i].ID {
				t.Errorf("item %d after the crash: %s, want %s", i, r.ID, many.Results[i].ID)
			}
		}
		d.wantRows(4)
	})
}

// silentStore accepts and does not answer, as long as it is told to.
type silentStore struct {
	producer.Store
	silent bool
}

func (s *silentStore) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	inserted, err := s.Store.Insert(ctx, batch)
	if s.silent && err == nil {
		return nil, store.ErrUnavailable
	}
	return inserted, err
}

// A store that falls silent leaves the request to whoever repeats it, at once.
func TestASilentStoreInARequest(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		silent := &silentStore{d.store, true}
		client, err := producer.New(producer.Config{Store: silent, DefaultApp: doorApp})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		for _, c := range d.gateway.served.Load().keys.owners {
			if c.client, err = client.For(c.Name); err != nil {
				t.Fatal(err)
			}
		}
		a := d.do(keyBilling, "POST", "/v1/notifications", report(nil), "Idempotency-Key", "k")
		d.want("silent", a, http.StatusServiceUnavailable, CodeUnavailable)
		silent.silent = false
		d.post(keyBilling, report(nil), "Idempotency-Key", "k")
		d.wantRows(1)
	})
}

// The ids of a request are drawn from its seed, all different and all UUIDv7 of
// its time.
func TestIDsOfARequest(t *testing.T) {
	t.Parallel()
	seed := uuid.Must(uuid.NewV7())
	a, b := &call{seed: seed}, &call{seed: seed}
	seen := map[uuid.UUID]bool{}
	for i := range maxBatch {
		id := a.id(i)
		if id != b.id(i) || seen[id] || id.Version() != 7 || id.Variant() != uuid.RFC4122 || !bytes.Equal(id[:6], seed[:6]) {
			t.Fatalf("id %d of seed %s is %s", i, seed, id)
		}
		seen[id] = true
	}
	if id := new(call).id(0); id != uuid.Nil {
		t.Errorf("without a seed: %s", id)
	}
}
