package store

import "slices"

// LatestBindings drops every binding that a later one of the slice overrides:
// one for the same user, or for the same openid, of the same app.
func LatestBindings(bindings []Binding) []Binding {
	type key struct{ app, value string }
	users := make(map[key]bool, len(bindings))
	openIDs := make(map[key]bool, len(bindings))
	latest := make([]Binding, 0, len(bindings))
	for _, b := range slices.Backward(bindings) {
		user, openID := key{b.App, b.UserID}, key{b.App, b.OpenID}
		if users[user] || openIDs[openID] {
			continue
		}
		users[user], openIDs[openID] = true, true
		latest = append(latest, b)
	}
	slices.Reverse(latest)
	return latest
}

// CountBound counts what binding does: bindings are those to make, without
// contradictions, and before are those that had the same user or the same
// openid. Each binding counts once; Moved goes before Created and Changed.
func CountBound(bindings, before []Binding) Bound {
	type key struct{ app, value string }
	openIDOf := make(map[key]string, len(before))
	userOf := make(map[key]string, len(before))
	for _, b := range before {
		openIDOf[key{b.App, b.UserID}] = b.OpenID
		userOf[key{b.App, b.OpenID}] = b.UserID
	}
	var bound Bound
	for _, b := range bindings {
		user, taken := userOf[key{b.App, b.OpenID}]
		openID, known := openIDOf[key{b.App, b.UserID}]
		switch {
		case taken && user != b.UserID:
			bound.Moved++
		case taken:
			bound.Unchanged++
		case known && openID != b.OpenID:
			bound.Changed++
		default:
			bound.Created++
		}
	}
	return bound
}
