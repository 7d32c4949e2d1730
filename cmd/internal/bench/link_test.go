package bench

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// echo answers what it is sent, until the end of the test.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func dialLink(t *testing.T, k *link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", k.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLinkIsLateAndLosesNothing(t *testing.T) {
	t.Parallel()
	k, err := newLink(t.Context(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	const delay = 5 * time.Millisecond
	k.delay.Store(int64(delay))
	c := dialLink(t, k)

	want := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	start := time.Now()
	go func() {
		for part := range slices.Chunk(want, 100_000) {
			if _, err := c.Write(part); err != nil {
				return // the reader will see it
			}
		}
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < delay {
		t.Errorf("the reply took %s, want %s at least", took, delay)
	}
	if !bytes.Equal(got, want) {
		t.Error("the reply is not what was sent")
	}
}

func TestLinkEndsBothSides(t *testing.T) {
	t.Parallel()
	k, err := newLink(t.Context(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	c := dialLink(t, k)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	k.close()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes after the end", n)
	}
	if c, err := net.Dial("tcp", k.addr()); err == nil {
		_ = c.Close()
		t.Error("it listens after the end")
	}
}
