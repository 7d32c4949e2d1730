package simulator

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Action is what a fault does to a call.
type Action string

// The actions.
const (
	// ActErrcode answers Errcode with status 200.
	ActErrcode Action = "errcode"
	// ActStatus answers Status with Body, without Body with a page such as a
	// gateway's (nothing for 412). Status 200 makes an HTML page where JSON is
	// expected.
	ActStatus Action = "status"
	// ActEmpty answers status 200 and no body.
	ActEmpty Action = "empty"
	// ActTruncated answers status 200 and half of a JSON text, complete by its
	// Content-Length.
	ActTruncated Action = "truncated"
	// ActCut sends half of what Content-Length promised and breaks the connection.
	ActCut Action = "cut"
	// ActLong answers JSON that is Size bytes longer than it should be.
	ActLong Action = "long"
	// ActLatency makes the call take longer and then go on as usual. Several add
	// up, also with another fault.
	ActLatency Action = "latency"
	// ActHang holds the call until the client gives up, or goes on as usual
	// after Release. Without After a call given up was not accepted.
	ActHang Action = "hang"
	// ActDrop breaks the connection without an answer.
	ActDrop Action = "drop"
)

// Fault is an order to fail. Faults are tried in the order in which they were
// added; the first that applies to a call decides its answer.
type Fault struct {
	// API, AppID, TemplateID and OpenID say which calls are meant; "" is any. The
	// last two match sends only. API "" does not match APIEvent.
	API        API    `json:"api,omitempty"`
	AppID      string `json:"app,omitempty"`
	TemplateID string `json:"template_id,omitempty"`
	OpenID     string `json:"openid,omitempty"`

	// Skip lets so many matching calls pass first.
	Skip int `json:"skip,omitempty"`
	// Count ends the fault after so many calls. Default 0: it stays.
	Count int `json:"count,omitempty"`
	// Rate is the share of matching calls, above 0 to 1. Default 0: all.
	Rate float64 `json:"rate,omitempty"`

	Action Action `json:"action"`
	// After lets the call do its work first (a message is accepted, a token is
	// issued) and fails only the answer.
	After bool `json:"after,omitempty"`

	// Errcode is for ActErrcode; Errmsg replaces WeChat's wording (the rid is
	// added to both); AsString sends the code as a JSON string. For an event an
	// errcode other than 0 is the ErrorCode pushed, with Errmsg as ErrorStatus.
	Errcode  int    `json:"errcode,omitempty"`
	Errmsg   string `json:"errmsg,omitempty"`
	AsString bool   `json:"as_string,omitempty"`

	// Status, Body and Header are for ActStatus, RetryAfter too.
	Status     int               `json:"status,omitempty"`
	Body       string            `json:"body,omitempty"`
	Header     map[string]string `json:"header,omitempty"`
	RetryAfter time.Duration     `json:"-"`

	// Latency is for ActLatency.
	Latency time.Duration `json:"-"`
	// Size is for ActLong. Default 8 MiB.
	Size int64 `json:"size,omitempty"`
}

func (f Fault) check() error {
	switch {
	case f.Skip < 0 || f.Count < 0:
		return errors.New("simulator: fault: skip and count must not be negative")
	case f.Rate < 0 || f.Rate > 1:
		return errors.New("simulator: fault: rate must be from 0 to 1")
	case f.Action == ActStatus && (f.Status < 200 || f.Status > 599):
		return errors.New("simulator: fault: status must be from 200 to 599")
	case f.Action == ActLatency && f.Latency <= 0:
		return errors.New("simulator: fault: a latency is needed")
	case f.API == APIEvent && !slices.Contains([]Action{ActErrcode, ActLatency, ActDrop}, f.Action):
		return errors.New("simulator: fault: an event takes errcode, latency or drop only")
	}
	switch f.API {
	case "", APISend, APIStableToken, APIToken, APICode2Session, APITemplates, APIQuota, APIEvent:
	default:
		return fmt.Errorf("simulator: fault: no api %q", f.API)
	}
	switch f.Action {
	case ActErrcode, ActStatus, ActEmpty, ActTruncated, ActCut, ActLong, ActLatency, ActHang, ActDrop:
		return nil
	}
	return fmt.Errorf("simulator: fault: no action %q", f.Action)
}

// FaultState is a fault with how often it was applied.
type FaultState struct {
	ID int `json:"id"`
	Fault
	Applied int `json:"applied"`
}

type activeFault struct {
	Fault
	id               int
	skipped, applied int
}

