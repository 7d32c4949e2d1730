package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	has := func(id string, balance int) store.Consent {
		return store.Consent{TemplateID: id, Known: true, Balance: balance}
	}
	refused := func(id string, ago time.Duration) store.Consent {
		return store.Consent{TemplateID: id, RefusedAt: now.Add(-ago)}
	}
	// The templates are a, b, … in this order; a capital letter is long-term.
	templates := func(ids string, edits ...func(*template.Template)) []*template.Template {
		var all []*template.Template
		for _, r := range ids {
			tpl := &template.Template{ID: string(r), Kind: template.KindOneTime, State: template.StateSynced, Title: "title " + string(r)}
			if r < 'a' {
				tpl.Kind = template.KindLongTerm
			}
			for _, edit := range edits {
				edit(tpl)
			}
			all = append(all, tpl)
		}
		return all
	}
	only := func(id string, edit func(*template.Template)) func(*template.Template) {
		return func(t *template.Template) {
			if t.ID == id {
				edit(t)
			}
		}
	}
	for name, test := range map[string]struct {
		templates []*template.Template
		consents  []store.Consent
		waiting   map[string]int
		most      int
		ask       string
		skipped   string // id=reason
	}{
		"nothing known":          {templates("abcd"), nil, nil, 3, "abc", "d=later"},
		"none":                   {nil, nil, nil, 3, "", ""},
		"least first":            {templates("abc"), []store.Consent{has("a", 2), has("b", 0), has("c", 1)}, nil, 3, "bca", ""},
		"not known is least":     {templates("ab"), []store.Consent{has("a", 1)}, nil, 1, "b", "a=later"},
		"waiting first":          {templates("abc"), []store.Consent{has("c", 5)}, map[string]int{"c": 1}, 3, "cab", ""},
		"most waiting first":     {templates("abc"), nil, map[string]int{"b": 1, "c": 9}, 3, "cba", ""},
		"long-term alone":        {templates("aBcD"), nil, map[string]int{"B": 1}, 3, "BD", "a=other_kind c=other_kind"},
		"one-time alone":         {templates("aBcD"), nil, map[string]int{"a": 1}, 3, "ac", "B=other_kind D=other_kind"},
		"allowed":                {templates("AB"), []store.Consent{{TemplateID: "A", Known: true, LongTerm: true}}, nil, 3, "B", "A=allowed"},
		"refused rests":          {templates("ab"), []store.Consent{refused("a", time.Hour)}, map[string]int{"a": 9}, 3, "b", "a=refused"},
		"rested":                 {templates("ab"), []store.Consent{refused("a", refusalRest)}, nil, 3, "ab", ""},
		"same title":             {templates("abc", func(t *template.Template) { t.Title = "same" }), nil, nil, 3, "a", "b=same_title c=same_title"},
		"no title":               {templates("ab", func(t *template.Template) { t.Title = "" }), nil, nil, 3, "ab", ""},
		"gone":                   {templates("ab", only("a", func(t *template.Template) { t.State = template.StateGone })), nil, nil, 3, "b", "a=gone"},
		"paused":                 {templates("ab", only("a", func(t *template.Template) { t.Paused = true })), nil, map[string]int{"a": 1}, 3, "b", "a=paused"},
		"kind not known":         {templates("aB", only("a", func(t *template.Template) { t.Kind = "" })), nil, nil, 3, "a", "B=other_kind"},
		"title of another kind":  {templates("aB", func(t *template.Template) { t.Title = "same" }), nil, nil, 3, "a", "B=other_kind"},
		"the best of one kind":   {templates("aBc"), []store.Consent{has("a", 3)}, nil, 3, "B", "c=other_kind a=other_kind"},
		"all refused: ask none":  {templates("a"), []store.Consent{refused("a", 0)}, nil, 3, "", "a=refused"},
		"balance of the refused": {templates("a"), []store.Consent{{TemplateID: "a", Known: true, Balance: 2, RefusedAt: now}}, nil, 3, "", "a=refused"},
	} {
		p := newPlan(test.templates, test.consents, test.waiting, test.most, now)
		var skipped []string
		for _, s := range p.Skipped {
			skipped = append(skipped, s.TemplateID+"="+string(s.Why))
			if (s.Why == skipRefused) != (s.Until != nil) {
				t.Errorf("%s: %s rests until %v", name, s.TemplateID, s.Until)
			}
		}
		if got := strings.Join(p.Ask, ""); got != test.ask || strings.Join(skipped, " ") != test.skipped {
			t.Errorf("%s: ask %q, skip %q, want %q and %q", name, got, strings.Join(skipped, " "), test.ask, test.skipped)
		}
		for i, c := range p.Templates {
			if c.TemplateID != p.Ask[i] || (c.Why == askWaiting) != (test.waiting[c.TemplateID] > 0) {
				t.Errorf("%s: %s is asked for because of %s", name, c.TemplateID, c.Why)
			}
		}
	}
}

