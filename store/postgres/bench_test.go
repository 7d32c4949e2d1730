package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// BenchmarkInsert inserts 1,000 notifications per round.
func BenchmarkInsert(b *testing.B) {
	s, _ := postgrestest.Open(b)
	for b.Loop() {
		batch := make([]store.Acceptance, 1000)
		for i := range batch {
			batch[i] = acceptance()
		}
		if _, err := s.Insert(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit commits 100 claims beside 100 settlements per round.
func BenchmarkCommit(b *testing.B) {
	const size = 100
	s, _ := postgrestest.Open(b)
	var settlements []store.Settlement
	for b.Loop() {
		b.StopTimer()
		batch := make([]store.Acceptance, size)
		commit := store.Batch{Settlements: settlements}
		for i := range batch {
			batch[i] = acceptance()
			commit.Claims = append(commit.Claims, store.Claim{
				ID: batch[i].Notification.ID, Generation: 1, Owner: uuid.New(), Lease: time.Minute,
			})
		}
		if _, err := s.Insert(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		r, err := s.Commit(b.Context(), commit)
		if err != nil {
			b.Fatal(err)
		}
		settlements = nil
		for _, c := range r.Claims {
			if !c.OK {
				b.Fatal("claim refused")
			}
			settlements = append(settlements, store.Settlement{
				ID: c.Look.ID, Seq: c.Look.Seq, State: store.Sent, Attempt: store.Attempt{At: c.Look.Now, Outcome: "ok"},
			})
		}
	}
}
