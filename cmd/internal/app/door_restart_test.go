package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// posted is a notification that the gateway answered with 202.
type posted struct {
	id     uuid.UUID
	ref    string
	openID string
}

// poster posts notifications one after the other, each until it is accepted,
// whatever becomes of the gateway, as a back end with an outbox does.
type poster struct {
	d *door

	mu       sync.Mutex
	accepted []posted
	faults   []string // answers that no client should get
}

func (p *poster) run(ctx context.Context) {
	for ctx.Err() == nil {
		one := posted{ref: uuid.NewString(), openID: simulator.OpenID(uuid.NewString())}
		body := map[string]any{
			"template_id": simulator.SeedReport, "openid": one.openID, "ref": one.ref,
			"data": map[string]string{"thing1": "设备领用月报", "thing2": "2026年10月"},
		}
		for ctx.Err() == nil {
			status, text, err := p.d.call(ctx, http.MethodPost, "/v1/notifications", body)
			if err != nil || status == http.StatusServiceUnavailable {
				continue // it is between two gateways
			}
			p.note(one, status, text)
			break
		}
	}
}

func (p *poster) note(one posted, status int, text []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var got doorRow
	if err := json.Unmarshal(text, &got); err != nil || status != http.StatusAccepted || got.Ref != one.ref {
		p.faults = append(p.faults, fmt.Sprintf("%d %s", status, text))
		return
	}
	one.id = got.ID
	p.accepted = append(p.accepted, one)
}

func (p *poster) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.accepted)
}

// TestGatewayRestartsUnderLoad: what was answered 202 is in the store and is
// sent once, whether the gateway was asked to end or was killed. A post that was
// repeated because its answer was lost made one notification.
func TestGatewayRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	const (
		posters  = 8
		perPhase = 60 // accepted before the gateway ends
	)
	r := newRig(t, simulator.Config{}, doorEnv())
	r.env["LISTEN_ADDR"] = freeAddr(t)
	r.spawn()
	d := r.spawnGateway()
	p := &poster{d: d}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for range posters {
		all.Go(func() { p.run(ctx) })
	}
	asked := func(c *child) { c.terminate() }
	for i, end := range []func(*child){(*child).kill, asked, (*child).kill, asked} {
		want := p.count() + perPhase
		eventually(t, fmt.Sprintf("load before end %d", i+1), func() error {
			if n := p.count(); n < want {
				return fmt.Errorf("%d of %d", n, want)
			}
			return nil
		})
		end(d.child)
		d.child = r.spawnGateway().child
	}
	want := p.count() + perPhase
	eventually(t, "load at the end", func() error {
		if n := p.count(); n < want {
			return fmt.Errorf("%d of %d", n, want)
		}
		return nil
	})
	cancel()
	all.Wait()

	if len(p.faults) > 0 {
		t.Errorf("%d answers are no answers to a good request, such as %s", len(p.faults), p.faults[0])
	}
	list := make([]sent, len(p.accepted))
	refs := map[string]bool{}
	for i, a := range p.accepted {
		list[i] = sent{id: a.id, openID: a.openID}
		refs[a.ref] = true
	}
	eventually(t, "what was accepted is sent", func() error {
		for _, s := range list {
			if n, _ := r.get(s.id); n.State != store.Sent {
				return fmt.Errorf("%s is %s", s.id, n.State)
			}
		}
		return nil
	})
	r.wantOnce(list)
	counts, err := r.store.CountByState(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, n := range counts {
		rows += n
	}
	// Each poster had at most one more under way when the load ended.
	if rows < len(refs) || rows > len(refs)+posters {
		t.Errorf("%d rows for %d accepted", rows, len(refs))
	}
	t.Logf("%d accepted over five gateways, %d rows", len(p.accepted), rows)
}

// freeAddr is an address of the loopback that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
