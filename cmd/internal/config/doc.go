// Package config turns flags, the environment and a YAML file into one checked
// [Config]. It owns the names, defaults and ranges of all settings, in one
// table ([Definitions]) from which --help, the listing of `wxnotify config` and
// the README's table are made, so that they cannot drift apart.
//
// A flag wins over the environment, the environment over the file, the file
// over the default. [Load] reports every fault at once and never repeats the
// value of a secret, nor a URL that may carry a password. A secret has no flag
// (the command line of a process is public on its machine) but a twin that
// names a file: WECHAT_SECRET_FILE for WECHAT_SECRET.
//
// An empty environment variable is the same as none, as compose files produce
// them; only ADMIN_ADDR has a use for the empty text.
//
// The package opens nothing: connections are made by cmd/internal/app. The one
// exception in kind is [RedisURL], which knows how to build a go-redis client,
// because only it has seen the password.
package config
