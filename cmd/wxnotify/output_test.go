package main

import (
	"bytes"
	"testing"
)

func TestTableCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &program{stdout: &out}
	err := p.printTable([]string{"user", "note"}, [][]string{{"u1", "审批"}, {"long user", "x\x1b[2J\ny"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "user       note\nu1         审批\nlong user  \"x\\x1b[2J\\ny\"\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 lines", 1: "1 line", 999: "999 lines", 1000: "1,000 lines", 1234567: "1,234,567 lines"} {
		if got := count(n, "line"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
