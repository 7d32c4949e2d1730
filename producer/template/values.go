package template

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Values reads the data of a notification from JSON, {"applicant":"张三"} or
// {"thing1":{"value":"张三"}}, for [Template.Check]. A number is written out in
// digits, exactly as it was given. The result is nil when the FieldErrors are
// not.
func Values(raw json.RawMessage) (map[string]string, FieldErrors) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, FieldErrors{{
			Field: "/data", Code: CodeWrongType,
			Reason: `must be an object such as {"thing1":"text"}, not a string that contains one`,
		}}
	}
	var faults FieldErrors
	values := make(map[string]string, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		text, ok := Text(members[name])
		if !ok {
			faults = append(faults, FieldError{
				Field: pointer(name), Code: CodeWrongType,
				Reason: "must be a string or a number, or an object with such a value",
			})
			continue
		}
		values[name] = text
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return values, nil
}

// Text reads one value: a string, a number, or an object with such a value. ok is
// false for anything else, and for a number of which the digits would not fit
// any template.
func Text(raw json.RawMessage) (text string, ok bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "", false
	}
	switch c := raw[0]; {
	case c == '"':
		err := json.Unmarshal(raw, &text)
		return text, err == nil
	case c == '-' || '0' <= c && c <= '9':
		return Digits(json.Number(raw))
	case c == '{':
		var nested struct {
			Value json.RawMessage `json:"value"`
		}
		if json.Unmarshal(raw, &nested) != nil || bytes.HasPrefix(bytes.TrimSpace(nested.Value), []byte("{")) {
			return "", false
		}
		return Text(nested.Value)
	}
	return "", false
}

// maxDigits bounds a number that is written out: 1e1000000 is a few bytes.
const maxDigits = 64

// Digits writes a JSON number without an exponent and otherwise as it is: 3.50
// stays 3.50, and 12345678901234567890 keeps every digit. ok is false for what
// is no number and for one of more than 64 digits.
func Digits(n json.Number) (text string, ok bool) {
	if !json.Valid([]byte(n)) {
		return "", false
	}
	number := string(n)
	sign := ""
	if strings.HasPrefix(number, "-") {
		sign, number = "-", number[1:]
	}
	if number == "" || number[0] < '0' || number[0] > '9' {
		return "", false
	}
	mantissa, power, scientific := strings.Cut(strings.ToLower(number), "e")
	if !scientific {
		return sign + mantissa, len(mantissa) <= maxDigits
	}
	shift, err := json.Number(strings.TrimPrefix(power, "+")).Int64()
	if err != nil || shift < -maxDigits || shift > maxDigits {
		return "", false
	}
	whole, decimals, _ := strings.Cut(mantissa, ".")
	digits := whole + decimals
	point := len(whole) + int(shift) // where the decimals begin
	if point < 1 {
		digits, point = strings.Repeat("0", 1-point)+digits, 1
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	whole, decimals = strings.TrimLeft(digits[:point], "0"), strings.TrimRight(digits[point:], "0")
	if whole == "" {
		whole = "0"
	}
	text = sign + whole
	if decimals != "" {
		text += "." + decimals
	}
	return text, len(text) <= maxDigits
}
