package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

const (
	scenarioMixed = "mixed"
	// mixedConcurrency is the default of CONCURRENCY.
	mixedConcurrency = 200

	figState = "rows_" // and the state: the share of messages in it
)

// mixedFaults makes 10 % of the calls refused, 5 % busy and 1 % answered by a
// broken connection after WeChat took the message. The first that applies to a
// call decides, so the later ones have a share of what is left.
var mixedFaults = []map[string]any{
	{"api": "subscribe_send", "action": "errcode", "errcode": 43101, "rate": 0.10},
	{"api": "subscribe_send", "action": "status", "status": 412, "rate": 0.05 / 0.90},
	{"api": "subscribe_send", "action": "drop", "after": true, "rate": 0.01 / 0.85},
}

// mixed takes a backlog away of which not every message goes well.
func (e *env) mixed(ctx context.Context) error {
	return e.alternate(ctx, []pipeline{pipeOurs, pipeBare, pipeNaive}, func(p pipeline) error { return e.mixedOnce(ctx, p) })
}

func (e *env) mixedOnce(ctx context.Context, p pipeline) error {
	n := e.backlog(0, mixedConcurrency)
	e.Progress(fmt.Sprintf("mixed: %s, %d messages", p.Name, n))
	s, err := e.newScene(ctx, p, 0)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.load(ctx, n); err != nil {
		return err
	}
	for _, fault := range mixedFaults {
		if err := s.order(ctx, "/_sim/faults", fault); err != nil {
			return err
		}
	}
	late, err := countDurable(ctx, s.conn)
	if err != nil {
		return err
	}
	began, err := s.count(ctx)
	if err != nil {
		return err
	}
	if err := s.startWorker(ctx, mixedConcurrency); err != nil {
		return err
	}
	f, err := s.watch(ctx, n)
	if err != nil {
		return err
	}
	ended, err := s.count(ctx)
	if err != nil {
		return err
	}
	f.addCounts(began, ended, n)
	s.stopWorker()
	end, err := countDurable(ctx, s.conn)
	if err != nil {
		return err
	}
	f.addDurable(late, end, n)
	if err := s.countStates(ctx, n, f); err != nil {
		return err
	}
	e.add(Result{Scenario: scenarioMixed, Pipeline: p.Name, Concurrency: mixedConcurrency, Messages: n}, f)
	e.Progress(fmt.Sprintf("mixed: %s: %.0f calls/s", p.Name, f[figRate]))
	return nil
}

// countStates adds what became of the rows of ours.
func (s *scene) countStates(ctx context.Context, n int, f figures) error {
	if s.kind != ours {
		return nil
	}
	rows, err := s.conn.Query(ctx, `SELECT state, count(*) FROM notifications GROUP BY state`)
	if err != nil {
		return fmt.Errorf("look at the rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var state string
		var count int
		if err := rows.Scan(&state, &count); err != nil {
			return fmt.Errorf("look at the rows: %w", err)
		}
		f[figState+state] = float64(count) / float64(n)
	}
	return rows.Err()
}

// order scripts the simulator.
func (s *scene) order(ctx context.Context, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = post(ctx, httpClient, s.base+path, "", b, http.StatusOK)
	return err
}

// post sends JSON, wants a status and returns the answer.
func post(ctx context.Context, client *http.Client, address, key string, body []byte, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("status %d: %.500s", resp.StatusCode, answer.Bytes())
	}
	return answer.Bytes(), nil
}
