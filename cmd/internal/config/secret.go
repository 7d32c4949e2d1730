package config

// mask stands for every secret that is shown.
const mask = "***"

// Secret is a text that does not print itself: fmt, encoding/json and zap all
// show ***. Read it with Reveal, where it is used.
type Secret string

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String is ***, or empty when there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString keeps %#v from printing the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps encoders from printing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
