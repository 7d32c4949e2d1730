package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

const twoApps = "apps:\n  - {appid: wx1, default: true}\n  - {appid: wx2}\n"

func TestTemplates(t *testing.T) {
	t.Parallel()
	cfg := appsFile(twoApps + `
strict_templates: true
templates:
  - template_id: T1
    alias: need_confirm
    title: 待审核通知
    fields:
      applicant: thing1
      申请时间: time4
    page: pages/detail?id={id}
    overlong: truncate
    duplicates: avoid
    wait: 0s
    no_consent: wait
    release: oldest
    priority: critical
    limits: {short_thing2: 6}
    quiet_hours: {from: 22:00, to: "08:00", zone: Europe/Berlin, critical: send}
  - {app: wx2, template_id: T1, alias: need_confirm}
`).load(t)
	zero := time.Duration(0)
	want := []template.Entry{
		{
			App: "wx1", TemplateID: "T1", Alias: "need_confirm", Title: "待审核通知", Page: "pages/detail?id={id}",
			Fields: []template.EntryField{{Name: "applicant", Key: "thing1"}, {Name: "申请时间", Key: "time4"}},
			Limits: map[string]int{"short_thing2": 6},
			Policy: template.Policy{
				Overlong: template.OverlongTruncate, Duplicates: store.DuplicatesAvoid, Wait: &zero,
				NoConsent: template.NoConsentWait, Release: template.ReleaseOldest, Priority: store.Critical,
				QuietHours: template.QuietHours{From: "22:00", To: "08:00", Zone: "Europe/Berlin", Critical: template.QuietCriticalSend},
			},
		},
		{App: "wx2", TemplateID: "T1", Alias: "need_confirm"},
	}
	if diff := cmp.Diff(want, cfg.Templates); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	if cfg.StrictTemplates != template.StrictTrue {
		t.Errorf("strict: %s", cfg.StrictTemplates)
	}
	if got := effective(cfg)["templates[0].fields"].Value; got != "applicant: thing1, 申请时间: time4" {
		t.Errorf("shown: %q", got)
	}
}

func TestTemplateFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		file string
		want []string
	}{
		{
			"every one, with its line",
			twoApps + `templates:
  - alias: "1 2"
    app: wx3
    colour: red
    wait: soon
    no_consent: ask
    page: pages/{id
    fields:
      thing3: thing1
      name: thing
      a: thing2
      b: thing2
    limits:
      thing1: 30
      short_thing2: many
      const3: 1000
  - template_id: T1
    alias: x
  - template_id: T1
    alias: x
  - template_id: T2
    fields: [a]
`,
			[]string{
				`templates[0].wait (file c.yaml:8): "soon" must be a duration with its unit, such as "10s", "90m" or "72h"`,
				`templates[0].no_consent (file c.yaml:9): "ask" must be one of send, wait, dead`,
				`templates[0].limits (file c.yaml:18): "short_thing2" must be a number of characters`,
				`templates[0].colour (file c.yaml:7): unknown key`,
				`templates[0].app (file c.yaml:6): "wx3" is not among the apps that are set`,
				`templates[3].fields (file c.yaml:25): must be a list of KEY: VALUE lines`,
				`templates[0].template_id (file c.yaml:5): is required`,
				`templates[0].alias (file c.yaml:5): must be a letter and up to 39 letters, digits, dots, dashes and underscores`,
				`templates[0].fields.thing3 (file c.yaml:12): must be a word of letters, digits, dashes and underscores that does not look like a key of WeChat`,
				`templates[0].fields.name (file c.yaml:13): must be a key of WeChat, a type and a number such as thing1`,
				`templates[0].fields.b (file c.yaml:15): thing2 has the name a already`,
				`templates[0].page (file c.yaml:10): has a brace that is not part of a {name}`,
				`templates[0].limits.const3 (file c.yaml:19): must be 1 to 100 characters`,
				`templates[0].limits.thing1 (file c.yaml:17): only keys of the types short_thing and const can have another limit`,
				`templates[2].template_id (file c.yaml:22): has an entry for this app already`,
				`templates[2].alias (file c.yaml:23): belongs to another template of this app already`,
			},
		},
		{
			"quiet hours", twoApps + `templates:
  - template_id: T1
    quiet_hours:
      from: 10 pm
      zone: Asia/Nowhere
      critical: never
      colour: red
  - template_id: T2
    quiet_hours: {from: "8:00", to: "08:00"}
  - template_id: T3
    quiet_hours: night
`,
			[]string{
				`templates[0].quiet_hours.critical (file c.yaml:9): "never" must be one of wait, send`,
				`templates[0].quiet_hours.colour (file c.yaml:10): unknown key`,
				`templates[2].quiet_hours (file c.yaml:14): must be a list of KEY: VALUE lines`,
				`templates[0].quiet_hours.from (file c.yaml:7): must be a time of day such as "22:00"`,
				`templates[0].quiet_hours.to (file c.yaml:5): is required`,
				`templates[0].quiet_hours.zone (file c.yaml:8): must be a time zone such as Asia/Shanghai or Europe/Berlin`,
				`templates[1].quiet_hours.to (file c.yaml:12): is the same as from: nothing or all would be quiet`,
			},
		},
		{"no list", "templates: all\n", []string{"templates (file c.yaml:1): must be a list of templates, each beginning with a dash"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, appsFile(tt.file).faults(t)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTemplatesWithoutApps: values can be checked offline, before there is an
// app.
func TestTemplatesWithoutApps(t *testing.T) {
	t.Parallel()
	cfg := appsFile("templates:\n  - {template_id: T1, alias: a}\n").load(t)
	if diff := cmp.Diff([]template.Entry{{TemplateID: "T1", Alias: "a"}}, cfg.Templates); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	if len(config.TemplateDefinitions()) == 0 {
		t.Error("the keys are not described")
	}
}
