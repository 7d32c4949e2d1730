package template_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

const app = "wx0000000000000001"

// review is the template that most tests send.
func review() store.Template {
	return store.Template{
		App: app, TemplateID: "ID-review", Title: "待审核通知", Type: store.TemplateOneTime,
		Content: "申请人:{{thing1.DATA}}\n部门:{{thing11.DATA}}\n部门:{{thing12.DATA}}\n申请时间:{{time4.DATA}}\n",
		Example: "申请人:李雷\n部门:设备部\n申请时间:不详\n",
		Keys: []store.TemplateKey{
			{Key: "thing1", Label: "申请人"},
			{Key: "thing11", Label: "部门"},
			{Key: "thing12", Label: "部门"},
			{Key: "time4", Label: "申请时间"},
		},
	}
}

func entry() template.Entry {
	return template.Entry{
		App: app, TemplateID: "ID-review", Alias: "need_confirm",
		Fields: []template.EntryField{{Name: "applicant", Key: "thing1"}, {Name: "department", Key: "thing11"}, {Name: "trade", Key: "thing12"}},
		Page:   "pages/review/detail?id={id}",
	}
}

func catalog(edits ...func(*template.Contents)) *template.Catalog {
	c := template.Contents{
		Templates: []store.Template{review()},
		Syncs:     []store.TemplateSync{{App: app, SyncedAt: time.Now()}},
		Entries:   []template.Entry{entry()},
	}
	for _, edit := range edits {
		edit(&c)
	}
	return template.NewCatalog(c)
}

func resolve(t *testing.T, c *template.Catalog, name string) *template.Template {
	t.Helper()
	found, faults := c.Resolve(app, name)
	if len(faults) > 0 {
		t.Fatalf("resolve %s: %v", name, faults)
	}
	return found
}

var onlyFields = cmpopts.IgnoreUnexported(template.FieldError{})

