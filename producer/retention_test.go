package producer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/store"
)

// startRetention starts one that works in pages of ten every few milliseconds.
func startRetention(t *testing.T, config RetentionConfig) *Retention {
	t.Helper()
	config.Interval = 5 * time.Millisecond
	r, err := NewRetention(config)
	if err != nil {
		t.Fatal(err)
	}
	r.page = 10
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// endedRows inserts n notifications that have ended already, half a page of them
// dead letters.
func endedRows(t *testing.T, st Store, n int) (ids []uuid.UUID) {
	t.Helper()
	batch := make([]store.Acceptance, n)
	for i := range batch {
		batch[i].Notification = store.Notification{
			ID: uuid.Must(uuid.NewV7()), App: "wx1", TemplateID: "t", UserID: "u", Page: "pages/report?id=9",
			Data: map[string]string{"thing1": "text"}, State: store.Cancelled, Reason: store.ReasonByAdmin,
		}
		if i < 5 {
			batch[i].Notification.State, batch[i].Notification.Class = store.Dead, store.ClassFault
		}
		batch[i].MaxAge = time.Hour
		ids = append(ids, batch[i].Notification.ID)
	}
	if _, err := st.Insert(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	return ids
}

// forgotten are the counts of the metric, by kind.
func forgotten(r *Retention) map[forgetting]float64 {
	counts := map[forgetting]float64{}
	for _, kind := range []forgetting{dataBlanked, finishedDeleted, deadDeleted} {
		counts[kind] = testutil.ToFloat64(r.rows.WithLabelValues(string(kind)))
	}
	return counts
}

func eventuallyForgotten(t *testing.T, r *Retention, want map[forgetting]float64) {
	t.Helper()
	eventually(t, "retention", func() error {
		if diff := cmp.Diff(want, forgotten(r)); diff != "" {
			return fmt.Errorf("rows (-want +got):\n%s", diff)
		}
		return nil
	})
}

// Retention works in pages until nothing old is left, each kind by its own age.
func TestRetention(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		ids := endedRows(t, st, 30)
		var retired atomic.Bool
		idle := make(chan struct{}, 1)
		blanking := startRetention(t, RetentionConfig{Store: st, Data: time.Nanosecond, Leads: func() bool {
			if !retired.Load() {
				return true
			}
			select {
			case idle <- struct{}{}:
			default:
			}
			return false
		}})
		eventuallyForgotten(t, blanking, map[forgetting]float64{dataBlanked: 25, finishedDeleted: 0, deadDeleted: 0})
		for i, id := range ids {
			n, _, err := st.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if dead := i < 5; dead != (n.Data != nil) || dead == (n.Page == "pages/report") || dead != n.DataBlankedAt.IsZero() {
				t.Errorf("%s: data %v, page %s, blanked %v", n.State, n.Data != nil, n.Page, n.DataBlankedAt)
			}
		}
		// Retired between two statements, not stopped in the middle of one: the
		// database may still carry out what Stop has given up, on the rows below.
		retired.Store(true)
		<-idle
		// What is deleted need not be old enough to be blanked first.
		more := endedRows(t, st, 15)
		deleting := startRetention(t, RetentionConfig{Store: st, Data: time.Hour, Finished: time.Nanosecond, Dead: time.Nanosecond})
		eventuallyForgotten(t, deleting, map[forgetting]float64{dataBlanked: 10, finishedDeleted: 35, deadDeleted: 10})
		for _, id := range append(ids, more...) {
			if _, _, err := st.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%v, want ErrNotFound", err)
			}
		}
	})
}

// One that does not lead, or no longer does, leaves the store alone.
func TestRetentionOnlyLeads(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		endedRows(t, st, 30)
		asked := make(chan bool)
		r := startRetention(t, RetentionConfig{Store: st, Data: time.Nanosecond, Leads: func() bool {
			leads, open := <-asked
			return leads && open
		}})
		defer close(asked)
		for range 7 { // the steps of a round
			asked <- false
		}
		if got := forgotten(r)[dataBlanked]; got != 0 {
			t.Errorf("blanked %v without leading", got)
		}
		// The second question comes after the first page. The round goes on with
		// its other steps, each of which asks, before the last answer arrives.
		for _, leads := range []bool{true, false} {
			asked <- leads
		}
		asked <- false
		if got := forgotten(r)[dataBlanked]; got != 10 {
			t.Errorf("blanked %v while leading for one page, want 10", got)
		}
	})
}

