package template

import (
	"maps"
	"slices"
)

// Check turns data with any of the names of a field (WeChat's key, the catalog's
// name, a label that only one field has) into data with WeChat's keys, or names
// every fault: fields that are missing, unknown or there twice, and values that
// WeChat would refuse. It changes no value, except that a thing that is too long
// is cut where the template's policy says so. The result is nil when the
// FieldErrors are not.
func (t *Template) Check(data map[string]string) (map[string]string, FieldErrors) {
	var (
		faults  FieldErrors
		style   style
		from    = make(map[string]string, len(data)) // key -> the name that was used
		checked = make(map[string]string, len(data))
	)
	for _, name := range slices.Sorted(maps.Keys(data)) {
		f, s, fault := t.find(name)
		if fault.Code != "" {
			faults = append(faults, fault)
			continue
		}
		style = max(style, s)
		if other, twice := from[f.Key]; twice {
			faults = append(faults, FieldError{
				Field: pointer(name), Code: CodeDuplicateKey, key: f.Key,
				Reason: "stands for " + f.Key + ", which is there as " + other + " already",
			})
			continue
		}
		from[f.Key] = name
		value, bad := t.value(f, data[name])
		if bad != nil {
			faults = append(faults, FieldError{
				Field: pointer(name), Code: bad.code, Reason: bad.reason, Example: f.Example, key: f.Key,
			})
			continue
		}
		checked[f.Key] = value
	}
	for _, f := range t.Fields {
		if _, there := from[f.Key]; !there {
			faults = append(faults, FieldError{
				Field: pointer(t.spelled(f, style)), Code: CodeRequired, key: f.Key,
				Reason: "is required: WeChat refuses a message without it", Example: f.Example,
			})
		}
	}
	if len(from) == 0 && len(faults) == 0 {
		faults = append(faults, FieldError{Field: "/data", Code: CodeRequired, Reason: "is required"})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return checked, nil
}

// value checks one value, and cuts it where it may.
func (t *Template) value(f Field, value string) (string, *valueFault) {
	bad := f.fault(value)
	if bad == nil || bad.code != CodeTooLong || f.Type != "thing" || t.Policy.Overlong != OverlongTruncate {
		return value, bad
	}
	if short, ok := truncate(value, maxThing); ok {
		return short, nil
	}
	return value, bad
}
