package wechat

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// checkWire asks for a token with a made-up appid, on which WeChat may refuse
// whatever it likes: how it does shows what the way there and back is like.
func (p *prober) checkWire(ctx context.Context) {
	stranger := App{AppID: "wx" + madeUp(16, "0123456789abcdef"), Secret: madeUp(32, "0123456789abcdef")}
	_, classicErr := p.ask(ctx, classicRequest(stranger))
	p.refusal(assumeClassic, classicErr, KindAccount)
	if classicErr != nil && classicErr.Kind == KindUnreachable {
		return
	}
	r, err := stableRequest(stranger)
	if err != nil {
		return // a string always encodes
	}
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	if _, refused := p.ask(httptrace.WithClientTrace(ctx, trace), r); refused == nil || refused.HTTPStatus != 0 {
		p.either(assumeReuse, reused, "it did", "a new one was needed")
	}
	p.checkChunked(ctx, r)
}

// checkChunked posts without Content-Length, which the client never does.
func (p *prober) checkChunked(ctx context.Context, r request) {
	ctx, cancel := context.WithTimeout(ctx, p.client.timeout)
	defer cancel()
	req, err := p.client.newRequest(ctx, r)
	if err != nil {
		return // the call before was built the same way
	}
	req.ContentLength = -1
	req.Body = io.NopCloser(req.Body)
	resp, err := p.client.transport.RoundTrip(req) //nolint:bodyclose // readAnswer closes it
	if err != nil {
		p.unchecked(assumeCounted, "%s", redact(err, r.private))
		return
	}
	a := p.client.readAnswer(resp, r)
	p.verdict(assumeCounted, a.status == http.StatusPreconditionFailed, "HTTP %d", a.status)
}

// judgeAnswers says what all answers had in common.
func (p *prober) judgeAnswers() {
	if len(p.answers) == 0 {
		return
	}
	p.judgeForm()
	p.judgeHeaders()
	p.judgeErrcodes()
}

// judgeForm is about the bodies and how they are labelled.
func (p *prober) judgeForm() {
	var types []string
	json, labelled, broken := 0, 0, ""
	for _, a := range p.answers {
		if a.fields != nil && utf8.Valid(a.body) {
			json++
		} else if broken == "" {
			broken = string(a.api) + ": " + a.judgeStatus(&request{api: a.api}, a.parse()).observed()
		}
		kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
		if err != nil {
			kind = "none that can be read"
		}
		if kind == "application/json" || kind == "text/plain" {
			labelled++
		}
		if kind = clean(kind, nil); !slices.Contains(types, kind) {
			types = append(types, kind)
		}
	}
	if broken != "" {
		p.broken(assumeJSON, "%d of %d; %s", json, len(p.answers), broken)
	} else {
		p.held(assumeJSON, "all %d were", json)
	}
	slices.Sort(types)
	p.verdict(assumeType, labelled == len(p.answers), "%s", strings.Join(types, ", "))
}

// judgeHeaders is about what the server says of the connection and the time.
func (p *prober) judgeHeaders() {
	packed, undated := "", 0
	var skew time.Duration
	for _, a := range p.answers {
		if e := a.header.Get("Content-Encoding"); e != "" && e != "identity" {
			packed = clean(e, nil)
		}
		if seconds, ok := keptAlive(a.header.Get("Keep-Alive")); ok {
			p.verdict(assumeIdle, seconds >= idleTimeout, "Keep-Alive says %s", seconds)
		}
		there, err := http.ParseTime(a.header.Get("Date"))
		if err != nil {
			undated++
			continue
		}
		if off := there.Sub(a.at); off.Abs() > skew.Abs() {
			skew = off
		}
	}
	p.either(assumePlain, packed == "", "none was", "Content-Encoding "+packed)
	p.verdict(assumeDate, undated == 0, "%d of %d had one, %s against this machine's clock at most",
		len(p.answers)-undated, len(p.answers), skew.Round(time.Second))
	p.held(assumeHTTP1, "%d answers", len(p.answers))
}

// keptAlive reads how long the server keeps an idle connection.
func keptAlive(header string) (time.Duration, bool) {
	for part := range strings.SplitSeq(header, ",") {
		if name, value, ok := strings.Cut(strings.TrimSpace(part), "="); ok && strings.EqualFold(name, "timeout") {
			seconds, err := strconv.ParseUint(value, 10, 31)
			return time.Duration(seconds) * time.Second, err == nil
		}
	}
	return 0, false
}

// judgeErrcodes is about the answers that have an errcode.
func (p *prober) judgeErrcodes() {
	coded, statuses, texts := 0, []string{}, 0
	refusals, dated := 0, 0
	for _, a := range p.answers {
		code, state := integer(a.fields.Get("errcode"))
		if state != valueGood {
			continue
		}
		coded++
		if a.status != http.StatusOK {
			statuses = append(statuses, strconv.Itoa(a.status))
		}
		if a.fields.Get("errcode")[0] == '"' {
			texts++
		}
		if code == 0 {
			continue
		}
		refusals++
		first, _, _ := strings.Cut(a.rid, "-")
		if at, err := strconv.ParseInt(first, 16, 64); err == nil && a.serverTime().Sub(time.Unix(at, 0)).Abs() < ridSlack {
			dated++
		}
	}
	if coded == 0 {
		return
	}
	slices.Sort(statuses)
	p.either(assume200, len(statuses) == 0, fmt.Sprintf("all %d did", coded),
		fmt.Sprintf("%d of %d came with %s", len(statuses), coded, strings.Join(slices.Compact(slices.Clone(statuses)), ", ")))
	p.verdict(assumeNumber, texts == 0, "a string in %d of %d", texts, coded)
	if refusals > 0 {
		p.verdict(assumeRID, dated == refusals, "%d of %d did", dated, refusals)
	}
}

// ridSlack is how far the time in a rid may be from the answer's Date: a rid is
// made when the call comes in, and the clocks of two machines made them.
const ridSlack = 2 * time.Minute
