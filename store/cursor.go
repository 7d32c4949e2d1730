package store

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Cursor marks a place in a listing. The zero value is its start.
type Cursor struct {
	CreatedAt time.Time
	ID        uuid.UUID
}

// After is the cursor behind a notification.
func After(n Notification) Cursor { return Cursor{CreatedAt: n.CreatedAt, ID: n.ID} }

// String is the cursor as it is given to people and programs; ParseCursor reads
// it.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return strconv.FormatInt(c.CreatedAt.UnixMicro(), 36) + "." + c.ID.String()
}

// lastCursor is the end of the year 9999, in microseconds since 1970: databases
// end before an int64 does.
const lastCursor = 253_402_300_799_999_999

// ParseCursor reads what String wrote; "" is the start.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	at, id, _ := strings.Cut(text, ".")
	micros, err := strconv.ParseInt(at, 36, 64)
	parsed, idErr := uuid.Parse(id)
	if err != nil || idErr != nil || micros < 0 || micros > lastCursor {
		return Cursor{}, errors.New("not a cursor that a listing has given")
	}
	return Cursor{CreatedAt: time.UnixMicro(micros).UTC(), ID: parsed}, nil
}
