package config

import (
	"errors"
	"fmt"

	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
)

// AdminUser is who may log in to the console.
type AdminUser struct {
	Name     string
	Password password.Hash
	Role     AdminRole
}

// AdminRole is what a user of the console may do.
type AdminRole string

// The roles.
const (
	RoleViewer   AdminRole = "viewer"   // sees everything but data, page queries, user ids and openids
	RoleOperator AdminRole = "operator" // sees everything and acts
)

// AdminName is the user of ADMIN_PASSWORD.
const AdminName = "admin"

// adminUsersKey is the key of the list of the console's users in the file.
const adminUsersKey = "admin_users"

// AdminUserDefinitions lists every key of a user of the console in the file.
func AdminUserDefinitions() []ItemDefinition { return itemDefinitions(adminUserSettings()) }

func adminUserSettings() []itemSetting[AdminUser] {
	return []itemSetting[AdminUser]{
		defineItem("name", "", required, producerName(func(u *AdminUser) *string { return &u.Name }),
			"Who it is; the audit names it. Required."),
		defineItem("password_hash", "", secret, passwordHash(func(u *AdminUser) *password.Hash { return &u.Password }),
			"The password's hash, as `wxnotify admin password` prints it. Required."),
		defineItem("role", string(RoleViewer), 0, choice(func(u *AdminUser) *AdminRole { return &u.Role }, RoleViewer, RoleOperator),
			"viewer sees no data, page query, user id or openid; operator sees everything, replays, discards, pauses and resumes."),
	}
}

// passwordHash is an argon2id hash; what cannot be read may be a password.
func passwordHash[T any](at func(*T) *password.Hash) kind[T] {
	return kind[T]{name: "text", values: "$argon2id$…", parse: func(t *T, text string) error {
		h, err := password.Parse(text)
		if err != nil {
			return errors.New("is " + err.Error())
		}
		*at(t) = h
		return nil
	}}
}

// adminUsers reads the users of the console. That of ADMIN_PASSWORD is not among
// them: its password is hashed where the console is made.
func (l *loader) adminUsers(d *draft) {
	names := map[string]string{}
	if d.AdminPassword != "" {
		names[AdminName] = "the user of ADMIN_PASSWORD"
	}
	for i, e := range l.lists[adminUsersKey] {
		u := AdminUser{Role: RoleViewer}
		name := fmt.Sprintf("%s[%d]", adminUsersKey, i)
		faults := len(l.faults)
		lines := readItem(l, d, &u, name, e, adminUserSettings())
		from := l.at(e.line)
		if other, twice := names[u.Name]; twice && u.Name != "" {
			from.Line = max(lines["name"], e.line)
			l.fault(name+".name", from, "is the same name as that of %s", other)
		}
		if u.Password.String() == (password.Hash{}).String() && len(l.faults) == faults {
			l.fault(name+".password_hash", l.at(e.line), "is required: make one with `wxnotify admin password`")
		}
		names[u.Name] = name
		d.AdminUsers = append(d.AdminUsers, u)
	}
}
