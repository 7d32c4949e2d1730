package app

import (
	"context"
	"fmt"
	"time"
)

// chinaZone is where WeChat's users, and its days and quotas, are.
const chinaZone = "Asia/Shanghai"

// chinaOffset is that of chinaZone in seconds, all year.
const chinaOffset = 8 * 60 * 60

// zoneCheck says what time zone this process shows times in, and whether it
// knows any other.
func zoneCheck() group {
	return group{{"time zone", func(context.Context) Result {
		_, err := time.LoadLocation(chinaZone)
		return zoneResult(time.Now(), err == nil)
	}}}
}

// zoneResult judges the zone of now, which is the process's. Times are stored as
// instants, and WeChat's days are computed without a zone database.
func zoneResult(now time.Time, known bool) Result {
	name, offset := now.Zone()
	found := fmt.Sprintf("%s (UTC%s)", name, now.Format("-07:00"))
	switch {
	case !known:
		return warn(found+", and there is no time zone database", "install tzdata, or set ZONEINFO to a zoneinfo.zip: quiet hours cannot be set without")
	case offset != chinaOffset:
		return warn(found, "set TZ="+chinaZone+" if the console's times are to be those of China. Nothing else depends on it: "+
			"stored times are instants, quiet hours have a zone of their own and WeChat's quotas end by China's; "+
			"times inside a message are text that the producer wrote, so look at its zone too")
	}
	return okay("%s", found)
}

// zoneStep is what time zones differ by at least, and zoneSlack how far a clock
// may be beside a multiple of it and still look like a wrong zone.
const (
	zoneStep  = 30 * time.Minute
	zoneSlack = time.Minute
)

// looksLikeZone reports whether a clock is ahead by what only a time zone is.
func looksLikeZone(ahead time.Duration) bool {
	steps := ahead.Round(zoneStep)
	return steps != 0 && (ahead-steps).Abs() <= zoneSlack
}
