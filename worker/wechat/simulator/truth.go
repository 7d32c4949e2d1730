package simulator

import (
	"context"
	"encoding/json"
	"maps"
	"time"
)

// Call is one send as it was received and answered.
type Call struct {
	// N counts sends from 1.
	N  int64     `json:"n"`
	At time.Time `json:"at"`
	// AppID is "" when no valid token told it.
	AppID string `json:"app"`
	// TokenHash is the beginning of the SHA-256 of the token that was used.
	TokenHash  string `json:"token_hash"`
	OpenID     string `json:"openid"`
	TemplateID string `json:"template_id"`
	Page       string `json:"page"`
	State      string `json:"miniprogram_state"`
	Lang       string `json:"lang"`
	// Body is the body as received; nil when it could not be read.
	Body json.RawMessage `json:"body,omitempty"`

	Accepted bool `json:"accepted"`
	// MsgID is 0 when the message was not accepted.
	MsgID int64 `json:"msgid,string"`
	// Status is that of the answer; 0 when none was given.
	Status int `json:"status"`
	// Errcode is that of the answer; 0 too when there was no JSON in it.
	Errcode int `json:"errcode"`
	// Fault is the scripted fault that was applied, "" for none.
	Fault Action `json:"fault,omitempty"`

	// What the HTTP request was like. ContentLength is -1 when it had none.
	ContentLength    int64    `json:"content_length"`
	TransferEncoding []string `json:"transfer_encoding,omitempty"`
	ContentType      string   `json:"content_type"`
	UserAgent        string   `json:"user_agent"`
	// IdempotencyKey must be empty: with it net/http would repeat a POST.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
}

// Values returns the texts of data by key.
func (c Call) Values() map[string]string {
	var body struct {
		Data map[string]struct {
			Value string `json:"value"`
		} `json:"data"`
	}
	if json.Unmarshal(c.Body, &body) != nil {
		return nil
	}
	values := make(map[string]string, len(body.Data))
	for k, v := range body.Data {
		values[k] = v.Value
	}
	return values
}

// Tally counts the sends of one (app, openid, template).
type Tally struct{ Received, Accepted int }

// State is a snapshot of the counters.
type State struct {
	Now time.Time `json:"now"`
	// Requests counts calls by endpoint, TokensIssued the tokens made.
	Requests     map[API]int `json:"requests"`
	TokensIssued int         `json:"tokens_issued"`
	// Sends counts the sends answered or dropped, Accepted those accepted.
	Sends    int64 `json:"sends"`
	Accepted int64 `json:"accepted"`
	// Answers counts the sends by errcode, where the answer had one.
	Answers map[int]int `json:"answers"`
	// InFlight and Hanging are the calls inside now; MaxInFlight and
	// MaxPerOpenID the most there were at once.
	InFlight     int `json:"in_flight"`
	Hanging      int `json:"hanging"`
	MaxInFlight  int `json:"max_in_flight"`
	MaxPerOpenID int `json:"max_per_openid"`
	// Events counts the pushes to callback URLs.
	Events EventCounts `json:"events"`
}

// truth is what the simulator saw; guarded by Simulator.mu.
type truth struct {
	limit int
	calls []*Call // a ring once it is full
	n     int64

	tallies  map[pair]Tally
	requests map[API]int
	answers  map[int]int
	accepted int64
	issued   int

	inFlight, maxInFlight, maxPerOpenID, hanging int
}

func newTruth(limit int) truth {
	return truth{limit: limit, tallies: map[pair]Tally{}, requests: map[API]int{}, answers: map[int]int{}}
}

func (t *truth) arrived(api API) {
	t.requests[api]++
	t.inFlight++
	t.maxInFlight = max(t.maxInFlight, t.inFlight)
}

func (t *truth) add(c *Call, coded bool) {
	t.n++
	c.N = t.n
	if c.Accepted {
		t.accepted++
	}
	if coded {
		t.answers[c.Errcode]++
	}
	if t.limit < 0 {
		return
	}
	key := pair{c.AppID, c.OpenID, c.TemplateID}
	tally := t.tallies[key]
	tally.Received++
	if c.Accepted {
		tally.Accepted++
	}
	t.tallies[key] = tally
	if len(t.calls) < t.limit {
		t.calls = append(t.calls, c)
		return
	}
	t.calls[(t.n-1)%int64(t.limit)] = c
}

