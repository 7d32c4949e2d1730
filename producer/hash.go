package producer

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"maps"
	"slices"
	"strconv"
	"time"
)

// hashVersion is written first, so that a change of the encoding can be told
// from a change of content. Changing it makes every known Ref a conflict.
const hashVersion = "1"

// Hash tells whether two notifications with the same Ref ask for the same. It
// covers template, page, addressee, data, app, priority, duplicates, lang,
// miniprogram state, the moments SendAt and ExpiresAt, and what is set of Wait,
// NoConsent and ReleaseOrder. It does not cover Delay: whoever repeats a call
// after a lost answer measures it anew, and that must find the first one, not a
// conflict.
//
// Every part is written with its length, so no two contents share an encoding;
// JSON would tie the hash to the version of an encoder.
func (n Notification) Hash() []byte {
	h := sha256.New()
	for _, s := range []string{
		hashVersion, n.App, n.TemplateID, n.Page, n.UserID, n.OpenID, string(priority(n.Priority)),
		string(n.Duplicates), n.Lang, n.MiniprogramState, moment(n.SendAt), moment(n.ExpiresAt),
	} {
		writePart(h, s)
	}
	for _, k := range slices.Sorted(maps.Keys(n.Data)) {
		writePart(h, k)
		writePart(h, n.Data[k])
	}
	// What came later is written by name and only when it is set, so that contents
	// without it keep their hash. No such name is a key of data.
	for _, later := range [][2]string{
		{".wait", duration(n.Wait)}, {".no_consent", string(n.NoConsent)}, {".release", string(n.ReleaseOrder)},
	} {
		if later[1] != "" {
			writePart(h, later[0])
			writePart(h, later[1])
		}
	}
	return h.Sum(nil)
}

// moment is t to the millisecond, which every store and every JSON client keeps.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// duration is d in whole microseconds, which every store keeps.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatInt(d.Microseconds(), 10)
}

func writePart(h hash.Hash, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	h.Write(n[:])
	h.Write([]byte(s))
}
