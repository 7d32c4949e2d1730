package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

func TestQuietHoursUntil(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, from, to, zone string
		at                   string
		end                  string // "": not quiet
	}{
		{"before", "22:00", "08:00", "", "2026-03-01T21:59:59.999+08:00", ""},
		{"the first moment", "22:00", "08:00", "", "2026-03-01T22:00:00+08:00", "2026-03-02T08:00:00+08:00"},
		{"the last moment", "22:00", "08:00", "", "2026-03-02T07:59:59.999999999+08:00", "2026-03-02T08:00:00+08:00"},
		{"the end", "22:00", "08:00", "", "2026-03-02T08:00:00+08:00", ""},
		{"midnight", "22:00", "08:00", "", "2026-03-02T00:00:00+08:00", "2026-03-02T08:00:00+08:00"},
		{"by another clock", "22:00", "08:00", "", "2026-03-01T15:30:00.5Z", "2026-03-02T00:00:00Z"},
		{"within a day", "12:00", "13:30", "UTC", "2026-03-01T13:29:00Z", "2026-03-01T13:30:00Z"},
		{"after, within a day", "12:00", "13:30", "UTC", "2026-03-01T23:00:00Z", ""},
		{"until midnight", "22:00", "00:00", "UTC", "2026-02-28T22:30:00Z", "2026-03-01T00:00:00Z"},
		{"from midnight", "00:00", "06:00", "UTC", "2026-03-01T00:00:00Z", "2026-03-01T06:00:00Z"},
		{"all but a minute", "08:01", "08:00", "UTC", "2026-03-01T08:01:00Z", "2026-03-02T08:00:00Z"},
		{"not the quarter of an hour", "22:00", "08:00", "Asia/Kathmandu", "2026-03-01T16:14:00Z", ""},
		{"the quarter of an hour", "22:00", "08:00", "Asia/Kathmandu", "2026-03-01T16:15:00Z", "2026-03-02T02:15:00Z"},

		// Berlin put its clocks from 02:00 to 03:00 on 29 March 2026, and puts them
		// from 03:00 to 02:00 on 25 October.
		{"a night of 9 hours", "22:00", "08:00", "Europe/Berlin", "2026-03-28T22:00:00+01:00", "2026-03-29T08:00:00+02:00"},
		{"a night of 11 hours", "22:00", "08:00", "Europe/Berlin", "2026-10-24T22:00:00+02:00", "2026-10-25T08:00:00+01:00"},
		{"an end that there is not", "22:00", "02:30", "Europe/Berlin", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"a beginning that there is not", "02:30", "05:00", "Europe/Berlin", "2026-03-29T03:00:00+02:00", "2026-03-29T05:00:00+02:00"},
		{"none of it there is", "02:00", "03:00", "Europe/Berlin", "2026-03-29T01:59:59+01:00", ""},
		{"the first of two ends", "22:00", "02:30", "Europe/Berlin", "2026-10-25T01:00:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"between two ends", "22:00", "02:30", "Europe/Berlin", "2026-10-25T02:45:00+02:00", ""},
		{"the second of two ends", "22:00", "02:30", "Europe/Berlin", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00"},
		{"an hour that is there twice", "02:00", "03:00", "Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"},
		// Samoa had no 30 December 2011.
		{"a day that there is not", "22:00", "08:00", "Pacific/Apia", "2011-12-29T23:00:00-10:00", "2011-12-31T08:00:00+14:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q, err := store.NewQuietHours(tt.from, tt.to, tt.zone, false)
			if err != nil {
				t.Fatal(err)
			}
			end, quiet := q.Until(moment(t, tt.at), store.Critical)
			if quiet != (tt.end != "") {
				t.Fatalf("quiet %v until %v, want %q", quiet, end, tt.end)
			}
			if quiet && !end.Equal(moment(t, tt.end)) {
				t.Errorf("until %v, want %v", end, tt.end)
			}
			if _, still := q.Until(end, store.Low); quiet && still {
				t.Errorf("%v is quiet too", end)
			}
		})
	}
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestQuietHoursOfPriorities(t *testing.T) {
	t.Parallel()
	q, err := store.NewQuietHours("22:00", "08:00", "", true)
	if err != nil {
		t.Fatal(err)
	}
	night := moment(t, "2026-03-01T23:00:00+08:00")
	for p, want := range map[store.Priority]bool{store.Critical: false, store.Default: true, store.Low: true} {
		if _, quiet := q.Until(night, p); quiet != want {
			t.Errorf("%s: quiet %v, want %v", p, quiet, want)
		}
	}
	if _, quiet := (store.QuietHours{}).Until(night, store.Low); quiet {
		t.Error("quiet without quiet hours")
	}
	if got, want := q.String(), "22:00-08:00 Asia/Shanghai, not for critical"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestQuietHoursFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, to, zone string
		want           []error
	}{
		{"22:00", "8:00", "", nil},
		{"10 pm", "24:00", "Asia/Nowhere", []error{store.ErrQuietFrom, store.ErrQuietTo, store.ErrQuietZone}},
		{"", "", "", []error{store.ErrQuietFrom, store.ErrQuietTo}},
		{"08:00", "8:00", "", []error{store.ErrQuietEmpty}},
		{"22:00", "08:00", "Local", []error{store.ErrQuietZone}},
		{"22:00", "08:00", "../../etc/passwd", []error{store.ErrQuietZone}},
	} {
		q, err := store.NewQuietHours(tt.from, tt.to, tt.zone, false)
		for _, want := range []error{store.ErrQuietFrom, store.ErrQuietTo, store.ErrQuietEmpty, store.ErrQuietZone} {
			wanted := false
			for _, w := range tt.want {
				wanted = wanted || errors.Is(want, w)
			}
			if errors.Is(err, want) != wanted {
				t.Errorf("%q to %q in %q: %v: %v is %v, want %v", tt.from, tt.to, tt.zone, err, want, !wanted, wanted)
			}
		}
		if q.IsZero() != (tt.want != nil) {
			t.Errorf("%q to %q in %q: %v", tt.from, tt.to, tt.zone, q)
		}
	}
}
