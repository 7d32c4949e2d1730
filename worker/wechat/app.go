package wechat

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// masked is what a secret prints as.
const masked = "***"

// App is one Mini Program. Formatting it with any verb, or marshalling it,
// shows the appid only.
type App struct {
	AppID  string
	Secret string
}

// Format implements fmt.Formatter, so that no verb prints the secret.
func (a App) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// String implements fmt.Stringer.
func (a App) String() string { return "app " + a.AppID + " (secret " + masked + ")" }

// GoString implements fmt.GoStringer.
func (a App) GoString() string { return a.String() }

// MarshalJSON implements json.Marshaler.
func (a App) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		AppID  string
		Secret string
	}{a.AppID, masked})
}

// Token is an access token as an endpoint issued it. It prints masked.
type Token struct {
	Value string
	// ExpiresIn is the life WeChat gave it, counted from the answer.
	ExpiresIn time.Duration
}

// Format implements fmt.Formatter, so that no verb prints the token.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// String implements fmt.Stringer.
func (t Token) String() string { return fmt.Sprintf("token %s (%s)", masked, t.ExpiresIn) }

// GoString implements fmt.GoStringer.
func (t Token) GoString() string { return t.String() }

// MarshalJSON implements json.Marshaler.
func (t Token) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Value     string
		ExpiresIn time.Duration
	}{masked, t.ExpiresIn})
}
