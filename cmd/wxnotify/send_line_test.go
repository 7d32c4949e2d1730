package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/producer/gateway"
	"github.com/wxnotify/wxnotify/worker/task"
)

// TestLineFaults: every fault is told, but for consequences, and no name that may
// be somebody's text.
func TestLineFaults(t *testing.T) {
	t.Parallel()
	unknown := func(field string) gateway.FieldError {
		return gateway.FieldError{Field: field, Code: gateway.FieldUnknown, Reason: "is unknown"}
	}
	got := lineFaults(
		gateway.FieldErrors{{Field: "/page", Reason: "must be text"}, unknown("/s3cr3t of somebody"), unknown("/templet")},
		gateway.FieldErrors{
			{Field: "/page", Reason: "is missing"},
			unknown("/data/申请人"), unknown("/data/部门"), unknown("/data/thing9"), unknown("/data/张三的 s3cr3t"), unknown("/data/"),
		})
	want := task.FieldErrors{
		{Reason: "has a field that a notification does not have"},
		{Field: "data", Reason: "has a key that could not be used: is unknown"},
		{Field: "data.thing9", Reason: "is unknown"},
		{Field: "data.申请人", Reason: "is unknown"},
		{Field: "data.部门", Reason: "is unknown"},
		{Field: "page", Reason: "must be text"},
		{Field: "templet", Reason: "is unknown"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text := faultText(jsonFaults(got))
	if text != "has a field that a notification does not have; /data has a key that could not be used: is unknown; /data/thing9 is unknown; "+
		"/data/申请人 is unknown; /data/部门 is unknown; /page must be text; /templet is unknown" {
		t.Errorf("got %q", text)
	}
}
