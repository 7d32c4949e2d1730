package template

import (
	"encoding/json"
	"strings"
)

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
