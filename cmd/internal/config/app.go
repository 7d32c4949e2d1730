package config

import (
	"fmt"
)

// App is one Mini Program that this deployment serves.
type App struct {
	AppID       string
	Secret      Secret // may be empty for commands that do not call WeChat
	Default     bool   // what names no app is for this one
	TokenSource TokenSource
	TokenMirror RedisKey // zero means none
	MaxSendRate int      // sends per second over all processes; 0 is no limit

	MiniprogramState MiniprogramState // of messages that do not say their own
	Lang             Lang             // of messages that do not say their own
	OnlyTo           []string         // user ids and openids; empty means everybody
}

// MiniprogramState is the version of the Mini Program a message opens.
type MiniprogramState string

// The versions.
const (
	Developer MiniprogramState = "developer"
	Trial     MiniprogramState = "trial"
	Formal    MiniprogramState = "formal"
)

// Lang is the language in which WeChat shows the message's frame.
type Lang string

// The languages.
const (
	LangCN Lang = "zh_CN"
	LangUS Lang = "en_US"
	LangHK Lang = "zh_HK"
	LangTW Lang = "zh_TW"
)

// appsKey is the key of the list of apps in the file.
const appsKey = "apps"

// AppDefinition describes one key of an app in the file.
type AppDefinition struct {
	Key     string
	Kind    string
	Values  string
	Default string
	Secret  bool // has a twin Key_file
	Doc     string
}

// appSetting is a line of the apps' table; exactly one of kind.parse and list
// is set.
type appSetting struct {
	AppDefinition
	kind kind[App]
	list func(*App, []string)
}

// AppDefinitions lists every key of an app in the file.
func AppDefinitions() []AppDefinition {
	table := appSettings()
	defs := make([]AppDefinition, len(table))
	for i, s := range table {
		defs[i] = s.AppDefinition
	}
	return defs
}

func appSettings() []appSetting {
	return []appSetting{
		defineApp("appid", "", 0, appID(func(a *App) *string { return &a.AppID }),
			"The Mini Program; required."),
		defineApp("secret", "", secret, secretText(func(a *App) *Secret { return &a.Secret }, 1),
			"Its AppSecret."),
		defineApp("default", "false", 0, boolean(func(a *App) *bool { return &a.Default }),
			"The app of messages that name none. A single app is the default by itself, and that of WECHAT_APPID always."),
		defineApp("token_source", string(TokenStable), secret, kindTokenSource(func(a *App) *TokenSource { return &a.TokenSource }),
			"As WECHAT_TOKEN_SOURCE."),
		defineApp("token_mirror", "", secret, kindTokenMirror(func(a *App) *RedisKey { return &a.TokenMirror }),
			"As WECHAT_TOKEN_MIRROR."),
		defineApp("max_send_rate", "MAX_SEND_RATE", 0, wholeNumber(func(a *App) *int { return &a.MaxSendRate }, 0, maxSendRate),
			"Sends per second over all processes; 0 is no limit."),
		defineApp("miniprogram_state", string(Formal), 0, choice(func(a *App) *MiniprogramState { return &a.MiniprogramState }, Developer, Trial, Formal),
			"The version a message opens, unless it says so itself."),
		defineApp("lang", string(LangCN), 0, choice(func(a *App) *Lang { return &a.Lang }, LangCN, LangUS, LangHK, LangTW),
			"The language of a message's frame, unless it says so itself."),
		{
			AppDefinition: AppDefinition{
				Key: "only_to", Kind: "list", Values: "user ids and openids",
				Doc: "Everyone else's messages end cancelled: for staging on a real appid. Without it: everybody.",
			},
			list: func(a *App, texts []string) { a.OnlyTo = texts },
		},
	}
}

func defineApp(key, def string, t traits, k kind[App], doc string) appSetting {
	return appSetting{
		AppDefinition: AppDefinition{
			Key: key, Kind: k.name, Values: k.values, Default: def, Secret: t&secret != 0, Doc: doc,
		},
		kind: k,
	}
}

// newApp is an app with the defaults of the apps' table.
func newApp(rate int) App {
	return App{
		TokenSource:      TokenSource{Kind: TokenStable},
		MaxSendRate:      rate,
		MiniprogramState: Formal,
		Lang:             LangCN,
	}
}

// placedApp is an app with the place it was declared at.
type placedApp struct {
	App
	name string
	from Origin
}

// apps makes the list of apps out of the app of WECHAT_APPID and the file's.
func (l *loader) apps(d *draft) {
	var found []placedApp
	if app, ok := l.envApp(d); ok {
		found = append(found, app)
	}
	for i, e := range l.list {
		found = append(found, l.fileApp(d, fmt.Sprintf("%s[%d]", appsKey, i), e))
	}
	l.checkApps(found)
	if len(found) == 1 {
		found[0].Default = true
	}
	for _, a := range found {
		d.Apps = append(d.Apps, a.App)
	}
}

