package config

import (
	"encoding/base64"
	"errors"
)

// Callback is the message push of an app, as it is set in WeChat's console.
type Callback struct {
	Token  Secret // signs
	AESKey Secret // the EncodingAESKey, 43 characters
	// Plaintext: pushes that are not encrypted are received too.
	Plaintext bool
	// ForwardURL gets the events that are not ours; empty means that nobody does.
	ForwardURL string
}

// Receives reports whether pushes are received at all.
func (c Callback) Receives() bool { return c.Token != "" && (c.AESKey != "" || c.Plaintext) }

// ConsentSource is who counts the consents of an app; the other only fills
// gaps, since both tell of the same tap.
type ConsentSource string

// The sources of consents.
const (
	ConsentClient ConsentSource = "client" // reports of the Mini Program
	ConsentEvent  ConsentSource = "event"  // subscribe_msg_popup_event
)

// callbackToken is the Token of WeChat's console, which takes 3 to 32 letters
// and digits.
func callbackToken[T any](at func(*T) *Secret) kind[T] {
	const values = "3 to 32 letters and digits"
	return kind[T]{name: "text", values: values, parse: func(t *T, text string) error {
		if len(text) < 3 || len(text) > 32 || !alphanumeric(text) {
			return errors.New("must be the Token of WeChat's console: " + values)
		}
		*at(t) = Secret(text)
		return nil
	}}
}

// callbackAESKey is the EncodingAESKey of WeChat's console: a key of 32 bytes in
// base64 without its last character.
func callbackAESKey[T any](at func(*T) *Secret) kind[T] {
	const values = "43 letters and digits"
	return kind[T]{name: "text", values: values, parse: func(t *T, text string) error {
		if key, err := base64.StdEncoding.DecodeString(text + "="); err != nil || len(key) != 32 {
			return errors.New("must be the EncodingAESKey of WeChat's console: " + values)
		}
		*at(t) = Secret(text)
		return nil
	}}
}

func alphanumeric(text string) bool {
	for _, r := range text {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return true
}

// checkCallbacks finds pushes that could not be received, or not safely.
func (l *loader) checkCallbacks(apps []placedApp) {
	for _, a := range apps {
		c := a.Callback
		bad := func(problem string) { l.fault(a.name+": callback", a.from, "%s", problem) }
		switch {
		case c.Token == "" && (c.AESKey != "" || c.Plaintext):
			bad("has no callback token: without it anybody could send events")
		case c.Token != "" && c.AESKey == "" && !c.Plaintext:
			bad("has a token, but neither the AES key nor leave to receive events that are not encrypted (plaintext)")
		case c.ForwardURL != "" && !c.Receives():
			bad("is forwarded, but not received: set the callback token and AES key")
		}
	}
}