func TestCheckTakesAnyNameOfAField(t *testing.T) {
	t.Parallel()
	want := map[string]string{"thing1": "张三", "thing11": "设备部", "thing12": "电工", "time4": "2026年3月2日 09:12"}
	for name, data := range map[string]map[string]string{
		"keys":   want,
		"names":  {"applicant": "张三", "department": "设备部", "trade": "电工", "申请时间": "2026年3月2日 09:12"},
		"labels": {"申请人": "张三", "thing11": "设备部", "trade": "电工", "申请时间": "2026年3月2日 09:12"},
	} {
		for _, called := range []string{"need_confirm", "ID-review"} {
			got, faults := resolve(t, catalog(), called).Check(data)
			if len(faults) > 0 {
				t.Errorf("%s: %v", name, faults)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestCheckNamesEveryFault(t *testing.T) {
	t.Parallel()
	got, faults := resolve(t, catalog(), "need_confirm").Check(map[string]string{
		"申请人":         strings.Repeat("好", 21),
		"thing1":      "张三",
		"部门":          "设备部",
		"time4.DATA":  "09:12",
		"a/b~c":       "x",
		"trade":       "电\n工",
		"申请时间":        "昨天",
		"oWxUser-Id1": "secret",
	})
	want := template.FieldErrors{
		{
			Field: "/data/a~1b~0c", Code: template.CodeUnknownKey,
			Reason: "is not a field of this template, which has thing1 (applicant, 申请人), thing11 (department, 部门), thing12 (trade, 部门), time4 (申请时间)",
		},
		{
			Field: "/data/oWxUser-Id1", Code: template.CodeUnknownKey,
			Reason: "is not a field of this template, which has thing1 (applicant, 申请人), thing11 (department, 部门), thing12 (trade, 部门), time4 (申请时间)",
		},
		{
			Field: "/data/time4.DATA", Code: template.CodeUnknownKey, Example: "time4",
			Reason: "is not a key of this template: write it without blanks, braces and .DATA",
		},
		{
			Field: "/data/trade", Code: template.CodeControlCharacter, Example: "设备部",
			Reason: "has a newline or another control character, which WeChat refuses: replace it by a blank",
		},
		{Field: "/data/申请人", Code: template.CodeDuplicateKey, Reason: "stands for thing1, which is there as thing1 already"},
		{
			Field: "/data/申请时间", Code: template.CodeBadFormat, Example: "2019年10月1日 15:01",
			Reason: "must be a 24-hour clock, such as 15:01, with a date and one blank before it if there is one",
		},
		{Field: "/data/部门", Code: template.CodeAmbiguousKey, Example: "thing11", Reason: "is the label of thing11 and thing12: use the key"},
		{
			Field: "/data/department", Code: template.CodeRequired, Example: "设备部",
			Reason: "is required: WeChat refuses a message without it",
		},
	}
	if diff := cmp.Diff(want, faults, onlyFields); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if got != nil {
		t.Errorf("data beside faults: %v", got)
	}
	// The text may be logged: only WeChat's own keys are in it.
	for _, private := range []string{"oWxUser", "a/b", "secret", "张三"} {
		if strings.Contains(faults.Error(), private) {
			t.Errorf("the text quotes %q: %s", private, faults.Error())
		}
	}
	if !strings.Contains(faults.Error(), "data.time4 must be") {
		t.Errorf("the text does not name the key: %s", faults.Error())
	}
}

func TestCheckMissingInTheCallersStyle(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		data map[string]string
		want []string
	}{
		"none":   {nil, []string{"/data/thing1", "/data/thing11", "/data/thing12", "/data/time4"}},
		"keys":   {map[string]string{"thing1": "a"}, []string{"/data/thing11", "/data/thing12", "/data/time4"}},
		"names":  {map[string]string{"applicant": "a"}, []string{"/data/department", "/data/trade", "/data/申请时间"}},
		"labels": {map[string]string{"申请时间": "9:00"}, []string{"/data/申请人", "/data/thing11", "/data/thing12"}},
	} {
		_, faults := resolve(t, catalog(), "need_confirm").Check(tt.data)
		var got []string
		for _, f := range faults {
			if f.Code != template.CodeRequired || f.Example == "" {
				t.Errorf("%s: %+v", name, f)
			}
			got = append(got, f.Field)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCheckTruncatesThings(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("好", 30)
	truncating := catalog(func(c *template.Contents) {
		c.Templates = []store.Template{{
			App: app, TemplateID: "ID-review", Type: store.TemplateOneTime,
			Keys: []store.TemplateKey{{Key: "thing1"}, {Key: "short_thing2"}, {Key: "name3"}},
		}}
		c.Entries[0].Policy.Overlong = template.OverlongTruncate
	})
	found := resolve(t, truncating, "need_confirm")
	got, faults := found.Check(map[string]string{"thing1": long, "short_thing2": "已完成", "name3": "张三"})
	if len(faults) > 0 || got["thing1"] != strings.Repeat("好", 19)+"…" {
		t.Errorf("got %v, %v", got, faults)
	}
	_, faults = found.Check(map[string]string{"thing1": long + "\n", "short_thing2": long, "name3": long})
	if len(faults) != 3 {
		t.Errorf("a newline, and types that may not be cut: %v", faults)
	}
	if _, faults := resolve(t, catalog(), "need_confirm").Check(map[string]string{
		"thing1": long, "thing11": "a", "thing12": "b", "time4": "9:00",
	}); len(faults) != 1 || faults[0].Code != template.CodeTooLong || faults[0].Reason != "has 30 characters; at most 20 are allowed" {
		t.Errorf("without the policy: %v", faults)
	}
}

func TestResolveByStrictness(t *testing.T) {
	t.Parallel()
	gone := review()
	gone.TemplateID, gone.GoneAt = "ID-gone", time.Now()
	for _, tt := range []struct {
		strict template.Strict
		synced bool
		name   string
		want   template.Code  // "" when it is found
		state  template.State // then
	}{
		{template.StrictAuto, true, "need_confirm", "", template.StateSynced},
		{template.StrictAuto, true, "nobody", template.CodeUnknownTemplate, ""},
		{template.StrictAuto, true, "ID-gone", template.CodeTemplateGone, ""},
		{template.StrictAuto, true, "only_listed", template.CodeTemplateGone, ""},
		{template.StrictAuto, false, "nobody", "", template.StateUnknown},
		{template.StrictAuto, false, "only_listed", "", template.StateListed},
		{template.StrictTrue, false, "nobody", template.CodeUnknownTemplate, ""},
		{template.StrictTrue, false, "only_listed", "", template.StateListed},
		{template.StrictFalse, true, "nobody", "", template.StateUnknown},
		{template.StrictFalse, true, "ID-gone", "", template.StateGone},
		{template.StrictFalse, true, " ", template.CodeRequired, ""},
		{"", true, "nobody", template.CodeUnknownTemplate, ""}, // the default is auto
	} {
		c := catalog(func(c *template.Contents) {
			c.Strict = tt.strict
			c.Entries = append(c.Entries, template.Entry{App: app, TemplateID: "ID-listed", Alias: "only_listed"})
			c.Templates = append(c.Templates, gone)
			if !tt.synced {
				c.Syncs = []store.TemplateSync{{App: app, TriedAt: time.Now(), Errcode: 1700}}
			}
		})
		found, faults := c.Resolve(app, tt.name)
		switch {
		case tt.want != "":
			if len(faults) != 1 || faults[0].Code != tt.want || faults[0].Field != "/template_id" || found != nil {
				t.Errorf("%q, synced %v, %s: got %+v, %+v, want %s", tt.strict, tt.synced, tt.name, found, faults, tt.want)
			}
		case len(faults) > 0 || found.State != tt.state:
			t.Errorf("%q, synced %v, %s: %v, %v", tt.strict, tt.synced, tt.name, found, faults)
		case (found.Warning == "") != (tt.state == template.StateSynced):
			t.Errorf("%q, synced %v, %s: warning %q", tt.strict, tt.synced, tt.name, found.Warning)
		}
	}
	// Another app's sync says nothing about this one, and its aliases are its own.
	found, faults := catalog().Resolve("wx2", "need_confirm")
	if len(faults) > 0 || found.State != template.StateUnknown {
		t.Errorf("another app: %v, %v", found, faults)
	}
}

func TestCheckOfAnUnknownTemplateGoesByTheKeys(t *testing.T) {
	t.Parallel()
	found, faults := template.NewCatalog(template.Contents{}).Resolve(app, "whatever")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if got, faults := found.Check(map[string]string{"thing1": "a", "hologram2": "b"}); len(faults) > 0 || len(got) != 2 {
		t.Errorf("got %v, %v", got, faults)
	}
	_, faults = found.Check(map[string]string{"applicant": "a", "number2": "many", "time3.DATA": "9:00"})
	var codes []template.Code
	for _, f := range faults {
		codes = append(codes, f.Code)
	}
	if diff := cmp.Diff([]template.Code{template.CodeUnknownKey, template.CodeBadFormat, template.CodeUnknownKey}, codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	if _, faults := found.Check(nil); len(faults) != 1 || faults[0].Field != "/data" {
		t.Errorf("no data: %v", faults)
	}
}

func TestCatalogMerges(t *testing.T) {
	t.Parallel()
	wait := time.Hour
	c := catalog(func(c *template.Contents) {
		c.Templates = append(c.Templates, store.Template{App: app, TemplateID: "ID-report", Title: "报表", Type: store.TemplateLongTerm})
		c.Entries[0].Policy = template.Policy{Wait: &wait, Release: template.ReleaseOldest, Priority: store.Critical}
		c.Entries[0].Fields = append(c.Entries[0].Fields, template.EntryField{Name: "object", Key: "thing10"})
		c.Pauses = []store.TemplatePause{{App: app, TemplateID: "ID-report"}, {App: app, TemplateID: "ID-other"}}
	})
	list := c.Templates(app)
	if len(list) != 2 || list[0].ID != "ID-review" && list[1].ID != "ID-review" {
		t.Fatalf("list %+v", list)
	}
	found, report := resolve(t, c, "ID-review"), resolve(t, c, "ID-report")
	want := template.Policy{
		Overlong: template.OverlongReject, Duplicates: store.DuplicatesAllow, Wait: &wait,
		NoConsent: template.NoConsentSend, Release: template.ReleaseOldest, Priority: store.Critical,
	}
	if diff := cmp.Diff(want, found.Policy); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if found.Kind != template.KindOneTime || found.Paused || found.Title != "待审核通知" || found.Alias != "need_confirm" {
		t.Errorf("found %+v", found)
	}
	if report.Kind != template.KindLongTerm || report.Policy.Duplicates != store.DuplicatesAvoid || !report.Paused {
		t.Errorf("report %+v", report)
	}
	field := template.Field{Key: "thing1", Type: "thing", Label: "申请人", Name: "applicant", Rule: "at most 20 characters", Example: "李雷"}
	if diff := cmp.Diff(field, found.Fields[0], cmpopts.IgnoreUnexported(field)); diff != "" {
		t.Errorf("field (-want +got):\n%s", diff)
	}
	if f := found.Fields[3]; f.Example != "2019年10月1日 15:01" {
		t.Errorf("WeChat's example is no valid time, and is given: %q", f.Example)
	}
	if w := c.Warnings(); len(w) != 1 || !strings.Contains(w[0], "object stands for thing10") {
		t.Errorf("warnings %q", w)
	}
	if all := c.Templates(""); len(all) != 2 {
		t.Errorf("all: %d", len(all))
	}
}

func TestCheckPage(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pattern, page string
		want          string
		code          template.Code
	}{
		"any":                      {"", "pages/x?a=1", "pages/x?a=1", ""},
		"any, none":                {"", "", "", ""},
		"matches":                  {"pages/review/detail?id={id}", "/pages/review/detail?id=12", "pages/review/detail?id=12", ""},
		"another":                  {"pages/review/detail?id={id}", "pages/review/list", "", template.CodeBadPage},
		"nothing in the place":     {"pages/review/detail?id={id}", "pages/review/detail?id=", "", template.CodeBadPage},
		"more than the place":      {"pages/review/detail?id={id}", "pages/review/detail?id=1&x=2", "", template.CodeBadPage},
		"two places":               {"p/{a}?id={id}", "p/q?id=1", "p/q?id=1", ""},
		"a dot is a dot":           {"p.q", "pxq", "", template.CodeBadPage},
		"needed":                   {"pages/review/detail?id={id}", "", "", template.CodeRequired},
		"fixed is the default":     {"/pages/review/list?tab=1", "", "pages/review/list?tab=1", ""},
		"fixed admits no other":    {"/pages/review/list?tab=1", "pages/review/list?tab=2", "", template.CodeBadPage},
		"fixed, with its own page": {"/pages/review/list?tab=1", "/pages/review/list?tab=1", "pages/review/list?tab=1", ""},
	} {
		c := catalog(func(c *template.Contents) { c.Entries[0].Page = tt.pattern })
		got, faults := resolve(t, c, "need_confirm").CheckPage(tt.page)
		var code template.Code
		if len(faults) > 0 {
			code = faults[0].Code
		}
		if got != tt.want || code != tt.code {
			t.Errorf("%s: got %q, %q, want %q, %q", name, got, code, tt.want, tt.code)
		}
	}
}

func TestFieldErrorJSON(t *testing.T) {
	t.Parallel()
	_, faults := resolve(t, catalog(), "need_confirm").Check(map[string]string{
		"applicant": strings.Repeat("好", 21), "department": "a", "trade": "b", "time4": "9:00",
	})
	got, err := json.Marshal(faults)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"field":"/data/applicant","code":"too_long","reason":"has 21 characters; at most 20 are allowed","example":"李雷"}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0": "0", "-1.50": "-1.50", "9007199254740993": "9007199254740993", "1e3": "1000", "1.25e1": "12.5",
		"125E-2": "1.25", "1e-3": "0.001", "-0.5e+1": "-5", "0e10": "0", "1.500e0": "1.5",
		"": "-", "1e400000": "-", "1e": "-", "01": "-", `"1"`: "-", "null": "-", "1e99999999999999999999": "-",
		strings.Repeat("9", 65): "-",
	} {
		got, ok := template.Digits(json.Number(in))
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
