package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

const (
	scenarioAccept = "accept"
	// acceptBatch is the most that one request may hand in.
	acceptBatch = 1000
	// batchCallers is how many batches are in flight where that is said: a back end
	// with much to hand in does not wait for one answer before the next request.
	batchCallers = 4
	// partClient is this process, which hands in.
	partClient = "client"
	// partGateway is the process that takes in.
	partGateway = "gateway"
)

// door is one way to hand notifications in.
type door struct {
	pipeline
	// callers is how many do so at once, size how many notifications one call is
	// about, calls how many there are.
	callers, size, calls int
	// open makes what does the i-th call.
	open func(*scene, context.Context) (call func(ctx context.Context, i int) error, err error)
}

// The two that are compared: batches from a back end that has four in flight, and
// the loop that it would write with asynq alone.
var (
	doorBatch   = by(pipeOurs, "POST 1000, four")
	doorEnqueue = by(pipeBare, "Enqueue, a loop")
)

// by is a pipeline with the name of a way in.
func by(p pipeline, name string) pipeline {
	p.Name += ": " + name
	return p
}

// doors are the ways in. Ours are durable when they answer; asynq's own Enqueue
// is the loop that a back end without us would write.
func (e *env) doors() []door {
	k := 5
	if e.Quick {
		k = 1
	}
	return []door{
		{by(pipeOurs, "POST one"), 64, 1, 3000 * k, (*scene).postOne},
		{by(pipeOurs, "POST 1000, a loop"), 1, acceptBatch, 6 * k, (*scene).postBatch},
		{doorBatch, batchCallers, acceptBatch, 12 * k, (*scene).postBatch},
		{by(pipeOurs, "SendTx"), 8, 1, 3000 * k, (*scene).sendTx},
		{doorEnqueue, 1, 1, 6000 * k, (*scene).enqueueOne},
		{by(pipeBare, "Enqueue, 64"), 64, 1, 8000 * k, (*scene).enqueueOne},
	}
}

// accept measures the ways in.
func (e *env) accept(ctx context.Context) error {
	doors := map[string]door{}
	var pipes []pipeline
	for _, d := range e.doors() {
		doors[d.Name] = d
		pipes = append(pipes, d.pipeline)
	}
	return e.alternate(ctx, pipes, func(p pipeline) error { return e.acceptOnce(ctx, doors[p.Name]) })
}

func (e *env) acceptOnce(ctx context.Context, d door) error {
	n := d.calls * d.size
	e.Progress(fmt.Sprintf("accept: %s, %d notifications", d.Name, n))
	s, err := e.newScene(ctx, d.pipeline, 0)
	if err != nil {
		return err
	}
	defer s.close()
	call, err := d.open(s, ctx)
	if err != nil {
		return err
	}
	if err := call(ctx, 0); err != nil { // connections and plans are made
		return fmt.Errorf("%s: %w", d.Name, err)
	}
	late, err := countDurable(ctx, s.conn)
	if err != nil {
		return err
	}
	from, err := s.countAccepted(ctx, 0)
	if err != nil {
		return err
	}
	if err := d.handIn(ctx, call); err != nil {
		return fmt.Errorf("%s: %w", d.Name, err)
	}
	to, err := s.countAccepted(ctx, int64(n))
	if err != nil {
		return err
	}
	f := between(from, to)
	f.addCounts(from, to, n)
	if s.worker != nil {
		s.stopWorker()
	}
	end, err := countDurable(ctx, s.conn)
	if err != nil {
		return err
	}
	f.addDurable(late, end, n)
	e.add(Result{Scenario: scenarioAccept, Pipeline: d.Name, Concurrency: d.callers, Messages: n}, f)
	e.Progress(fmt.Sprintf("accept: %s: %.0f notifications/s", d.Name, f[figRate]))
	return nil
}

