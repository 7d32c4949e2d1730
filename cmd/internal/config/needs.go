package config

// Role is what a command is going to do, for [Config.Needs].
type Role string

// The roles.
const (
	// RoleDatabase works on the database alone, for no app in particular.
	RoleDatabase Role = "database"
	// RoleStore reads and writes rows of an app.
	RoleStore Role = "store"
	// RoleSend hands in notifications: rows and tasks of an app.
	RoleSend Role = "send"
	// RoleWorker does everything, WeChat included.
	RoleWorker Role = "worker"
	// RoleGateway takes notifications in, and calls WeChat for logins and
	// templates.
	RoleGateway Role = "gateway"
	// RoleSync asks WeChat for templates and keeps them.
	RoleSync Role = "sync"
	// RoleLive calls WeChat and nothing else.
	RoleLive Role = "live"
)

// Needs checks that nothing is missing for a role. The error is an [*Error]
// that names all that is.
func (c *Config) Needs(role Role) error {
	var missing []Fault
	need := func(there bool, name, problem string) {
		if !there {
			missing = append(missing, Fault{Setting: name, Problem: problem})
		}
	}
	queue := role == RoleSend || role == RoleWorker || role == RoleGateway
	live := role == RoleWorker || role == RoleGateway || role == RoleSync || role == RoleLive
	need(!queue || !c.Redis.IsZero(), "REDIS_URL", "is not set and needed here")
	need(role == RoleLive || !c.Database.IsZero(), "DATABASE_URL", "is not set and needed here")
	need(role == RoleDatabase || len(c.Apps) > 0, "WECHAT_APPID", "is not set, nor is there an app in the file; one is needed here")
	if live {
		// Named with the others, so that they can be set in one go.
		need(len(c.Apps) > 0, "WECHAT_SECRET", "is not set, nor is there an app in the file with a secret; needed to call WeChat")
		for _, a := range c.Apps {
			need(a.Secret != "", "the secret of app "+a.AppID, "is not set (WECHAT_SECRET, or secret in the file's apps) and needed to call WeChat")
		}
	}
	// A gateway that nobody may use would look as if it worked.
	need(role != RoleGateway || len(c.Producers) > 0, "API_KEYS",
		"is not set, nor is there a producer in the file, so nobody could use the gateway: make a key with `wxnotify keys new NAME`")
	if len(missing) == 0 {
		return nil
	}
	return &Error{Faults: missing}
}
