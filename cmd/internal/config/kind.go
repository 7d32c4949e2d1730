package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is how a value of a T (Config or App) is read from text. Its errors say
// what would be right and never repeat the text, which may be a secret.
type kind[T any] struct {
	name   string // for --help: int, duration, url, text, choice, true or false
	values string // what is accepted, in words
	parse  func(*T, string) error
	// shown is the parsed value as it may be printed; nil prints the text, or
	// *** when the setting is a secret.
	shown func(*T) string
}

func wholeNumber[T any](at func(*T) *int, least, most int) kind[T] {
	values := fmt.Sprintf("%d to %d", least, most)
	return kind[T]{name: "int", values: values, parse: func(t *T, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return errors.New("must be a whole number, " + values)
		}
		*at(t) = n
		return nil
	}}
}

func duration[T any](at func(*T) *time.Duration, least, most time.Duration) kind[T] {
	values := shortDuration(least) + " to " + shortDuration(most)
	return kind[T]{name: "duration", values: values, parse: func(t *T, text string) error {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New(`must be a duration with its unit, such as "10s", "90m" or "72h"`)
		}
		if d < least || d > most {
			return errors.New("must be " + values)
		}
		*at(t) = d
		return nil
	}}
}

// shortDuration is d without the zero units of [time.Duration.String]: 1h, not
// 1h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func choice[T any, S ~string](at func(*T) *S, choices ...S) kind[T] {
	words := make([]string, len(choices))
	for i, c := range choices {
		words[i] = string(c)
	}
	values := strings.Join(words, ", ")
	return kind[T]{name: "choice", values: values, parse: func(t *T, text string) error {
		if !slices.Contains(choices, S(text)) {
			return errors.New("must be one of " + values)
		}
		*at(t) = S(text)
		return nil
	}}
}

func boolean[T any](at func(*T) *bool) kind[T] {
	return kind[T]{name: "bool", values: "true, false", parse: func(t *T, text string) error {
		if text != "true" && text != "false" {
			return errors.New("must be true or false")
		}
		*at(t) = text == "true"
		return nil
	}}
}

// secretText is a secret of at least so many bytes.
func secretText[T any](at func(*T) *Secret, least int) kind[T] {
	values := ""
	if least > 1 {
		values = fmt.Sprintf("at least %d characters", least)
	}
	return kind[T]{name: "text", values: values, parse: func(t *T, text string) error {
		if len(text) < least {
			return fmt.Errorf("must have at least %d characters", least)
		}
		*at(t) = Secret(text)
		return nil
	}}
}

// maxAppID bounds an appid, which becomes part of queue names and keys. Real
// ones have 18 characters.
const maxAppID = 64

func appID[T any](at func(*T) *string) kind[T] {
	return kind[T]{name: "text", values: "", parse: func(t *T, text string) error {
		bad := func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-'
		}
		if text == "" || len(text) > maxAppID || strings.ContainsFunc(text, bad) {
			return errors.New(`must be an appid, letters and digits such as "wx" and 16 more`)
		}
		*at(t) = text
		return nil
	}}
}

// webURL is the origin of an HTTP service, perhaps with a path.
func webURL[T any](at func(*T) *string) kind[T] {
	return kind[T]{name: "url", values: "http(s)://HOST[:PORT][/PATH]", parse: func(t *T, text string) error {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" ||
			u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return errors.New("must be http(s)://HOST[:PORT][/PATH], without user, query and fragment")
		}
		*at(t) = strings.TrimRight(text, "/")
		return nil
	}}
}

// neededAddr is where a server listens that there must be.
func neededAddr[T any](at func(*T) *string) kind[T] {
	k := listenAddr(at)
	k.values = "[HOST]:PORT"
	return k
}

// prefixes are networks, separated by commas.
func prefixes[T any](at func(*T) *[]netip.Prefix) kind[T] {
	return kind[T]{name: "text", values: "networks such as 10.20.0.0/16, separated by commas", parse: func(t *T, text string) error {
		var found []netip.Prefix
		for part := range strings.SplitSeq(text, ",") {
			p, err := netip.ParsePrefix(strings.TrimSpace(part))
			if err != nil || p != p.Masked() {
				return errors.New("must be networks such as 10.20.0.0/16, separated by commas, with no bits set behind the length")
			}
			found = append(found, p)
		}
		*at(t) = found
		return nil
	}}
}

// listenAddr is where a server listens; empty means that it does not.
func listenAddr[T any](at func(*T) *string) kind[T] {
	return kind[T]{name: "address", values: "[HOST]:PORT, or empty for none", parse: func(t *T, text string) error {
		if text != "" {
			_, port, err := net.SplitHostPort(text)
			if n, nerr := strconv.ParseUint(port, 10, 16); err != nil || nerr != nil || n > 65535 {
				return errors.New("must be [HOST]:PORT, or empty for none")
			}
		}
		*at(t) = text
		return nil
	}}
}
