package config

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisURL is a checked address of Redis in one of four forms:
//
//	redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]            one server; rediss:// with TLS
//	redis-sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/MASTER[/DB]
//	redis-cluster://[[USER]:PASSWORD@]HOST[:PORT],…
//
// A reserved character in the password is written as %XX. The last two take
// ?tls=true, and Sentinel ?sentinel_username= and ?sentinel_password=, which
// are its own and not those of the servers behind it. The zero value is "not
// set". It prints with the password as ***.
type RedisURL struct {
	scheme           string
	username         string
	password         string
	addrs            []string
	master           string
	db               int
	tls              bool
	sentinelUsername string
	sentinelPassword string
}

// The schemes of a RedisURL.
const (
	schemeRedis    = "redis"
	schemeTLS      = "rediss"
	schemeSentinel = "redis-sentinel"
	schemeCluster  = "redis-cluster"
)

// maxRedisDB is far above the 16 databases of a default server; it only keeps
// out a port or a name in the wrong place.
const maxRedisDB = 1 << 16

// RedisTuning is what differs between the clients of one Redis. Zero fields are
// go-redis's defaults.
type RedisTuning struct {
	DialTimeout     time.Duration
	ReadTimeout     time.Duration
	WriteTimeout    time.Duration
	MaxRetries      int // -1 disables retries
	MaxRetryBackoff time.Duration
	PoolSize        int
	ClientName      string // shown by CLIENT LIST
}

// IsZero reports whether no address was set.
func (u RedisURL) IsZero() bool { return u.scheme == "" }

// Options are go-redis's options for the address. A command ends with its
// context (ContextTimeoutEnabled), which go-redis would otherwise ignore in
// favour of its own timeouts.
func (u RedisURL) Options(t RedisTuning) *redis.UniversalOptions {
	o := &redis.UniversalOptions{
		Addrs:                 u.addrs,
		Username:              u.username,
		Password:              u.password,
		DB:                    u.db,
		MasterName:            u.master,
		SentinelUsername:      u.sentinelUsername,
		SentinelPassword:      u.sentinelPassword,
		IsClusterMode:         u.scheme == schemeCluster,
		ContextTimeoutEnabled: true,
		DialTimeout:           t.DialTimeout,
		ReadTimeout:           t.ReadTimeout,
		WriteTimeout:          t.WriteTimeout,
		MaxRetries:            t.MaxRetries,
		MaxRetryBackoff:       t.MaxRetryBackoff,
		// A command is tried again as a whole (MaxRetries); go-redis's five dials for
		// each try would make a silent Redis cost a minute.
		DialerRetries: 1,
		PoolSize:      t.PoolSize,
		ClientName:    t.ClientName,
	}
	if u.tls {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if u.scheme == schemeTLS {
			o.TLSConfig.ServerName, _, _ = net.SplitHostPort(u.addrs[0])
		}
	}
	return o
}

// NewClient makes a client of the kind that the scheme asks for. It connects
// with the first command. It must not be called on the zero value.
func (u RedisURL) NewClient(t RedisTuning) redis.UniversalClient {
	o := u.Options(t)
	switch u.scheme {
	case schemeCluster:
		return redis.NewClusterClient(o.Cluster())
	case schemeSentinel:
		return redis.NewFailoverClient(o.Failover())
	default:
		return redis.NewClient(o.Simple())
	}
}

// String is the address with *** for passwords.
func (u RedisURL) String() string {
	if u.IsZero() {
		return ""
	}
	var b strings.Builder
	b.WriteString(u.scheme + "://")
	b.WriteString(maskedUser(u.username, u.password))
	b.WriteString(strings.Join(u.addrs, ","))
	if u.master != "" {
		b.WriteString("/" + u.master)
	}
	if u.scheme != schemeCluster {
		b.WriteString("/" + strconv.Itoa(u.db))
	}
	sep := "?"
	add := func(pair string) {
		b.WriteString(sep + pair)
		sep = "&"
	}
	if u.tls && u.scheme != schemeTLS {
		add("tls=true")
	}
	if u.sentinelUsername != "" {
		add("sentinel_username=" + u.sentinelUsername)
	}
	if u.sentinelPassword != "" {
		add("sentinel_password=" + mask)
	}
	return b.String()
}

// GoString keeps %#v from printing the password.
func (u RedisURL) GoString() string { return u.String() }

