// Package template knows the templates of each app and checks a notification's
// data against them before anything is queued: WeChat would refuse it later with
// errcode 47003, name only the first bad field, and the notification would be
// dead by then.
//
// A [Catalog] is what is known at one moment: what WeChat listed at the last sync,
// merged with the entries of the settings file, which give a template a short
// alias, its fields readable names, and a policy. [Catalog.Resolve] finds a
// template by id or alias, [Template.Check] turns data under any of the names of
// a field into data under WeChat's keys, or names every fault. [Source] keeps a
// current Catalog for a door, [Syncer] asks WeChat for the list.
//
// The rules are those of WeChat's page, read strictly where WeChat's answer is
// known and leniently where it is not: a type that is not documented passes.
//
// The package leaves calling WeChat to its caller and what is remembered to a
// store. It leaves the shape of the other fields of a notification to package
// producer, and applying a template's policy to the door.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-message-management/subscribe-message/api_sendmessage.html
package template
