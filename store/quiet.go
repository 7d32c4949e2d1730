package store

import (
	"errors"
	"fmt"
	"time"
)

// QuietHours are hours of every day in which nothing of a template is sent, by
// the clock on the wall of a time zone. The zero value has none. It never
// changes, so it is safe for concurrent use.
type QuietHours struct {
	from, to     time.Duration // of the clock on the wall; a to that is not later is the next day's
	zone         *time.Location
	sendCritical bool
}

// QuietZone is the zone of quiet hours that name none.
const QuietZone = "Asia/Shanghai"

// Errors of NewQuietHours: which of the words cannot be used, and why.
var (
	ErrQuietFrom  = errors.New(`from must be a time of day such as "22:00"`)
	ErrQuietTo    = errors.New(`to must be a time of day such as "08:00"`)
	ErrQuietEmpty = errors.New("from and to are the same: nothing or all would be quiet")
	ErrQuietZone  = errors.New("zone must be a time zone such as Asia/Shanghai or Europe/Berlin")
)

// NewQuietHours makes the hours from one time of day ("22:00") until another in a
// zone of the IANA database; "" is QuietZone. With sendCritical they are not for
// notifications of priority critical. The error is one or more of the above.
func NewQuietHours(from, to, zone string, sendCritical bool) (QuietHours, error) {
	if zone == "" {
		zone = QuietZone
	}
	var (
		q    = QuietHours{sendCritical: sendCritical}
		errs []error
		err  error
	)
	if q.from, err = timeOfDay(from); err != nil {
		errs = append(errs, ErrQuietFrom)
	}
	if q.to, err = timeOfDay(to); err != nil {
		errs = append(errs, ErrQuietTo)
	}
	if len(errs) == 0 && q.from == q.to {
		errs = append(errs, ErrQuietEmpty)
	}
	// Local is another zone on each machine.
	if q.zone, err = time.LoadLocation(zone); err != nil || q.zone == time.Local {
		errs = append(errs, ErrQuietZone)
	}
	if len(errs) > 0 {
		return QuietHours{}, errors.Join(errs...)
	}
	return q, nil
}

func timeOfDay(text string) (time.Duration, error) {
	t, err := time.Parse("15:04", text)
	return clock(t), err
}

// clock is what the clock on the wall shows, from midnight on.
func clock(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute +
		time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
}

// IsZero reports whether there are no quiet hours.
func (q QuietHours) IsZero() bool { return q.zone == nil }

// Until reports whether a notification of priority p may not be sent at a moment,
// and until when: end is the first moment after it at which it may.
//
// What counts is what the clock on the wall shows. Where it is put forward over
// the end, the hours end with the jump, and an hour that it shows twice is quiet
// twice.
func (q QuietHours) Until(at time.Time, p Priority) (end time.Time, quiet bool) {
	if q.IsZero() || q.sendCritical && p == Critical {
		return time.Time{}, false
	}
	const day = 24 * time.Hour
	length := (q.to - q.from + day) % day
	for t := at.In(q.zone); ; {
		since := (clock(t) - q.from + day) % day
		if since >= length {
			return t.UTC(), quiet
		}
		quiet = true
		end := t.Add(length - since)
		if _, changes := t.ZoneBounds(); !changes.IsZero() && changes.Before(end) {
			end = changes
		}
		t = end.In(q.zone)
	}
}

// Equal reports whether both are the same hours.
func (q QuietHours) Equal(other QuietHours) bool { return q.String() == other.String() }

// String is for people: "22:00-08:00 Asia/Shanghai, not for critical".
func (q QuietHours) String() string {
	if q.IsZero() {
		return ""
	}
	text := fmt.Sprintf("%s-%s %s", ofDay(q.from), ofDay(q.to), q.zone)
	if q.sendCritical {
		text += ", not for critical"
	}
	return text
}

func ofDay(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
}