// record puts a send into the truth, once.
func (s *Simulator) record(x *exchange, a answer) {
	c := &x.call
	if x.api != APISend || c.N != 0 {
		return
	}
	c.At = x.at
	if x.appState != nil {
		c.AppID = x.appState.AppID
	}
	if x.token != nil {
		c.TokenHash = x.token.hash
	} else {
		c.TokenHash = tokenHash(x.query.Get("access_token"))
	}
	c.OpenID, c.TemplateID, c.Page = x.msg.openID, x.msg.templateID, x.msg.page
	c.State, c.Lang = x.msg.state, x.msg.lang
	if x.msg.fault == 0 {
		c.Body = x.body
	}
	c.Status, c.Errcode = a.status, a.errcode
	if x.fault != nil {
		c.Fault = x.fault.Action
	}
	c.ContentLength, c.TransferEncoding = x.r.ContentLength, x.r.TransferEncoding
	c.ContentType = x.r.Header.Get("Content-Type")
	c.UserAgent = x.r.Header.Get("User-Agent")
	c.IdempotencyKey = x.r.Header.Get("Idempotency-Key")

	kept := *c // x holds the request, the truth must not
	s.mu.Lock()
	s.truth.add(&kept, a.coded)
	s.notify()
	s.mu.Unlock()
	c.N = kept.N
}

// Calls returns the kept sends whose N is above since, oldest first.
func (s *Simulator) Calls(since int64) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.truth
	first := max(since, t.n-int64(len(t.calls))) // the kept ones are first+1 … n
	calls := make([]Call, 0, max(0, t.n-first))
	for i := first; i < t.n; i++ {
		calls = append(calls, *t.calls[i%int64(t.limit)])
	}
	return calls
}

// Accepted returns the kept sends that were accepted, oldest first.
func (s *Simulator) Accepted() []Call {
	var accepted []Call
	for _, c := range s.Calls(0) {
		if c.Accepted {
			accepted = append(accepted, c)
		}
	}
	return accepted
}

// Tally returns how many sends there were for an openid and a template. It
// counts nothing when Config.TruthLimit is negative.
func (s *Simulator) Tally(appID, openID, templateID string) Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return Tally{}
	}
	return s.truth.tallies[pair{a.AppID, openID, templateID}]
}

// ResetTruth forgets all sends and counters; N starts at 1 again. Calls inside
// stay counted as in flight.
func (s *Simulator) ResetTruth() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.truth
	s.truth = newTruth(old.limit)
	s.truth.inFlight, s.truth.maxInFlight, s.truth.hanging = old.inFlight, old.inFlight, old.hanging
}

// State returns the counters.
func (s *Simulator) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state()
}

func (s *Simulator) state() State {
	t := &s.truth
	return State{
		Now:          s.now(),
		Requests:     maps.Clone(t.requests),
		TokensIssued: t.issued,
		Sends:        t.n,
		Accepted:     t.accepted,
		Answers:      maps.Clone(t.answers),
		InFlight:     t.inFlight,
		Hanging:      t.hanging,
		MaxInFlight:  t.maxInFlight,
		MaxPerOpenID: t.maxPerOpenID,
		Events:       s.events.counts(),
	}
}

// Await returns when ok is true of the state, or with ctx's error. ok is called
// whenever the state has changed and must not call back into s.
func (s *Simulator) Await(ctx context.Context, ok func(State) bool) error {
	s.mu.Lock()
	s.waiting++
	defer func() {
		s.mu.Lock()
		s.waiting--
		s.mu.Unlock()
	}()
	for {
		if ok(s.state()) {
			s.mu.Unlock()
			return nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
	}
}

// notify wakes Await. s.mu must be held.
func (s *Simulator) notify() {
	if s.waiting == 0 {
		return
	}
	close(s.changed)
	s.changed = make(chan struct{})
}