// handIn makes every call.
func (d door) handIn(ctx context.Context, call func(context.Context, int) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range d.callers {
		g.Go(func() error {
			for i := int(next.Add(1)); i <= d.calls; i = int(next.Add(1)) {
				if err := call(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// countAccepted is count for what is handed in: the gateway has the worker's
// place and n is what was done.
func (s *scene) countAccepted(ctx context.Context, n int64) (counters, error) {
	c, err := s.count(ctx)
	c.sends = n
	if used, ok := c.cpu[partWorker]; ok {
		c.cpu[partGateway] = used
		delete(c.cpu, partWorker)
	}
	if used, err := cpuTime(os.Getpid(), false); err == nil {
		c.cpu[partClient] = used
	}
	return c, err
}

var gatewayLine = regexp.MustCompile(`"listen_addr":"([^"]+)".*"admin_addr":"([^"]+)"`)

// startGateway starts the front door and returns how to post to it.
func (s *scene) startGateway(ctx context.Context) (send func(ctx context.Context, path string, body []byte, want int) ([]byte, error), err error) {
	key := rand.Text() + rand.Text()
	cmd := s.ourProgram(ctx, []string{
		"REDIS_URL=" + s.redisURL, "DATABASE_URL=" + s.databaseURL, "WECHAT_API_BASE_URL=" + s.base,
		"WECHAT_APPID=" + s.app.AppID, "WECHAT_SECRET=" + s.app.Secret, "API_KEYS=bench:" + key,
		"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0",
	}, "gateway")
	if s.worker, err = s.start(partGateway, cmd); err != nil {
		return nil, err
	}
	found, err := s.worker.await(ctx, gatewayLine)
	if err != nil {
		return nil, err
	}
	s.metrics = "http://" + found[2] + "/metrics"
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	s.stops = append(s.stops, client.CloseIdleConnections)
	return func(ctx context.Context, path string, body []byte, want int) ([]byte, error) {
		return post(ctx, client, "http://"+found[1]+path, key, body, want)
	}, nil
}

// request is the i-th notification as the API takes it.
func request(i int) map[string]any {
	n := notification(i)
	return map[string]any{"template_id": n.TemplateID, "user_id": n.UserID, "page": n.Page, "data": n.Data}
}

func (s *scene) postOne(ctx context.Context) (func(context.Context, int) error, error) {
	send, err := s.startGateway(ctx)
	return func(ctx context.Context, i int) error {
		body, err := json.Marshal(request(i))
		if err != nil {
			return err
		}
		_, err = send(ctx, "/v1/notifications", body, http.StatusAccepted)
		return err
	}, err
}

// allAccepted is in the answer to a batch of which nothing was refused.
var allAccepted = []byte(`"rejected":0`)

func (s *scene) postBatch(ctx context.Context) (func(context.Context, int) error, error) {
	send, err := s.startGateway(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]map[string]any, acceptBatch)
	for k := range list {
		list[k] = request(k)
	}
	body, err := json.Marshal(map[string]any{"notifications": list})
	return func(ctx context.Context, _ int) error {
		answer, err := send(ctx, "/v1/notifications/batch", body, http.StatusOK)
		if err == nil && !bytes.Contains(answer, allAccepted) {
			err = fmt.Errorf("not all were accepted: %.500s", answer)
		}
		return err
	}, err
}

// sendTx accepts inside transactions of a caller who also writes a row of its
// own.
func (s *scene) sendTx(ctx context.Context) (func(context.Context, int) error, error) {
	if _, err := s.conn.Exec(ctx, `CREATE TABLE approvals (id bigint PRIMARY KEY)`); err != nil {
		return nil, err
	}
	pool, err := pgxpool.New(ctx, s.databaseURL+"&pool_max_conns=8")
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	s.stops = append(s.stops, pool.Close)
	return func(ctx context.Context, i int) error {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing after a Commit
		if _, err := tx.Exec(ctx, `INSERT INTO approvals (id) VALUES ($1)`, i); err != nil {
			return err
		}
		if _, err := s.client.SendTx(ctx, tx, notification(i)); err != nil {
			return err
		}
		return tx.Commit(ctx)
	}, nil
}

func (s *scene) enqueueOne(context.Context) (func(context.Context, int) error, error) {
	return func(ctx context.Context, i int) error { return enqueue(ctx, s.queue, i) }, nil
}
