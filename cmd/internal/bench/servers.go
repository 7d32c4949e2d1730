package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// servers are the Redis and the PostgreSQL of a run: started for it, or
// somebody's, of which it then uses an empty Redis database and schemas of its
// own.
type servers struct {
	redisURL, databaseURL string
	rdb                   *redis.Client
	// postgres is the first process of a PostgreSQL that was started for the run.
	postgres *process
	// notes are about servers that were there before.
	notes []string
	stops []func()
}

// openServers takes the servers that are named and starts the others.
func openServers(ctx context.Context, dir string, o Options) (_ *servers, err error) {
	s := &servers{redisURL: o.RedisURL, databaseURL: o.DatabaseURL}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.redisURL != "" {
		s.notes = append(s.notes, "REDIS_URL is used: its database has to be empty and to be left alone meanwhile; keys of asynq and of "+
			"wxnotify in it are removed, nothing is flushed, and what others do with that Redis is counted too")
	} else if err := s.startRedis(ctx, dir); err != nil {
		return nil, err
	}
	if s.databaseURL != "" {
		s.notes = append(s.notes, "DATABASE_URL is used: schemas wxnotify_bench_… are made and dropped in it, no other is touched, and what "+
			"others do with that database is counted too")
	} else if err := s.startPostgres(ctx, dir); err != nil {
		return nil, err
	}
	opts, err := redis.ParseURL(s.redisURL)
	if err != nil {
		return nil, errors.New("REDIS_URL: bench needs redis:// or rediss://") // the error would quote the password
	}
	s.rdb = redis.NewClient(opts)
	s.stops = append(s.stops, func() { _ = s.rdb.Close() })
	n, err := s.rdb.DBSize(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if n > 0 {
		return nil, fmt.Errorf("REDIS_URL names database %d, which has %d keys: bench removes what it makes and nothing else, so give it an empty one", opts.DB, n)
	}
	return s, nil
}

// close ends what was started, the last first.
func (s *servers) close() {
	for _, stop := range slices.Backward(s.stops) {
		stop()
	}
}

func (s *servers) startRedis(ctx context.Context, dir string) error {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is not installed: install it, or name a server with an empty database in REDIS_URL")
	}
	home := filepath.Join(dir, "redis")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	port, err := sparePort(ctx)
	if err != nil {
		return err
	}
	password, conf := rand.Text(), filepath.Join(home, "conf")
	// Arguments can be read by others. The rest is as in docker-compose.yml.
	text := "requirepass " + password + "\nbind 127.0.0.1\nport " + port + "\ndir " + home +
		"\nsave \"\"\nappendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, conf) //nolint:gosec // found on this machine
	cmd.Dir = home
	if err := asServer(cmd, home, conf); err != nil {
		return err
	}
	p, err := startProcess("redis", dir, cmd)
	if err != nil {
		return err
	}
	s.stops = append(s.stops, p.stop)
	s.redisURL = "redis://:" + password + "@127.0.0.1:" + port + "/0"
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, Password: password})
	defer func() { _ = rdb.Close() }()
	return p.until(ctx, func() error { return rdb.Ping(ctx).Err() })
}

func (s *servers) startPostgres(ctx context.Context, dir string) error {
	bin := postgresPrograms()
	if bin == "" {
		return errors.New("PostgreSQL's initdb is not installed: install PostgreSQL, or name a database in DATABASE_URL")
	}
	home := filepath.Join(dir, "postgres")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	password, file := rand.Text(), filepath.Join(home, "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		return err
	}
	data := filepath.Join(home, "data")
	run := func(program string, args ...string) (*exec.Cmd, error) {
		cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(bin, program), args...) //nolint:gosec // found on this machine
		cmd.Dir, cmd.Env = home, []string{"PATH=" + bin, "LC_ALL=C"}
		return cmd, asServer(cmd, home, file)
	}
	initdb, err := run("initdb", "--pgdata", data, "--username", "wxnotify", "--pwfile", file,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	if err != nil {
		return err
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := sparePort(ctx)
	if err != nil {
		return err
	}
	// Durability and memory are PostgreSQL's defaults.
	args := []string{
		"-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "max_connections=200",
	}
	if counted, _ := filepath.Glob(filepath.Join(bin, "..", "lib", "pg_stat_statements.*")); len(counted) > 0 {
		args = append(args, "-c", "shared_preload_libraries=pg_stat_statements")
	}
	server, err := run("postgres", args...)
	if err != nil {
		return err
	}
	if s.postgres, err = startProcess("postgres", dir, server); err != nil {
		return err
	}
	s.stops = append(s.stops, s.postgres.stop)
	s.databaseURL = fmt.Sprintf("postgres://wxnotify:%s@127.0.0.1:%s/postgres?sslmode=disable", password, port)
	return s.postgres.until(ctx, func() error {
		conn, err := pgx.Connect(ctx, s.databaseURL)
		if err != nil {
			return err
		}
		// Where it cannot be had, statements are not counted.
		_, _ = conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
		return conn.Close(ctx)
	})
}

// schema makes an empty schema and returns a URL that leads to it; drop removes
// it.
func (s *servers) schema(ctx context.Context) (address string, drop func(), err error) {
	name := "wxnotify_bench_" + strings.ToLower(rand.Text()[:12])
	if err := s.execute(ctx, "CREATE SCHEMA "+name); err != nil {
		return "", nil, err
	}
	drop = func() {
		// After Ctrl-C, too. A schema that is left behind has a telling name.
		_ = s.execute(context.WithoutCancel(ctx), "DROP SCHEMA "+name+" CASCADE")
	}
	u, err := url.Parse(s.databaseURL)
	if err != nil || u.Scheme == "" {
		drop()
		return "", nil, errors.New("DATABASE_URL: bench needs postgres://") // the error would quote the password
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), drop, nil
}

// withHost is a URL with another host and port.
func withHost(address, host string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("REDIS_URL cannot be parsed") // the error would quote the password
	}
	u.Host = host
	return u.String(), nil
}

// execute runs one statement on a connection of its own.
func (s *servers) execute(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.databaseURL)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// clearRedis removes the keys of asynq and of ours, and nothing else.
func (s *servers) clearRedis(ctx context.Context) error {
	for _, pattern := range []string{"asynq:*", "wxnotify:*", naiveTokenKey} {
		keys := s.rdb.Scan(ctx, 0, pattern, 1000).Iterator()
		var page []string
		for more := true; more; {
			if more = keys.Next(ctx); more {
				page = append(page, keys.Val())
			}
			if len(page) == 1000 || !more && len(page) > 0 {
				if err := s.rdb.Unlink(ctx, page...).Err(); err != nil {
					return fmt.Errorf("clear Redis: %w", err)
				}
				page = page[:0]
			}
		}
		if err := keys.Err(); err != nil {
			return fmt.Errorf("clear Redis: %w", err)
		}
	}
	return nil
}

// sparePort is a port that was free a moment ago.
func sparePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// postgresPrograms is where PostgreSQL's programs are, "" when nowhere. Debian
// keeps them out of PATH; the newest version is taken.
func postgresPrograms() string {
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb"} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		dirs = append(dirs, found...)
	}
	if len(dirs) > 0 {
		return filepath.Dir(slices.MaxFunc(dirs, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) }))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

// numbers are the numbers in a path, such as a version.
func numbers(path string) []int {
	var list []int
	for _, digits := range strings.FieldsFunc(path, func(r rune) bool { return r < '0' || r > '9' }) {
		n, _ := strconv.Atoi(digits) // they are digits
		list = append(list, n)
	}
	return list
}
