package config

import (
	"net/netip"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
	"github.com/wxnotify/wxnotify/producer/template"
)

// Definition describes one setting.
type Definition struct {
	Env     string // its name, and the environment variable
	Flag    string // without dashes; "" for a secret
	Key     string // in the YAML file
	Kind    string // int, duration, choice, url, address or text
	Values  string // what is accepted, in words; may be empty
	Default string // "" means not set
	Secret  bool   // no flag, a twin Env_FILE and Key_file; shown as ***
	Doc     string // one sentence or two
}

// FileTwin is the variable that names a file with the secret; "" for others.
func (d Definition) FileTwin() string {
	if !d.Secret {
		return ""
	}
	return d.Env + "_FILE"
}

// setting is a line of the table: its description and how it is read.
type setting struct {
	Definition
	kind kind[draft]
	// emptyMeans: the empty text is a value, not the absence of one.
	emptyMeans bool
}

// Definitions lists every setting, in the order in which they are shown.
func Definitions() []Definition {
	table := settings()
	list := make([]Definition, len(table))
	for i, s := range table {
		list[i] = s.Definition
	}
	return list
}

// settings is the table. Ranges keep out what cannot be meant: SEND_TIMEOUT
// ends at a minute, since a slower call only holds a slot, IN_DOUBT_WAIT at an
// hour, since receipts come within seconds or not at all, MAX_AGE at a year.
func settings() []setting {
	table := connections()
	table = append(table, wechat()...)
	table = append(table, gateway()...)
	table = append(table, admin()...)
	table = append(table, sending()...)
	table = append(table, retention()...)
	table = append(table, reloading()...)
	return append(table, logging()...)
}

func connections() []setting {
	return []setting{
		define("REDIS_URL", "", secret, kindRedis(func(c *draft) *RedisURL { return &c.Redis }),
			"Redis of the queue, the shared token and the rate."),
		define("DATABASE_URL", "", secret, kindDatabase(func(c *draft) *DatabaseURL { return &c.Database }),
			"Where notifications are remembered. SQLite serves one process."),
	}
}

func wechat() []setting {
	return []setting{
		define("WECHAT_APPID", "", 0, appID(func(c *draft) *string { return &c.env.AppID }),
			"The Mini Program; it is the default app. More apps: the file's `apps`."),
		define("WECHAT_SECRET", "", secret, secretText(func(c *draft) *Secret { return &c.env.Secret }, 1),
			"Its AppSecret."),
		define("WECHAT_API_BASE_URL", "https://api.weixin.qq.com", 0, webURL(func(c *draft) *string { return &c.APIBaseURL }),
			"WeChat's API, or a proxy or simulator in its place."),
		define("WECHAT_TOKEN_SOURCE", string(TokenStable), secret, kindTokenSource(func(c *draft) *TokenSource { return &c.env.TokenSource }),
			"Where the access token of WECHAT_APPID comes from: one of WeChat's two endpoints, or a Redis key that another system keeps."),
		define("WECHAT_TOKEN_MIRROR", "", secret, kindTokenMirror(func(c *draft) *RedisKey { return &c.env.TokenMirror }),
			"A Redis key to which each new token of WECHAT_APPID is also written, for systems that read it there."),
		define("WECHAT_CALLBACK_TOKEN", "", secret, callbackToken(func(c *draft) *Secret { return &c.env.Callback.Token }),
			"The Token of the message push of WECHAT_APPID, as in WeChat's console."),
		define("WECHAT_CALLBACK_AES_KEY", "", secret, callbackAESKey(func(c *draft) *Secret { return &c.env.Callback.AESKey }),
			"Its EncodingAESKey. Without it WeChat's pushes are not received."),
		define("WECHAT_CALLBACK_PLAINTEXT", "false", 0, boolean(func(c *draft) *bool { return &c.env.Callback.Plaintext }),
			"Receive pushes that are not encrypted too. They never settle a doubt, since anyone who saw one can forge the next."),
	}
}

func gateway() []setting {
	return []setting{
		define("LISTEN_ADDR", ":8080", 0, neededAddr(func(c *draft) *string { return &c.ListenAddr }),
			"Listener of producers' API."),
		define("CALLBACK_ADDR", "", 0, neededAddr(func(c *draft) *string { return &c.CallbackAddr }),
			"Listener of WeChat's message push, so that it alone is reachable from outside. Without it: LISTEN_ADDR."),
		define("API_KEYS", "", secret, apiKeys(func(c *draft) *[]Producer { return &c.Producers }),
			"Producers with the rights send, read and users for everything. Finer ones: the file's `producers`."),
		define("STRICT_TEMPLATES", string(template.StrictAuto), 0,
			choice(func(c *draft) *template.Strict { return &c.StrictTemplates }, template.StrictAuto, template.StrictTrue, template.StrictFalse),
			"Refuse templates that are not known: auto does once a sync of the app has succeeded. What is not refused passes with a warning."),
		define("WEBHOOK_ALLOW_CIDRS", "", 0, prefixes(func(c *draft) *[]netip.Prefix { return &c.WebhookAllow }),
			"Networks that producers' webhooks may reach besides public addresses: those of the intranet."),
	}
}

