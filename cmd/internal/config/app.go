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

	Callback      Callback      // WeChat's message push; zero when it is not received
	ConsentSource ConsentSource // who counts the consents

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

// AppDefinitions lists every key of an app in the file.
func AppDefinitions() []ItemDefinition { return itemDefinitions(appSettings()) }

func appSettings() []itemSetting[App] {
	return []itemSetting[App]{
		defineItem("appid", "", required, appID(func(a *App) *string { return &a.AppID }),
			"The Mini Program; required."),
		defineItem("secret", "", secret, secretText(func(a *App) *Secret { return &a.Secret }, 1),
			"Its AppSecret."),
		defineItem("default", "false", 0, boolean(func(a *App) *bool { return &a.Default }),
			"The app of messages that name none. A single app is the default by itself, and that of WECHAT_APPID always."),
		defineItem("token_source", string(TokenStable), secret, kindTokenSource(func(a *App) *TokenSource { return &a.TokenSource }),
			"As WECHAT_TOKEN_SOURCE."),
		defineItem("token_mirror", "", secret, kindTokenMirror(func(a *App) *RedisKey { return &a.TokenMirror }),
			"As WECHAT_TOKEN_MIRROR."),
		defineItem("callback_token", "", secret, callbackToken(func(a *App) *Secret { return &a.Callback.Token }),
			"As WECHAT_CALLBACK_TOKEN."),
		defineItem("callback_aes_key", "", secret, callbackAESKey(func(a *App) *Secret { return &a.Callback.AESKey }),
			"As WECHAT_CALLBACK_AES_KEY."),
		defineItem("callback_plaintext", "false", 0, boolean(func(a *App) *bool { return &a.Callback.Plaintext }),
			"As WECHAT_CALLBACK_PLAINTEXT."),
		defineItem("callback_forward_url", "", 0, webURL(func(a *App) *string { return &a.Callback.ForwardURL }),
			"Events that are not ours are passed on to this address, as WeChat sent them."),
		defineItem("consent_source", string(ConsentClient), 0, choice(func(a *App) *ConsentSource { return &a.ConsentSource }, ConsentClient, ConsentEvent),
			"Who counts the consents: the reports of the Mini Program, or WeChat's events. The other only fills gaps."),
		defineItem("max_send_rate", "MAX_SEND_RATE", 0, wholeNumber(func(a *App) *int { return &a.MaxSendRate }, 0, maxSendRate),
			"Sends per second over all processes; 0 is no limit."),
		defineItem("miniprogram_state", string(Formal), 0, choice(func(a *App) *MiniprogramState { return &a.MiniprogramState }, Developer, Trial, Formal),
			"The version a message opens, unless it says so itself."),
		defineItem("lang", string(LangCN), 0, choice(func(a *App) *Lang { return &a.Lang }, LangCN, LangUS, LangHK, LangTW),
			"The language of a message's frame, unless it says so itself."),
		defineList(itemSetting[App]{
			ItemDefinition: ItemDefinition{
				Key: "only_to", Values: "user ids and openids",
				Doc: "Everyone else's messages end cancelled: for staging on a real appid. Without it: everybody.",
			},
			// The ids are personal: how many there are is enough to see.
			noun: "ids", without: "everybody",
			list: func(a *App, texts []string) error { a.OnlyTo = texts; return nil },
		}),
	}
}

// newApp is an app with the defaults of the apps' table.
func newApp(rate int) App {
	return App{
		TokenSource:      TokenSource{Kind: TokenStable},
		MaxSendRate:      rate,
		ConsentSource:    ConsentClient,
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
	for i, e := range l.lists[appsKey] {
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
		for _, name := range []string{
			"WECHAT_SECRET", "WECHAT_TOKEN_SOURCE", "WECHAT_TOKEN_MIRROR",
			"WECHAT_CALLBACK_TOKEN", "WECHAT_CALLBACK_AES_KEY", "WECHAT_CALLBACK_PLAINTEXT",
		} {
			if from, ok := l.given[name]; ok {
				l.fault(name, from, "belongs to the app of WECHAT_APPID, which is not set")
			}
		}
		return placedApp{}, false
	}
	app := newApp(d.maxRate)
	app.AppID, app.Secret = d.env.AppID, d.env.Secret
	app.TokenSource, app.TokenMirror = d.env.TokenSource, d.env.TokenMirror
	app.Callback = d.env.Callback
	app.Default = true
	return placedApp{App: app, name: "WECHAT_APPID", from: from}, true
}

// fileApp reads one item of the file's list.
func (l *loader) fileApp(d *draft, name string, item entry) placedApp {
	app := placedApp{App: newApp(d.maxRate), name: name, from: l.at(item.line)}
	lines := readItem(l, d, &app.App, name, item, appSettings())
	if line, ok := lines["appid"]; ok {
		app.from.Line = line
	}
	return app
}
