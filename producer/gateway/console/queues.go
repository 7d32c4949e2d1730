package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// serveQueues hands the request to asynqmon, whose own policy allows what it
// needs and nothing more.
func (c *Console) serveQueues(v *visit) error {
	v.w.Header().Set("Content-Security-Policy", c.queuesCSP)
	if strings.HasPrefix(v.r.URL.Path, QueuesPath+"/api/") {
		// It sets none, and what begins with a task's text must not be guessed at.
		v.w.Header().Set("Content-Type", "application/json")
	}
	c.cfg.Queues.ServeHTTP(v.w, v.r)
	return nil
}

// inlineScript finds the scripts within asynqmon's page.
var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// queuesPolicy allows the inline scripts of asynqmon's page by their hashes,
// which are those of its page as it is served. Its styles are made by script.
// Fonts that it would load from elsewhere are not.
func queuesPolicy(queues http.Handler) string {
	page := &recorded{header: http.Header{}}
	queues.ServeHTTP(page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: QueuesPath}, Header: http.Header{}})
	var scripts strings.Builder
	scripts.WriteString("'self'")
	for _, m := range inlineScript.FindAllSubmatch(page.body.Bytes(), -1) {
		sum := sha256.Sum256(m[1])
		scripts.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	return "default-src 'none'; script-src " + scripts.String() + "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// recorded is an answer that is kept.
type recorded struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header         { return r.header }
func (r *recorded) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorded) WriteHeader(int)             {}
