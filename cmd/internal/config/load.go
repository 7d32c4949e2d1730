package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// draft is the Config while it is being loaded, with what ends up in its Apps.
type draft struct {
	Config
	env     App // of WECHAT_APPID
	maxRate int // MAX_SEND_RATE
}

// loader collects values and faults.
type loader struct {
	src    Sources
	path   string             // of the YAML file; "" without one
	file   map[string]scalar  // its plain keys
	lists  map[string][]entry // the items of its lists
	given  map[string]Origin  // settings that did not come from the default
	faults []Fault
}

func newLoader(src Sources) *loader {
	if src.LookupEnv == nil {
		src.LookupEnv = func(string) (string, bool) { return "", false }
	}
	if src.ReadFile == nil {
		src.ReadFile = func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	}
	return &loader{src: src, file: map[string]scalar{}, lists: map[string][]entry{}, given: map[string]Origin{}}
}

func (l *loader) fault(name string, from Origin, format string, args ...any) {
	l.faults = append(l.faults, Fault{Setting: name, Origin: from, Problem: fmt.Sprintf(format, args...)})
}

// at is a place in the YAML file.
func (l *loader) at(line int) Origin { return Origin{Source: FromFile, Name: l.path, Line: line} }

// readFile reads the YAML file, if one is named.
func (l *loader) readFile() {
	from := Origin{Source: FromFlag, Name: FileFlag}
	path := l.src.Flags[FileFlag]
	if path == "" {
		from = Origin{Source: FromEnvironment, Name: FileEnv}
		path, _ = l.src.LookupEnv(FileEnv)
	}
	if path == "" {
		return
	}
	l.path = path
	data, err := l.src.ReadFile(path)
	if err != nil {
		l.fault(FileEnv, from, "%s cannot be read: %v", path, cause(err))
		return
	}
	entries, bad := parseYAML(data)
	if bad != nil {
		l.fault("", l.at(bad.line), "%s", bad.problem)
		return
	}
	l.takeEntries(entries)
}

// cause is err without the operation and the path, which may be a secret that
// was put into the wrong variable.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// takeEntries sorts the keys of the file into plain settings and lists.
func (l *loader) takeEntries(entries []entry) {
	known := map[string]bool{}
	for _, s := range settings() {
		known[s.Key] = true
		if s.Secret {
			known[s.Key+"_file"] = true
		}
	}
	seen := map[string]int{}
	for _, e := range entries {
		from := l.at(e.line)
		if first, twice := seen[e.key]; twice {
			l.fault(showKey(e.key), from, "is there already in line %d", first)
			continue
		}
		seen[e.key] = e.line
		if e.key == appsKey || e.key == producersKey || e.key == templatesKey || e.key == adminUsersKey {
			l.takeItems(e)
			continue
		}
		if !known[e.key] {
			l.fault(showKey(e.key), from, "unknown key")
			continue
		}
		text, null, ok := plain(e.value)
		switch {
		case !ok:
			l.fault(e.key, from, "%s", notPlain)
		case !null:
			l.file[e.key] = scalar{text: text, line: e.line}
		}
	}
}

// settings fills d from the table.
func (l *loader) settings(d *draft) {
	for _, s := range settings() {
		text, from, ok := l.lookup(s)
		shown := Setting{Name: s.Env, Origin: from.String()}
		if !ok {
			shown.Origin = "not set"
			d.effective = append(d.effective, shown)
			continue
		}
		if err := s.kind.parse(d, text); err != nil {
			l.fault(s.Env, from, "%s%v", quoted(text, s.Secret), err)
			continue
		}
		shown.Value = show(s.kind, d, text, s.Secret)
		d.effective = append(d.effective, shown)
	}
}

// show is a value as it may be printed.
func show[T any](k kind[T], t *T, text string, secret bool) string {
	switch {
	case k.shown != nil:
		return k.shown(t)
	case secret:
		return mask
	}
	return text
}

// maxQuoted bounds the value that a fault repeats.
const maxQuoted = 60

// quoted is the value for a fault, unless it is a secret.
func quoted(text string, secret bool) string {
	if secret {
		return ""
	}
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	return fmt.Sprintf("%q ", text)
}

// lookup finds the value of a setting in the first source that has it.
func (l *loader) lookup(s setting) (text string, from Origin, ok bool) {
	for _, look := range []func(setting) (string, Origin, bool){l.fromFlag, l.fromEnv, l.fromFile} {
		if text, from, ok = look(s); ok {
			l.given[s.Env] = from
			return text, from, true
		}
	}
	return s.Default, Origin{Source: FromDefault}, s.Default != "" || s.emptyMeans
}

func (l *loader) fromFlag(s setting) (string, Origin, bool) {
	if s.Flag == "" {
		return "", Origin{}, false
	}
	text, ok := l.src.Flags[s.Flag]
	return text, Origin{Source: FromFlag, Name: s.Flag}, ok
}

func (l *loader) fromEnv(s setting) (string, Origin, bool) {
	from := Origin{Source: FromEnvironment, Name: s.Env}
	text, ok := l.src.LookupEnv(s.Env)
	ok = ok && (text != "" || s.emptyMeans)
	if !s.Secret {
		return text, from, ok
	}
	path, _ := l.src.LookupEnv(s.FileTwin())
	if path == "" {
		return text, from, ok
	}
	twin := Origin{Source: FromEnvironment, Name: s.FileTwin()}
	if ok {
		l.fault(s.Env, twin, "is set together with %s: set one of them", s.Env)
		return text, from, true
	}
	text, ok = l.secretFile(s.Env, twin, path)
	return text, twin, ok
}

func (l *loader) fromFile(s setting) (string, Origin, bool) {
	value, ok := l.file[s.Key]
	from := l.at(value.line)
	ok = ok && (value.text != "" || s.emptyMeans)
	twin, twinOK := l.file[s.Key+"_file"]
	if !s.Secret || !twinOK || twin.text == "" {
		return value.text, from, ok
	}
	if ok {
		l.fault(s.Env, l.at(twin.line), "%s_file is set together with %s: set one of them", s.Key, s.Key)
		return value.text, from, true
	}
	text, ok := l.secretFile(s.Env, l.at(twin.line), twin.text)
	return text, l.at(twin.line), ok
}

// secretFile reads a secret from its file, without the newline at its end. When
// it cannot, the fault is noted and the setting counts as not set; its path is
// not repeated, in case it is the secret itself.
func (l *loader) secretFile(name string, from Origin, path string) (string, bool) {
	data, err := l.src.ReadFile(path)
	if err != nil {
		l.fault(name, from, "the file cannot be read: %v", cause(err))
		return "", false
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		l.fault(name, from, "the file is empty")
		return "", false
	}
	return text, true
}
