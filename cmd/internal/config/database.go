package config

import (
	"errors"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// DatabaseURL is a checked address of the store: postgres://… (or
// postgresql://…) as pgx reads it, or sqlite:FILE. The zero value is "not
// set". It prints with passwords as ***.
type DatabaseURL struct {
	url  string // of PostgreSQL
	path string // of SQLite
}

// IsZero reports whether no address was set.
func (d DatabaseURL) IsZero() bool { return d.url == "" && d.path == "" }

// Postgres is the URL to connect to, with its password; ok is false for SQLite.
func (d DatabaseURL) Postgres() (rawURL string, ok bool) { return d.url, d.url != "" }

// SQLite is the file to open; ok is false for PostgreSQL.
func (d DatabaseURL) SQLite() (path string, ok bool) { return d.path, d.path != "" }

// String is the address with *** for passwords.
func (d DatabaseURL) String() string {
	if d.path != "" {
		return "sqlite:" + d.path
	}
	if d.url == "" {
		return ""
	}
	head, query, hasQuery := strings.Cut(d.url, "?")
	scheme, rest, _ := strings.Cut(head, "://")
	authority, path, hasPath := strings.Cut(rest, "/")
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		name, password, _ := strings.Cut(authority[:at], ":")
		authority = maskedUser(name, password) + authority[at+1:]
	}
	text := scheme + "://" + authority
	if hasPath {
		text += "/" + path
	}
	if hasQuery {
		text += "?" + maskedQuery(query)
	}
	return text
}

// maskedQuery hides what libpq takes as a secret: password, sslpassword.
func maskedQuery(query string) string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil || strings.Contains(strings.ToLower(plain), "password") {
			pairs[i] = name + "=" + mask
		}
	}
	return strings.Join(pairs, "&")
}

// GoString keeps %#v from printing the password.
func (d DatabaseURL) GoString() string { return d.String() }

// MarshalText keeps encoders from printing the password.
func (d DatabaseURL) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func kindDatabase[T any](at func(*T) *DatabaseURL) kind[T] {
	return kind[T]{
		name:   "url",
		values: "postgres://USER@HOST/DB or sqlite:FILE",
		parse: func(t *T, text string) error {
			d, err := parseDatabase(text)
			if err != nil {
				return err
			}
			*at(t) = d
			return nil
		},
		shown: func(t *T) string { return at(t).String() },
	}
}

func parseDatabase(text string) (DatabaseURL, error) {
	if path, ok := strings.CutPrefix(text, "sqlite:"); ok {
		if path == "" || strings.ContainsAny(path, "?#") || strings.Contains(path, ":memory:") {
			return DatabaseURL{}, errors.New("must name a file: sqlite:FILE")
		}
		return DatabaseURL{path: path}, nil
	}
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return DatabaseURL{}, errors.New("must be postgres://…, postgresql://… or sqlite:FILE")
	}
	// A fragment means an unescaped # in the password: everything after it,
	// the host included, would be dropped without a word.
	if strings.Contains(text, "#") {
		return DatabaseURL{}, errors.New("has a #; reserved characters in a password are written as %XX")
	}
	// pgx's error is not passed on: it repeats parts of the URL.
	if _, err := pgxpool.ParseConfig(text); err != nil {
		return DatabaseURL{}, errors.New("is not an address that PostgreSQL's driver can read; reserved characters in a password are written as %XX")
	}
	return DatabaseURL{url: text}, nil
}
