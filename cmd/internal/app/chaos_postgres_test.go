package app_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// ownPostgres is a PostgreSQL that a test may stop. Its settings are those of
// production: what it confirmed is on the disk.
type ownPostgres struct {
	bin, dir, port, password string

	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// The ways to stop PostgreSQL.
const (
	// fast ends the connections and writes everything down first.
	fast = syscall.SIGINT
	// immediate ends at once; the next start recovers from the log.
	immediate = syscall.SIGQUIT
)

func startPostgres(t *testing.T) *ownPostgres {
	t.Helper()
	bin := postgresPrograms()
	if bin == "" {
		missing(t, "PostgreSQL's initdb")
	}
	dir, err := os.MkdirTemp("", "wxnotify-chaos-postgres-") //nolint:usetesting // t.TempDir is in a directory that only this account may enter
	if err != nil {
		t.Fatal(err)
	}
	s := &ownPostgres{bin: bin, dir: dir, port: sparePort(t), password: rand.Text()}
	t.Cleanup(func() {
		s.stop(immediate)
		_ = os.RemoveAll(dir)
	})
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(s.password), 0o600); err != nil {
		t.Fatal(err)
	}
	if as := serverAccount(t); as != nil {
		for _, path := range []string{dir, password} {
			if err := os.Chown(path, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The files of initdb need not be on the disk, those of the server must.
	initdb := s.command(t, "initdb", "--pgdata", s.data(), "--username", "wxnotify", "--pwfile", password,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.start(t)
	return s
}

// start starts the server and waits until it takes connections.
func (s *ownPostgres) start(t *testing.T) {
	t.Helper()
	s.cmd = s.command(t, "postgres", "-D", s.data(), "-p", s.port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=on", "-c", "jit=off")
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, done := s.cmd, make(chan struct{})
	s.done = done
	go func() {
		defer close(done)
		_ = cmd.Wait() // ends by a signal
	}()
	eventually(t, "PostgreSQL answers", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, s.url())
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// stop ends the server in one of the two ways.
func (s *ownPostgres) stop(how syscall.Signal) {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(how)
		<-s.done
		s.cmd = nil
	}
}

func (s *ownPostgres) command(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, serverAccount(t)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	return cmd
}

func (s *ownPostgres) data() string { return filepath.Join(s.dir, "data") }

func (s *ownPostgres) url() string {
	return fmt.Sprintf("postgres://wxnotify:%s@127.0.0.1:%s/postgres?sslmode=disable", s.password, s.port)
}

// postgresPrograms is where PostgreSQL's programs are, "" when nowhere. Debian
// keeps them out of PATH; the newest version is taken.
func postgresPrograms() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb"} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		dirs = append(dirs, found...)
	}
	if len(dirs) == 0 {
		return ""
	}
	return filepath.Dir(slices.MaxFunc(dirs, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) }))
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

// serverAccount is who the server runs as: PostgreSQL refuses root.
func serverAccount(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			t.Fatal(err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