// MarshalText keeps encoders from printing the password.
func (u RedisURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

func maskedUser(username, password string) string {
	switch {
	case password != "":
		return username + ":" + mask + "@"
	case username != "":
		return username + "@"
	}
	return ""
}

func kindRedis[T any](at func(*T) *RedisURL) kind[T] {
	return kind[T]{
		name:   "url",
		values: "redis://, rediss://, redis-sentinel:// or redis-cluster://",
		parse: func(t *T, text string) error {
			u, query, err := parseRedis(text)
			if err == nil {
				err = onlyKeys(query)
			}
			if err != nil {
				return err
			}
			*at(t) = u
			return nil
		},
		shown: func(t *T) string { return at(t).String() },
	}
}

// onlyKeys is a fault when the query has a name that is not in names.
func onlyKeys(query url.Values, names ...string) error {
	for _, n := range names {
		query.Del(n)
	}
	if len(query) > 0 {
		return errors.New("the part after ? has a name that is not known")
	}
	return nil
}

// parseRedis reads an address and returns the query parameters that are not its
// own. The text is taken apart here and not by net/url, which knows no list of
// hosts and whose errors repeat what may be a password.
func parseRedis(text string) (RedisURL, url.Values, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	u := RedisURL{scheme: scheme, tls: scheme == schemeTLS}
	switch {
	case ok && (scheme == schemeRedis || scheme == schemeTLS || scheme == schemeSentinel || scheme == schemeCluster):
	default:
		return u, nil, errors.New("must begin with redis://, rediss://, redis-sentinel:// or redis-cluster://")
	}
	rest, rawQuery, _ := strings.Cut(rest, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return u, nil, errors.New("the part after ? cannot be read")
	}
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		if err := u.setUser(authority[:at]); err != nil {
			return u, nil, err
		}
		authority = authority[at+1:]
	}
	for _, fill := range []func() error{
		func() error { return u.setAddrs(authority) },
		func() error { return u.setPath(path) },
		func() error { return u.setQuery(query) },
	} {
		if err := fill(); err != nil {
			return u, nil, err
		}
	}
	return u, query, nil
}

func (u *RedisURL) setUser(text string) error {
	name, password, _ := strings.Cut(text, ":")
	var errName, errPassword error
	u.username, errName = url.PathUnescape(name)
	u.password, errPassword = url.PathUnescape(password)
	if errName != nil || errPassword != nil {
		return errors.New("the user or password has a % that is not followed by two hex digits; write % as %25")
	}
	return nil
}

func (u *RedisURL) setAddrs(text string) error {
	port := "6379"
	if u.scheme == schemeSentinel {
		port = "26379"
	}
	for part := range strings.SplitSeq(text, ",") {
		addr, ok := withPort(part, port)
		if !ok {
			return errors.New("must name HOST or HOST:PORT after ://; reserved characters in a password are written as %XX")
		}
		u.addrs = append(u.addrs, addr)
	}
	if len(u.addrs) > 1 && (u.scheme == schemeRedis || u.scheme == schemeTLS) {
		return errors.New("several hosts need redis-sentinel:// or redis-cluster://")
	}
	return nil
}

// withPort is HOST:PORT of a host with or without a port.
func withPort(text, port string) (string, bool) {
	host, given, err := net.SplitHostPort(text)
	if err != nil {
		host, given = strings.Trim(text, "[]"), port
		if strings.Contains(host, ":") && !strings.HasPrefix(text, "[") {
			return "", false
		}
	}
	n, err := strconv.ParseUint(given, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, " /@%") {
		return "", false
	}
	return net.JoinHostPort(host, given), true
}

func (u *RedisURL) setPath(path string) error {
	db := path
	switch u.scheme {
	case schemeCluster:
		if path != "" && path != "0" {
			return errors.New("a cluster has no databases: nothing may follow the hosts")
		}
		return nil
	case schemeSentinel:
		u.master, db, _ = strings.Cut(path, "/")
		if u.master == "" {
			return errors.New("must name the master: redis-sentinel://HOST,HOST/MASTER[/DB]")
		}
	}
	if db == "" {
		return nil
	}
	n, err := strconv.Atoi(db)
	if err != nil || n < 0 || n > maxRedisDB {
		return errors.New("the database after the last / must be a number")
	}
	u.db = n
	return nil
}

// setQuery takes its own parameters out of query.
func (u *RedisURL) setQuery(query url.Values) error {
	if u.scheme == schemeSentinel {
		u.sentinelUsername = query.Get("sentinel_username")
		u.sentinelPassword = query.Get("sentinel_password")
		query.Del("sentinel_username")
		query.Del("sentinel_password")
	}
	if u.scheme == schemeSentinel || u.scheme == schemeCluster {
		switch query.Get("tls") {
		case "", "false":
		case "true":
			u.tls = true
		default:
			return errors.New("tls must be true or false")
		}
		query.Del("tls")
	}
	return nil
}
