package config

import (
	"errors"
	"net/url"
	"strings"
)

// TokenKind says who keeps an app's access token.
type TokenKind string

// The kinds of a token source.
const (
	// TokenStable is WeChat's stable_token endpoint, which disturbs nobody else.
	TokenStable TokenKind = "stable_token"
	// TokenClassic is /cgi-bin/token: each fetch ends the token before it.
	TokenClassic TokenKind = "token"
	// TokenForeign is a Redis key that another system keeps.
	TokenForeign TokenKind = "redis"
)

// TokenSource is where an app's access token comes from.
type TokenSource struct {
	Kind    TokenKind
	Foreign RedisKey // for TokenForeign; zero otherwise
}

// String is stable_token, token, or the key with its password as ***.
func (s TokenSource) String() string {
	if s.Kind == TokenForeign {
		return s.Foreign.String()
	}
	return string(s.Kind)
}

// RedisKey is one key of some Redis: redis://HOST/DB?key=NAME, in any form of
// RedisURL. The zero value is "none".
type RedisKey struct {
	Redis RedisURL
	Key   string
}

// IsZero reports whether there is no key.
func (k RedisKey) IsZero() bool { return k.Redis.IsZero() }

// String is the address with *** for passwords.
func (k RedisKey) String() string {
	if k.IsZero() {
		return ""
	}
	address := k.Redis.String()
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	return address + sep + "key=" + url.QueryEscape(k.Key)
}

// same reports whether both are the same key of the same Redis, as far as the
// addresses show.
func (k RedisKey) same(other RedisKey) bool {
	return !k.IsZero() && k.Key == other.Key && k.Redis.db == other.Redis.db &&
		k.Redis.master == other.Redis.master &&
		strings.Join(k.Redis.addrs, ",") == strings.Join(other.Redis.addrs, ",")
}

func kindTokenSource[T any](at func(*T) *TokenSource) kind[T] {
	return kind[T]{
		name:   "text",
		values: "stable_token, token, or redis://HOST/DB?key=NAME",
		parse: func(t *T, text string) error {
			switch k := TokenKind(text); k {
			case TokenStable, TokenClassic:
				*at(t) = TokenSource{Kind: k}
				return nil
			case TokenForeign:
			}
			if !strings.Contains(text, "://") {
				return errors.New("must be stable_token, token, or redis://HOST/DB?key=NAME")
			}
			key, err := parseRedisKey(text)
			if err != nil {
				return err
			}
			*at(t) = TokenSource{Kind: TokenForeign, Foreign: key}
			return nil
		},
		shown: func(t *T) string { return at(t).String() },
	}
}

func kindTokenMirror[T any](at func(*T) *RedisKey) kind[T] {
	return kind[T]{
		name:   "url",
		values: "redis://HOST/DB?key=NAME",
		parse: func(t *T, text string) error {
			key, err := parseRedisKey(text)
			if err != nil {
				return err
			}
			*at(t) = key
			return nil
		},
		shown: func(t *T) string { return at(t).String() },
	}
}

func parseRedisKey(text string) (RedisKey, error) {
	u, query, err := parseRedis(text)
	if err != nil {
		return RedisKey{}, err
	}
	name := query.Get("key")
	if err := onlyKeys(query, "key"); err != nil {
		return RedisKey{}, err
	}
	if name == "" {
		return RedisKey{}, errors.New("must name the key: redis://HOST/DB?key=NAME")
	}
	return RedisKey{Redis: u, Key: name}, nil
}