// envApp is the app of WECHAT_APPID, which needs no list to be the default.
func (l *loader) envApp(d *draft) (placedApp, bool) {
	from, named := l.given["WECHAT_APPID"]
	if !named {
		for _, name := range []string{"WECHAT_SECRET", "WECHAT_TOKEN_SOURCE", "WECHAT_TOKEN_MIRROR"} {
			if from, ok := l.given[name]; ok {
				l.fault(name, from, "belongs to the app of WECHAT_APPID, which is not set")
			}
		}
		return placedApp{}, false
	}
	app := newApp(d.maxRate)
	app.AppID, app.Secret = d.env.AppID, d.env.Secret
	app.TokenSource, app.TokenMirror = d.env.TokenSource, d.env.TokenMirror
	app.Default = true
	return placedApp{App: app, name: "WECHAT_APPID", from: from}, true
}

// takeApps keeps the items of the file's list for later, when MAX_SEND_RATE is
// known.
func (l *loader) takeApps(e entry) {
	items, ok := sequence(e.value)
	if !ok {
		l.fault(appsKey, l.at(e.line), "must be a list of apps, each beginning with a dash")
		return
	}
	for _, item := range items {
		l.list = append(l.list, entry{value: item, line: max(lineOf(item), e.line)})
	}
}

// fileApp reads one item of the file's list.
func (l *loader) fileApp(d *draft, name string, item entry) placedApp {
	app := placedApp{App: newApp(d.maxRate), name: name, from: l.at(item.line)}
	entries, ok := mapping(item.value)
	if !ok {
		l.fault(name, app.from, "must be a list of KEY: VALUE lines")
		return app
	}
	byKey := map[string]entry{}
	for _, e := range entries {
		if first, twice := byKey[e.key]; twice {
			l.fault(name+"."+showKey(e.key), l.at(e.line), "is there already in line %d", first.line)
			continue
		}
		byKey[e.key] = e
	}
	if e, ok := byKey["appid"]; ok {
		app.from.Line = e.line
	} else {
		l.fault(name+".appid", app.from, "is required")
	}
	for _, s := range appSettings() {
		l.appSetting(d, &app, s, byKey)
	}
	for _, e := range entries {
		if _, left := byKey[e.key]; left {
			l.fault(name+"."+showKey(e.key), l.at(e.line), "unknown key")
			delete(byKey, e.key)
		}
	}
	return app
}

// appSetting reads one key of an app and takes it out of byKey.
func (l *loader) appSetting(d *draft, app *placedApp, s appSetting, byKey map[string]entry) {
	name := app.name + "." + s.Key
	e, here := byKey[s.Key]
	delete(byKey, s.Key)
	if s.list != nil {
		l.appList(d, app, s, e, here)
		return
	}
	text, from, ok := l.appText(name, s, e, here)
	if s.Secret {
		twin, twinHere := byKey[s.Key+"_file"]
		delete(byKey, s.Key+"_file")
		path, twinFrom, twinOK := l.appText(name+"_file", s, twin, twinHere)
		switch {
		case twinOK && ok:
			l.fault(name, twinFrom, "%s_file is set together with %s: set one of them", s.Key, s.Key)
		case twinOK:
			from = twinFrom
			text, ok = l.secretFile(name, from, path)
		}
	}
	if !ok {
		return
	}
	if err := s.kind.parse(&app.App, text); err != nil {
		l.fault(name, from, "%s%v", quoted(text, s.Secret), err)
		return
	}
	d.effective = append(d.effective, Setting{
		Name: name, Value: show(s.kind, &app.App, text, s.Secret), Origin: from.String(),
	})
}

// appText is the plain value of a key of an app; ok is false when there is none.
func (l *loader) appText(name string, s appSetting, e entry, here bool) (text string, from Origin, ok bool) {
	if !here {
		return "", Origin{}, false
	}
	from = l.at(e.line)
	text, null, isPlain := plain(e.value)
	if !isPlain {
		l.fault(name, from, "%s", notPlain)
		return "", from, false
	}
	return text, from, !null && (text != "" || !s.Secret)
}

func (l *loader) appList(d *draft, app *placedApp, s appSetting, e entry, here bool) {
	if !here {
		return
	}
	name, from := app.name+"."+s.Key, l.at(e.line)
	texts, ok := list(e.value)
	if !ok || len(texts) == 0 {
		// An empty list could mean nobody or everybody: whoever wrote it knows.
		l.fault(name, from, "must be a list of plain values with at least one; leave the key out for everybody")
		return
	}
	s.list(&app.App, texts)
	// The ids are personal: how many there are is enough to see.
	d.effective = append(d.effective, Setting{
		Name: name, Value: fmt.Sprintf("%d ids", len(texts)), Origin: from.String(),
	})
}
