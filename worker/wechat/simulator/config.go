package simulator

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Config is what New needs. The zero value of a field is its default; only Apps
// must be given.
type Config struct {
	// Apps are the Mini Programs that exist. The first one is meant wherever the
	// scripting API is given "" for an appid.
	Apps []App

	// Latency is how long each call takes before it is decided. Default 0.
	Latency time.Duration
	// TokenLife is the life of a new access token. Default 2 h; more than 300 s,
	// because WeChat never answers an expires_in below 300.
	TokenLife time.Duration
	// TokenLength is the length of access tokens. Default 512, the length that
	// WeChat asks to reserve, so that storage which cuts tokens is found.
	TokenLength int
	// MinuteQuota and DayQuota bound the sends of one app per clock minute
	// (45011) and per day of Asia/Shanghai (45009). Default 0: none.
	MinuteQuota, DayQuota int

	// AutoConsent makes every well-formed openid known and gives it endless
	// consent for every template. For benchmarks.
	AutoConsent bool
	// OpenIDs says which openids belong to an app besides those registered by
	// AddUser, Accept, Reject and LoginCode. It is called without locks held and
	// must be safe for concurrent use. Default: none, or with AutoConsent those
	// for which WellFormedOpenID is true.
	OpenIDs func(appID, openID string) bool

	// Names are what people call the users, by openid; the page of phones shows
	// them. Default: none.
	Names map[string]string

	// TruthLimit is how many of the newest sends are kept. Default 100,000;
	// negative keeps counters only.
	TruthLimit int

	// Now is the clock. Default time.Now. ShiftTime moves it.
	Now func() time.Time
	// Seed makes rids, tokens and fault rates repeatable. Default 0.
	Seed uint64
	// Logger gets failed event pushes. Default: none.
	Logger *zap.Logger
}

// App is one Mini Program.
type App struct {
	AppID, Secret string
	Templates     []Template
	// Pages are the pages of the released version, without leading slash; when
	// there are any, a send to another page is refused with 41030. Default:
	// every page passes.
	Pages []string
	// Callback is where events are pushed to. Default: nowhere.
	Callback Callback
}

// Callback is the message push configuration of an app as in WeChat's console.
type Callback struct {
	// URL receives the events. "": none are pushed.
	URL string
	// Token signs them.
	Token string
	// AESKey is the EncodingAESKey (43 characters); when set, the secure mode is
	// used, else plaintext.
	AESKey string
	// XML chooses the data format. Default JSON.
	XML bool
	// Popups also pushes subscribe_msg_popup_event when Accept or Reject is
	// called. Default: only subscribe_msg_sent_event is pushed.
	Popups bool
	// Delay is the time between accepting a message and its event. Default 0.
	Delay time.Duration
	// Timeout is how long an answer is awaited before the event is sent again,
	// three times at most. Default 5 s, WeChat's.
	Timeout time.Duration
}

// The numbers below are WeChat's.
const (
	defaultTokenLife   = 2 * time.Hour
	defaultTokenLength = 512
	defaultTruthLimit  = 100_000
	defaultPushTimeout = 5 * time.Second

	// overlap is how long a token lives on after its successor was issued, and
	// the last part of a stable token's life in which a successor is issued.
	overlap = 5 * time.Minute
	// codeLife is the life of a login code.
	codeLife = 5 * time.Minute
)

func (c Config) withDefaults() Config {
	if c.TokenLife == 0 {
		c.TokenLife = defaultTokenLife
	}
	if c.TokenLength == 0 {
		c.TokenLength = defaultTokenLength
	}
	if c.TruthLimit == 0 {
		c.TruthLimit = defaultTruthLimit
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.OpenIDs == nil && c.AutoConsent {
		c.OpenIDs = func(_, openID string) bool { return WellFormedOpenID(openID) }
	}
	return c
}

// check reports every bad field at once. It is called after withDefaults.
func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Apps) == 0 {
		bad("Apps: at least one is needed")
	}
	if c.TokenLife <= overlap {
		bad("TokenLife: %s is not more than %s", c.TokenLife, overlap)
	}
	if c.TokenLength < 32 {
		bad("TokenLength: %d is less than 32", c.TokenLength)
	}
	if c.Latency < 0 || c.MinuteQuota < 0 || c.DayQuota < 0 {
		bad("Latency, MinuteQuota, DayQuota: must not be negative")
	}
	seen := map[string]bool{}
	for i, a := range c.Apps {
		if a.AppID == "" || a.Secret == "" {
			bad("Apps[%d]: AppID and Secret are needed", i)
		}
		if seen[a.AppID] {
			bad("Apps[%d]: AppID %q is there twice", i, a.AppID)
		}
		seen[a.AppID] = true
		if err := a.Callback.check(); err != nil {
			bad("Apps[%d]: %w", i, err)
		}
		ids := map[string]bool{}
		for _, t := range a.Templates {
			if err := t.check(); err != nil {
				bad("Apps[%d]: template %q: %w", i, t.PriTmplID, err)
			}
			if ids[t.PriTmplID] {
				bad("Apps[%d]: template %q is there twice", i, t.PriTmplID)
			}
			ids[t.PriTmplID] = true
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("simulator config: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

func (c Callback) check() error {
	if c.AESKey != "" {
		if _, err := decodeAESKey(c.AESKey); err != nil {
			return fmt.Errorf("callback: %w", err)
		}
	}
	if c.Delay < 0 || c.Timeout < 0 {
		return errors.New("callback: Delay and Timeout must not be negative")
	}
	return nil
}
