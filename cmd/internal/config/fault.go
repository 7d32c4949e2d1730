package config

import (
	"fmt"
	"strings"
)

// Error is every fault that was found in the settings.
type Error struct {
	Faults []Fault
}

// Fault is one wrong setting.
type Fault struct {
	Setting string // REDIS_URL, apps[1].secret; "" when the whole file is meant
	Origin  Origin
	Problem string // never holds a secret or a URL
}

// Error lists the faults, one a line.
func (e *Error) Error() string {
	if len(e.Faults) == 1 {
		return "setting " + e.Faults[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults in the settings:", len(e.Faults))
	for _, f := range e.Faults {
		b.WriteString("\n  ")
		b.WriteString(f.String())
	}
	return b.String()
}

// Usage reports whether a flag is at fault, that is, the command line.
func (e *Error) Usage() bool {
	for _, f := range e.Faults {
		if f.Origin.Source == FromFlag {
			return true
		}
	}
	return false
}

// String is the fault as a sentence: what, from where, why.
func (f Fault) String() string {
	head := f.Setting
	switch from := f.Origin.String(); {
	case head == "":
		head = from
	case from != "":
		head += " (" + from + ")"
	}
	return head + ": " + f.Problem
}

// Origin says where a value came from.
type Origin struct {
	Source Source
	Name   string // of the flag, the variable or the file
	Line   int    // in the file; 0 when not known
}

// Source is one of the places a value can come from.
type Source int

// The sources. FromNowhere is that of a setting that is missing.
const (
	FromNowhere Source = iota
	FromDefault
	FromFile
	FromEnvironment
	FromFlag
)

// String is "flag --x", "environment X", "file PATH:LINE", "default" or "".
func (o Origin) String() string {
	switch o.Source {
	case FromNowhere:
		return ""
	case FromDefault:
		return "default"
	case FromFile:
		if o.Line == 0 {
			return "file " + o.Name
		}
		return fmt.Sprintf("file %s:%d", o.Name, o.Line)
	case FromEnvironment:
		return "environment " + o.Name
	case FromFlag:
		return "flag --" + o.Name
	}
	return ""
}
