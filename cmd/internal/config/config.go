package config

import (
	"net/netip"
	"time"

	"github.com/wxnotify/wxnotify/producer/template"
)

// Config is every setting, checked. Its fields print without secrets.
type Config struct {
	Redis    RedisURL    // where the queue lives; zero when not set
	Database DatabaseURL // where notifications are remembered; zero when not set

	// APIBaseURL is the origin of WeChat's API, without a trailing slash.
	APIBaseURL string
	// Apps are the Mini Programs this deployment serves; at most one of them is
	// Default, and exactly one when there are any. It may be empty.
	Apps []App

	ListenAddr   string // of producers' API
	CallbackAddr string // of WeChat's message push; empty means ListenAddr
	// Producers are who may use the API, those of API_KEYS first.
	Producers []Producer
	// WebhookAllow are the networks that producers' webhooks may reach besides
	// the public ones.
	WebhookAllow []netip.Prefix

	// Templates are the catalog's entries; each names its app, unless there is none.
	Templates       []template.Entry
	StrictTemplates template.Strict // what becomes of messages with a template that is not known

	AdminAddr     string // health, metrics, console; empty means no listener
	AdminPassword Secret // of the operator AdminName; empty means that there is none
	// AdminUsers are the console's users of the file. Without any, and without an
	// AdminPassword, the console is not served.
	AdminUsers []AdminUser

	Concurrency int           // calls of WeChat in flight per process
	SendTimeout time.Duration // of one call
	InDoubtWait time.Duration // how long a doubt waits for a receipt
	MaxAttempts int           // attempts that count, before a notification is dead
	MaxAge      time.Duration // a notification without its own expiry expires this long after it was due
	TaskPayload TaskPayload   // what a task on the queue carries

	DataRetention time.Duration // data of what ended is blanked this long after, or at Retention
	Retention     time.Duration // what ended is deleted this long after
	DeadRetention time.Duration // the same for dead letters, which keep their data until then

	// Watch is how often the files are looked at for changes; 0: never.
	Watch time.Duration

	LogLevel  string // debug, info, warn or error
	LogFormat LogFormat

	effective []Setting // already masked
}

// TaskPayload chooses what a task on the queue carries.
type TaskPayload string

// The payloads.
const (
	PayloadFull TaskPayload = "full" // the whole message, as asynqmon shows it
	PayloadID   TaskPayload = "id"   // the notification's id only: nothing personal in Redis
)

// LogFormat chooses how a log line is written.
type LogFormat string

// The formats.
const (
	LogJSON    LogFormat = "json"
	LogConsole LogFormat = "console"
)

// Sources are where settings come from. Nothing else is read: a test gives maps.
type Sources struct {
	// Flags are the flags that were given, by name without dashes.
	Flags map[string]string
	// LookupEnv is os.LookupEnv in the program. nil means an empty environment.
	LookupEnv func(string) (string, bool)
	// ReadFile is os.ReadFile in the program; it reads the YAML file and the
	// files that hold secrets. nil means that there are no files.
	ReadFile func(string) ([]byte, error)
}

// FileFlag and FileEnv name the YAML file; the flag wins.
const (
	FileFlag = "config"
	FileEnv  = "WXNOTIFY_CONFIG"
)

// Load reads and checks all settings. The error is an [*Error] with every fault
// found, and then the Config is nil. What a command needs beyond that (a worker
// needs REDIS_URL) is checked by [Config.Needs].
func Load(src Sources) (*Config, error) {
	l := newLoader(src)
	l.readFile()
	var d draft
	l.settings(&d)
	l.apps(&d)
	l.producers(&d)
	l.templates(&d)
	l.adminUsers(&d)
	if len(l.faults) > 0 {
		return nil, &Error{Faults: l.faults}
	}
	return &d.Config, nil
}

// App returns the app with this appid; "" means the default app.
func (c *Config) App(appID string) (App, bool) {
	for _, a := range c.Apps {
		if a.AppID == appID || appID == "" && a.Default {
			return a, true
		}
	}
	return App{}, false
}

// Setting is one line of the effective settings.
type Setting struct {
	Name   string `json:"name"`   // REDIS_URL, apps[0].appid
	Value  string `json:"value"`  // secrets and passwords as ***
	Origin string `json:"origin"` // "flag --x", "environment X", "file PATH:LINE" or "default"
}

// Effective lists the settings as they are in force and where each came from,
// in the order of the table, then the apps.
func (c *Config) Effective() []Setting { return append([]Setting(nil), c.effective...) }
