//go:build !linux

package bench

import (
	"errors"
	"time"
)

var errNoProc = errors.New("this system has no /proc")

func cpuTime(int, bool) (time.Duration, error) { return 0, errNoProc }

func peakMemory(int) (int64, error) { return 0, errNoProc }

func processor() string { return "" }

func memory() int64 { return 0 }
