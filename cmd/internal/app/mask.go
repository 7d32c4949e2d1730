package app

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/worker/task"
)

// masked is what is shown instead of what is not to be seen.
const masked = "***"

// ShownDataKey is the name of a data key where values are masked: a key that no
// template can have is masked like a value.
func ShownDataKey(key string) string {
	if task.IsTemplateKey(key) {
		return key
	}
	return masked
}

// maskPayload shows of a task what an administrator needs to find it and
// nothing personal: no addressee, no values, no query of the page.
func maskPayload(b []byte) string {
	p, err := task.Parse(b)
	if err != nil {
		// A payload that cannot be read may hold anything, in any place.
		var only struct {
			ID uuid.UUID `json:"id"`
		}
		if json.Unmarshal(b, &only) == nil && only.ID != uuid.Nil {
			return `{"id":"` + only.ID.String() + `"}`
		}
		return "(not shown: not a readable payload)"
	}
	keys := make([]string, 0, len(p.Data))
	for k := range p.Data {
		keys = append(keys, ShownDataKey(k))
	}
	slices.Sort(keys)
	shown := map[string]any{"template_id": p.TemplateID, "data": keys}
	if p.App != "" {
		shown["app"] = p.App
	}
	if p.Page != "" {
		page, _, _ := strings.Cut(p.Page, "?")
		shown["page"] = page
	}
	for name, v := range map[string]string{"user_id": p.UserID, "openid": p.OpenID} {
		if v != "" {
			shown[name] = masked
		}
	}
	if p.ID != uuid.Nil {
		shown["id"] = p.ID
	}
	out, err := json.Marshal(shown)
	if err != nil {
		return "(not shown)"
	}
	return string(out)
}
