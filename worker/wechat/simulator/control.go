package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// controlMux serves the scripting API under /_sim/. Bodies are JSON and say so
// in Content-Type: that, and no CORS headers, keeps web pages from scripting a
// simulator on the reader's own machine. The one form, on the page of phones, is
// taken from that page only.
func (s *Simulator) controlMux() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /_sim/{$}", s.phonePage)
	m.Handle("POST /_sim/tap", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.tap)))
	m.HandleFunc("GET /_sim/state", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.State()) })
	m.HandleFunc("GET /_sim/truth", s.serveTruth)
	m.HandleFunc("DELETE /_sim/truth", func(w http.ResponseWriter, _ *http.Request) {
		s.ResetTruth()
		reply(w, struct{}{})
	})
	m.HandleFunc("GET /_sim/faults", s.serveFaults)
	m.HandleFunc("POST /_sim/faults", order(s.orderFault))
	m.HandleFunc("DELETE /_sim/faults", s.endFaults)
	m.HandleFunc("POST /_sim/release", order(func(struct{}) (any, error) {
		s.Release()
		return struct{}{}, nil
	}))
	m.HandleFunc("POST /_sim/users", order(s.orderUser))
	m.HandleFunc("POST /_sim/consents", order(s.orderConsent))
	m.HandleFunc("POST /_sim/codes", order(s.orderCode))
	m.HandleFunc("POST /_sim/rotate", order(s.orderRotate))
	m.HandleFunc("POST /_sim/time", order(s.orderTime))
	m.HandleFunc("POST /_sim/apps", order(s.orderApp))
	m.HandleFunc("POST /_sim/templates", order(s.orderTemplate))
	m.HandleFunc("POST /_sim/latency", order(func(o latencyOrder) (any, error) {
		s.SetLatency(milliseconds(o.LatencyMS))
		return o, nil
	}))
	return m
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// order reads one JSON object of type T and answers what do makes of it.
func order[T any](do func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			replyError(w, http.StatusUnsupportedMediaType, errors.New("Content-Type must be application/json"))
			return
		}
		var v T
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
			replyError(w, http.StatusBadRequest, err)
			return
		}
		result, err := do(v)
		if err != nil {
			replyError(w, http.StatusBadRequest, err)
			return
		}
		reply(w, result)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // fails only when the client went away
}

func replyError(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	reply(w, map[string]string{"error": err.Error()})
}

func (s *Simulator) serveTruth(w http.ResponseWriter, r *http.Request) {
	since := int64(0)
	if text := r.URL.Query().Get("since"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			replyError(w, http.StatusBadRequest, errors.New("since must be the n of a call"))
			return
		}
		since = n
	}
	reply(w, map[string]any{"calls": s.Calls(since)})
}

// faultOrder is Fault with its durations.
type faultOrder struct {
	Fault
	LatencyMS         int64 `json:"latency_ms,omitempty"`
	RetryAfterSeconds int64 `json:"retry_after_seconds,omitempty"`
}

type faultReply struct {
	FaultState
	LatencyMS         int64 `json:"latency_ms,omitempty"`
	RetryAfterSeconds int64 `json:"retry_after_seconds,omitempty"`
}

func (s *Simulator) serveFaults(w http.ResponseWriter, _ *http.Request) {
	list := []faultReply{}
	for _, f := range s.Faults() {
		list = append(list, faultReply{f, f.Latency.Milliseconds(), int64(f.RetryAfter.Seconds())})
	}
	reply(w, map[string]any{"faults": list})
}

func (s *Simulator) orderFault(o faultOrder) (any, error) {
	o.Latency = milliseconds(o.LatencyMS)
	o.RetryAfter = time.Duration(o.RetryAfterSeconds) * time.Second
	id, err := s.AddFault(o.Fault)
	return map[string]int{"id": id}, err
}

// endFaults ends the fault of ?id=, or all.
func (s *Simulator) endFaults(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("id")
	if text == "" {
		s.ClearFaults()
		reply(w, struct{}{})
		return
	}
	id, err := strconv.Atoi(text)
	if err != nil || !s.RemoveFault(id) {
		replyError(w, http.StatusNotFound, errors.New("no such fault"))
		return
	}
	reply(w, struct{}{})
}

type userOrder struct {
	App     string `json:"app"`
	OpenID  string `json:"openid"`
	UnionID string `json:"unionid"`
}

