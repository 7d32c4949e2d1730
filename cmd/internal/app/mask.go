package app

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/worker/task"
)

// maskPayload shows of a task what an administrator needs to find it and
// nothing personal: no addressee, no values, no query of the page.
func maskPayload(b []byte) string {
	p, err := task.Parse(b)
	if err != nil {
		// A payload that cannot be read may hold anything, in any place.
		var only struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(b, &only) == nil && len(only.ID) == 36 {
			return `{"id":"` + strings.Map(hexOrDash, only.ID) + `"}`
		}
		return "(not shown: not a readable payload)"
	}
	shown := map[string]any{"template_id": p.TemplateID, "data": slices.Sorted(maps.Keys(p.Data))}
	if p.App != "" {
		shown["app"] = p.App
	}
	if p.Page != "" {
		page, _, _ := strings.Cut(p.Page, "?")
		shown["page"] = page
	}
	for name, v := range map[string]string{"user_id": p.UserID, "openid": p.OpenID} {
		if v != "" {
			shown[name] = "***"
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

func hexOrDash(r rune) rune {
	if r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'f' {
		return r
	}
	return -1
}
