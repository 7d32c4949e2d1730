package template

import (
	"errors"

	"github.com/wxnotify/wxnotify/store"
)

// QuietHours are the hours of every day in which nothing of a template is sent,
// in words. The zero value has none.
type QuietHours struct {
	From, To string // by the clock on the wall: "22:00", "08:00"
	Zone     string // of the IANA database. Default: store.QuietZone.
	// Critical says what becomes of notifications of priority critical. Default:
	// QuietCriticalWait.
	Critical QuietCritical
}

// QuietCritical is a policy for what is critical and comes within quiet hours.
type QuietCritical string

// The policies for priority critical. That it overtakes others does not say that
// it may wake someone up, so a template says that.
const (
	QuietCriticalWait QuietCritical = "wait" // until they are over, as all others
	QuietCriticalSend QuietCritical = "send"
)

// IsZero reports whether there are no quiet hours.
func (q QuietHours) IsZero() bool { return q == QuietHours{} }

// Hours are the quiet hours of an entry that passed [CheckEntries].
func (q QuietHours) Hours() store.QuietHours {
	hours, err := q.hours()
	if err != nil {
		return store.QuietHours{}
	}
	return hours
}

func (q QuietHours) hours() (store.QuietHours, error) {
	if q.IsZero() {
		return store.QuietHours{}, nil
	}
	return store.NewQuietHours(q.From, q.To, q.Zone, q.Critical == QuietCriticalSend)
}

// filled is q with its defaults.
func (q QuietHours) filled() QuietHours {
	if q.IsZero() {
		return q
	}
	if q.Zone == "" {
		q.Zone = store.QuietZone
	}
	if q.Critical == "" {
		q.Critical = QuietCriticalWait
	}
	return q
}

func (q QuietHours) check(add func(at, format string, args ...any)) {
	_, err := q.hours()
	for _, fault := range []struct {
		err          error
		at, key, say string
	}{
		{store.ErrQuietFrom, "from", q.From, `must be a time of day such as "22:00"`},
		{store.ErrQuietTo, "to", q.To, `must be a time of day such as "08:00"`},
		{store.ErrQuietZone, "zone", "", "must be a time zone such as Asia/Shanghai or Europe/Berlin"},
		{store.ErrQuietEmpty, "to", q.To, "is the same as from: nothing or all would be quiet"},
	} {
		switch {
		case !errors.Is(err, fault.err):
		case fault.key == "" && fault.at != "zone":
			add("quiet_hours."+fault.at, "is required")
		default:
			add("quiet_hours."+fault.at, "%s", fault.say)
		}
	}
	if !oneOf(q.Critical, QuietCriticalWait, QuietCriticalSend) {
		add("quiet_hours.critical", "must be wait or send")
	}
}