func (s *Simulator) orderUser(o userOrder) (any, error) {
	return struct{}{}, s.AddUser(o.App, o.OpenID, o.UnionID)
}

// consentOrder has the result accept or reject; times is 1 when left out.
type consentOrder struct {
	App        string `json:"app"`
	OpenID     string `json:"openid"`
	TemplateID string `json:"template_id"`
	Result     string `json:"result"`
	Times      int    `json:"times"`
}

func (s *Simulator) orderConsent(o consentOrder) (any, error) {
	var err error
	switch o.Result {
	case "accept":
		err = s.Accept(o.App, o.OpenID, o.TemplateID, max(1, o.Times))
	case "reject":
		err = s.Reject(o.App, o.OpenID, o.TemplateID)
	default:
		err = fmt.Errorf("simulator: result must be accept or reject, not %q", o.Result)
	}
	balance, longTerm := s.Balance(o.App, o.OpenID, o.TemplateID)
	return map[string]any{"balance": balance, "long_term": longTerm}, err
}

type codeOrder struct {
	App    string `json:"app"`
	OpenID string `json:"openid"`
}

func (s *Simulator) orderCode(o codeOrder) (any, error) {
	code, err := s.LoginCode(o.App, o.OpenID)
	return map[string]string{"code": code}, err
}

// rotateOrder has the source stable_token (also when left out) or token.
type rotateOrder struct {
	App    string `json:"app"`
	Source API    `json:"source"`
	AtOnce bool   `json:"at_once"`
}

func (s *Simulator) orderRotate(o rotateOrder) (any, error) {
	if o.Source == "" {
		o.Source = APIStableToken
	}
	return struct{}{}, s.Rotate(o.App, o.Source, o.AtOnce)
}

type timeOrder struct {
	ShiftSeconds int64 `json:"shift_seconds"`
}

func (s *Simulator) orderTime(o timeOrder) (any, error) {
	return map[string]time.Time{"now": s.ShiftTime(time.Duration(o.ShiftSeconds) * time.Second)}, nil
}

// appOrder changes what it names and leaves the rest.
type appOrder struct {
	App          string         `json:"app"`
	AccountFault *int           `json:"account_fault"`
	DeadTokens   *bool          `json:"dead_tokens"`
	Quotas       *quotaOrder    `json:"quotas"`
	Callback     *callbackOrder `json:"callback"`
}

type quotaOrder struct {
	PerMinute int `json:"per_minute"`
	PerDay    int `json:"per_day"`
}

type callbackOrder struct {
	URL     string `json:"url"`
	Token   string `json:"token"`
	AESKey  string `json:"aes_key"`
	XML     bool   `json:"xml"`
	Popups  bool   `json:"popups"`
	DelayMS int64  `json:"delay_ms"`
}

func (s *Simulator) orderApp(o appOrder) (any, error) {
	var errs []error
	if o.AccountFault != nil {
		errs = append(errs, s.SetAccountFault(o.App, *o.AccountFault))
	}
	if o.DeadTokens != nil {
		errs = append(errs, s.SetDeadTokens(o.App, *o.DeadTokens))
	}
	if o.Quotas != nil {
		errs = append(errs, s.SetQuotas(o.App, o.Quotas.PerMinute, o.Quotas.PerDay))
	}
	if c := o.Callback; c != nil {
		errs = append(errs, s.SetCallback(o.App, Callback{
			URL: c.URL, Token: c.Token, AESKey: c.AESKey, XML: c.XML, Popups: c.Popups, Delay: milliseconds(c.DelayMS),
		}))
	}
	return struct{}{}, errors.Join(errs...)
}

// templateOrder bans a template, ends that, or deletes it.
type templateOrder struct {
	App        string `json:"app"`
	TemplateID string `json:"template_id"`
	Banned     bool   `json:"banned"`
	Deleted    bool   `json:"deleted"`
}

func (s *Simulator) orderTemplate(o templateOrder) (any, error) {
	if o.Deleted {
		return struct{}{}, s.DeleteTemplate(o.App, o.TemplateID)
	}
	return struct{}{}, s.BanTemplate(o.App, o.TemplateID, o.Banned)
}

type latencyOrder struct {
	LatencyMS int64 `json:"latency_ms"`
}
