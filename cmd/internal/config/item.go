package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// ItemDefinition describes one key of an item of a list in the file: of an app,
// a producer or a template.
type ItemDefinition struct {
	Key     string // webhook.url is the key url of the mapping webhook
	Kind    string
	Values  string
	Default string
	Secret  bool // has a twin Key_file
	Doc     string

	required bool
}

// itemSetting is a line of the table of a list's items; exactly one of
// kind.parse, list and pair is set.
type itemSetting[T any] struct {
	ItemDefinition
	kind kind[T]
	// list takes the values of a list, of which there is at least one.
	list func(*T, []string) error
	// pair takes one line of a mapping whose keys are the writer's own.
	pair func(t *T, key, value string) error
	// noun counts the values of a list that are not shown, such as "ids".
	noun string
	// without says whom or what an item without this list means.
	without string
}

// required is a trait of an item's key.
const required = emptyMeans << 1

// defineItem makes a line of an item's table.
func defineItem[T any](key, def string, t traits, k kind[T], doc string) itemSetting[T] {
	return itemSetting[T]{
		ItemDefinition: ItemDefinition{
			Key: key, Kind: k.name, Values: k.values, Default: def,
			Secret: t&secret != 0, Doc: doc, required: t&required != 0,
		},
		kind: k,
	}
}

// defineList makes a line of an item's table that takes a list.
func defineList[T any](s itemSetting[T]) itemSetting[T] {
	s.Kind = "list"
	return s
}

func itemDefinitions[T any](table []itemSetting[T]) []ItemDefinition {
	defs := make([]ItemDefinition, len(table))
	for i, s := range table {
		defs[i] = s.ItemDefinition
	}
	return defs
}

// takeItems keeps the items of one of the file's lists for later, when all plain
// settings are known.
func (l *loader) takeItems(e entry) {
	items, ok := sequence(e.value)
	if !ok {
		l.fault(e.key, l.at(e.line), "must be a list of %s, each beginning with a dash", e.key)
		return
	}
	for _, item := range items {
		l.lists[e.key] = append(l.lists[e.key], entry{value: item, line: max(lineOf(item), e.line)})
	}
}

// itemReader reads one item of a list by its table.
type itemReader[T any] struct {
	l    *loader
	d    *draft
	into *T
	name string // apps[0]
	// keys are those that were not read yet.
	keys map[string]entry
	// lines are where the keys that were given stand.
	lines map[string]int
}

// readItem reads an item of a list into a T that holds the defaults, and returns
// the lines of the keys that it has.
func readItem[T any](l *loader, d *draft, into *T, name string, item entry, table []itemSetting[T]) map[string]int {
	r := itemReader[T]{l: l, d: d, into: into, name: name, keys: map[string]entry{}, lines: map[string]int{}}
	entries, ok := mapping(item.value)
	if !ok {
		l.fault(name, l.at(item.line), "must be a list of KEY: VALUE lines")
		return r.lines
	}
	entries = r.open(entries, sections(table))
	for _, e := range entries {
		if first, twice := r.keys[e.key]; twice {
			l.fault(name+"."+showItemKey(e.key), l.at(e.line), "is there already in line %d", first.line)
			continue
		}
		r.keys[e.key], r.lines[e.key] = e, e.line
	}
	for _, s := range table {
		if e, here := r.keys[s.Key]; s.required && (!here || absent(e.value)) {
			l.fault(name+"."+s.Key, l.at(max(item.line, e.line)), "is required")
			delete(r.keys, s.Key)
		}
		r.read(s)
	}
	for _, e := range entries {
		if _, left := r.keys[e.key]; left {
			l.fault(name+"."+showItemKey(e.key), l.at(e.line), "unknown key")
			delete(r.keys, e.key)
		}
	}
	return r.lines
}

// absent reports whether a key stands there without a value.
func absent(node ast.Node) bool {
	_, null, _ := plain(node)
	return null
}

// sections are the mappings that an item of the table may hold.
func sections[T any](table []itemSetting[T]) map[string]bool {
	found := map[string]bool{}
	for _, s := range table {
		if section, _, ok := strings.Cut(s.Key, "."); ok {
			found[section] = true
		}
	}
	return found
}

