package config

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// templatesKey is the key of the list of templates in the file.
const templatesKey = "templates"

// TemplateDefinitions lists every key of a template in the file.
func TemplateDefinitions() []ItemDefinition { return itemDefinitions(templateSettings()) }

// templateSettings is the table of a template's keys. What a value must be is
// mostly said by package template, which checks the list as a whole.
func templateSettings() []itemSetting[template.Entry] {
	type entry = template.Entry
	return []itemSetting[entry]{
		defineItem("template_id", "", 0, anyText(func(e *entry) *string { return &e.TemplateID }),
			"WeChat's id of the template; required."),
		defineItem("app", "", 0, anyText(func(e *entry) *string { return &e.App }),
			"The appid that it belongs to. Without it: the default app."),
		defineItem("alias", "", 0, anyText(func(e *entry) *string { return &e.Alias }),
			"A short name that producers may use in place of the id."),
		defineItem("title", "", 0, anyText(func(e *entry) *string { return &e.Title }),
			"For people; WeChat's own title wins once it is synced."),
		{
			ItemDefinition: ItemDefinition{
				Key: "fields", Kind: "mapping", Values: "NAME: KEY",
				Doc: "Readable names of WeChat's keys, such as `applicant: thing1`. Producers may use the name, the key, or the label of the synced template.",
			},
			pair: func(e *entry, name, key string) error {
				e.Fields = append(e.Fields, template.EntryField{Name: name, Key: key})
				return nil
			},
		},
		defineItem("page", "", 0, anyText(func(e *entry) *string { return &e.Page }),
			"What a page must look like; {name} stands for any text: `pages/detail?id={id}`. Without such a place it is also the page of messages that name none."),
		defineItem("overlong", string(template.OverlongReject), 0,
			choice(func(e *entry) *template.Overlong { return &e.Policy.Overlong }, template.OverlongReject, template.OverlongTruncate),
			"What becomes of a value of type thing that is too long: refused, or cut with … at its end."),
		defineItem("duplicates", "", 0,
			choice(func(e *entry) *store.Duplicates { return &e.Policy.Duplicates }, store.DuplicatesAllow, store.DuplicatesAvoid),
			"Whether to send again when nobody knows if WeChat took it. Without it: avoid for long-term templates, allow for others."),
		defineItem("wait", "", 0, waiting(func(e *entry) **time.Duration { return &e.Policy.Wait }),
			"How long messages wait for the user's binding or consent, unless they say so. Without it: the producer's."),
		defineItem("no_consent", string(template.NoConsentSend), 0,
			choice(func(e *entry) *template.NoConsent { return &e.Policy.NoConsent }, template.NoConsentSend, template.NoConsentWait, template.NoConsentDead),
			"What becomes of a message when the user's balance is 0: WeChat is asked, it waits, or it is dead."),
		defineItem("release", string(template.ReleaseNewest), 0,
			choice(func(e *entry) *template.Release { return &e.Policy.Release }, template.ReleaseNewest, template.ReleaseOldest),
			"Which waiting message a consent releases, among those of one priority."),
		defineItem("priority", string(store.Default), 0,
			choice(func(e *entry) *store.Priority { return &e.Policy.Priority }, store.Priorities...),
			"The queue of messages that do not say so."),
		defineItem("quiet_hours.from", "", 0, timeOfDay(func(e *entry) *string { return &e.Policy.QuietHours.From }),
			"Nothing is sent from this time of day on: what comes then, or is to be tried again, is due at the end."),
		defineItem("quiet_hours.to", "", 0, timeOfDay(func(e *entry) *string { return &e.Policy.QuietHours.To }),
			"The end of the quiet hours, if need be the next day's. A message that expires before is not sent."),
		defineItem("quiet_hours.zone", store.QuietZone, 0, anyText(func(e *entry) *string { return &e.Policy.QuietHours.Zone }),
			"The time zone of both, by its name, such as Europe/Berlin."),
		defineItem("quiet_hours.critical", string(template.QuietCriticalWait), 0,
			choice(func(e *entry) *template.QuietCritical { return &e.Policy.QuietHours.Critical }, template.QuietCriticalWait, template.QuietCriticalSend),
			"What becomes of messages of priority critical in the quiet hours: they wait too, or are sent."),
		{
			ItemDefinition: ItemDefinition{
				Key: "limits", Kind: "mapping", Values: "KEY: CHARACTERS",
				Doc: "Other limits for keys of the types that WeChat does not document, short_thing (5) and const (20).",
			},
			pair: func(e *entry, key, text string) error {
				n, err := strconv.Atoi(text)
				if err != nil {
					return errors.New("must be a number of characters")
				}
				if e.Limits == nil {
					e.Limits = map[string]int{}
				}
				e.Limits[key] = n
				return nil
			},
		},
	}
}

// anyText is a text of which somebody else says what it must be.
func anyText[T any](at func(*T) *string) kind[T] {
	return kind[T]{name: "text", parse: func(t *T, text string) error {
		*at(t) = text
		return nil
	}}
}

// timeOfDay is a text that package template reads as a time of day.
func timeOfDay[T any](at func(*T) *string) kind[T] {
	k := anyText(at)
	k.values = "HH:MM"
	return k
}

// waiting is a duration that may be left out, which is not the same as none.
func waiting[T any](at func(*T) **time.Duration) kind[T] {
	var d time.Duration
	k := duration(func(*T) *time.Duration { return &d }, 0, template.MaxWait)
	return kind[T]{name: k.name, values: k.values, parse: func(t *T, text string) error {
		if err := k.parse(t, text); err != nil {
			return err
		}
		wait := d
		*at(t) = &wait
		return nil
	}}
}

// templates makes the catalog out of the file's list.
func (l *loader) templates(d *draft) {
	var places []Origin
	var lines []map[string]int
	for i, item := range l.lists[templatesKey] {
		var e template.Entry
		name := fmt.Sprintf("%s[%d]", templatesKey, i)
		at := readItem(l, d, &e, name, item, templateSettings())
		places, lines = append(places, l.at(item.line)), append(lines, at)
		app, ok := d.App(e.App)
		switch {
		case ok:
			e.App = app.AppID
		case e.App != "":
			l.fault(name+".app", l.at(at["app"]), "%sis not among the apps that are set", quoted(e.App, false))
		}
		d.Templates = append(d.Templates, e)
	}
	for _, f := range template.CheckEntries(d.Templates) {
		from := places[f.Index]
		if line, ok := lines[f.Index][f.Key]; ok {
			from = l.at(line)
		}
		l.fault(fmt.Sprintf("%s[%d].%s", templatesKey, f.Index, f.Key), from, "%s", f.Problem)
	}
}
