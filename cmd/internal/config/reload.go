package config

import (
	"fmt"
	"reflect"
	"time"
)

// fixedSetting is one that a process keeps as long as it runs: what stands on it
// is made once.
type fixedSetting struct {
	env  string
	same func(now, next *Config) bool
	keep func(now, next *Config) // next gets now's value
}

func fixed[T any](env string, at func(*Config) *T) fixedSetting {
	return fixedSetting{
		env:  env,
		same: func(now, next *Config) bool { return reflect.DeepEqual(*at(now), *at(next)) },
		keep: func(now, next *Config) { *at(next) = *at(now) },
	}
}

// fixedSettings are all of them. Every other setting is taken over by a reload.
func fixedSettings() []fixedSetting {
	return []fixedSetting{
		fixed("REDIS_URL", func(c *Config) *RedisURL { return &c.Redis }),
		fixed("DATABASE_URL", func(c *Config) *DatabaseURL { return &c.Database }),
		fixed("WECHAT_API_BASE_URL", func(c *Config) *string { return &c.APIBaseURL }),
		fixed("LISTEN_ADDR", func(c *Config) *string { return &c.ListenAddr }),
		fixed("CALLBACK_ADDR", func(c *Config) *string { return &c.CallbackAddr }),
		fixed("ADMIN_ADDR", func(c *Config) *string { return &c.AdminAddr }),
		fixed("CONCURRENCY", func(c *Config) *int { return &c.Concurrency }),
		fixed("SEND_TIMEOUT", func(c *Config) *time.Duration { return &c.SendTimeout }),
		fixed("IN_DOUBT_WAIT", func(c *Config) *time.Duration { return &c.InDoubtWait }),
		fixed("MAX_ATTEMPTS", func(c *Config) *int { return &c.MaxAttempts }),
		fixed("MAX_AGE", func(c *Config) *time.Duration { return &c.MaxAge }),
		fixed("TASK_PAYLOAD", func(c *Config) *TaskPayload { return &c.TaskPayload }),
		fixed("DATA_RETENTION", func(c *Config) *time.Duration { return &c.DataRetention }),
		fixed("RETENTION", func(c *Config) *time.Duration { return &c.Retention }),
		fixed("DEAD_RETENTION", func(c *Config) *time.Duration { return &c.DeadRetention }),
		fixed("CONFIG_WATCH", func(c *Config) *time.Duration { return &c.Watch }),
		fixed("LOG_LEVEL", func(c *Config) *string { return &c.LogLevel }),
		fixed("LOG_FORMAT", func(c *Config) *LogFormat { return &c.LogFormat }),
	}
}

// Reloaded is next as far as a process that runs on c can take it over. restart
// names the settings that differ and need a restart, in the order of the table;
// the result has c's values of them. The error is an [*Error]: another default
// app, whose queues would be the old one's, is never taken over.
func (c *Config) Reloaded(next *Config) (reloaded *Config, restart []string, err error) {
	now, _ := c.App("")
	if def, _ := next.App(""); def.AppID != now.AppID {
		return nil, nil, &Error{Faults: []Fault{{
			Setting: "the default app",
			Problem: fmt.Sprintf("is %s and cannot become %s while the process runs, since the queues critical, default and low are its own: restart",
				now.AppID, def.AppID),
		}}}
	}
	made := *next
	for _, f := range fixedSettings() {
		if !f.same(c, next) {
			restart = append(restart, f.env)
			f.keep(c, &made)
		}
	}
	return &made, restart, nil
}