// open takes the keys out of sections: url in webhook becomes webhook.url.
func (r itemReader[T]) open(entries []entry, sections map[string]bool) []entry {
	var opened []entry
	for _, e := range entries {
		switch inner, ok := mapping(e.value); {
		case strings.Contains(e.key, "."):
			r.l.fault(r.name+"."+showKey(e.key), r.l.at(e.line), "unknown key")
		case !sections[e.key]:
			opened = append(opened, e)
		case !ok:
			r.l.fault(r.name+"."+e.key, r.l.at(e.line), "must be a list of KEY: VALUE lines")
		default:
			for _, in := range inner {
				in.key = e.key + "." + in.key
				opened = append(opened, in)
			}
		}
	}
	return opened
}

// showItemKey is showKey of each part of a key.
func showItemKey(key string) string {
	section, rest, ok := strings.Cut(key, ".")
	if !ok {
		return showKey(key)
	}
	return section + "." + showKey(rest)
}

// read reads one key and takes it out of keys.
func (r itemReader[T]) read(s itemSetting[T]) {
	name := r.name + "." + s.Key
	e, here := r.keys[s.Key]
	delete(r.keys, s.Key)
	switch {
	case s.list != nil:
		r.readList(name, s, e, here)
		return
	case s.pair != nil:
		r.readPairs(name, s, e, here)
		return
	}
	text, from, ok := r.text(name, s, e, here)
	if s.Secret {
		twin, twinHere := r.keys[s.Key+"_file"]
		delete(r.keys, s.Key+"_file")
		path, twinFrom, twinOK := r.text(name+"_file", s, twin, twinHere)
		switch {
		case twinOK && ok:
			r.l.fault(name, twinFrom, "%s_file is set together with %s: set one of them", s.Key, s.Key)
		case twinOK:
			from = twinFrom
			text, ok = r.l.secretFile(name, from, path)
		}
	}
	if !ok {
		return
	}
	if err := s.kind.parse(r.into, text); err != nil {
		r.l.fault(name, from, "%s%v", quoted(text, s.Secret), err)
		return
	}
	r.show(name, show(s.kind, r.into, text, s.Secret), from)
}

// text is the plain value of a key; ok is false when there is none.
func (r itemReader[T]) text(name string, s itemSetting[T], e entry, here bool) (text string, from Origin, ok bool) {
	if !here {
		return "", Origin{}, false
	}
	from = r.l.at(e.line)
	text, null, isPlain := plain(e.value)
	if !isPlain {
		r.l.fault(name, from, "%s", notPlain)
		return "", from, false
	}
	return text, from, !null && (text != "" || !s.Secret)
}

func (r itemReader[T]) readList(name string, s itemSetting[T], e entry, here bool) {
	if !here {
		return
	}
	from := r.l.at(e.line)
	texts, ok := list(e.value)
	if !ok || len(texts) == 0 {
		// An empty list could mean nobody or everybody: whoever wrote it knows.
		r.l.fault(name, from, "must be a list of plain values with at least one; leave the key out for %s", s.without)
		return
	}
	if err := s.list(r.into, texts); err != nil {
		r.l.fault(name, from, "%v", err)
		return
	}
	shown := strings.Join(texts, ", ")
	if s.noun != "" {
		shown = fmt.Sprintf("%d %s", len(texts), s.noun)
	}
	r.show(name, shown, from)
}

func (r itemReader[T]) readPairs(name string, s itemSetting[T], e entry, here bool) {
	if !here {
		return
	}
	pairs, ok := mapping(e.value)
	if !ok {
		r.l.fault(name, r.l.at(e.line), "must be a list of KEY: VALUE lines")
		return
	}
	var shown []string
	for _, p := range pairs {
		from := r.l.at(p.line)
		r.lines[s.Key+"."+p.key] = p.line
		text, null, ok := plain(p.value)
		if !ok || null {
			r.l.fault(name, from, "%s", notPlain)
			continue
		}
		if err := s.pair(r.into, p.key, text); err != nil {
			r.l.fault(name, from, "%s%v", quoted(p.key, false), err)
			continue
		}
		shown = append(shown, p.key+": "+text)
	}
	r.show(name, strings.Join(shown, ", "), r.l.at(e.line))
}

func (r itemReader[T]) show(name, value string, from Origin) {
	r.d.effective = append(r.d.effective, Setting{Name: name, Value: value, Origin: from.String()})
}
