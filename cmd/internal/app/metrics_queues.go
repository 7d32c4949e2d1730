package app

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/worker/task"
)

var (
	redisUpDesc = prometheus.NewDesc("wxnotify_redis_up", "1 when Redis answered this scrape.", nil, nil)

	queueTasksDesc = prometheus.NewDesc("wxnotify_queue_tasks",
		"Tasks on the queue; every process shows the same.", []string{"queue", "state"}, nil)
	queueOldestDesc = prometheus.NewDesc("wxnotify_queue_oldest_seconds",
		"How long the longest waiting task could have been taken already; every process shows the same.", []string{"queue", "state"}, nil)
	queuePausedDesc = prometheus.NewDesc("wxnotify_queue_paused",
		"1 while asynq takes nothing from the queue; every process shows the same.", []string{"queue"}, nil)
)

// queueCollector reads asynq's lists at each scrape. asynq's Inspector is not
// used: with the sizes it also estimates memory, over samples of the tasks and
// with an error for a list whose task has just gone.
type queueCollector struct{ process *Process }

// Describe implements prometheus.Collector.
func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{redisUpDesc, queueTasksDesc, queueOldestDesc, queuePausedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Without Redis it says only so.
func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	var all []*queueSize
	for _, a := range c.process.settings().Apps {
		for _, q := range task.Queues(a.AppID, c.process.defaultApp()) {
			all = append(all, &queueSize{queue: q})
		}
	}
	err := readQueues(ctx, c.process.shared, all)
	ch <- gauge(redisUpDesc, up(err))
	if err != nil {
		return
	}
	now := time.Now()
	for _, q := range all {
		q.emit(ch, now)
	}
}

// timedStates are asynq's sets whose score is when a task may be taken again.
var timedStates = []string{"scheduled", "retry"}

// queueSize are the answers about one queue.
type queueSize struct {
	queue           string
	pending, active *redis.IntCmd
	archived        *redis.IntCmd
	paused          *redis.IntCmd
	head            *redis.StringSliceCmd // the id of the oldest pending task
	since           *redis.StringCmd      // when that one came, in ns; nil without one
	sizes           map[string]*redis.IntCmd
	due             map[string]*redis.ZSliceCmd
}

func (q *queueSize) key(name string) string { return "asynq:{" + q.queue + "}:" + name }

// readQueues asks in two round trips, whatever the number of queues.
func readQueues(ctx context.Context, rdb redis.UniversalClient, all []*queueSize) error {
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Ping(ctx) // also without any queue
		for _, q := range all {
			q.ask(ctx, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, q := range all {
			if ids := q.head.Val(); len(ids) > 0 {
				q.since = p.HGet(ctx, q.key("t:"+ids[0]), "pending_since")
			}
		}
		return nil
	})
	if errors.Is(err, redis.Nil) {
		return nil // taken meanwhile
	}
	return err
}

func (q *queueSize) ask(ctx context.Context, p redis.Pipeliner) {
	q.pending, q.active = p.LLen(ctx, q.key("pending")), p.LLen(ctx, q.key("active"))
	q.archived, q.paused = p.ZCard(ctx, q.key("archived")), p.Exists(ctx, q.key("paused"))
	q.head = p.LRange(ctx, q.key("pending"), -1, -1)
	q.sizes, q.due = map[string]*redis.IntCmd{}, map[string]*redis.ZSliceCmd{}
	for _, state := range timedStates {
		q.sizes[state] = p.ZCard(ctx, q.key(state))
		q.due[state] = p.ZRangeWithScores(ctx, q.key(state), 0, 0)
	}
}

func (q *queueSize) emit(ch chan<- prometheus.Metric, now time.Time) {
	ch <- gauge(queueTasksDesc, float64(q.pending.Val()), q.queue, "pending")
	ch <- gauge(queueTasksDesc, float64(q.active.Val()), q.queue, "active")
	ch <- gauge(queueTasksDesc, float64(q.archived.Val()), q.queue, "archived")
	ch <- gauge(queuePausedDesc, float64(q.paused.Val()), q.queue)
	var waited float64
	if q.since != nil {
		if ns, err := strconv.ParseInt(q.since.Val(), 10, 64); err == nil {
			waited = now.Sub(time.Unix(0, ns)).Seconds()
		}
	}
	ch <- gauge(queueOldestDesc, max(waited, 0), q.queue, "pending")
	for _, state := range timedStates {
		ch <- gauge(queueTasksDesc, float64(q.sizes[state].Val()), q.queue, state)
		waited = 0
		if due := q.due[state].Val(); len(due) > 0 {
			waited = float64(now.Unix()) - due[0].Score
		}
		ch <- gauge(queueOldestDesc, max(waited, 0), q.queue, state)
	}
}
