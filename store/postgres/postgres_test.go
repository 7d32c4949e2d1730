package postgres_test

import (
	"testing"

	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Store {
		s, _ := postgrestest.Open(t)
		return s
	})
}

func TestConformanceOfTwo(t *testing.T) {
	t.Parallel()
	storetest.RunPair(t, func(t testing.TB) (a, b storetest.Store) {
		first, address := postgrestest.Open(t)
		return first, postgrestest.OpenURL(t, address)
	})
}