// awayStore fails until it is back.
type awayStore struct {
	RetentionStore
	back atomic.Bool
}

func (s *awayStore) BlankData(ctx context.Context, age time.Duration, limit int) (int, error) {
	if !s.back.Load() {
		return 0, store.ErrUnavailable
	}
	return s.RetentionStore.BlankData(ctx, age, limit)
}

// An outage is logged once and passes.
func TestRetentionStoreAway(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		endedRows(t, st, 30)
		core, logs := observer.New(zapcore.InfoLevel)
		away := &awayStore{RetentionStore: st}
		rounds := make(chan struct{})
		r := startRetention(t, RetentionConfig{Store: away, Data: time.Nanosecond, Logger: zap.New(core), Leads: func() bool {
			select {
			case rounds <- struct{}{}:
			case <-t.Context().Done():
			}
			return true
		}})
		for range 3 {
			<-rounds
		}
		away.back.Store(true)
		go func() {
			for {
				select {
				case <-rounds:
				case <-t.Context().Done():
					return
				}
			}
		}()
		eventuallyForgotten(t, r, map[forgetting]float64{dataBlanked: 25, finishedDeleted: 0, deadDeleted: 0})
		eventually(t, "the end of the outage is logged", func() error {
			var lines []string
			for _, l := range logs.All() {
				lines = append(lines, l.Message)
			}
			if diff := cmp.Diff([]string{"part is away", "part is back"}, lines); diff != "" {
				return errors.New(diff)
			}
			return nil
		})
	})
}

// agesStore tells how old what WeChat pushed has to be for Retention to delete
// it.
type agesStore struct {
	RetentionStore
	pushes, receipts, consents chan time.Duration
}

func (s agesStore) DeletePushes(_ context.Context, age time.Duration, _ int) (int, error) {
	s.pushes <- age
	return 0, nil
}

func (s agesStore) DeleteReceipts(_ context.Context, age time.Duration, _ int) (int, error) {
	s.receipts <- age
	return 0, nil
}

func (s agesStore) DeleteConsentEvents(_ context.Context, age time.Duration, _ int) (int, error) {
	s.consents <- age
	return 0, nil
}

// What WeChat pushed is kept as long as it may be of use, whatever the settings.
func TestRetentionOfPushes(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		ages := agesStore{st, make(chan time.Duration, 1000), make(chan time.Duration, 1000), make(chan time.Duration, 1000)}
		startRetention(t, RetentionConfig{Store: ages, Data: 1, Finished: 1, Dead: 1})
		if got := <-ages.pushes; got != store.KeepPushes {
			t.Errorf("pushes are deleted after %s, want %s", got, store.KeepPushes)
		}
		if got := <-ages.receipts; got != store.KeepReceipts {
			t.Errorf("receipts are deleted after %s, want %s", got, store.KeepReceipts)
		}
		if got := <-ages.consents; got != store.ConsentMemory {
			t.Errorf("events about consents are deleted after %s, want %s", got, store.ConsentMemory)
		}
	})
}

func TestRetentionConfig(t *testing.T) {
	t.Parallel()
	_, err := NewRetention(RetentionConfig{Data: -1, Dead: -1})
	for _, field := range []string{"Store", "Data", "Dead"} {
		if err == nil || !strings.Contains(err.Error(), "RetentionConfig."+field) {
			t.Errorf("%s is not reported: %v", field, err)
		}
	}
	reg := prometheus.NewRegistry()
	r, err := NewRetention(RetentionConfig{Store: new(awayStore), Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(reg, "wxnotify_retention_rows_total"); n != 7 || err != nil {
		t.Errorf("%d series from the start, %v, want 7", n, err)
	}
	got := []time.Duration{r.config.Data, r.config.Finished, r.config.Dead}
	if diff := cmp.Diff([]time.Duration{DefaultDataRetention, DefaultRetention, DefaultDeadRetention}, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Errorf("stop before start: %v", err)
	}
	if err := r.Start(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("start after stop: %v, want ErrStopped", err)
	}
}