// planReasonsOf are the reasons that a plan can give: the list is public.
func TestPlanReasons(t *testing.T) {
	t.Parallel()
	seen := map[planReason]bool{}
	for _, r := range planReasons {
		if seen[r] || r == "" {
			t.Errorf("%q is there twice, or empty", r)
		}
		seen[r] = true
	}
	if d := cmp.Diff(9, len(seen)); d != "" {
		t.Error(d)
	}
}

func TestGetPlan(t *testing.T) {
	t.Parallel()
	eachPeople(t, func(p *people) {
		p.waiting("u-1")
		query := "/v1/users/u-1/consent-plan?templates=review," + simulator.SeedReport + "," + simulator.SeedApproval + ",review&max=2"
		a := p.want("unbound", p.do(keyAll, "GET", query, nil), 200, "")
		p.wantJSON("unbound", a, `{
			"ask":["`+simulator.SeedApproval+`","`+simulator.SeedReview+`"],
			"templates":[
				{"template_id":"`+simulator.SeedApproval+`","kind":"one_time","why":"waiting","waiting":1,"balance":null},
				{"template_id":"`+simulator.SeedReview+`","alias":"review","kind":"one_time","why":"balance","waiting":0,"balance":null}],
			"skipped":[{"template_id":"`+simulator.SeedReport+`","kind":"long_term","why":"other_kind","waiting":0,"balance":null}]}`)

		p.boundUser()
		p.want("report", p.report("u-1", "0192f0c4-7a1e-7cc3-98c4-dc0c0c07398f",
			map[string]string{simulator.SeedApproval: "accept", "review": "reject"}), 200, "")
		a = p.want("bound", p.do(keyAll, "GET", query, nil), 200, "")
		p.wantJSON("bound", a, `{
			"ask":["`+simulator.SeedReport+`"],
			"templates":[{"template_id":"`+simulator.SeedReport+`","kind":"long_term","why":"balance","waiting":0,"balance":null}],
			"skipped":[
				{"template_id":"`+simulator.SeedReview+`","alias":"review","kind":"one_time","why":"refused","waiting":0,"balance":null},
				{"template_id":"`+simulator.SeedApproval+`","kind":"one_time","why":"other_kind","waiting":0,"balance":1}]}`, "until")

		a = p.want("all", p.do(keyAll, "GET", "/v1/users/u-9/consent-plan", nil), 200, "")
		if got := strings.Count(string(a.body), `"template_id"`); got != 5 || strings.Contains(string(a.body), `"ask":[]`) {
			p.Errorf("of all templates: %s", a.body)
		}
		a = p.want("in scope", p.do(keyOne, "GET", "/v1/users/u-9/consent-plan", nil), 200, "")
		if !strings.Contains(string(a.body), `{"ask":["`+simulator.SeedApproval+`"],`) {
			p.Errorf("in scope: %s", a.body)
		}
	}, aliased)
}

func TestGetPlanChecked(t *testing.T) {
	t.Parallel()
	p := onePeople(t)
	for query, test := range map[string]struct {
		field string
		code  FieldCode
	}{
		"templates=nonsense":                          {"templates", "unknown_template"},
		"templates=" + simulator.SeedReview + ",":     {"templates", "unknown_template"},
		"templates=" + strings.Repeat("a,", 50) + "a": {"templates", FieldTooLong},
		"max=0":   {"max", FieldOutOfRange},
		"max=6":   {"max", FieldOutOfRange},
		"app=wx9": {"app", FieldNotInList},
		"n=1":     {"n", FieldUnknown},
	} {
		p.wantField(query, p.do(keyAll, "GET", "/v1/users/u/consent-plan?"+query, nil), test.field, test.code)
	}
	p.want("out of scope", p.do(keyOne, "GET", "/v1/users/u/consent-plan?templates="+simulator.SeedReview, nil), 403, CodeForbiddenTemplate)
}
