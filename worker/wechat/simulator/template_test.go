package simulator_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

func TestSeedTemplates(t *testing.T) {
	t.Parallel()
	titles := []string{}
	for _, tmpl := range simulator.SeedTemplates() {
		titles = append(titles, tmpl.Title)
		if len(tmpl.PriTmplID) != 43 {
			t.Errorf("%s: the id has %d characters, want 43", tmpl.Title, len(tmpl.PriTmplID))
		}
		if content, example := strings.Count(tmpl.Content, "\n"), strings.Count(tmpl.Example, "\n"); content != example || content != len(tmpl.Fields()) {
			t.Errorf("%s: %d lines of content, %d of example, %d fields", tmpl.Title, content, example, len(tmpl.Fields()))
		}
	}
	if diff := cmp.Diff([]string{"审批结果通知", "领用单领用通知", "待审核通知", "数据报表生成通知", "工单完成提醒"}, titles); diff != "" {
		t.Errorf("titles (-want +got):\n%s", diff)
	}
	want := []simulator.Field{
		{Key: "thing1", Label: "申请人", Type: "thing"},
		{Key: "thing11", Label: "部门", Type: "thing"},
		{Key: "thing12", Label: "工种", Type: "thing"},
		{Key: "time4", Label: "申请时间", Type: "time"},
		{Key: "thing10", Label: "申请物品", Type: "thing"},
	}
	if diff := cmp.Diff(want, simulator.SeedTemplates()[2].Fields()); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// TestSeedExamplesAreAccepted sends each template's own example.
func TestSeedExamplesAreAccepted(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{AutoConsent: true})
	token := c.token()
	for _, tmpl := range simulator.SeedTemplates() {
		data := map[string]any{}
		lines := strings.Split(tmpl.Example, "\n")
		for i, f := range tmpl.Fields() {
			_, text, _ := strings.Cut(lines[i], ":")
			data[f.Key] = value(text)
		}
		c.send(token, report(alice).with("template_id", tmpl.PriTmplID).with("data", data)).want(t, 0)
	}
}

func TestGetTemplate(t *testing.T) {
	t.Parallel()
	seed := simulator.SeedApp()
	seed.Templates = append(seed.Templates[:1], simulator.Template{
		PriTmplID: "room", Title: "房间", Type: simulator.TypeLongTerm, Content: "房间:{{enum_string2.DATA}}\n", Example: "房间:客厅\n",
		Enums: map[string][]string{"enum_string2": {"客厅", "餐厅"}},
	})
	c := start(t, simulator.Config{Apps: []simulator.App{seed}})
	r := c.get("/wxaapi/newtmpl/gettemplate?access_token=" + c.token())
	r.want(t, 0)
	var got, want any
	must(t, json.Unmarshal(r.body, &got))
	must(t, json.Unmarshal([]byte(`{"errcode":0,"errmsg":"ok","data":[
		{"priTmplId":"Hq7x2LkV0sPzN4eRb1TfYwGm9cUjQa3DiXo5KZ8vM6E","title":"审批结果通知","type":2,
		 "content":"审批结果:{{phrase1.DATA}}\n申请事项:{{thing2.DATA}}\n审批人:{{name3.DATA}}\n审批时间:{{time4.DATA}}\n",
		 "example":"审批结果:已通过\n申请事项:办公用品领用\n审批人:王芳\n审批时间:2026年3月2日 15:01\n"},
		{"priTmplId":"room","title":"房间","type":3,"content":"房间:{{enum_string2.DATA}}\n","example":"房间:客厅\n",
		 "keywordEnumValueList":[{"keywordCode":"enum_string2.DATA","enumValueList":["客厅","餐厅"]}]}]}`), &want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gettemplate (-want +got):\n%s", diff)
	}
	c.get("/wxaapi/newtmpl/gettemplate").want(t, 41001)
}

func TestOpenID(t *testing.T) {
	t.Parallel()
	if alice == bob || alice != simulator.OpenID("alice") || !simulator.WellFormedOpenID(alice) {
		t.Errorf("got %s, %s; want distinct, stable, well-formed openids", alice, bob)
	}
	for _, s := range []string{"", "o1", alice + "x", "x" + alice[1:], alice[:27] + "+"} {
		if simulator.WellFormedOpenID(s) {
			t.Errorf("%q is called well-formed", s)
		}
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	tmpl := simulator.Template{PriTmplID: "t", Type: 2, Content: "a:{{thing1.DATA}}"}
	cfg := simulator.Config{
		TokenLife: 300e9, TokenLength: 8, DayQuota: -1,
		Apps: []simulator.App{
			{AppID: "wx1"},
			{AppID: "wx1", Secret: "s", Callback: simulator.Callback{AESKey: "x"}, Templates: []simulator.Template{
				tmpl, tmpl, {Type: 2}, {PriTmplID: "u", Type: 1}, {PriTmplID: "v", Type: 3, Content: "a"},
			}},
		},
	}
	_, err := simulator.New(cfg)
	if err == nil {
		t.Fatal("New succeeded")
	}
	for _, want := range []string{
		"TokenLife", "TokenLength", "DayQuota", "Apps[0]: AppID and Secret", `"wx1" is there twice`, "AES key",
		`template "t" is there twice`, "no PriTmplID", "type must be", "no field of the form",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if _, err := simulator.New(simulator.Config{}); err == nil || !strings.Contains(err.Error(), "Apps") {
		t.Errorf("got %v, want a fault about Apps", err)
	}
}