func admin() []setting {
	return []setting{
		define("ADMIN_ADDR", "127.0.0.1:9090", emptyMeans, listenAddr(func(c *draft) *string { return &c.AdminAddr }),
			"Listener for /healthz, /readyz, /metrics and /admin/."),
		define("ADMIN_PASSWORD", "", secret, secretText(func(c *draft) *Secret { return &c.AdminPassword }, password.MinLength),
			"Password of the user `admin`, an operator. Without it, and without `admin_users` in the file, the console is not served; health and metrics are."),
	}
}

func sending() []setting {
	return []setting{
		define("CONCURRENCY", "200", 0, wholeNumber(func(c *draft) *int { return &c.Concurrency }, 1, 10000),
			"Calls of WeChat in flight per process. With several apps half of them are kept free in equal parts, so that none waits for another's slow calls."),
		define("SEND_TIMEOUT", "10s", 0, duration(func(c *draft) *time.Duration { return &c.SendTimeout }, time.Second, time.Minute),
			"Of one call of WeChat."),
		define("IN_DOUBT_WAIT", "90s", 0, duration(func(c *draft) *time.Duration { return &c.InDoubtWait }, time.Second, time.Hour),
			"How long an attempt without an answer waits for WeChat's receipt."),
		define("MAX_SEND_RATE", "0", 0, wholeNumber(func(c *draft) *int { return &c.maxRate }, 0, maxSendRate),
			"Sends per app and second over all processes; 0 is no limit."),
		define("MAX_ATTEMPTS", "8", 0, wholeNumber(func(c *draft) *int { return &c.MaxAttempts }, 1, 100),
			"Attempts that WeChat answered with \"busy\" before a notification is dead; 8 last about two hours."),
		define("MAX_AGE", "72h", 0, duration(func(c *draft) *time.Duration { return &c.MaxAge }, time.Minute, 8760*time.Hour),
			"A notification without its own expires_at expires this long after it is due."),
		define("TASK_PAYLOAD", string(PayloadFull), 0, choice(func(c *draft) *TaskPayload { return &c.TaskPayload }, PayloadFull, PayloadID),
			"What a task carries: the message as asynqmon shows it, or its id, so that nothing personal is in Redis."),
	}
}

// retention is in hours at least: what is wrong with a message shows within
// minutes, but someone must get to look.
func retention() []setting {
	const most = 87600 * time.Hour // ten years
	return []setting{
		define("DATA_RETENTION", "168h", 0, duration(func(c *draft) *time.Duration { return &c.DataRetention }, time.Hour, most),
			"Data, page query and payload are blanked this long after a notification ended, never later than RETENTION. Dead letters keep them."),
		define("RETENTION", "2160h", 0, duration(func(c *draft) *time.Duration { return &c.Retention }, time.Hour, most),
			"A notification that ended, and its attempts, are deleted after this long; then its ref is free again."),
		define("DEAD_RETENTION", "4320h", 0, duration(func(c *draft) *time.Duration { return &c.DeadRetention }, time.Hour, most),
			"A dead letter (class fault) is kept this long instead, with its data, because it can be replayed."),
	}
}

func reloading() []setting {
	return []setting{
		define("CONFIG_WATCH", "0s", 0, duration(func(c *draft) *time.Duration { return &c.Watch }, 0, time.Hour),
			"How often the file and the files of secrets are looked at for changes, which are then taken over as on SIGHUP. 0: on SIGHUP only."),
	}
}

// maxSendRate is far above what WeChat's quotas let anyone use.
const maxSendRate = 100000

func logging() []setting {
	return []setting{
		define("LOG_LEVEL", "info", 0, choice(func(c *draft) *string { return &c.LogLevel }, "debug", "info", "warn", "error"),
			"The least level that is logged."),
		define("LOG_FORMAT", string(LogJSON), 0, choice(func(c *draft) *LogFormat { return &c.LogFormat }, LogJSON, LogConsole),
			"Lines for machines or for people."),
	}
}

// traits of a setting, for define.
type traits int

const (
	secret traits = 1 << iota
	emptyMeans
)

// define makes a line of the table; flag and key follow from the name.
func define(env, def string, t traits, k kind[draft], doc string) setting {
	s := setting{
		Definition: Definition{
			Env:     env,
			Key:     strings.ToLower(env),
			Kind:    k.name,
			Values:  k.values,
			Default: def,
			Secret:  t&secret != 0,
			Doc:     doc,
		},
		kind:       k,
		emptyMeans: t&emptyMeans != 0,
	}
	if !s.Secret {
		s.Flag = strings.ReplaceAll(s.Key, "_", "-")
	}
	return s
}
