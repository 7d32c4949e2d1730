package app

import (
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// devEntries give the sample templates the aliases and names that they have in
// deploy/config.example.yaml.
var devEntries = []template.Entry{
	{
		TemplateID: simulator.SeedReview, Alias: "need_confirm",
		Fields: []template.EntryField{
			{Name: "applicant", Key: "thing1"},
			{Name: "department", Key: "thing11"},
			{Name: "trade", Key: "thing12"},
			{Name: "applied_at", Key: "time4"},
			{Name: "item", Key: "thing10"},
		},
	},
	{
		TemplateID: simulator.SeedApproval, Alias: "approval_result",
		Fields: []template.EntryField{
			{Name: "result", Key: "phrase1"}, {Name: "subject", Key: "thing2"}, {Name: "approver", Key: "name3"}, {Name: "decided_at", Key: "time4"},
		},
	},
	{
		TemplateID: simulator.SeedPickup, Alias: "pickup",
		Fields: []template.EntryField{
			{Name: "order", Key: "character_string1"},
			{Name: "item", Key: "thing2"},
			{Name: "quantity", Key: "number3"},
			{Name: "picked_up_at", Key: "time5"},
		},
	},
	{
		TemplateID: simulator.SeedReport, Alias: "data_report",
		Fields: []template.EntryField{{Name: "report", Key: "thing1"}, {Name: "period", Key: "thing2"}},
	},
	{
		TemplateID: simulator.SeedWorkOrder, Alias: "work_order_done",
		Fields: []template.EntryField{
			{Name: "order", Key: "character_string1"},
			{Name: "work", Key: "thing3"},
			{Name: "cost", Key: "amount5"},
			{Name: "handler", Key: "name6"},
			{Name: "done_on", Key: "date7"},
		},
	},
}

// devTemplates is the catalog of a simulated app: the sample templates that it
// has. Their titles and labels come from the simulated WeChat.
func devTemplates(a simulator.App) []template.Entry {
	var entries []template.Entry
	for _, t := range a.Templates {
		for _, e := range devEntries {
			if e.TemplateID == t.PriTmplID {
				e.App = a.AppID
				entries = append(entries, e)
			}
		}
	}
	return entries
}