// AddFault starts a fault and returns its number.
func (s *Simulator) AddFault(f Fault) (int, error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faultSeq++
	s.faults = append(s.faults, &activeFault{Fault: f, id: s.faultSeq})
	return s.faultSeq, nil
}

// RemoveFault ends one fault; it reports whether it was still there. Calls that
// it made hang go on hanging.
func (s *Simulator) RemoveFault(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.faults)
	s.faults = slices.DeleteFunc(s.faults, func(f *activeFault) bool { return f.id == id })
	return len(s.faults) < n
}

// ClearFaults ends all faults. Calls that hang go on hanging; see Release.
func (s *Simulator) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Faults lists the faults that have not run out.
func (s *Simulator) Faults() []FaultState {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]FaultState, 0, len(s.faults))
	for _, f := range s.faults {
		list = append(list, FaultState{ID: f.id, Fault: f.Fault, Applied: f.applied})
	}
	return list
}

// Release lets the calls that hang now go on.
func (s *Simulator) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.release)
	s.release = make(chan struct{})
}

// match is what of a call a fault may ask for.
type match struct {
	api                       API
	appID, templateID, openID string
}

func (x *exchange) match() match {
	m := match{api: x.api, templateID: x.msg.templateID, openID: x.msg.openID}
	switch {
	case x.appState != nil:
		m.appID = x.appState.AppID
	case x.api == APIStableToken:
		m.appID = x.tokenRequest().appID
	default:
		m.appID = x.query.Get("appid")
	}
	return m
}

func (f *activeFault) matches(m match) bool {
	if f.API == "" && m.api == APIEvent || f.API != "" && f.API != m.api {
		return false
	}
	return (f.AppID == "" || f.AppID == m.appID) &&
		(f.TemplateID == "" || f.TemplateID == m.templateID) &&
		(f.OpenID == "" || f.OpenID == m.openID)
}

// pickFault returns the fault for a call, or nil, and adds latencies to
// latency. s.mu must be held.
func (s *Simulator) pickFault(m match, latency *time.Duration) *Fault {
	var picked *Fault
	spent := false
	for _, f := range s.faults {
		if picked != nil && f.Action != ActLatency || !f.matches(m) {
			continue
		}
		if f.skipped < f.Skip {
			f.skipped++
			continue
		}
		if f.Rate > 0 && s.rng.Float64() >= f.Rate {
			continue
		}
		f.applied++
		spent = spent || f.applied == f.Count
		if f.Action == ActLatency {
			*latency += f.Latency
			continue
		}
		picked = &f.Fault
	}
	if spent {
		s.faults = slices.DeleteFunc(s.faults, func(f *activeFault) bool { return f.Count > 0 && f.applied >= f.Count })
	}
	return picked
}

const gatewayPage = "<html>\r\n<head><title>%[1]d %[2]s</title></head>\r\n<body>\r\n<center><h1>%[1]d %[2]s</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"

// answer is what the fault makes of the call. Its action is none of ActLatency
// and ActHang.
func (f *Fault) answer(x *exchange) answer {
	switch f.Action {
	case ActErrcode:
		errmsg := f.Errmsg
		if errmsg == "" {
			errmsg = x.wording(f.Errcode)
		}
		return x.errcodeAnswer(f.Errcode, errmsg, f.AsString)
	case ActStatus:
		a := answer{status: f.Status, header: f.Header, kind: htmlType, body: []byte(f.Body)}
		if f.Body == "" && f.Status != http.StatusPreconditionFailed {
			a.body = fmt.Appendf(nil, gatewayPage, f.Status, http.StatusText(f.Status))
		}
		if f.RetryAfter > 0 {
			a.header = map[string]string{"Retry-After": strconv.Itoa(int(f.RetryAfter.Seconds()))}
			maps.Copy(a.header, f.Header)
		}
		return a
	case ActEmpty:
		return answer{status: http.StatusOK, kind: plainType}
	case ActTruncated:
		body := []byte(`{"errcode":0,"errmsg":"ok","msgid":19888108`)
		return answer{status: http.StatusOK, kind: jsonType, body: body}
	case ActCut:
		body := []byte(`{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`)
		return answer{status: http.StatusOK, kind: jsonType, body: body, cut: true}
	case ActLong:
		size := f.Size
		if size == 0 {
			size = 8 << 20
		}
		return answer{status: http.StatusOK, kind: jsonType, body: []byte(`{"errcode":0,"errmsg":"ok","filler":""}`), pad: size}
	case ActLatency, ActHang, ActDrop:
	}
	return answer{}
}
